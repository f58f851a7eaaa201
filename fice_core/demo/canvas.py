"""Signed-distance drawing, vectorised over a batch of figures.

Distances are in figure units (the whole figure is about one unit tall; the image shows 1/ZOOM of
it), positive inside; a shape's edge is anti-aliased over one pixel. All maps are (N, H, W),
parameters (N,) or floats.
"""

from __future__ import annotations

from itertools import pairwise
from typing import overload

import torch
from torch import Tensor

#: how much of the figure the image shows: pixel = figure * ZOOM, measured from (MIDDLE, TOP)
ZOOM, MIDDLE, TOP = 1.18, 0.5, 0.012


def to_picture(point: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Figure units -> fractions of the image, both (x, y)."""
    x, y = point
    return (x - MIDDLE) * ZOOM + 0.5, (y - TOP) * ZOOM


@overload
def column(value: Tensor) -> Tensor: ...
@overload
def column(value: float) -> float: ...
def column(value: Tensor | float) -> Tensor | float:
    """(N,) -> (N, 1, 1), so that a parameter broadcasts over the image."""
    return value[:, None, None] if isinstance(value, Tensor) and value.ndim == 1 else value


class Canvas:
    """An image under construction, with the label and region of every pixel beside its colour."""

    def __init__(self, n: int, size: int, background: Tensor) -> None:
        self.n, self.size = n, size
        axis = (torch.arange(size, dtype=background.dtype) + 0.5) / size
        self.y = (axis / ZOOM + TOP)[None, :, None].expand(n, size, size)
        self.x = ((axis - 0.5) / ZOOM + MIDDLE)[None, None, :].expand(n, size, size)
        self.rgb = background[:, :, None, None].expand(n, 3, size, size).clone()
        self.labels = torch.zeros(n, size, size, dtype=torch.int64)
        self.masks: dict[str, Tensor] = {}

    def coverage(self, distance: Tensor) -> Tensor:
        """Signed distance -> how much of the pixel the shape covers, [0, 1]."""
        return (distance * (self.size * ZOOM) + 0.5).clamp(0, 1)

    def soft(self, distance: Tensor, width: float) -> Tensor:
        """Signed distance -> a smooth step `width` wide around the edge."""
        t = (distance / width + 0.5).clamp(0, 1)
        return t * t * (3 - 2 * t)

    def paint(
        self,
        alpha: Tensor,
        colour: Tensor,
        shade: Tensor | float = 1.0,
        label: int | Tensor | None = None,
        region: str | None = None,
    ) -> None:
        """Lay a shape over the image: colour (N, 3) or (N, 3, H, W), times shade."""
        paint = colour[:, :, None, None] if colour.ndim == 2 else colour
        if isinstance(shade, Tensor):
            shade = shade[:, None]
        a = alpha[:, None]
        self.rgb = self.rgb + a * ((paint * shade).clamp(0, 1) - self.rgb)
        if label is not None:
            value = label if isinstance(label, Tensor) else torch.full_like(self.labels, label)
            self.labels = torch.where(alpha > 0.5, value, self.labels)
        if region is not None:
            for name, mask in self.masks.items():
                if name != region:
                    self.masks[name] = mask * (1 - alpha)
            below = self.masks.get(region, torch.zeros_like(alpha))
            self.masks[region] = below + alpha * (1 - below)

    def darken(self, amount: Tensor) -> None:
        """Multiply the image by 1 - amount (N, H, W): shadows and creases."""
        self.rgb = self.rgb * (1 - amount[:, None])

    def ellipse(
        self, cx: Tensor | float, cy: Tensor | float, rx: Tensor | float, ry: Tensor | float
    ) -> Tensor:
        """Signed distance to an ellipse, first-order accurate at the edge."""
        cx, cy, rx, ry = (column(v) for v in (cx, cy, rx, ry))
        dx, dy = self.x - cx, self.y - cy
        level = ((dx / rx) ** 2 + (dy / ry) ** 2).clamp_min(1e-9).sqrt()
        slope = ((dx / rx**2) ** 2 + (dy / ry**2) ** 2).clamp_min(1e-9).sqrt() / level
        return (1 - level) / slope.clamp_min(1e-3)

    def segment(
        self, a: tuple[Tensor | float, Tensor | float], b: tuple[Tensor | float, Tensor | float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Along (0..1, unclamped), signed offset across and distance to a segment from a to b."""
        ax, ay, bx, by = (column(v) for v in (*a, *b))
        ux, uy = bx - ax, by - ay
        length = (ux * ux + uy * uy) ** 0.5
        px, py = self.x - ax, self.y - ay
        along = (px * ux + py * uy) / (length * length)
        across = (px * -uy + py * ux) / length
        t = along.clamp(0, 1)
        distance = ((px - t * ux) ** 2 + (py - t * uy) ** 2).clamp_min(1e-12).sqrt()
        return along, across, distance


def bump(x: Tensor, centre: float | Tensor, width: float) -> Tensor:
    """A Gaussian ridge of unit height."""
    return torch.exp(-(((x - column(centre)) / width) ** 2))


def knots(y: Tensor, points: list[tuple[Tensor | float, Tensor | float]]) -> Tensor:
    """A smooth profile through (y, value) points: cosine-eased between them, constant beyond."""
    value = torch.zeros_like(y) + column(points[0][1])
    for (y0, v0), (y1, v1) in pairwise(points):
        y0, v0, y1, v1 = (column(v) for v in (y0, v0, y1, v1))
        t = ((y - y0) / (y1 - y0)).clamp(0, 1)
        value = value + t * t * (3 - 2 * t) * (v1 - v0)
    return value
