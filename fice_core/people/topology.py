"""Triangle meshes: the base mesh's groups, Loop subdivision as a matrix, normals, clipping.

Source of the subdivision rule: C. Loop, "Smooth Subdivision Surfaces Based on Triangles" (1987).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from .maths import Array


def read_groups(path: Path) -> tuple[dict[str, Array], Array]:
    """Quads of each group of a Wavefront file, and a texture coordinate of each vertex.

    Returns ({group: (F, 4) int}, (V, 2)); joint markers are left out. Where a vertex has several texture
    coordinates it gets the last one.
    """
    groups: dict[str, list[list[int]]] = {}
    coordinates: list[list[float]] = []
    uv: dict[int, int] = {}
    count, name = 0, ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            count += 1
        elif words[0] == "vt":
            coordinates.append([float(w) for w in words[1:3]])
        elif words[0] == "g":
            name = words[1]
        elif words[0] == "f":
            corners = [[int(i) - 1 for i in w.split("/")[:2]] for w in words[1:5]]
            groups.setdefault(name, []).append([c[0] for c in corners])
            uv.update((c[0], c[1]) for c in corners if len(c) > 1)
    table = np.zeros((count, 2))
    for vertex, index in uv.items():
        table[vertex] = coordinates[index]
    kept = {k: np.array(f) for k, f in groups.items() if not k.startswith("joint")}
    return kept, table


def triangles(quads: Array) -> Array:
    """(F, 4) quads -> (2F, 3) triangles; triangle i and i + F come from quad i."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def edges(faces: Array) -> tuple[Array, Array]:
    """Unique edges (E, 2) and the edges of each face (F, 3), in the order 01, 12, 20."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    size = int(pairs.max()) + 1
    keys, inverse = np.unique(
        pairs[:, 0].astype(np.int64) * size + pairs[:, 1], return_inverse=True
    )
    unique = np.stack([keys // size, keys % size], 1)
    return unique, inverse.reshape(3, -1).T


def loop_matrix(faces: Array, n: int) -> tuple[sparse.csr_matrix, Array]:
    """One level of Loop subdivision of n vertices: a sparse matrix (n + E, n) and the new faces."""
    edge, face_edges = edges(faces)
    m = len(edge)
    uses = np.bincount(face_edges.ravel(), minlength=m)
    opposite = np.stack([faces[:, 2], faces[:, 0], faces[:, 1]], 1)
    border = uses == 1
    rows: list[Array] = []
    columns: list[Array] = []
    weights: list[Array] = []

    def add(row: Array, column: Array, weight: Array | float) -> None:
        rows.append(row)
        columns.append(column)
        weights.append(np.broadcast_to(np.asarray(weight, float), row.shape))

    middle = n + np.arange(m)
    half = np.where(border, 0.5, 0.375)
    add(middle, edge[:, 0], half)
    add(middle, edge[:, 1], half)
    flat, facing = face_edges.ravel(), opposite.ravel()
    inner = ~border[flat]
    add(n + flat[inner], facing[inner], 0.25 / np.maximum(uses[flat[inner]], 2))
    valence = np.bincount(edge.ravel(), minlength=n)
    on_border = np.zeros(n, bool)
    on_border[edge[border].ravel()] = True
    spread = 5 / 8 - (3 / 8 + np.cos(2 * np.pi / np.maximum(valence, 3)) / 4) ** 2
    beta = np.where(valence > 0, spread / np.maximum(valence, 1), 0)
    vertex = np.arange(n)
    add(vertex, vertex, np.where(on_border, 0.75, 1 - valence * beta))
    for a, b in ((0, 1), (1, 0)):
        free = edge[~on_border[edge[:, a]]]
        add(free[:, a], free[:, b], beta[free[:, a]])
        add(edge[border][:, a], edge[border][:, b], 0.125)
    matrix = sparse.coo_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(n + m, n)
    ).tocsr()
    total = np.asarray(matrix.sum(1)).ravel()
    matrix = (sparse.diags(1 / np.maximum(total, 1e-9)) @ matrix).tocsr()
    a, b, c = faces.T
    ab, bc, ca = (n + face_edges).T
    corners = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return matrix, np.concatenate([np.stack(corner, 1) for corner in corners])


def normals(vertices: Array, faces: Array) -> Array:
    """Unit vertex normals (V, 3), the mean of the faces' by area."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    total = np.stack(
        [
            sum(np.bincount(faces[:, k], cross[:, d], minlength=len(vertices)) for k in range(3))
            for d in range(3)
        ],
        1,
    )
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def averaging(faces: Array, n: int) -> sparse.csr_matrix:
    """The sparse matrix (n, n) that takes the mean over each vertex's neighbours."""
    edge, _ = edges(faces)
    rows, columns = np.r_[edge[:, 0], edge[:, 1]], np.r_[edge[:, 1], edge[:, 0]]
    matrix = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n)).tocsr()
    return (sparse.diags(1 / np.maximum(np.asarray(matrix.sum(1)).ravel(), 1)) @ matrix).tocsr()


def smoothed(values: Array, faces: Array, rounds: int, strength: float = 0.5) -> Array:
    """`values` (V, C) after `rounds` steps towards the mean of the neighbours."""
    mean = averaging(faces, len(values))
    for _ in range(rounds):
        values = values + strength * (mean @ values - values)
    return values


class SubMesh:
    """A part of the base mesh after `levels` Loop subdivisions.

    Attributes: `vertices`, the base vertices it comes from; `matrix`, from those to the fine ones;
    `faces`, the fine triangles.
    """

    def __init__(self, quads: Array, levels: int) -> None:
        self.vertices = np.unique(quads)
        index = np.full(int(quads.max()) + 1, -1)
        index[self.vertices] = np.arange(len(self.vertices))
        self.faces = triangles(index[quads])
        self.matrix = sparse.identity(len(self.vertices), format="csr")
        for _ in range(levels):
            step, self.faces = loop_matrix(self.faces, self.matrix.shape[0])
            self.matrix = (step @ self.matrix).tocsr()

    def fine(self, values: Array) -> Array:
        """Values of all base vertices (V, ...) -> values of the fine vertices."""
        return np.asarray(self.matrix @ values[self.vertices])


class Sheet:
    """An open mesh with named values at its vertices; `clip` cuts it along any scalar field."""

    def __init__(self, faces: Array, values: dict[str, Array]) -> None:
        self.faces = faces
        self.values = values

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def __len__(self) -> int:
        return len(self.faces)

    def with_values(self, **values: Array) -> Sheet:
        """The same faces with some values exchanged or added."""
        return Sheet(self.faces, {**self.values, **values})

    def clip(self, field: Array) -> Sheet:
        """The part where `field` (V,) is positive, cut linearly along its zero line."""
        faces, n = self.faces, len(field)
        field = field + (np.abs(field) < 1e-9) * 1e-9
        inside = field[faces] > 0
        count = inside.sum(1)
        kept = [faces[count == 3]]
        corners: list[tuple[int, Array, Array, Array]] = []
        for wanted in (1, 2):
            chosen = faces[count == wanted]
            if len(chosen):
                flags = inside[count == wanted]
                odd = np.argmax(flags if wanted == 1 else ~flags, 1)
                row = np.arange(len(chosen))
                a, b, c = (chosen[row, (odd + k) % 3] for k in range(3))
                corners.append((wanted, a, b, c))
        values = self.values
        if corners:
            cuts = [np.stack([a, b], 1) for _, a, b, _ in corners]
            cuts += [np.stack([a, c], 1) for _, a, _, c in corners]
            pairs = np.sort(np.concatenate(cuts), 1)
            unique, inverse = np.unique(pairs[:, 0] * n + pairs[:, 1], return_inverse=True)
            low, high = unique // n, unique % n
            share = field[low] / (field[low] - field[high])
            values = {k: _extended(x, low, high, share) for k, x in values.items()}
            half, at = len(pairs) // 2, 0
            for wanted, a, b, c in corners:
                ab = n + inverse[at : at + len(a)]
                ac = n + inverse[half + at : half + at + len(a)]
                at += len(a)
                if wanted == 1:
                    kept.append(np.stack([a, ab, ac], 1))
                else:
                    kept += [np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)]
        return Sheet(np.concatenate(kept), values).compacted()

    def clip_at(self, name: str) -> Sheet:
        """The part where the value `name` is positive."""
        return self.clip(self.values[name])

    def compacted(self) -> Sheet:
        """The same sheet without vertices that no face uses."""
        used = np.unique(self.faces)
        size = len(next(iter(self.values.values())))
        index = np.full(size, -1)
        index[used] = np.arange(len(used))
        return Sheet(index[self.faces], {k: x[used] for k, x in self.values.items()})

    def border(self) -> Array:
        """Edges (B, 2) that only one face uses."""
        edge, face_edges = edges(self.faces)
        return np.asarray(edge[np.bincount(face_edges.ravel(), minlength=len(edge)) == 1])


def _extended(x: Array, low: Array, high: Array, share: Array) -> Array:
    t = share.reshape((-1,) + (1,) * (x.ndim - 1))
    return np.asarray(np.concatenate([x, x[low] * (1 - t) + x[high] * t]))
