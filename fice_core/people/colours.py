"""Colours of garments, skin, hair, trousers and walls, sRGB in [0, 1]."""

from __future__ import annotations

from functools import cache

import numpy as np

from .maths import Array

#: the twelve named garment colours, on the vertices of an icosahedron: one pole, the upper ring, the lower
#: ring (turned by 36 degrees), the other pole
COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (0.94, 0.94, 0.93),
    "yellow": (0.93, 0.78, 0.25),
    "orange": (0.90, 0.47, 0.15),
    "pink": (0.91, 0.58, 0.68),
    "grey": (0.56, 0.57, 0.59),
    "teal": (0.11, 0.50, 0.52),
    "brown": (0.41, 0.27, 0.18),
    "red": (0.71, 0.11, 0.14),
    "purple": (0.41, 0.23, 0.55),
    "blue": (0.15, 0.29, 0.65),
    "green": (0.16, 0.44, 0.25),
    "black": (0.07, 0.07, 0.08),
}
SKIN = (
    (0.86, 0.69, 0.60),
    (0.83, 0.635, 0.53),
    (0.74, 0.54, 0.425),
    (0.64, 0.44, 0.33),
    (0.47, 0.30, 0.215),
    (0.34, 0.215, 0.155),
)
HAIR = (
    (0.055, 0.045, 0.042),
    (0.11, 0.070, 0.050),
    (0.21, 0.125, 0.075),
    (0.33, 0.20, 0.11),
    (0.55, 0.40, 0.23),
    (0.70, 0.56, 0.36),
)
DENIM = ((0.13, 0.16, 0.25), (0.20, 0.27, 0.42), (0.32, 0.42, 0.56), (0.50, 0.60, 0.70))
BOTTOM = (
    (0.07, 0.07, 0.08),
    (0.14, 0.17, 0.26),
    (0.35, 0.34, 0.35),
    (0.40, 0.15, 0.18),
    (0.36, 0.36, 0.27),
    (0.62, 0.54, 0.43),
    (0.85, 0.82, 0.77),
)
WALL = (
    (0.86, 0.84, 0.82),
    (0.90, 0.89, 0.87),
    (0.93, 0.93, 0.93),
    (0.88, 0.89, 0.91),
    (0.80, 0.81, 0.82),
)
IRIS = ((0.13, 0.075, 0.045), (0.22, 0.13, 0.07), (0.34, 0.30, 0.18), (0.32, 0.40, 0.46))


def palette(u: float, colours: tuple[tuple[float, float, float], ...]) -> Array:
    """A walk along a palette: u in [0, 1] -> (3,)."""
    table = np.array(colours)
    position = min(max(u, 0.0), 1.0) * (len(colours) - 1)
    low = min(int(position), len(colours) - 2)
    return np.asarray(table[low] + (table[low + 1] - table[low]) * (position - low))


@cache
def icosahedron() -> Array:
    """Its twelve unit vertices (12, 3), in the order of `COLOURS`."""
    ring = np.arctan(0.5)
    points = [(0.0, 0.0, 1.0)]
    for sign, turn in ((1, 0.0), (-1, np.pi / 5)):
        for k in range(5):
            a = 2 * np.pi * k / 5 + turn
            points.append((np.cos(ring) * np.cos(a), np.cos(ring) * np.sin(a), sign * np.sin(ring)))
    return np.array([*points, (0.0, 0.0, -1.0)])


def garment_colour(z: Array) -> Array:
    """The colour in direction z (3,): one of the twelve, with blends between neighbours. (3,) sRGB."""
    logits = 14.0 * icosahedron() @ (z / max(float(np.linalg.norm(z)), 1e-6))
    weights = np.exp(logits - logits.max())
    return np.asarray(weights @ np.array(list(COLOURS.values())) / weights.sum())


def ink_for(colour: Array, u: float) -> Array:
    """The second colour of a pattern: light on dark cloth, dark on light cloth, tinted by u in [0, 1]."""
    luminance = float(colour @ np.array([0.30, 0.59, 0.11]))
    light = np.clip((luminance - 0.55) / 0.12, 0, 1)
    pale = np.array([0.94, 0.93, 0.90]) * (1 - 0.35 * u) + 0.35 * u * np.sqrt(np.maximum(colour, 0))
    tints = ((0.08, 0.09, 0.14), (0.10, 0.13, 0.30), (0.50, 0.10, 0.13), (0.10, 0.30, 0.22))
    return np.asarray(pale * (1 - light) + palette(u, tints) * light)
