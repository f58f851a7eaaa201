"""Painted backgrounds without a person."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def backdrops(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Random scenery without a person: (count, 3, size, size) in [0, 1].

    A wall with light falling over it, textures of several grains, and boxes, discs and bars of any colour.
    """

    def draw(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(*shape, generator=generator) * (high - low) + low

    y, x = torch.meshgrid(*[torch.linspace(0, 1, size)] * 2, indexing="ij")
    light = draw(count, 2, 1, 1, low=-0.3, high=0.3)
    scene = draw(count, 3, 1, 1) * (1 + light[:, :1] * (y - 0.5) + light[:, 1:] * (x - 0.5))
    for grain in (4, 9, 24, 64):
        strength = draw(count, 1, 1, 1, low=-0.12, high=0.12).clamp_min(0)
        texture = torch.randn(count, 3, grain, grain, generator=generator)
        texture = F.interpolate(texture, size=(size, size), mode="bicubic")
        scene = scene + strength * texture
    for _ in range(7):
        centre = draw(count, 2, 1, 1, low=-0.1, high=1.1)
        half = torch.exp(draw(count, 2, 1, 1, low=-4.0, high=-0.9))
        turn = draw(count, 1, 1, low=0.0, high=3.1416) * (draw(count, 1, 1) < 0.4)
        dx, dy = x - centre[:, 0], y - centre[:, 1]
        u = (dx * turn.cos() + dy * turn.sin()) / half[:, 0]
        v = (dy * turn.cos() - dx * turn.sin()) / half[:, 1]
        disc = draw(count, 1, 1) < 0.35
        distance = torch.where(disc, torch.hypot(u, v), torch.maximum(u.abs(), v.abs()))
        present = draw(count, 1, 1) < 0.6
        cover = ((1 - distance) * 20).clamp(0, 1)[:, None] * present[:, None]
        shade = 1 + draw(count, 1, 1, 1, low=-0.3, high=0.3) * v[:, None].clamp(-1, 1)
        scene = torch.lerp(scene, draw(count, 3, 1, 1) * shade, cover)
    return scene.clamp(0, 1)
