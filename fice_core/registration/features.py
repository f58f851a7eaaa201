"""What registration compares: light and dark without their local mean and contrast.

An editor changes brightness, contrast and tint, and its decoder blurs. Local normalisation removes a change
of tone that varies slowly; the smoothing before it removes the finest detail, which does not survive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

Plane = NDArray[np.float32]

_SMOOTHING = 1.0  # pixels, standard deviation
_WINDOW = 13  # pixels, side of the square whose mean and contrast are removed
_FLAT = 0.02  # RGB; contrast that is noise rather than structure
_CELL = 4  # pixels, side of the squares of which each gives one point
_MOST_POINTS = 40_000
_LEAST_SLOPE = 0.05  # of the feature, a pixel
_SMALL = 160  # pixels of the longer side; on smaller images a window is large against a garment
_LUMA = (0.299, 0.587, 0.114)


class Level(NamedTuple):
    """Both images at one resolution; the edit is resized to the photo's size.

    Attributes:
        photo: its feature, (H, W).
        edit: its feature and the derivatives along x and y, (3, H, W).
        colours: photo and edit in RGB, (2, 3, H, W).
        points: positions (x, y) of the pixels that are compared, (K, 2), in pixels from the centre of the
            first one.
        values, slopes: of the photo at these points, (K,) and (K, 2).
        usable: where the photo may be compared, (H, W) bool.
    """

    photo: Plane
    edit: Plane
    colours: Plane
    points: NDArray[np.float64]
    values: Plane
    slopes: Plane
    usable: NDArray[np.bool_]


def resized(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, C, h, w) at another size by a triangular filter, whose centre is exact at any ratio."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values, size, mode="bilinear", antialias=True)


def normalised(colours: Plane) -> Plane:
    """The feature (H, W) of an image (3, H, W): brightness less its local mean, by its local contrast."""
    grey = np.tensordot(np.asarray(_LUMA, np.float32), colours, 1)
    smooth = ndimage.gaussian_filter(grey, _SMOOTHING)
    deviation = smooth - ndimage.uniform_filter(smooth, _WINDOW)
    variance = ndimage.uniform_filter(deviation**2, _WINDOW).clip(min=0)
    return np.asarray(deviation / (np.sqrt(variance) + _FLAT), np.float32)


def level(photo: Plane, edit: Plane, usable: NDArray[np.bool_]) -> Level:
    """The features of two images (3, H, W), compared where `usable` (H, W)."""
    before, after = normalised(photo), normalised(edit)
    down, across = (ndimage.convolve1d(before, [0.5, 0, -0.5], axis=axis) for axis in (0, 1))
    rows, columns = _strongest(np.hypot(down, across) * usable)
    slopes = [ndimage.convolve1d(after, [0.5, 0, -0.5], axis=axis) for axis in (1, 0)]
    return Level(
        photo=before,
        edit=np.stack([after, *slopes]),
        colours=np.stack([photo, edit]),
        points=np.stack([columns, rows], axis=-1).astype(np.float64),
        values=before[rows, columns],
        slopes=np.stack([across[rows, columns], down[rows, columns]], axis=-1),
        usable=usable,
    )


def without(at: Level, changed: NDArray[np.bool_]) -> Level:
    """A level that compares nothing where `changed` (H, W), nor where the window sees much of it."""
    reach = _WINDOW // 2 if max(changed.shape) > _SMALL else _WINDOW // 4
    usable = at.usable & ~ndimage.binary_dilation(changed, iterations=reach)
    rows, columns = at.points.astype(np.intp).T[::-1]
    kept = usable[rows, columns]
    return at._replace(
        usable=usable, points=at.points[kept], values=at.values[kept], slopes=at.slopes[kept]
    )


def _strongest(slope: Plane) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the steepest pixel of every cell, without those of flat cells."""
    height, width = slope.shape
    side = _CELL if height * width > 8 * _MOST_POINTS else 2
    rows, columns = height // side, width // side
    blocks = slope[: rows * side, : columns * side].reshape(rows, side, columns, side)
    cells = blocks.transpose(0, 2, 1, 3).reshape(rows * columns, side * side)
    best = cells.argmax(axis=1)
    steepness = cells[np.arange(len(cells)), best]
    kept = np.flatnonzero(steepness > _LEAST_SLOPE)
    if len(kept) > _MOST_POINTS:
        order = np.argsort(-steepness[kept], kind="stable")
        kept = np.sort(kept[order[:_MOST_POINTS]])
    return (kept // columns) * side + best[kept] // side, (kept % columns) * side + best[
        kept
    ] % side
