"""Where to start: zooms and turns are tried on small images, shifts come from their cross-correlation."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import fft

from .alignment import Alignment
from .features import Level
from .refinement import Vector, moved_image

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
    reach = [max(1, round(_FARTHEST * max(height, width)))] * 2
    window = tuple(np.r_[0 : r + 1, side - r : side] for r, side in zip(reach, padded, strict=True))
    found: list[tuple[float, Vector]] = []
    for (across, down), zoom, turn in product(fits(alignment), _ZOOMS, _TURNS):
        parameters = np.array([0.0, 0.0, across * zoom, down * zoom, turn])
        (edit,), _ = moved_image(at.edit[:1], parameters)
        peak, (dx, dy) = _shift(fft.irfft2(spectrum * fft.rfft2(edit, padded), padded), window)
        score = peak / max(float(np.linalg.norm(edit) * np.linalg.norm(photo)), 1e-9)
        # The shift was found in the photo's directions; parameters have it in those of the edit.
        cos, sin = np.cos(turn), np.sin(turn)
        dx, dy = dx * across * zoom, dy * down * zoom
        parameters[:2] = np.array([cos * dx - sin * dy, sin * dx + cos * dy]) / alignment_radius(at)
        found.append((score, parameters))
    found.sort(key=lambda each: -each[0])
    return [parameters for _, parameters in found[:count]]


def alignment_radius(at: Level) -> float:
    """Half of the longer side of a level, in pixels."""
    return max(at.photo.shape) / 2


def _shift(
    correlation: np.ndarray, window: tuple[np.ndarray, ...]
) -> tuple[float, tuple[int, int]]:
    """The largest correlation within a window of shifts, and the shift (x, y) of the edit there."""
    near = correlation[np.ix_(*window)]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    shift = [
        int(index if index <= side // 2 else index - side)
        for index, side in zip((window[0][row], window[1][column]), correlation.shape, strict=True)
    ]
    return float(near[row, column]), (shift[1], shift[0])
