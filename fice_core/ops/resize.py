"""Resizing of images and feature maps with deterministic gradients.

On CUDA, torch adds up the gradient of an interpolation in a random order. Resizing is linear in each
axis, so it is a matrix product per axis there. Elsewhere torch's function is used, which is faster.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size): area averaging along an axis that shrinks, else interpolation."""
    reduced = (min(images.shape[-2], size[0]), min(images.shape[-1], size[1]))
    if reduced != images.shape[-2:]:
        images = _resized(images, reduced, "area")
    return images if reduced == size else interpolate(images, size)


def enlarge(images: Tensor, factor: int) -> Tensor:
    """Images (N, C, H, W) in [0, 1] -> (N, C, factor H, factor W): smooth, and `resize` gives `images` back.

    Interpolation alone moves the mean of every block of pixels towards its neighbours. What a block lacks
    is added by interpolation, several times (Irani and Peleg, "Improving resolution by image
    registration", 1991). The rest is made up for within the block, towards 0 or 1, so that no value
    leaves [0, 1].
    """
    if factor == 1:
        return images
    before = (images.shape[-2], images.shape[-1])
    size = (before[0] * factor, before[1] * factor)
    result = interpolate(images, size)
    for _ in range(3):
        result = (result + interpolate(images - resize(result, before), size)).clamp(0, 1)

    def blocks(values: Tensor) -> Tensor:
        return values.repeat_interleave(factor, -2).repeat_interleave(factor, -1)

    mean = resize(result, before)
    darker = blocks((images / mean.clamp_min(1e-6)).clamp(max=1))
    lighter = blocks(((images - mean) / (1 - mean).clamp_min(1e-6)).clamp_min(0))
    return result * darker + (1 - result) * lighter


def interpolate(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size), interpolated linearly between pixel centres."""
    return _resized(x, size, "linear")


class Upsample2x(nn.Module):
    """Bilinear upsampling (N, C, H, W) -> (N, C, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, (2 * x.shape[-2], 2 * x.shape[-1]))


def has_nondeterministic_backward(x: Tensor) -> bool:
    """Whether torch adds up the gradient of an interpolation in a random order on the device of x."""
    return x.device.type == "cuda"


def by_matrices(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """`F.interpolate` of (N, C, H, W) to (N, C, *size) with mode "area" or "linear" in each axis."""
    with torch.autocast(x.device.type, enabled=False):  # autocast would round the images
        sides = zip(x.shape[-2:], size, strict=True)
        rows, columns = (_resized_identity(before, after, mode, x) for before, after in sides)
        return apply_separable(rows, x, columns)


def apply_separable(rows: Tensor, x: Tensor, columns: Tensor) -> Tensor:
    """Apply a matrix to each axis of x: (P, H), (N, C, H, W), (Q, W) -> (N, C, P, Q).

    The result is channels-last if x is.
    """
    if not x.is_contiguous(memory_format=torch.channels_last):
        return rows @ x @ columns.t()
    count, channels, height, width = x.shape
    y = rows @ x.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    y = columns @ y.reshape(-1, width, channels)
    resized: Tensor = y.unflatten(0, (count, -1))
    return resized.permute(0, 3, 1, 2)


def linear_weights(points: Tensor, size: int) -> Tensor:
    """Weights (..., P, size) of the pixels of an axis in a linear interpolation at points (..., P).

    Points are in pixels from the centre of the first one. They are clamped to the axis.
    """
    pixels = torch.arange(size, dtype=points.dtype, device=points.device)
    return (1 - (points.clamp(0, size - 1)[..., None] - pixels).abs()).clamp(min=0)


def _resized(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    if has_nondeterministic_backward(x):
        return by_matrices(x, size, mode)
    return F.interpolate(x, size=size, mode="bilinear" if mode == "linear" else mode)


def _resized_identity(before: int, after: int, mode: str, like: Tensor) -> Tensor:
    """The matrix (after, before) of resizing an axis."""
    identity = torch.eye(before, dtype=like.dtype, device=like.device)
    resized: Tensor = F.interpolate(identity[None], size=after, mode=mode)
    return resized[0].t()


WORKING_SIDE = 384  # pixels of the longest side at which filters are fitted


def working_copy(images: Tensor, side: int = 1024) -> Tensor:
    """Images reduced to at most `side` pixels a side, (N, C, h, w), for filters on large photos."""
    height, width = images.shape[-2:]
    factor = min(1.0, side / max(height, width))
    return resize(images, (max(1, round(height * factor)), max(1, round(width * factor))))
