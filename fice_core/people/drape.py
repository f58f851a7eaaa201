"""One sheet of cloth on a posed body: cut, skinned, relaxed, refined, with its fields carried along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .assets import SIDES
from .cloth import Obstacle, Stuff, relax
from .maths import Array, smoothstep, unit
from .pose import Posed
from .topology import Sheet, SubMesh, loop_matrix, normals, smoothed
from .unfold import unfolded

MARGIN = 0.02  # metres of cloth simulated beyond the cut line
CHEST_RADIUS = 0.145  # metres: what an angle around the trunk is multiplied with
SLEEVE_RADIUS = 0.055
SKIN_GAP = 0.0025  # metres between cloth and body after the last refinement


@dataclass(frozen=True)
class Cut:
    """How a sheet is made. Arrays are over the base vertices (V,).

    `ease` is the distance of the rest shape from the body; `pinned` > 0 fixes a vertex to the skinned body;
    `hold` draws it to its start as a share a frame; `slack` (V, 3) is extra length as a share;
    `smooth` rounds of smoothing take the body's detail away; `shaped` may change the rest shape;
    `carried` fields come along but do not bound the sheet; `unfold` asks for trunk coordinates `uv`.
    """

    mesh: SubMesh
    fields: dict[str, Array]
    ease: Array
    gap: float
    stuff: Stuff
    smooth: int = 10
    pinned: Array | None = None
    hold: Array | None = None
    slack: Array | None = None
    shaped: Callable[[Array], Array] | None = None
    carried: dict[str, Array] | None = None
    unfold: bool = False


def drape(posed: Posed, cut: Cut, obstacle: Obstacle) -> Sheet:
    """The settled sheet, not yet clipped.

    Values: `p` position, `n` normal, `rest` the body's rest position below, `L`/`R` arm weights,
    `armL`/`armR` places along the arms, and every field under its name with the prefix `f_`.
    """
    shared, mesh = posed.shared, cut.mesh
    inside = mesh.fine(np.min(np.stack(list(cut.fields.values())), 0))
    wanted = (inside > -MARGIN)[mesh.faces].any(1)
    used = np.unique(mesh.faces[wanted])
    index = np.full(len(inside), -1)
    index[used] = np.arange(len(used))
    faces = index[mesh.faces[wanted]]

    def fine(values: Array) -> Array:
        return np.asarray(mesh.fine(values)[used])

    rest = fine(posed.rest)
    weights = fine(shared.weights)
    outward = normals(rest, faces)
    shape = smoothed(rest, faces, cut.smooth)
    around = normals(shape, faces)
    # never inside the body: keep at least its surface
    shape = shape + outward * np.maximum(((rest - shape) * outward).sum(1), 0)[:, None]
    lifted = fine(cut.ease) * (1 - 0.85 * np.clip(around[:, 2], 0, 1))
    shape = shape + around * lifted[:, None]
    if cut.shaped is not None:
        shape = cut.shaped(shape)
    start = posed.skin(shape, weights)
    mass = np.ones(len(start))
    if cut.pinned is not None:
        mass = np.where(fine(cut.pinned) > 0, 0.0, 1.0)
        on_skin = posed.skin(rest + outward * 0.004, weights)
        start = np.where((mass == 0)[:, None], on_skin, start)
    settled = relax(
        start,
        faces,
        shape,
        mass,
        obstacle,
        cut.gap,
        cut.stuff,
        hold=None if cut.hold is None else fine(cut.hold),
        slack=None if cut.slack is None else fine(cut.slack),
    )
    finer, fine_faces = loop_matrix(faces, len(settled))
    position = obstacle.push_out(finer @ settled, SKIN_GAP, 0.03)
    fields = {**cut.fields, **(cut.carried or {})}
    values = {
        "p": position,
        "n": normals(position, fine_faces),
        "rest": finer @ rest,
        **{s: finer @ fine(shared.arm_weight[s]) for s in SIDES},
        **{f"arm{s}": finer @ fine(shared.arm[s]) for s in SIDES},
        **{f"f_{k}": finer @ fine(f) for k, f in fields.items()},
    }
    if cut.unfold:
        trunk = 1 - np.clip(fine(shared.arms), 0, 1)
        values["uv"] = finer @ unfolded(_cylinder(posed, rest), settled, faces, trunk)
    return Sheet(fine_faces, values)


def _cylinder(posed: Posed, rest: Array) -> Array:
    """Around the trunk (0 at the front's middle) and above the hip joint, in metres."""
    hip = posed.rest_joints[posed.shared.bone("upperleg01.L")][2]
    return np.stack([around_trunk(rest), rest[:, 2] - hip], 1)


def around_trunk(rest: Array, radius: float | Array = CHEST_RADIUS) -> Array:
    """Angle around the trunk times `radius`: 0 at the front's middle, positive to the person's left."""
    return np.asarray(np.arctan2(rest[:, 0], -rest[:, 1]) * radius)


def sleeve_coordinates(posed: Posed, rest: Array, side: str, along: Array) -> Array:
    """Sleeve coordinates (N, 2): around the arm, and -0.5 times the place along it, in metres."""
    bone = posed.shared.bone
    shoulder, elbow, wrist = (
        posed.rest_joints[bone(f"{b}.{side}")] for b in ("upperarm01", "lowerarm01", "wrist")
    )
    axis = unit(wrist - shoulder)
    first = unit(np.cross(axis, [0, -1.0, 0]))
    second = np.cross(axis, first)
    upper, lower = unit(elbow - shoulder), unit(wrist - elbow)
    on_upper = shoulder + ((rest - shoulder) @ upper)[:, None] * upper
    on_lower = elbow + ((rest - elbow) @ lower)[:, None] * lower
    below = smoothstep(along, 0.4, 0.6)[:, None]
    off = rest - (on_upper * (1 - below) + on_lower * below)
    angle = np.arctan2(off @ first, off @ -second)
    return np.stack([angle * SLEEVE_RADIUS, -0.5 * along], 1)


def sculpted(sheet: Sheet, height: Array) -> Sheet:
    """The sheet moved by `height` metres along its normals."""
    position = sheet["p"] + sheet["n"] * height[:, None]
    return sheet.with_values(p=position, n=normals(position, sheet.faces))
