"""Where to start: zooms and turns are tried on small images, shifts come from their cross-correlation."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import fft

from .alignment import Alignment
from .features import Level
from .refinement import Vector, moved_image, units

_ZOOMS = (1.0, 0.93, 1.07, 0.87, 1.15, 0.8, 1.24)
_TURNS = (0.0, -0.07, 0.07)  # radians
_FARTHEST = 0.25  # shift, as a fraction of the longer side
_PROPORTIONS = 0.01  # relative difference of proportions that is no rounding


def fits(alignment: Alignment) -> list[tuple[float, float]]:
    """Zooms with which editors bring a photo to other proportions: stretched, cropped, or with a border."""
    (height, width), (rows, columns) = alignment.size, alignment.edit_size
    across, down = columns / width, rows / height
    found = [(1.0, 1.0)]
    if abs(across / down - 1) > _PROPORTIONS:
        for scale in (max(across, down), min(across, down)):
            found.append((scale / across, scale / down))
    return found


def starts(at: Level, alignment: Alignment, count: int) -> list[Vector]:
    """The parameters of the `count` best starts, the best first.

    Args:
        at: the features of a small level.
        alignment: of the images, for their sizes.
        count: how many.
    """
    height, width = at.photo.shape
    padded = [fft.next_fast_len(2 * side, real=True) for side in (height, width)]
    photo = at.photo * at.usable
    spectrum = fft.rfft2(photo, padded).conj()
    reach = max(1, round(_FARTHEST * max(height, width)))
    found: list[tuple[float, Vector]] = []
    for (across, down), zoom, turn in product(fits(alignment), _ZOOMS, _TURNS):
        parameters = np.array([0.0, 0.0, across * zoom, down * zoom, turn])
        (edit,), _ = moved_image(at.edit[:1], parameters)
        correlation = fft.irfft2(spectrum * fft.rfft2(edit, padded), padded)
        peak, x, y = _peak(np.asarray(correlation), reach)
        score = peak / max(float(np.linalg.norm(edit) * np.linalg.norm(photo)), 1e-9)
        # The shift was found in the photo's directions; parameters have it in those of the edit.
        cos, sin = np.cos(turn), np.sin(turn)
        dx, dy = x * across * zoom, y * down * zoom
        shift = np.array([cos * dx - sin * dy, sin * dx + cos * dy])
        parameters[:2] = shift / units((height, width))[0]
        found.append((score, parameters))
    found.sort(key=lambda each: -each[0])
    return [parameters for _, parameters in found[:count]]


def _peak(correlation: Vector, reach: int) -> tuple[float, int, int]:
    """The largest circular correlation within so many pixels of 0, and the shift (x, y) of the edit there."""
    near = np.roll(correlation, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    row, column = divmod(int(near.argmax()), near.shape[1])
    return float(near[row, column]), column - reach, row - reach
