"""Where garments end: scalar fields over the base vertices, metres inside the garment, in template space."""

from __future__ import annotations

import numpy as np

from .assets import SIDES, Assets
from .attributes import Bottom, Top
from .maths import Array, smoothstep

ARM_LENGTH = 0.56  # metres from shoulder to wrist in the template
WAIST = 0.125  # metres above the hip joint


def neck_field(shared: Assets, top: Top) -> Array:
    """Metres below the neckline (V,): a tilted plane, cut out in front by the blend of the necklines."""
    x, y, z = shared.template.T
    rise = 0.003 + 0.008 * top.collar + 0.004 * top.knit
    plane = shared.neck + rise - 0.5 * max(top.width, 0) + (0.02 + y) * 0.27
    front = smoothstep(-y, 0.0, 0.05)
    bare = float(np.clip(1 - top.sleeve / 0.16, 0, 1))
    half = (0.080 + 0.5 * max(top.width, 0)) * (1 - bare) + (0.074 + 0.4 * top.width) * bare
    across = np.clip(np.abs(x) / half, 0, 1)
    v = 1 - across
    round_ = np.clip(1 - across**3, 0, 1) ** 0.6
    square = np.clip(1 - across**2.2, 0, 1) ** 0.75
    crew, vee, scoop, collar = top.neckline
    shape = crew * round_ + vee * v + scoop * square + collar * v
    return np.asarray(plane - front * top.depth * shape - z)


def top_fields(shared: Assets, top: Top) -> dict[str, Array]:
    """Fields `neck`, `hem`, `L`, `R` (sleeves): the garment is where all are positive."""
    z = shared.template[:, 2]
    hem = shared.hip + top.hem
    waist = shared.hip + WAIST - 0.02
    end = hem * (1 - top.dress) + waist * top.dress
    fields = {"neck": neck_field(shared, top), "hem": z - end}
    bare = float(np.clip(1 - top.sleeve / 0.16, 0, 1))
    for side in SIDES:
        weight, along = shared.arm_weight[side], shared.arm[side]
        sleeve = (top.sleeve - along) * ARM_LENGTH
        armhole = (0.40 - 2.5 * top.width - weight) * 0.10
        cut = sleeve * (1 - bare) + armhole * bare
        fields[side] = np.where(weight > 0.005, cut, 0.2)
    return fields


def trouser_fields(shared: Assets, bottom: Bottom) -> dict[str, Array]:
    """Fields `waist` and `low` of trousers."""
    z = shared.template[:, 2]
    waist = np.where(shared.arms > 0.2, -0.05, shared.hip + WAIST - z)
    return {"waist": waist, "low": z - (shared.hip + WAIST - 0.60 * bottom.legs)}


def skirt_fields(shared: Assets, bottom: Bottom, dress: float) -> dict[str, Array]:
    """Fields `waist` and `low` of a skirt, or of a dress's lower half."""
    z = shared.template[:, 2]
    top = shared.hip + WAIST + 0.03 * dress
    return {"waist": top - z, "low": z - (top - 0.60 * bottom.skirt)}


def hidden_by(fields: dict[str, Array], depth: float) -> Array:
    """Which base vertices lie at least `depth` metres inside a garment (V,) bool."""
    return np.asarray(np.min(np.stack(list(fields.values())), 0) > depth)
