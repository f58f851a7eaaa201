"""Resizing pictures and feature maps, with gradients that are the same bytes every time.

On CUDA torch adds up an interpolation's gradient in whatever order its threads arrive. Resizing an axis is
linear, so that there it is a matrix from each side; elsewhere torch's own, which reads every pixel once.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size): an axis is averaged over areas to shrink, else interpolated."""
    shrunk = (min(images.shape[-2], size[0]), min(images.shape[-1], size[1]))
    if shrunk != images.shape[-2:]:
        images = _resized(images, shrunk, "area")
    return images if shrunk == size else interpolate(images, size)


def interpolate(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size), linearly between the middles of pixels."""
    return _resized(x, size, "linear")


class Upsample2x(nn.Module):
    """(N, C, H, W) -> (N, C, 2H, 2W), interpolated."""

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, (2 * x.shape[-2], 2 * x.shape[-1]))


def has_nondeterministic_backward(x: Tensor) -> bool:
    """Whether torch adds gradients up in any order where x is."""
    return x.device.type == "cuda"


def by_matrices(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """`F.interpolate` of (N, C, H, W) to (N, C, *size) by a mode of one axis, "area" or "linear"."""
    with torch.autocast(x.device.type, enabled=False):  # it would round pictures
        sides = zip(x.shape[-2:], size, strict=True)
        rows, columns = (_resized_identity(before, after, mode, x) for before, after in sides)
        return apply_separable(rows, x, columns)


def apply_separable(rows: Tensor, x: Tensor, columns: Tensor) -> Tensor:
    """Matrices for both axes of x: (P, H), (N, C, H, W), (Q, W) -> (N, C, P, Q). Channels-last stays so."""
    if not x.is_contiguous(memory_format=torch.channels_last):
        return rows @ x @ columns.t()
    count, channels, height, width = x.shape
    y = rows @ x.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    y = columns @ y.reshape(-1, width, channels)
    resized: Tensor = y.unflatten(0, (count, -1))
    return resized.permute(0, 3, 1, 2)


def linear_weights(points: Tensor, size: int) -> Tensor:
    """What linear interpolation at points (..., P), in pixels from the middle of the first of an axis, takes
    of its pixels, (..., P, size); beyond the last of them it goes on."""
    pixels = torch.arange(size, dtype=points.dtype, device=points.device)
    return (1 - (points.clamp(0, size - 1)[..., None] - pixels).abs()).clamp(min=0)


def _resized(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    if has_nondeterministic_backward(x):
        return by_matrices(x, size, mode)
    return F.interpolate(x, size=size, mode="bilinear" if mode == "linear" else mode)


def _resized_identity(before: int, after: int, mode: str, like: Tensor) -> Tensor:
    identity = torch.eye(before, dtype=like.dtype, device=like.device)
    resized: Tensor = F.interpolate(identity[None], size=after, mode=mode)
    return resized[0].t()


WORKING_SIDE = 384  # pixels of the longest side at which filters are fitted


def working_copy(images: Tensor, side: int = 1024) -> Tensor:
    """Pictures of at most `side` pixels a side, (N, C, h, w): the edges of a large photo, at less cost."""
    height, width = images.shape[-2:]
    factor = min(1.0, side / max(height, width))
    return resize(images, (max(1, round(height * factor)), max(1, round(width * factor))))
