"""Where an edited image shows what a photo shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

Points = NDArray[np.float64]
_SUPERSAMPLED = 1.05  # pixels of the edit for one of the photo from which it is smoothed first


@dataclass(frozen=True)
class Alignment:
    """How an edit is zoomed, turned and shifted against its photo.

    The edit is first resized to the photo's size, whatever its own size and proportions. A point p of the
    photo, measured from its centre, then lies at R(turn) diag(zoom) p + shift, measured from the centre.

    Attributes:
        size: (H, W) of the photo in pixels.
        edit_size: (h, w) of the edit in pixels.
        zoom: (horizontal, vertical); above 1 the edit shows everything larger than the photo.
        turn: in degrees; clockwise is positive.
        shift: (right, down) in pixels of the photo.
    """

    size: tuple[int, int]
    edit_size: tuple[int, int]
    zoom: tuple[float, float] = (1.0, 1.0)
    turn: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def radius(self) -> float:
        """Half of the photo's longer side, the unit of `parameters`."""
        return max(self.size) / 2

    @property
    def parameters(self) -> Points:
        """(shift x, shift y, zoom x, zoom y, turn) with shifts in units of `radius` and radians: (5,)."""
        dx, dy = (value / self.radius for value in self.shift)
        return np.array([dx, dy, *self.zoom, math.radians(self.turn)])

    def with_parameters(self, values: Points) -> Alignment:
        """The alignment of the same images with other `parameters`."""
        dx, dy, across, down, turn = (float(value) for value in values)
        shift = dx * self.radius, dy * self.radius
        return Alignment(self.size, self.edit_size, (across, down), math.degrees(turn), shift)

    @property
    def matrix(self) -> Points:
        """The affine map (2, 3) from positions (x, y) in the photo to those in the edit.

        Positions are in pixels of each image; the upper left corner of the first pixel is (0, 0).
        """
        (height, width), (rows, columns) = self.size, self.edit_size
        centre = np.array([width / 2, height / 2])
        turn = math.radians(self.turn)
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        linear = rotation * np.array(self.zoom)
        offset = centre + np.array(self.shift) - linear @ centre
        resized = np.array([[columns / width], [rows / height]])
        return np.asarray(resized * np.column_stack([linear, offset]))

    def positions(self, points: Points) -> Points:
        """Points (..., 2) of the photo as points of the edit, each (x, y) as in `matrix`."""
        matrix = self.matrix
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])

    def distance(self, other: Alignment) -> tuple[float, float]:
        """Mean and largest distance of this alignment's points from another one's, in pixels of the photo.

        It is taken over a grid of points that covers the photo.
        """
        height, width = self.size
        rows, columns = np.linspace(0, height, 17), np.linspace(0, width, 17)
        grid = np.stack(np.meshgrid(columns, rows), axis=-1)
        scale = np.array([width / self.edit_size[1], height / self.edit_size[0]])
        there = np.array([width / other.edit_size[1], height / other.edit_size[0]])
        apart = self.positions(grid) * scale - other.positions(grid) * there
        length = np.linalg.norm(apart, axis=-1)
        return float(length.mean()), float(length.max())

    def visible(self, box: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Where the edit shows the pixels of a box (rows, columns) of the photo, (h, w)."""
        rows, columns = (np.arange(part.start, part.stop) + 0.5 for part in box)
        return self._inside(np.stack(np.meshgrid(columns, rows), axis=-1))

    def _inside(self, points: Points) -> NDArray[np.bool_]:
        found = self.positions(points)
        height, width = self.edit_size
        inside = (found >= 0) & (found <= np.array([width, height]))
        return np.asarray(inside.all(axis=-1))

    def warped(self, edit: torch.Tensor, box: tuple[slice, slice]) -> torch.Tensor:
        """The edit as the photo would show it, in a box of the photo.

        Interpolated by cubic splines; an edit with finer pixels than the photo's is smoothed first. What the
        edit does not show continues its border.

        Args:
            edit: (C, h, w) of `edit_size`.
            box: rows and columns of the photo.

        Returns:
            (C, height, width) of the box, in [0, 1].
        """
        matrix = self.matrix[::-1, [1, 0, 2]]  # (row, column)
        start = np.array([box[0].start, box[1].start]) + 0.5
        offset = matrix[:, :2] @ start + matrix[:, 2] - 0.5
        shape = (box[0].stop - box[0].start, box[1].stop - box[1].start)
        density = np.linalg.norm(matrix[:, :2], axis=1)  # pixels of the edit for one of the photo
        blur = np.where(density > _SUPERSAMPLED, (density - 1) / 2, 0.0)
        planes = []
        for plane in edit.detach().float().cpu().numpy():
            smooth = ndimage.gaussian_filter(plane, blur) if blur.any() else plane
            planes.append(
                ndimage.affine_transform(
                    smooth, matrix[:, :2], offset, shape, np.float32, order=3, mode="nearest"
                )
            )
        with torch.inference_mode(False):
            return torch.from_numpy(np.stack(planes)).clamp_(0, 1)
