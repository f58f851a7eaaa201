"""Which pattern a garment has, by correlation with the patterns' geometry in garment coordinates.

The chest is laid flat on a grid of garment coordinates, its colour divided by the light that falls there.
Each pattern is drawn on the same grid at several sizes and proportions, and moved until it fits best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from skimage.filters import gaussian

from ..people.maths import Array
from ..people.textures import checks, dots, floral, pinstripes, print_, stripes

STEP = 0.004  # metres: a cell of the grid
ACROSS, UP = (-0.26, 0.26), (0.0, 0.56)  # metres: the grid's extent in u and v
SHAPE = (round((UP[1] - UP[0]) / STEP), round((ACROSS[1] - ACROSS[0]) / STEP))  # rows and columns
BLUR = 0.6  # cells, or pixels where they are larger: what gaps between pixels are filled by
REACH = 0.06  # metres by which a pattern is moved: half the largest period
CONTRAST = 2.5  # CIELAB units of standard deviation below which a garment is plain
CORRELATION = 0.45  # from which a pattern is there

Draw = Callable[[Array, Array, float, float], Array]


@dataclass(frozen=True)
class Family:
    """A pattern's drawing, the sizes and proportions to try, and how far it is moved along u and v."""

    draw: Draw
    scales: tuple[float, ...]
    motifs: tuple[float, ...]
    reach: tuple[float, float]


def _steps(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(float(x) for x in np.geomspace(low, high, count))


_THREE = (0.15, 0.5, 0.85)
FAMILIES: dict[str, Family] = {
    "stripes": Family(stripes, _steps(0.70, 1.5, 12), (0.2, 0.8), (0.0, REACH)),
    "pinstripes": Family(pinstripes, _steps(0.70, 1.5, 12), (0.2, 0.8), (REACH, 0.0)),
    "dots": Family(dots, _steps(0.70, 1.5, 12), (0.2, 0.8), (REACH, REACH)),
    "checks": Family(checks, _steps(0.70, 1.5, 10), (0.0, 0.25, 0.5, 0.75, 1.0), (REACH, REACH)),
    "floral": Family(floral, _steps(0.73, 1.47, 36), (0.5,), (0.01, REACH + 0.05)),
    "print": Family(print_, (0.75, 1.1, 1.45), (0.1, 0.35, 0.6, 0.85, 0.975), (0.02, 0.04)),
}


@dataclass(frozen=True)
class Flat:
    """A chest laid flat on the grid: `values` (H, W, C), and `weight` (H, W) in [0, 1], 0 where it is not."""

    values: Array
    weight: Array


def flattened(uv: Array, values: Array) -> Flat:
    """The `values` (N, C) of pixels at garment coordinates `uv` (N, 2), metres, on the grid.

    A cell is the mean of the pixels around it.
    """
    cell = (uv - (ACROSS[0], UP[0])) / STEP - 0.5
    kept = (cell > 0).all(1) & (cell < (SHAPE[1] - 1, SHAPE[0] - 1)).all(1)
    cell, values = cell[kept], values[kept]
    base = np.floor(cell).astype(int)
    part = cell - base
    count = SHAPE[0] * SHAPE[1]
    total, weight = np.zeros((count, values.shape[1])), np.zeros(count)
    for dx in (0, 1):
        for dy in (0, 1):
            share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            index = (base[:, 1] + dy) * SHAPE[1] + base[:, 0] + dx
            weight += np.bincount(index, share, count)
            for c in range(values.shape[1]):
                total[:, c] += np.bincount(index, share * values[:, c], count)
    apart = max(pitch(uv[kept]) / STEP, 1.0)  # cells between pixels
    mass = gaussian(weight.reshape(*SHAPE, 1), BLUR * apart, channel_axis=-1)
    mean = gaussian(total.reshape(*SHAPE, -1), BLUR * apart, channel_axis=-1) / np.maximum(
        mass, 1e-9
    )
    covered = np.clip(mass[..., 0] * apart**2 / 0.5, 0, 1)
    covered[covered < 0.5] = 0
    return Flat(mean, covered)


def pitch(uv: Array) -> float:
    """The distance of neighbouring pixels in metres, of points that fill an area."""
    if len(uv) < 2:
        return STEP
    low, high = np.quantile(uv, [0.02, 0.98], axis=0)
    inside = ((uv >= low) & (uv <= high)).all(1).sum()
    return float(np.sqrt(np.prod(np.maximum(high - low, 1e-6)) / max(int(inside), 1)))


def detrended(values: Array, weight: Array) -> Array:
    """`values` (H, W) or (H, W, C) minus the best fitting quadratic under `weight`, times the weight."""
    height, width = weight.shape
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (height, width)), indexing="ij")
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    w = weight.reshape(-1, 1)
    flat = values.reshape(height * width, -1)
    fit = np.linalg.lstsq((basis * w).T @ basis, (basis * w).T @ flat, rcond=None)[0]
    return np.asarray(((flat - basis @ fit) * w).reshape(values.shape))


@dataclass(frozen=True)
class Found:
    """The best pattern, its correlation, and its ink (H, W) in [0, 1] on the grid."""

    name: str
    correlation: float
    ink: Array


def find_pattern(flat: Flat) -> Found:
    """The pattern of a chest laid flat, whose values are CIELAB colours of the cloth."""
    weight = flat.weight
    varied = detrended(flat.values, weight)
    inside = varied.reshape(-1, 3)
    scatter, vectors = np.linalg.eigh(inside.T @ inside / max(float(np.square(weight).sum()), 1e-9))
    none = Found("plain", 0.0, np.zeros_like(weight))
    if np.sqrt(max(scatter[-1], 0)) < CONTRAST:
        return none
    signal = varied @ vectors[:, -1]
    scores = {name: _best(signal, weight, name) for name in FAMILIES}
    name = max(scores, key=lambda name: scores[name][0])
    correlation, ink = scores[name]
    return Found(name, correlation, ink) if correlation >= CORRELATION else none


@dataclass(frozen=True)
class _Template:
    """A pattern's ink on the grid with room to move, and the spectra of it and of its square."""

    ink: Array
    spectra: Array


@cache
def _templates(name: str) -> list[_Template]:
    """A family's drawings, one for each size and proportion."""
    family = FAMILIES[name]
    right, up = _room(family)
    u = ACROSS[0] + (np.arange(SHAPE[1] + 2 * right) - right + 0.5) * STEP
    v = UP[0] + (np.arange(SHAPE[0] + 2 * up) - up + 0.5) * STEP
    grid_v, grid_u = np.meshgrid(v, u, indexing="ij")
    result = []
    for scale in family.scales:
        for motif in family.motifs:
            # the mean of four places in a cell, and of the cells around it
            places = [
                family.draw((grid_u + a).ravel(), (grid_v + b).ravel(), scale, motif)
                for a in (-STEP / 4, STEP / 4)
                for b in (-STEP / 4, STEP / 4)
            ]
            ink = gaussian(np.mean(places, 0).reshape(grid_u.shape), BLUR).astype(np.float32)
            result.append(_Template(ink, np.fft.rfft2(np.stack([ink, np.square(ink)]))))
    return result


def _room(family: Family) -> tuple[int, int]:
    """By how many cells its patterns are moved each way, along u and v."""
    return int(np.ceil(family.reach[0] / STEP)), int(np.ceil(family.reach[1] / STEP))


def _best(signal: Array, weight: Array, name: str) -> tuple[float, Array]:
    """The largest correlation of a family's patterns over sizes, proportions and places, and that pattern."""
    right, up = _room(FAMILIES[name])
    size = (SHAPE[0] + 2 * up, SHAPE[1] + 2 * right)
    square = np.square(weight)
    seen = np.conj(np.fft.rfft2((signal * weight).astype(np.float32), size))
    mask = np.conj(np.fft.rfft2(square.astype(np.float32), size))
    energy, mass = float(np.sqrt(np.square(signal).sum())), float(square.sum())
    best, found = 0.0, np.zeros(SHAPE, np.float32)
    for template in _templates(name):
        sums = np.stack([template.spectra[0] * seen, *(template.spectra * mask)])
        moved = np.fft.irfft2(sums, size)[:, : 2 * up + 1, : 2 * right + 1]
        variance = np.maximum(moved[2] / mass - np.square(moved[1] / mass), 1e-3)
        score = np.abs(moved[0]) / (np.sqrt(variance * mass) * max(energy, 1e-9))
        if score.max() > best:
            row, column = np.unravel_index(int(score.argmax()), score.shape)
            best = float(score.max())
            found = template.ink[row : row + SHAPE[0], column : column + SHAPE[1]]
    return best, found
