"""Gauss-Newton steps that align two images, without what differs between them.

The parameters minimise the differences of the features at the points of a level. Points that show
different things are outliers: Tukey's biweight gives them no weight (iteratively reweighted least squares).
The slope is the mean of both images' slopes, as in efficient second-order minimisation (Benhimane and Malis
2004), which converges from farther away than one image's slope.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..ops.robust import STD_PER_MAD
from .features import Level

Vector = NDArray[np.float64]
Planes = NDArray[np.float32]
Mask = NDArray[np.bool_]

_TUKEY = 4.685  # robust standard deviations; larger differences have weight 0
_LEAST_SPREAD = 0.12  # of the features
_STILL = 0.002  # pixels; smaller steps end the loop
# Standard deviations of the parameters around the start, as if they had been measured once: they decide only
# what the points leave open, such as the vertical zoom of vertical stripes.
_PRIOR = np.array([0.2, 0.2, 0.1, 0.1, 0.05])
_PRIOR_POINTS = 4.0  # weight of that measurement


class Fit(NamedTuple):
    """Parameters, see `Alignment.parameters`, and how certain they are.

    Attributes:
        parameters: (5,).
        covariance: (5, 5), for independent points.
        inliers: share of the points that the fit uses, weighted, in [0, 1].
    """

    parameters: Vector
    covariance: Vector
    inliers: float


def units(size: tuple[int, int]) -> tuple[float, Vector]:
    """Half of the longer side of (H, W), and the centre (x, y), both in pixels; see `Alignment`."""
    return max(size) / 2, np.array([size[1] / 2 - 0.5, size[0] / 2 - 0.5])


def affine(parameters: Vector, size: tuple[int, int]) -> tuple[Vector, Vector]:
    """The matrix (2, 2) and offset (2,) from pixels (x, y) of the photo to those of the resized edit."""
    radius, centre = units(size)
    cos, sin = np.cos(parameters[4]), np.sin(parameters[4])
    linear = np.array([[cos, -sin], [sin, cos]]) * parameters[2:4]
    return linear, parameters[:2] * radius + centre - linear @ centre


def moved_image(planes: Planes, parameters: Vector) -> tuple[Planes, Mask]:
    """The resized edit (C, H, W) as the photo shows it, and where it shows the photo at all, (H, W)."""
    height, width = planes.shape[-2:]
    linear, offset = affine(parameters, (height, width))
    x, y = np.arange(width), np.arange(height)[:, None]
    inside = np.ones((height, width), bool)
    for row, start, longest in zip(linear, offset, (width, height), strict=True):
        there = row[0] * x + row[1] * y + start
        inside &= (there >= 0) & (there <= longest - 1)
    swapped, start = linear[::-1, ::-1], offset[::-1]
    found = [ndimage.affine_transform(p, swapped, start, order=1, mode="nearest") for p in planes]
    return np.stack(found), inside


def refine(
    at: Level, parameters: Vector, rounds: int, looseness: float = 1.0, prior: Vector | None = None
) -> Fit:
    """The parameters after at most so many Gauss-Newton steps.

    Args:
        at: the features.
        parameters: the start, (5,).
        rounds: number of steps.
        looseness: factor of the scale of the differences in the first step; it falls to 1.
        prior: the parameters around which the solution is expected; None for the start.
    """
    size = (at.photo.shape[0], at.photo.shape[1])
    radius, centre = units(size)
    expected = parameters if prior is None else prior
    parameters = parameters.copy()
    covariance, inliers = np.diag(_PRIOR**2), 0.0
    for number in range(rounds):
        linear, offset = affine(parameters, size)
        there = at.points @ linear.T + offset
        inside = (there[:, 0] > 1) & (there[:, 0] < size[1] - 2)
        inside &= (there[:, 1] > 1) & (there[:, 1] < size[0] - 2)
        if inside.sum() < len(parameters):
            break
        there, x = there[inside], (at.points[inside] - centre) / radius
        value, across, down = (
            ndimage.map_coordinates(plane, there[:, ::-1].T, order=1) for plane in at.edit
        )
        difference = value - at.values[inside]
        loose = 1 + (looseness - 1) * max(0.0, 1 - 2 * number / rounds)
        spread = loose * max(STD_PER_MAD * float(np.median(np.abs(difference))), _LEAST_SPREAD)
        weight = (1 - (difference / (_TUKEY * spread)) ** 2).clip(min=0) ** 2
        slope = (np.stack([across, down], -1) + at.slopes[inside]) * (radius / 2)
        jacobian = _jacobian(x, parameters, slope)
        weighted = jacobian * weight[:, None]
        strength = _PRIOR_POINTS * spread**2 / _PRIOR**2
        normal = weighted.T @ jacobian + np.diag(strength)
        pull = weighted.T @ difference + strength * (parameters - expected)
        step = np.linalg.solve(normal, pull)
        parameters -= step
        inliers = float(weight.mean()) * len(there) / len(at.points)
        covariance = np.linalg.inv(normal) * spread**2
        if loose == 1 and radius * float(np.abs(step).max()) < _STILL:
            break
    return Fit(parameters, covariance, inliers)


def _jacobian(x: Vector, parameters: Vector, slope: Vector) -> Vector:
    """Derivatives (K, 5) of the edit's values at points x (K, 2), in units of the radius."""
    zoom, turn = parameters[2:4], parameters[4]
    cos, sin = np.cos(turn), np.sin(turn)
    gx, gy = slope.T
    along, across = cos * gx + sin * gy, cos * gy - sin * gx  # the slope in the photo's directions
    return np.stack(
        [gx, gy, along * x[:, 0], across * x[:, 1],
         across * zoom[0] * x[:, 0] - along * zoom[1] * x[:, 1]], -1
    )  # fmt: skip
