"""Skin and face as colours at the vertices of the fine body mesh, painted in template space."""

from __future__ import annotations

import numpy as np

from .assets import SIDES, SIGN
from .attributes import Look
from .face import FaceMap, face_map
from .maths import Array, linear, smoothstep


def _grain(points: Array, frequency: float, stream: int) -> Array:
    """A smooth field in [-1, 1] that looks random: sines along fixed directions."""
    rng = np.random.default_rng(stream)
    way = rng.standard_normal((8, 3)) * frequency
    return np.asarray(np.sin(points @ way.T + rng.uniform(0, 6.28, 8)).mean(1) * 1.6)


class Painter:
    """Linear colours (N, 3) that are painted over with masks (N,)."""

    def __init__(self, colour: Array) -> None:
        self.colour = colour

    def tint(self, mask: Array, factor: tuple[float, float, float], amount: float) -> None:
        """Multiply by `factor` where the mask is one, to the share `amount`."""
        k = (np.clip(mask, 0, 1) * amount)[:, None]
        self.colour = self.colour * (1 - k + np.array(factor) * k)

    def cover(self, mask: Array, other: Array, amount: float) -> None:
        """Paint `other` where the mask is one, to the share `amount`."""
        k = (np.clip(mask, 0, 1) * amount)[:, None]
        self.colour = self.colour * (1 - k) + other * k


BROW = ((-0.017, 0.0150), (-0.008, 0.0180), (0.004, 0.0205), (0.014, 0.0205), (0.028, 0.0130))
BROW_WIDTH = ((-0.018, 0.0036), (-0.010, 0.0042), (0.010, 0.0034), (0.030, 0.0016))


def brow_density(face: FaceMap, side: str, look: Look) -> Array:
    """How much hair the brow has at each vertex, in [0, 1]."""
    x = (face.x - face.eye[side][0]) * SIGN[side]
    z = face.z - face.eye[side][2] - look.brow_height
    centre = np.interp(x, *np.array(BROW).T)
    half = np.interp(x, *np.array(BROW_WIDTH).T) * look.brow
    ends = smoothstep(x, -0.021, -0.012) * smoothstep(-x, -0.031, -0.020)
    front = (face.y < face.eye[side][1] + 0.012) & (face.head > 0.5)
    return np.asarray(np.exp(-(((z - centre) / half) ** 2)) * ends * front)


def paint(look: Look, hair: Array, hair_length: float) -> Array:
    """Linear colours (N, 3) of the skin over the fine body vertices."""
    f = face_map()
    skin = linear(look.skin)
    painter = Painter(np.tile(skin, (len(f.points), 1)))
    dark = look.darkness
    uneven = 0.6 * _grain(f.points, 60, 1) + 0.4 * _grain(f.points, 180, 2)
    painter.colour *= (1 + 0.035 * uneven)[:, None]
    painter.colour *= 1 + 0.03 * _grain(f.points, 45, 3)[:, None] * np.array([0.4, -0.4, -0.2])
    warm = (1.10, 0.86, 0.82)
    red = look.redness * (1 - 0.6 * dark)
    m, e = f.mouth, f.eyes
    cheek = f.spots(np.array([0.044, m[1] + 0.02, m[2] + 0.034]), (0.024, 0.035, 0.018))
    nose = f.spot(np.array([0, m[1] - 0.012, m[2] + 0.036]), (0.017, 0.02, 0.013))
    painter.tint(cheek, warm, 0.55 * red + 0.4 * look.blush * (1 - 0.5 * dark))
    painter.tint(nose, warm, 0.6 * red)
    painter.tint(f.ears, warm, 0.6)
    painter.tint(f.fingers, (1.06, 0.90, 0.86), 0.5)
    painter.tint(f.nails, (1.10, 0.95, 0.95), 0.6)
    painter.tint(
        f.spot(np.array([0, e[1], e[2] + 0.045]), (0.04, 0.05, 0.02)), (1.02, 1.0, 0.94), 0.5
    )
    if look.freckles > 0.02:
        spots = smoothstep(_grain(f.points, 700, 4), 0.55, 0.9)
        painter.tint((cheek + nose) * spots, (0.85, 0.72, 0.62), look.freckles * 0.6)
    _paint_eyes(f, look, painter)
    _paint_mouth(f, look, painter, skin)
    _paint_lines(f, look, painter)
    for side in SIDES:
        x = (f.x - f.eye[side][0]) * SIGN[side]
        hairs = 0.75 + 0.25 * np.sin((x * 1.4 + f.z) * 2 * np.pi / 0.0035)
        painter.cover(
            brow_density(f, side, look) ** 0.7 * hairs, linear(np.minimum(hair * 0.75, 0.26)), 0.90
        )
    if look.stubble > 0:
        _paint_stubble(f, look, painter)
    under = smoothstep(f.scalp, -0.004, 0.010 + 0.004 * uneven)
    short = float(np.clip(1 - hair_length / 0.02, 0, 1))
    painter.cover(under, linear(hair) * 0.5 * (1 - 0.3 * short) + skin * 0.25 * short, 0.92)
    return np.asarray(np.clip(painter.colour, 0.002, 0.95))


def _paint_eyes(f: FaceMap, look: Look, painter: Painter) -> None:
    for side in SIDES:
        eye = f.eye[side]
        socket = f.spot(eye + np.array([0, -0.012, 0.011]), (0.020, 0.03, 0.007))
        inner = f.spot(eye + np.array([-SIGN[side] * 0.017, -0.012, 0.002]), (0.008, 0.03, 0.010))
        under = f.stroke(side, ((-0.016, -0.009), (0, -0.0135), (0.016, -0.009)), 0.0045)
        painter.tint(socket, (0.80, 0.72, 0.70), 0.55)
        painter.tint(inner, (0.80, 0.70, 0.68), 0.55)
        painter.tint(under, (0.84, 0.74, 0.76), 0.45 + 0.4 * look.lines)
        crease = f.stroke(side, ((-0.014, 0.0065), (0, 0.0105), (0.016, 0.0065)), 0.0018)
        painter.tint(crease, (0.55, 0.45, 0.42), 0.5)
        line = f.stroke(
            side, ((-0.013, 0.0015), (-0.003, 0.0058), (0.008, 0.0056), (0.017, 0.0008)), 0.0013
        )
        painter.tint(line, (0.14, 0.11, 0.10), 0.35 + 0.45 * look.makeup)
        lower = f.stroke(side, ((-0.012, -0.0035), (0.002, -0.0062), (0.015, -0.002)), 0.0012)
        painter.tint(lower, (0.55, 0.45, 0.43), 0.25 + 0.2 * look.makeup)
        shadow = f.stroke(side, ((-0.014, 0.006), (0, 0.0085), (0.018, 0.006)), 0.0040)
        painter.tint(shadow, (0.62, 0.52, 0.52), 0.5 * look.makeup)


def _paint_mouth(f: FaceMap, look: Look, painter: Painter, skin: Array) -> None:
    natural = skin * np.array([0.86, 0.62, 0.60]) * (1 - 0.2 * look.darkness)
    painted = linear(look.lips) * (1 - 0.25 * look.darkness)
    lip = natural * (1 - look.lip_paint) + painted * look.lip_paint
    amount = 0.62 + 0.28 * look.lip_paint
    painter.cover(f.upper_lip, lip * 0.86, amount)
    painter.cover(f.lower_lip, lip * 1.06, amount)
    x = np.abs(f.x)
    painter.tint(f.seam * (f.lips > 0.1), (0.34, 0.22, 0.22), 0.85)
    corner = f.spots(
        np.array([0.0255, f.mouth[1] + 0.010, f.mouth[2] + 0.0005]), (0.005, 0.02, 0.004)
    )
    painter.tint(corner, (0.72, 0.60, 0.58), 0.4)
    below = np.exp(-(((f.z - f.mouth[2] + 0.0155) / 0.004) ** 2) - (x / 0.014) ** 2) * (
        f.y < f.mouth[1] + 0.02
    )
    painter.tint(below * (f.head > 0.5), (0.82, 0.75, 0.73), 0.5)
    philtrum = f.spot(np.array([0, f.mouth[1] + 0.004, f.mouth[2] + 0.016]), (0.004, 0.02, 0.006))
    painter.tint(philtrum, (0.88, 0.82, 0.80), 0.4)
    nostril = f.spots(
        np.array([0.0085, f.mouth[1] + 0.002, f.mouth[2] + 0.0262]), (0.0050, 0.014, 0.0030)
    )
    painter.tint(nostril, (0.30, 0.20, 0.18), 0.75)
    wing = f.spots(np.array([0.0175, f.mouth[1] + 0.006, f.mouth[2] + 0.031]), (0.004, 0.02, 0.009))
    painter.tint(wing, (0.80, 0.70, 0.67), 0.5)


def _paint_lines(f: FaceMap, look: Look, painter: Painter) -> None:
    m = f.mouth
    x, z = np.abs(f.x), f.z - m[2]
    fold = np.exp(
        -(((x - np.interp(z, (-0.012, 0.012, 0.034), (0.034, 0.030, 0.019))) / 0.0028) ** 2)
    )
    fold *= smoothstep(z, -0.012, 0.0) * smoothstep(-z, -0.036, -0.026) * (f.y < m[1] + 0.035)
    painter.tint(fold * (f.head > 0.5), (0.78, 0.70, 0.68), 0.25 + 0.55 * look.lines)
    forehead = np.abs(np.sin((f.z - f.eyes[2]) * np.pi / 0.011)) ** 6
    forehead *= smoothstep(f.z - f.eyes[2], 0.03, 0.04) * smoothstep(
        f.eyes[2] + 0.066 - f.z, 0, 0.01
    )
    painter.tint(
        forehead * (f.head > 0.5) * smoothstep(0.05 - x, 0, 0.02),
        (0.86, 0.80, 0.78),
        0.35 * look.lines,
    )


def _paint_stubble(f: FaceMap, look: Look, painter: Painter) -> None:
    m = f.mouth
    x, z = np.abs(f.x), f.z - m[2]
    top = np.interp(x, (0.0, 0.022, 0.030, 0.050, 0.068), (0.017, 0.014, 0.004, 0.012, 0.050))
    beard = smoothstep(top - z, -0.004, 0.012) * smoothstep(z, -0.085, -0.055)
    beard *= smoothstep(0.082 - x, 0, 0.015) * (f.head > 0.4) * (f.y < 0.005)
    beard *= 1 - np.clip(f.lips * 2.5, 0, 1)
    grain = 0.82 + 0.18 * _grain(f.points, 900, 6)
    painter.tint(beard * grain, (0.46, 0.44, 0.46), min(look.stubble * 0.8, 0.85))
