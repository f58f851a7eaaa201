"""Large images with demonstration figures at known places: stand-ins for photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..ops.resize import resize
from .attributes import Attributes, sample_attributes
from .renderer import render

_BACKDROP = 512  # pixels a side at which the scenery is painted


@dataclass(frozen=True)
class Scene:
    """An image (1, 3, H, W) in [0, 1] and its truth: soft masks (1, 1, H, W) of garments, bodies and
    heads, and for each figure its attributes' row and the square (left, top, right, bottom) it fills."""

    image: Tensor
    garment: Tensor
    body: Tensor
    head: Tensor
    figures: Attributes
    boxes: tuple[tuple[int, int, int, int], ...]


def scene(
    size: tuple[int, int],
    places: Sequence[tuple[int, int, int]],
    seed: int,
    grain: float = 0.01,
) -> Scene:
    """Figures before a painted backdrop.

    Args:
        size: (H, W) in pixels.
        places: (left, top, side) of the square that each figure fills, in pixels; may reach beyond.
        seed: of figures and scenery.
        grain: standard deviation of the noise over all of it.
    """
    from .backdrops import backdrops

    generator = torch.Generator().manual_seed(seed)
    figures = sample_attributes(max(len(places), 1), generator)
    image = resize(backdrops(1, _BACKDROP, generator), size)
    masks = {name: torch.zeros(1, 1, *size) for name in ("garment", "body", "head")}
    for i, (left, top, side) in enumerate(places):
        drawn = render(figures[i : i + 1], side)
        rows, columns = _span(top, side, size[0]), _span(left, side, size[1])
        there = (
            ...,
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        here = (..., rows, columns)
        cover = (drawn.body + drawn.head).clamp(0, 1)[there]
        image[here] = torch.lerp(image[here], drawn.images[there], cover)
        for name, mask in masks.items():
            mask[here] = mask[here] * (1 - cover) + getattr(drawn, name)[there]
    if grain:
        image = image + grain * torch.randn(image.shape, generator=generator)
    boxes = tuple((left, top, left + side, top + side) for left, top, side in places)
    return Scene(image.clamp(0, 1), **masks, figures=figures, boxes=boxes)


def _span(first: int, length: int, limit: int) -> slice:
    return slice(max(first, 0), min(first + length, limit))
