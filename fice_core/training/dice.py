"""Random numbers for every image of a batch, and a small blur."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Dice:
    """Random numbers for every image of a batch, (n, 1, 1, 1) each."""

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self.generator, self.count = generator, count

    def draw(self, low: float = 0.0, high: float = 1.0, channels: int = 1) -> Tensor:
        """Uniform between low and high, (n, channels, 1, 1)."""
        values = torch.rand(self.count, channels, 1, 1, generator=self.generator)
        return low + (high - low) * values

    def chance(self, share: float) -> Tensor:
        """True for about that share of the images, (n, 1, 1, 1)."""
        return self.draw() < share

    def field(self, cells: int, size: tuple[int, int], channels: int = 1) -> Tensor:
        """Smooth Gaussian noise (n, channels, *size) with that many cells along a side."""
        shape = (self.count, channels, cells, cells)
        grid = torch.randn(shape, generator=self.generator)
        return F.interpolate(grid, size=size, mode="bilinear", align_corners=True)

    def some(self, share: float) -> Tensor:
        """Indices of about that share of the images."""
        return self.chance(share).flatten().nonzero()[:, 0]


def blur(x: Tensor) -> Tensor:
    """Means over 3 x 3 pixels; beyond the edge lies 0."""
    rows = x.clone()
    rows[..., 1:] += x[..., :-1]
    rows[..., :-1] += x[..., 1:]
    total = rows.clone()
    total[..., 1:, :] += rows[..., :-1, :]
    total[..., :-1, :] += rows[..., 1:, :]
    return total.div_(9)
