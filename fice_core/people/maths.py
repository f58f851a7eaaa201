"""Small vector and interpolation functions that the other modules share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def unit(v: Array) -> Array:
    """v over its length along the last axis; a zero vector stays zero."""
    length: Array = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(v / np.maximum(length, 1e-12))


def smoothstep(x: Any, low: Any, high: Any) -> Array:
    """0 below `low`, 1 above `high`, a cubic with level ends between."""
    t = np.clip((np.asarray(x) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def rotation(axis: Array | Sequence[float], angle: float) -> Array:
    """The 3 x 3 rotation about `axis` by `angle` radians, right-handed (Rodrigues)."""
    x, y, z = unit(np.asarray(axis, float))
    c, s = np.cos(angle), np.sin(angle)
    return np.array(
        [
            [c + x * x * (1 - c), x * y * (1 - c) - z * s, x * z * (1 - c) + y * s],
            [y * x * (1 - c) + z * s, c + y * y * (1 - c), y * z * (1 - c) - x * s],
            [z * x * (1 - c) - y * s, z * y * (1 - c) + x * s, c + z * z * (1 - c)],
        ]
    )


def rotation_between(a: Array, b: Array) -> Array:
    """The smallest rotation that turns direction a into direction b."""
    a, b = unit(a), unit(b)
    axis = np.cross(a, b)
    sine = float(np.linalg.norm(axis))
    return np.eye(3) if sine < 1e-9 else rotation(axis, float(np.arctan2(sine, a @ b)))


def twist_angle(q: Array, axis: Array) -> float:
    """The angle of the part of rotation q (3 x 3) that turns about `axis` (swing-twist)."""
    vector = np.array([q[2, 1] - q[1, 2], q[0, 2] - q[2, 0], q[1, 0] - q[0, 1]])
    w = np.sqrt(max(1 + np.trace(q), 1e-12)) / 2
    return float(2 * np.arctan2(vector @ unit(axis) / (4 * w), w))


def frame(forward: Array, side: Array) -> Array:
    """Orthonormal columns: `forward`, `side` made perpendicular to it, and their cross product."""
    f = unit(forward)
    s = unit(side - (side @ f) * f)
    return np.stack([f, s, np.cross(f, s)], 1)


def linear(colour: Any) -> Array:
    """sRGB in [0, 1] -> linear light (IEC 61966-2-1)."""
    c = np.asarray(colour, float)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def encoded(light: Array) -> Array:
    """Linear light -> sRGB; the inverse of `linear`, not clipped above one."""
    c = np.maximum(light, 0)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * np.maximum(c, 1e-9) ** (1 / 2.4) - 0.055)
