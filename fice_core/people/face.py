"""Skin and face as colours at the vertices of the fine body mesh, painted in template space."""

from __future__ import annotations

from functools import cache

import numpy as np

from .anny_model import TEMPLATE, anny_model
from .assets import SIDES, SIGN, Assets, assets
from .attributes import Look
from .maths import Array, linear, smoothstep
from .topology import smoothed


class FaceMap:
    """Masks (N,) in [0, 1] over the fine body vertices; positions in template space, metres."""

    def __init__(self, shared: Assets) -> None:
        body = shared.body_fine
        self.points = body.fine(shared.template)
        self.x, self.y, self.z = self.points.T
        self.head = body.fine(_share(shared, ("head", "neck03", "neck02")))
        self.fingers = body.fine(_share(shared, ("finger",)))
        self.hands = body.fine(_share(shared, ("finger", "metacarpal", "wrist")))
        self.eye = {s: shared.template[v].mean(0) for s, v in shared.eyes.items()}
        self.eyes = (self.eye["L"] + self.eye["R"]) / 2
        self.lips = smoothed(shared.mask("lips")[:, None], body.faces, 1)[:, 0]
        self.ears = shared.mask("ears")
        self.nails = shared.mask("fingernails")
        lips = self.points[shared.mask("lips") > 0.5]
        outer = lips[lips[:, 1] < np.quantile(lips[:, 1], 0.6)]
        self.mouth = np.array([0.0, outer[:, 1].min(), (outer[:, 2].min() + outer[:, 2].max()) / 2])
        self._seam(shared)
        self.scalp = self.height_over_hairline(self.points, self.head)

    def height_over_hairline(self, points: Array, head: Array) -> Array:
        """Metres above the hairline, in template space; -0.2 off the head."""
        angle = np.arctan2(np.abs(points[:, 0]), -(points[:, 1] + 0.03))
        at = (0, 0.30, 0.62, 0.85, 1.05, 1.3, 1.5, 1.75, 2.0, 2.5, np.pi)
        line = (0.073, 0.074, 0.068, 0.052, 0.030, 0.000, -0.006, 0.012, 0.0, -0.055, -0.075)
        height = points[:, 2] - (self.eyes[2] + np.interp(angle, at, line))
        return np.where(head > 0.5, height, -0.2)

    def spot(self, centre: Array, size: tuple[float, float, float]) -> Array:
        """A soft ellipsoid around `centre`."""
        return np.asarray(np.exp(-(((self.points - centre) / np.array(size)) ** 2).sum(1)))

    def spots(self, centre: Array, size: tuple[float, float, float]) -> Array:
        """The same on both sides of the face."""
        mirrored = centre * np.array([-1, 1, 1])
        return self.spot(centre, size) + self.spot(mirrored, size)

    def stroke(self, side: str, points: tuple[tuple[float, float], ...], width: float) -> Array:
        """A soft line through (x, z) points, x away from the nose and z up from that eye's centre."""
        x = (self.x - self.eye[side][0]) * SIGN[side]
        z = self.z - self.eye[side][2]
        xs, zs = np.array(points).T
        inside = smoothstep(x, xs[0] - 0.002, xs[0] + 0.003) * smoothstep(
            -x, -xs[-1] - 0.002, -xs[-1] + 0.003
        )
        front = (self.y < self.eye[side][1] + 0.012) & (self.head > 0.5)
        return np.asarray(np.exp(-(((z - np.interp(x, xs, zs)) / width) ** 2)) * inside * front)

    def _seam(self, shared: Assets) -> None:
        """Where the lips meet: the mean height of the vertices that both lips' rolling moves."""
        model = anny_model()
        still, _ = model.rest(TEMPLATE)
        moved = {}
        for name in ("mouthRollUpper", "mouthRollLower"):
            other, _ = model.rest(TEMPLATE, actions={name: 1.0})
            moved[name] = shared.body_fine.fine(np.linalg.norm(other - still, axis=1))
        upper, lower = (m / m.max() for m in moved.values())
        self.upper_lip = self.lips * smoothstep(upper - lower, -0.15, 0.15)
        self.lower_lip = self.lips * smoothstep(lower - upper, -0.15, 0.15)
        both = np.minimum(upper, lower) * (self.y < self.mouth[1] + 0.03)
        self.seam = np.clip(both / max(float(both.max()), 1e-9) * 1.6, 0, 1)


@cache
def face_map() -> FaceMap:
    """The one map of this process."""
    return FaceMap(assets())


def _share(shared: Assets, prefixes: tuple[str, ...]) -> Array:
    bones = [i for i, n in enumerate(shared.skeleton.names) if n.startswith(prefixes)]
    return np.asarray(shared.weights[:, bones].sum(1), float)


def _grain(points: Array, frequency: float, stream: int) -> Array:
    """A smooth field in [-1, 1] that looks random: sines along fixed directions."""
    rng = np.random.default_rng(stream)
    way = rng.standard_normal((8, 3)) * frequency
    return np.asarray(np.sin(points @ way.T + rng.uniform(0, 6.28, 8)).mean(1) * 1.6)


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
    n = len(f.points)
    colour = np.tile(skin, (n, 1))
    dark = look.darkness

    def tint(mask: Array, factor: tuple[float, float, float], amount: float) -> None:
        nonlocal colour
        k = (np.clip(mask, 0, 1) * amount)[:, None]
        colour = colour * (1 - k) + colour * np.array(factor) * k

    def cover(mask: Array, other: Array, amount: float) -> None:
        nonlocal colour
        k = (np.clip(mask, 0, 1) * amount)[:, None]
        colour = colour * (1 - k) + other * k

    uneven = 0.6 * _grain(f.points, 60, 1) + 0.4 * _grain(f.points, 180, 2)
    colour = colour * (1 + 0.035 * uneven)[:, None]
    colour = colour * (1 + 0.03 * _grain(f.points, 45, 3)[:, None] * np.array([0.4, -0.4, -0.2]))
    warm = (1.10, 0.86, 0.82)
    red = look.redness * (1 - 0.6 * dark)
    m, e = f.mouth, f.eyes
    cheek = f.spots(np.array([0.044, m[1] + 0.02, m[2] + 0.034]), (0.024, 0.035, 0.018))
    nose = f.spot(np.array([0, m[1] - 0.012, m[2] + 0.036]), (0.017, 0.02, 0.013))
    tint(cheek, warm, 0.55 * red + 0.4 * look.blush * (1 - 0.5 * dark))
    tint(nose, warm, 0.6 * red)
    tint(f.ears, warm, 0.6)
    tint(f.fingers, (1.06, 0.90, 0.86), 0.5)
    tint(f.nails, (1.10, 0.95, 0.95), 0.6)
    tint(f.spot(np.array([0, e[1], e[2] + 0.045]), (0.04, 0.05, 0.02)), (1.02, 1.0, 0.94), 0.5)
    if look.freckles > 0.02:
        spots = smoothstep(_grain(f.points, 700, 4), 0.55, 0.9)
        tint((cheek + nose) * spots, (0.85, 0.72, 0.62), look.freckles * 0.6)
    _paint_eyes(f, look, tint)
    _paint_mouth(f, look, tint, cover, skin)
    _paint_lines(f, look, tint)
    for side in SIDES:
        x = (f.x - f.eye[side][0]) * SIGN[side]
        hairs = 0.75 + 0.25 * np.sin((x * 1.4 + f.z) * 2 * np.pi / 0.0035)
        cover(
            brow_density(f, side, look) ** 0.7 * hairs, linear(np.minimum(hair * 0.75, 0.26)), 0.90
        )
    if look.stubble > 0:
        _paint_stubble(f, look, tint)
    under = smoothstep(f.scalp, -0.004, 0.010 + 0.004 * uneven)
    short = float(np.clip(1 - hair_length / 0.02, 0, 1))
    cover(under, linear(hair) * 0.5 * (1 - 0.3 * short) + skin * 0.25 * short, 0.92)
    return np.asarray(np.clip(colour, 0.002, 0.95))


def _paint_eyes(f: FaceMap, look: Look, tint: object) -> None:
    paint_tint = tint
    assert callable(paint_tint)
    for side in SIDES:
        eye = f.eye[side]
        socket = f.spot(eye + np.array([0, -0.012, 0.011]), (0.020, 0.03, 0.007))
        inner = f.spot(eye + np.array([-SIGN[side] * 0.017, -0.012, 0.002]), (0.008, 0.03, 0.010))
        under = f.stroke(side, ((-0.016, -0.009), (0, -0.0135), (0.016, -0.009)), 0.0045)
        paint_tint(socket, (0.80, 0.72, 0.70), 0.55)
        paint_tint(inner, (0.80, 0.70, 0.68), 0.55)
        paint_tint(under, (0.84, 0.74, 0.76), 0.45 + 0.4 * look.lines)
        crease = f.stroke(side, ((-0.014, 0.0065), (0, 0.0105), (0.016, 0.0065)), 0.0018)
        paint_tint(crease, (0.55, 0.45, 0.42), 0.5)
        line = f.stroke(
            side, ((-0.013, 0.0015), (-0.003, 0.0058), (0.008, 0.0056), (0.017, 0.0008)), 0.0013
        )
        paint_tint(line, (0.14, 0.11, 0.10), 0.35 + 0.45 * look.makeup)
        lower = f.stroke(side, ((-0.012, -0.0035), (0.002, -0.0062), (0.015, -0.002)), 0.0012)
        paint_tint(lower, (0.55, 0.45, 0.43), 0.25 + 0.2 * look.makeup)
        shadow = f.stroke(side, ((-0.014, 0.006), (0, 0.0085), (0.018, 0.006)), 0.0040)
        paint_tint(shadow, (0.62, 0.52, 0.52), 0.5 * look.makeup)


def _paint_mouth(f: FaceMap, look: Look, tint: object, cover: object, skin: Array) -> None:
    assert callable(tint) and callable(cover)
    natural = skin * np.array([0.86, 0.62, 0.60]) * (1 - 0.2 * look.darkness)
    painted = linear(look.lips) * (1 - 0.25 * look.darkness)
    lip = natural * (1 - look.lip_paint) + painted * look.lip_paint
    amount = 0.62 + 0.28 * look.lip_paint
    cover(f.upper_lip, lip * 0.86, amount)
    cover(f.lower_lip, lip * 1.06, amount)
    x = np.abs(f.x)
    tint(f.seam * (f.lips > 0.1), (0.34, 0.22, 0.22), 0.85)
    corner = f.spots(
        np.array([0.0255, f.mouth[1] + 0.010, f.mouth[2] + 0.0005]), (0.005, 0.02, 0.004)
    )
    tint(corner, (0.72, 0.60, 0.58), 0.4)
    below = np.exp(-(((f.z - f.mouth[2] + 0.0155) / 0.004) ** 2) - (x / 0.014) ** 2) * (
        f.y < f.mouth[1] + 0.02
    )
    tint(below * (f.head > 0.5), (0.82, 0.75, 0.73), 0.5)
    philtrum = f.spot(np.array([0, f.mouth[1] + 0.004, f.mouth[2] + 0.016]), (0.004, 0.02, 0.006))
    tint(philtrum, (0.88, 0.82, 0.80), 0.4)
    nostril = f.spots(
        np.array([0.0085, f.mouth[1] + 0.002, f.mouth[2] + 0.0262]), (0.0050, 0.014, 0.0030)
    )
    tint(nostril, (0.30, 0.20, 0.18), 0.75)
    wing = f.spots(np.array([0.0175, f.mouth[1] + 0.006, f.mouth[2] + 0.031]), (0.004, 0.02, 0.009))
    tint(wing, (0.80, 0.70, 0.67), 0.5)


def _paint_lines(f: FaceMap, look: Look, tint: object) -> None:
    assert callable(tint)
    m = f.mouth
    x, z = np.abs(f.x), f.z - m[2]
    fold = np.exp(
        -(((x - np.interp(z, (-0.012, 0.012, 0.034), (0.034, 0.030, 0.019))) / 0.0028) ** 2)
    )
    fold *= smoothstep(z, -0.012, 0.0) * smoothstep(-z, -0.036, -0.026) * (f.y < m[1] + 0.035)
    tint(fold * (f.head > 0.5), (0.78, 0.70, 0.68), 0.25 + 0.55 * look.lines)
    forehead = np.abs(np.sin((f.z - f.eyes[2]) * np.pi / 0.011)) ** 6
    forehead *= smoothstep(f.z - f.eyes[2], 0.03, 0.04) * smoothstep(
        f.eyes[2] + 0.066 - f.z, 0, 0.01
    )
    tint(
        forehead * (f.head > 0.5) * smoothstep(0.05 - x, 0, 0.02),
        (0.86, 0.80, 0.78),
        0.35 * look.lines,
    )


def _paint_stubble(f: FaceMap, look: Look, tint: object) -> None:
    assert callable(tint)
    m = f.mouth
    x, z = np.abs(f.x), f.z - m[2]
    top = np.interp(x, (0.0, 0.022, 0.030, 0.050, 0.068), (0.017, 0.014, 0.004, 0.012, 0.050))
    beard = smoothstep(top - z, -0.004, 0.012) * smoothstep(z, -0.085, -0.055)
    beard *= smoothstep(0.082 - x, 0, 0.015) * (f.head > 0.4) * (f.y < 0.005)
    beard *= 1 - np.clip(f.lips * 2.5, 0, 1)
    grain = 0.82 + 0.18 * _grain(f.points, 900, 6)
    tint(beard * grain, (0.46, 0.44, 0.46), min(look.stubble * 0.8, 0.85))
