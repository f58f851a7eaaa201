"""Gaussian and Laplacian pyramids of images (N, C, H, W), after Burt and Adelson (1983)."""

import torch
import torch.nn.functional as F


def laplacian_pyramid(images: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """`levels` bands, each of half the resolution of the one before, and the low-pass rest.

    Each is (N, C, h, w). Expanding the last to the size of the one before, adding it, and so on,
    reconstructs `images`.
    """
    bands = []
    for _ in range(levels):
        smaller = reduce(images)
        bands.append(images - expand(smaller, images.shape[-2:]))
        images = smaller
    return [*bands, images]


def reduce(images: torch.Tensor) -> torch.Tensor:
    """Images at half the resolution, rounded up: every second pixel of the smoothed (N, C, H, W)."""
    return smooth(images)[..., ::2, ::2]


def expand(images: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Images at twice the resolution, (N, C, H, W) -> (N, C, *size), as in Burt and Adelson."""
    for axis in (-2, -1):
        ends = (0, 0, 1, 1) if axis == -2 else (1, 1, 0, 0)
        padded = F.pad(images, ends, mode="replicate")
        a, b, c = (padded.narrow(axis, k, images.shape[axis]) for k in range(3))
        pairs = torch.stack([(a + 6 * b + c) / 8, (b + c) / 2], dim=axis)
        images = pairs.flatten(axis - 1, axis)
    return images[..., : size[0], : size[1]]


def smooth(images: torch.Tensor, step: int = 1) -> torch.Tensor:
    """(N, C, H, W) convolved with (1, 4, 6, 4, 1) / 16 along both axes; the border is replicated.

    `step` is the distance of the five taps: 2 for the next band of an undecimated pyramid.
    """
    reach = 2 * step
    padded = F.pad(images, (0, 0, reach, reach), mode="replicate")
    images = _taps(padded, images.shape[-2], step, -2)
    padded = F.pad(images, (reach, reach, 0, 0), mode="replicate")
    return _taps(padded, images.shape[-1], step, -1)


def _taps(padded: torch.Tensor, length: int, step: int, axis: int) -> torch.Tensor:
    a, b, c, d, e = (padded.narrow(axis, k * step, length) for k in range(5))
    return (a + e) / 16 + (b + d) / 4 + c * 0.375
