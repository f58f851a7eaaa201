"""How well two aligned images agree, place by place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .features import Level
from .refinement import Vector, moved_image

_CELLS = 28  # along the longer side
_SMALLEST = 12  # pixels, side of a cell
_STRUCTURE = 0.12  # mean square of the features from which a cell shows something
_ALIKE = 0.5  # correlation of the features from which a cell shows the same
_NOISE = 0.02  # added to the squared slopes: directions without structure do not count


class Agreement(NamedTuple):
    """What the cells of a grid say about an alignment.

    Attributes:
        share: of the cells with structure, how many show the same, in [0, 1].
        cells: how many cells have structure.
        apart: median distance by which cells that show the same are still displaced, in pixels.
        spread: bounding box of the cells that show the same, as a share of the image.
        alike: the cells that show the same, bool.
    """

    share: float
    cells: int
    apart: float
    spread: float
    alike: NDArray[np.bool_]


def agreement(at: Level, parameters: Vector) -> Agreement:
    """Compare the photo with the edit, moved by the parameters, in the cells of a grid."""
    height, width = at.photo.shape
    (edit, gx, gy), inside = moved_image(at.edit, parameters)
    seen = at.usable & inside
    side = max(_SMALLEST, round(max(height, width) / _CELLS))

    def mean(values: NDArray[np.float32]) -> NDArray[np.float64]:
        starts = [np.arange(0, length, side) for length in (height, width)]
        masked = np.where(seen, values, 0).astype(np.float64)
        sums = np.add.reduceat(np.add.reduceat(masked, starts[0], 0), starts[1], 1)
        return np.asarray(sums / np.maximum(counts, 1))

    counts = np.ones(1)
    counts = mean(np.ones_like(at.photo))
    first, second = mean(at.photo**2), mean(edit**2)
    both = mean(at.photo * edit)
    known = counts > side * side / 3
    structured = known & (np.maximum(first, second) > _STRUCTURE)
    alike = structured & (both > _ALIKE * np.sqrt(first * second)) & (first > _STRUCTURE / 2)
    difference = edit - at.photo
    xx, yy, xy = mean(gx * gx) + _NOISE, mean(gy * gy) + _NOISE, mean(gx * gy)
    bx, by = mean(gx * difference), mean(gy * difference)
    determinant = xx * yy - xy**2
    shift = np.hypot(yy * bx - xy * by, xx * by - xy * bx) / determinant
    count = int(structured.sum())
    return Agreement(
        share=float(alike.sum()) / max(count, 1),
        cells=count,
        apart=float(np.median(shift[alike])) if alike.any() else float("inf"),
        spread=_extent(alike),
        alike=alike,
    )


def _extent(cells: NDArray[np.bool_]) -> float:
    """The bounding box of some cells, as a share of all."""
    if not cells.any():
        return 0.0
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return float(area / cells.size)
