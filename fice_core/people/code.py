"""The Gaussian code of a person: named components, and maps from Gaussians to ranges.

Every attribute is a continuous function of the code, with plateaus where people have kinds: between a
T-shirt and a long sleeve there are ever longer sleeves, but few of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import erf, sqrt

import numpy as np

from .maths import Array

#: components and their sizes, in the order of the code
COMPONENTS: dict[str, int] = {
    "body": 8,
    "age": 1,
    "ancestry": 3,
    "skin": 3,
    "hair": 12,
    "face": 30,
    "expression": 4,
    "pose": 14,
    "hands": 8,
    "turn": 1,
    "light": 5,
    "camera": 4,
    "wall": 3,
    "sleeve": 1,
    "neckline": 5,
    "cut": 5,
    "fabric": 3,
    "folds": 6,
    "colour": 4,
    "pattern": 8,
    "lower": 7,
}
CODE_DIM = sum(COMPONENTS.values())


def slices() -> dict[str, slice]:
    """Where each component lies in the code."""
    result, at = {}, 0
    for name, size in COMPONENTS.items():
        result[name] = slice(at, at + size)
        at += size
    return result


def sample_codes(n: int, rng: np.random.Generator) -> Array:
    """n Gaussian codes, (n, CODE_DIM) float64."""
    return rng.standard_normal((n, CODE_DIM))


def normalised(code: Array) -> Array:
    """code over its root mean square, as StyleGAN2's mapping network sees it."""
    return np.asarray(code / np.sqrt(np.mean(np.square(code), -1, keepdims=True) + 1e-8))


@dataclass
class Reader:
    """Takes the numbers of one component in turn, as the ranges that attributes want."""

    values: Iterator[float]

    @classmethod
    def of(cls, code: Array, component: str) -> Reader:
        """The reader of one component of a code (CODE_DIM,)."""
        return cls(iter(code[slices()[component]].tolist()))

    def normal(self) -> float:
        """The next number as it is: standard normal."""
        return next(self.values)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """The next number as a uniform one between low and high."""
        return low + (high - low) * 0.5 * (1 + erf(self.normal() / sqrt(2)))

    def pair(self, low: float, high: float) -> tuple[float, float]:
        """Two uniform numbers: the person's left, then right."""
        return self.uniform(low, high), self.uniform(low, high)

    def ramp(self, *points: tuple[float, float]) -> float:
        """The next number through `ramp`."""
        return ramp(self.uniform(), points)

    def kinds(self, n: int, sharpness: float = 7.0, bias: Sequence[float] = ()) -> Array:
        """Weights (n,) of n kinds that sum to one, mostly near a corner; takes n - 1 numbers.

        `bias` is added to the n logits, so that kinds can be rarer or commoner.
        """
        z = np.array([self.normal() for _ in range(n - 1)])
        direction = z / max(float(np.linalg.norm(z)), 1e-6)
        logits = sharpness * simplex(n - 1) @ direction + np.asarray(bias or np.zeros(n))
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())


def ramp(u: float, points: Sequence[tuple[float, float]]) -> float:
    """Piecewise linear through (u, value) points with rising u; constant beyond the ends."""
    value = points[0][1]
    for (u0, v0), (u1, v1) in pairwise(points):
        value += min(max((u - u0) / (u1 - u0), 0.0), 1.0) * (v1 - v0)
    return value


def simplex(dim: int) -> Array:
    """The dim + 1 unit vertices of a regular simplex, in rows: (dim + 1, dim)."""
    points = np.zeros((dim + 1, dim))
    for i in range(dim):
        points[i, i] = np.sqrt(1 - np.square(points[i, :i]).sum())
        for j in range(i + 1, dim + 1):
            points[j, i] = (-1 / dim - points[i, :i] @ points[j, :i]) / points[i, i]
    return points


def strength(weight: float, start: float = 0.5, full: float = 0.72) -> float:
    """A weight as presence: zero up to `start`, so that one kind at most is there; one from `full`."""
    t = min(max((weight - start) / (full - start), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@cache
def spread_directions(n: int) -> Array:
    """n directions spread evenly over the sphere (n, 3), by mutual repulsion from a fixed start."""
    points = np.random.default_rng(11).standard_normal((n, 3))
    for _ in range(200):
        gap = points[:, None] - points[None]
        distance = np.linalg.norm(gap, axis=-1, keepdims=True) + np.eye(n)[..., None]
        points = points + 0.05 * (gap / distance**3).sum(1)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points
