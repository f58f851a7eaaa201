"""Hand-laid folds: asymmetric ridges in garment coordinates that add to the simulated shape.

At the simulation's edge length cloth stays smooth; ridges where real garments pull and crumple give the
rest. Their places and sizes are smooth functions of the code's component `folds`.
"""

from __future__ import annotations

import numpy as np

from .maths import Array, smoothstep


class Scatter:
    """Numbers that look random and vary smoothly with `phase` (K,): sines of fixed random projections."""

    def __init__(self, phase: Array, stream: int) -> None:
        self._phase = phase
        self._rng = np.random.default_rng(stream)

    def uniform(self, low: float, high: float) -> float:
        """The next number, between low and high."""
        way = self._rng.standard_normal(len(self._phase)) * 0.9
        shift = self._rng.uniform(0, 2 * np.pi)
        return low + (high - low) * (0.5 + 0.5 * float(np.sin(way @ self._phase + shift)))


def ridge(
    uv: Array,
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
    steep: float,
    gentle: float,
    bow: float = 0.0,
) -> Array:
    """Height (N,) in metres of one fold from `start` to `end` over points uv (N, 2).

    It falls off within `steep` metres on one side and `gentle` on the other, bows sideways by `bow` and fades
    towards its ends.
    """
    a, b = np.asarray(start), np.asarray(end)
    length = max(float(np.linalg.norm(b - a)), 1e-6)
    way = (b - a) / length
    across = np.array([-way[1], way[0]])
    offset = uv - a
    t = (offset @ way) / length
    s = offset @ across - bow * 4 * t * (1 - t)
    fade = smoothstep(t, -0.25, 0.25) * smoothstep(1 - t, -0.25, 0.35)
    profile = np.where(s > 0, np.exp(-((s / steep) ** 2)), np.exp(-((s / gentle) ** 2)))
    # cloth gathers beside a fold what the fold takes: a shallow valley on the steep side
    valley = np.exp(-(((s - 2.2 * steep) / (1.3 * steep)) ** 2))
    return np.asarray(height * fade * (profile - 0.45 * valley))


def torso_folds(uv: Array, marks: tuple[float, float, float], rng: Scatter) -> Array:
    """Heights (N,): drag lines from the armpits, slack at the waist, flutes at the hem.

    `uv` are torso coordinates with u = 0 at the front's middle; `marks` the v of armpit, waist and hem.
    """
    armpit, waist, hem = marks
    height = np.zeros(len(uv))
    for sign in (-1, 1):
        for _ in range(5):
            a = (sign * rng.uniform(0.17, 0.22), armpit + rng.uniform(-0.03, 0.05))
            b = (sign * rng.uniform(0.02, 0.11), armpit - rng.uniform(0.0, 0.19))
            height += ridge(
                uv, a, b, rng.uniform(0.0015, 0.006), rng.uniform(0.005, 0.009),
                rng.uniform(0.010, 0.022), rng.uniform(-0.02, 0.02),
            )  # fmt: skip
        for _ in range(6):
            z = waist + rng.uniform(-0.09, 0.08)
            a = (sign * rng.uniform(0.15, 0.23), z)
            b = (sign * rng.uniform(-0.03, 0.09), z + rng.uniform(-0.06, 0.03))
            height += ridge(
                uv, a, b, rng.uniform(0.0015, 0.0065), rng.uniform(0.004, 0.009),
                rng.uniform(0.009, 0.018), rng.uniform(-0.025, 0.025),
            )  # fmt: skip
    for _ in range(9):
        u = rng.uniform(-0.24, 0.24)
        a = (u, hem - 0.05)
        b = (u * 0.8 + rng.uniform(-0.04, 0.04), hem + rng.uniform(0.08, 0.26))
        height += ridge(
            uv, a, b, rng.uniform(0.001, 0.0065), rng.uniform(0.006, 0.012),
            rng.uniform(0.012, 0.026), rng.uniform(-0.02, 0.02),
        )  # fmt: skip
    return height


def sleeve_folds(uv: Array, length: float, rng: Scatter) -> Array:
    """Heights (N,) on a sleeve: below the shoulder, around the elbow, above the cuff.

    `uv` has u = 0 on the outside and v = -0.5 times the place along the arm; `length` as `Top.sleeve`.
    """
    height = np.zeros(len(uv))
    places = [(0.10, 0.06, 4, 0.8), (0.24, 0.06, 3, 0.6)]
    places += [
        (0.48, 0.07, 7, 1.2),
        (0.62, 0.08, 4, 0.9),
        (0.78, 0.08, 4, 0.9),
        (0.92, 0.04, 5, 1.0),
    ]
    for centre, spread, count, size in places:
        there = float(np.clip((length - centre) / 0.1, 0, 1))
        for _ in range(count):
            t = centre + rng.uniform(-spread, spread)
            u = rng.uniform(-0.16, 0.12)
            end = (u + rng.uniform(0.05, 0.12), -0.5 * t + rng.uniform(-0.035, 0.035))
            fold = ridge(
                uv, (u, -0.5 * t), end, size * rng.uniform(0.0015, 0.005), rng.uniform(0.004, 0.008),
                rng.uniform(0.008, 0.016), rng.uniform(-0.012, 0.012),
            )  # fmt: skip
            height += there * fold
    return height


def trouser_folds(uv: Array, rng: Scatter) -> Array:
    """Heights (N,) on trousers: whiskers from the crotch, creases on the thighs, pockets and fly.

    `uv` is across the front and above the hip joint, in metres.
    """
    height = np.zeros(len(uv))
    for sign in (-1, 1):
        for _ in range(5):
            a = (sign * 0.012, -0.03 - rng.uniform(0, 0.05))
            b = (sign * rng.uniform(0.10, 0.18), rng.uniform(-0.07, 0.05))
            height += ridge(uv, a, b, rng.uniform(0.001, 0.004), 0.005, rng.uniform(0.008, 0.016))
        for _ in range(3):
            z = rng.uniform(-0.32, -0.08)
            end = (sign * 0.17, z + rng.uniform(-0.06, 0.06))
            height += ridge(uv, (sign * 0.03, z), end, rng.uniform(0.001, 0.003), 0.007, 0.016)
        pocket = ridge(
            uv, (sign * 0.105, 0.105), (sign * 0.165, 0.03), 0.0030, 0.003, 0.003, 0.012 * sign
        )
        height -= pocket
    height += ridge(uv, (0.012, 0.11), (0.006, -0.03), 0.0022, 0.003, 0.010)
    return height


def skirt_folds(uv: Array, flare: float, rng: Scatter) -> Array:
    """Heights (N,) on a skirt: flutes that grow towards the hem; `uv` is around and above the hip joint."""
    height = np.zeros(len(uv))
    for k in range(13):
        u = -0.36 + 0.06 * k + rng.uniform(-0.02, 0.02)
        size = rng.uniform(0.001, 0.004) + flare * rng.uniform(0.002, 0.012)
        start, end = (
            (u, 0.06 + rng.uniform(-0.04, 0.04)),
            (u * 1.2 + rng.uniform(-0.02, 0.02), -0.55),
        )
        width = rng.uniform(0.010, 0.018)
        grow = np.clip((0.10 - uv[:, 1]) / 0.45, 0, 1)
        height += grow * ridge(uv, start, end, size, width, 1.5 * width, rng.uniform(-0.02, 0.02))
    return height
