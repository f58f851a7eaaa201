"""Where the parts of the face are: masks over the fine body mesh, in template space."""

from __future__ import annotations

from functools import cache

import numpy as np

from .anny_model import TEMPLATE, anny_model
from .assets import SIGN, Assets, assets
from .maths import Array, smoothstep
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
