"""Garment coordinates without stretch: a cylinder map relaxed until its lengths match the cloth's."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from .maths import Array
from .topology import edges

SEAM_JUMP = 0.25  # metres in u between neighbours: the cylinder's seam at the back
ROUNDS = 3
ANCHOR = 0.02  # how strongly points stay where the cylinder map has them


def unfolded(uv: Array, shape: Array, faces: Array, weight: Array) -> Array:
    """Coordinates (N, 2) near `uv` whose distances match those of `shape` (N, 3) along the edges.

    Least squares on edge vectors: each edge keeps its direction and takes its length in space. `weight` (N,)
    says how much a vertex's edges count. Edges across the back seam do not count.
    """
    edge, _ = edges(faces)
    i, j = edge.T
    kept = np.abs(uv[i, 0] - uv[j, 0]) < SEAM_JUMP
    i, j = i[kept], j[kept]
    length = np.linalg.norm(shape[i] - shape[j], axis=1)
    w = np.sqrt(np.minimum(weight[i], weight[j]) + 1e-3)
    n, m = len(uv), len(i)
    row = np.arange(m)
    difference = sparse.coo_matrix(
        (np.r_[w, -w], (np.r_[row, row], np.r_[i, j])), shape=(m, n)
    ).tocsr()
    # the front's middle stays in the middle
    middle = np.exp(-((uv[:, 0] / 0.01) ** 2))
    pull = np.stack([ANCHOR**2 + 0.5 * middle, np.full(n, ANCHOR**2)], 1)
    normal = (difference.T @ difference).tocsc()
    solvers = [splu((normal + sparse.diags(pull[:, k])).tocsc()) for k in range(2)]
    result = uv
    for _ in range(ROUNDS):
        way = result[i] - result[j]
        way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9) * length[:, None]
        right = difference.T @ (way * w[:, None]) + pull * uv
        result = np.stack([solvers[k].solve(right[:, k]) for k in range(2)], 1)
    return result
