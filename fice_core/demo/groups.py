"""Large images with people of the gallery at known places: stand-ins for photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..people.maths import Array
from ..people.textures import noise
from .gallery import Sitter, gallery
from .people import truth


@dataclass(frozen=True)
class Scene:
    """An image (1, 3, H, W) in [0, 1] and its truth: soft masks (1, 1, H, W) of garments, bodies and
    heads, and for each person who it is and the square (left, top, right, bottom) of its photograph."""

    image: Tensor
    garment: Tensor
    body: Tensor
    head: Tensor
    people: tuple[Sitter, ...]
    boxes: tuple[tuple[int, int, int, int], ...]


def scene(
    size: tuple[int, int],
    places: Sequence[tuple[int, int, int]],
    seed: int,
    grain: float = 0.01,
) -> Scene:
    """People of the gallery, cut out and put before a painted wall.

    Args:
        size: (H, W) in pixels.
        places: (left, top, side) of the square of each person's photograph, in pixels; may reach beyond.
        seed: of who is there, and of the wall.
        grain: standard deviation of the noise over all of it.
    """
    rng = np.random.default_rng(seed)
    everybody = gallery()
    chosen = tuple(
        everybody[int(k)] for k in rng.choice(len(everybody), len(places), replace=False)
    )
    image = torch.from_numpy(wall(size, rng)).movedim(-1, 0)[None].float()
    masks = {name: torch.zeros(1, 1, *size) for name in ("garment", "body", "head")}
    for sitter, (left, top, side) in zip(chosen, places, strict=True):
        shown = truth([sitter.portrait(side)])
        rows, columns = _span(top, side, size[0]), _span(left, side, size[1])
        there = (
            ...,
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        here = (..., rows, columns)
        cover = (shown.body + shown.head).clamp(0, 1)[there]
        image[here] = torch.lerp(image[here], shown.images[there], cover)
        for name, mask in masks.items():
            mask[here] = mask[here] * (1 - cover) + getattr(shown, name)[there]
    if grain:
        generator = torch.Generator().manual_seed(seed)
        image = image + grain * torch.randn(image.shape, generator=generator)
    boxes = tuple((left, top, left + side, top + side) for left, top, side in places)
    return Scene(image.clamp(0, 1), **masks, people=chosen, boxes=boxes)


def wall(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """A plain wall with light falling over it and a little texture, (H, W, 3) sRGB in [0, 1]."""
    y, x = np.meshgrid(*(np.linspace(0, n / max(size), n) for n in size), indexing="ij")
    colour = rng.uniform(0.45, 0.9) + rng.uniform(-0.12, 0.12, 3)
    light = 1 + rng.uniform(-0.25, 0.25) * (x - 0.5) + rng.uniform(-0.25, 0.25) * (y - 0.5)
    salt = int(rng.integers(1000))
    rough = noise(x, y, 0.12, salt) + 0.5 * noise(x, y, 0.02, salt + 1) - 0.75
    return np.asarray(np.clip(colour * (light + 0.05 * rough)[..., None], 0, 1))


def _span(first: int, length: int, limit: int) -> slice:
    return slice(max(first, 0), min(first + length, limit))
