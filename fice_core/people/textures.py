"""Colour and pattern of cloth as a function of garment coordinates (u, v) in metres, with no bitmap.

Everything is analytic with soft edges a millimetre wide, so that a few points a pixel give clean images, and
continuous in the texture's numbers.
"""

from __future__ import annotations

import numpy as np

from .attributes import PATTERNS, Texture
from .maths import Array, linear

SOFT = 0.0012  # metres: half the width of an edge
#: where a print sits: metres above the hip joint
PRINT_HEIGHT = 0.36


def _edge(distance: Array) -> Array:
    """1 inside (positive distance in metres), 0 outside, linear between."""
    return np.asarray(np.clip(0.5 + distance / (2 * SOFT), 0, 1))


def _wave(x: Array, period: float) -> Array:
    """Distance (N,) in metres to the middle of the nearest period, 0 at its border to period / 2."""
    return np.asarray(np.abs((x / period) % 1 - 0.5) * period)


def _hash(i: Array, j: Array, salt: int) -> Array:
    """Numbers in [0, 1) that look random for integer cells, the same on every machine."""
    n = (
        i.astype(np.int64) * 374761393 + j.astype(np.int64) * 668265263 + salt * 2147483647
    ) & 0x7FFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0x7FFFFFFF
    return np.asarray(((n ^ (n >> 16)) & 0xFFFFFF) / 0x1000000)


def noise(u: Array, v: Array, cell: float, salt: int) -> Array:
    """Smooth value noise in [0, 1] with cells of `cell` metres."""
    x, y = u / cell, v / cell
    i, j = np.floor(x), np.floor(y)
    a, b = x - i, y - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    low = _hash(i, j, salt) * (1 - a) + _hash(i + 1, j, salt) * a
    high = _hash(i, j + 1, salt) * (1 - a) + _hash(i + 1, j + 1, salt) * a
    return np.asarray(low * (1 - b) + high * b)


def stripes(u: Array, v: Array, scale: float, motif: float) -> Array:
    """Horizontal stripes; `motif` sets their share."""
    period = 0.032 * scale
    return _edge(_wave(v, period) - period * (0.34 - 0.17 * motif))


def pinstripes(u: Array, v: Array, scale: float, motif: float) -> Array:
    """Vertical stripes, from pin-thin to half and half by `motif`."""
    period = 0.024 * scale
    return _edge(_wave(u, period) - period * (0.40 - 0.16 * motif))


def dots(u: Array, v: Array, scale: float, motif: float) -> Array:
    """Dots in staggered rows."""
    period = 0.034 * scale
    row = np.floor(v / period)
    du = ((u / period + 0.5 * (row % 2)) % 1 - 0.5) * period
    dv = ((v / period) % 1 - 0.5) * period
    return _edge(period * (0.20 + 0.11 * motif) - np.hypot(du, dv))


def checks(u: Array, v: Array, scale: float, motif: float) -> Array:
    """Gingham that turns into a plaid with thin over-checks as `motif` rises."""
    period = (0.034 + 0.046 * motif) * scale
    bands = [_edge(_wave(x, period) - period * 0.25) for x in (u, v)]
    thin = [_edge(0.0022 - np.abs(_wave(x + 0.3 * period, period) - 0.1 * period)) for x in (u, v)]
    gingham = (bands[0] + bands[1]) / 2
    plaid = np.clip(0.38 * (bands[0] + bands[1]) + 0.35 * (thin[0] + thin[1]), 0, 1)
    return np.asarray(gingham * (1 - motif) + plaid * motif)


def floral(u: Array, v: Array, scale: float, motif: float) -> Array:
    """Scattered flowers of five petals with leaves, one at most a cell."""
    cell = 0.036 * scale
    result = np.zeros(len(u))
    i0, j0 = np.floor(u / cell), np.floor(v / cell)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            i, j = i0 + di, j0 + dj
            x = u - (i + 0.25 + 0.5 * _hash(i, j, 1)) * cell
            y = v - (j + 0.25 + 0.5 * _hash(i, j, 2)) * cell
            size = cell * (0.24 + 0.20 * _hash(i, j, 3)) * (0.8 + 0.4 * motif)
            angle = np.arctan2(y, x) + 6.28 * _hash(i, j, 4)
            r = np.hypot(x, y)
            petals = size * (0.68 + 0.32 * np.cos(5 * angle))
            flower = _edge(petals - r) - 0.75 * _edge(0.22 * size - r)
            leaf = (
                0.45
                * _edge(size * 1.35 * np.clip(np.cos(2 * angle + 1.0), 0, 1) ** 4 - r)
                * (r > petals)
            )
            result = np.maximum(result, np.maximum(flower, leaf))
    return result


def print_(u: Array, v: Array, scale: float, motif: float) -> Array:
    """One motif on the chest: a sun over lines, a star, a ring or a block of letters, by `motif`."""
    size = 0.8 + 0.25 * scale
    x, y = u / size, (v - PRINT_HEIGHT) / size
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    lines = np.zeros(len(u))
    for k in range(3):
        lines = np.maximum(
            lines, _edge(0.004 - np.abs(y + 0.016 + 0.016 * k)) * (np.abs(x) < 0.075)
        )
    sun = np.maximum(_edge(0.062 - r) * _edge(y + 0.004), lines)
    sector = np.pi / 5
    turned = np.abs((angle - np.pi / 2 + sector) % (2 * sector) - sector)
    star = _edge(0.030 - r * np.cos(turned - 2 * sector))
    ring = np.maximum(_edge(0.010 - np.abs(r - 0.062)), _edge(0.032 - r))
    row, column = np.floor(y / 0.034), np.floor(x / 0.022)
    stroke = np.minimum(_wave(x + 0.011, 0.022), 0.011)
    letters = _edge(stroke - 0.0030 - 0.003 * _hash(column, row, 7)) * _edge(
        0.013 - np.abs(_wave(y, 0.034) - 0.017) + 0
    )
    letters = letters * (np.abs(x) < 0.088) * (np.abs(y) < 0.051)
    shapes = (sun, star, ring, letters)
    position = motif * len(shapes)
    k = int(position) % len(shapes)
    blend = np.clip((position - int(position) - 0.9) / 0.1, 0, 1)
    return np.asarray(shapes[k] * (1 - blend) + shapes[(k + 1) % len(shapes)] * blend)


def melange(u: Array, v: Array, scale: float, motif: float) -> Array:
    """Mottled yarn."""
    fine = noise(u, v * 0.6, 0.0022 * scale, 11)
    coarse = noise(u, v * 0.7, 0.012, 12)
    return np.asarray(np.clip(0.35 * fine + 0.15 * coarse + 0.1 * motif, 0, 1))


DRAWN = (None, stripes, pinstripes, dots, checks, floral, print_, melange)
assert len(DRAWN) == len(PATTERNS)


def period(name: str, motif: float) -> float:
    """Metres after which the pattern `name` repeats at scale 1: along v, of pinstripes along u.

    Of flowers, the size of a cell; of what does not repeat, the one of stripes.
    """
    known = {"pinstripes": 0.024, "dots": 0.034, "checks": 0.034 + 0.046 * motif, "floral": 0.036}
    return known.get(name, 0.032)


def ink(name: str, texture: Texture, uv: Array, panel: Array) -> Array:
    """How much ink (N,) in [0, 1] the pattern `name` puts on cloth, whether the texture shows it or not.

    A print is on the trunk's front alone; sleeves have the other patterns at another place.

    Args:
        name: one of `PATTERNS`.
        texture: its scale, motif and phase count.
        uv: garment coordinates (N, 2), metres.
        panel: (N,).
    """
    draw = DRAWN[PATTERNS.index(name)]
    u, v = uv[:, 0].astype(np.float64), uv[:, 1].astype(np.float64)
    if draw is None:
        return np.zeros(len(u))
    if name == "print":
        return np.asarray(draw(u, v, texture.scale, texture.motif) * (panel % 128 == 0))
    return draw(u + 0.011 * panel, v + texture.phase[1], texture.scale, texture.motif)


def albedo(texture: Texture, uv: Array, panel: Array) -> Array:
    """Linear colours (N, 3) of cloth at garment coordinates `uv` (N, 2), metres, on panels (N,)."""
    u, v = uv[:, 0].astype(np.float64), uv[:, 1].astype(np.float64)
    amount = np.zeros(len(u))
    for name, strength in zip(PATTERNS, texture.pattern, strict=True):
        if strength > 0.004:
            amount = np.maximum(amount, strength * ink(name, texture, uv, panel))
    ground, other = linear(texture.colour), linear(texture.ink)
    colour = ground + (other - ground) * amount[:, None]
    weave = 0.05 * (noise(u, v, 0.004, 21) - 0.5) + 0.04 * (noise(u, v, 0.05, 22) - 0.5)
    weave = weave + texture.heather * 0.14 * (noise(u, v * 0.5, 0.005, 23) - 0.5)
    if texture.denim > 0:
        faded = noise(u, v, 0.10, 24) - 0.5
        thigh = np.exp(-(((np.abs(u) - 0.10) / 0.05) ** 2)) * np.clip(-v / 0.15, 0, 1)
        grain = noise(u, v * 0.25, 0.0025, 25) - 0.5
        weave = weave + texture.denim * (0.30 * faded + 0.45 * thigh + 0.45 * grain)
    return np.clip(colour * (1 + weave)[:, None], 0.003, 0.93)
