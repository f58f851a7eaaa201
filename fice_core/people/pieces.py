"""A garment's mesh, put together from pieces with coordinates of their own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .attributes import Person
from .maths import Array
from .pose import Posed
from .topology import Sheet

#: pieces with coordinates of their own
PANELS = ("torso", "left sleeve", "right sleeve", "trim", "skirt", "left leg", "right leg")
TORSO, LEFT_SLEEVE, RIGHT_SLEEVE, TRIM, SKIRT, LEFT_LEG, RIGHT_LEG = range(len(PANELS))
HEM_DEPTH = 0.0035  # metres that an edge is folded in, so that cloth has a thickness


@dataclass
class Mesh:
    """Triangles with normals, garment coordinates in metres, a panel and an albedo factor a vertex."""

    vertices: list[Array] = field(default_factory=list)
    faces: list[Array] = field(default_factory=list)
    normals: list[Array] = field(default_factory=list)
    uv: list[Array] = field(default_factory=list)
    panel: list[Array] = field(default_factory=list)
    tone: list[Array] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        vertices: Array,
        faces: Array,
        normal: Array,
        uv: Array,
        panel: int,
        tone: float | Array = 1.0,
    ) -> None:
        """Append a piece."""
        n = len(vertices)
        self.vertices.append(vertices)
        self.faces.append(faces + self.count)
        self.normals.append(normal)
        self.uv.append(uv)
        self.panel.append(np.full(n, panel))
        self.tone.append(np.broadcast_to(np.asarray(tone, float), (n,)).copy())
        self.count += n

    def add_sheet(
        self, sheet: Sheet, panel: int, tone: float | Array = 1.0, fold: bool = True
    ) -> None:
        """Append a clipped sheet (values p, n, uv), its open edges folded in."""
        if not len(sheet):
            return
        n = len(sheet["p"])
        self.add(sheet["p"], sheet.faces, sheet["n"], sheet["uv"], panel, tone)
        if not fold:
            return
        edge = sheet.border()
        if not len(edge):
            return
        rim = np.unique(edge)
        index = np.zeros(n, int)
        index[rim] = np.arange(len(rim))
        i, j, m = index[edge[:, 0]], index[edge[:, 1]], len(rim)
        outer, normal = sheet["p"][rim], sheet["n"][rim]
        faces = np.concatenate([np.stack([i, j, m + j], 1), np.stack([i, m + j, m + i], 1)])
        shade = np.tile(np.broadcast_to(np.asarray(tone, float), (n,))[rim], 2)
        self.add(
            np.concatenate([outer, outer - normal * HEM_DEPTH]),
            faces,
            np.concatenate([normal, normal * 0.8]),
            np.tile(sheet["uv"][rim], (2, 1)),
            panel,
            shade,
        )

    def joined(self) -> dict[str, Array]:
        """Arrays `vertices`, `faces`, `normals`, `uv`, `panel`, `tone`."""
        names = ("vertices", "faces", "normals", "uv", "panel", "tone")
        return {k: np.concatenate(getattr(self, k)) for k in names}


@dataclass
class Outfit:
    """What is sewn for one person: the meshes of the upper and the lower garment, and the buttons."""

    posed: Posed
    person: Person
    upper: Mesh = field(default_factory=Mesh)
    lower: Mesh = field(default_factory=Mesh)
    buttons: list[tuple[Array, Array]] = field(default_factory=list)
