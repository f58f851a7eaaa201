"""Finds how an edit is shifted, zoomed, stretched and turned against its photo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .agreement import Agreement, agreement
from .alignment import Alignment
from .differences import different
from .features import Level, level, resized, without
from .refinement import Fit, Vector, moved_image, refine
from .search import starts

_SIDE = 1024  # pixels of the longer side at which images are compared at most
_COARSEST = 96  # of the smallest level at most
#: pixels of the smallest side that can be registered
SMALLEST = 32
_STARTS, _FOLLOWED, _FINISHED = 10, 5, 3  # on the first level, the second, and to the end
_SAME = 0.01  # of every parameter: starts that differ less end in one place
_ROUNDS, _COARSE_ROUNDS = 12, 20
_ROUGH, _TOLERANCE = 4, 2  # pixels by which edges may lie apart before and after a refinement
_FEWEST = 30  # points have to be left
_PERFECT, _NEAR = 0.85, 0.25  # share of alike cells, and pixels, at which no other start is tried


@dataclass(frozen=True)
class Registration:
    """The alignment of an edit and what speaks for it.

    Attributes:
        alignment: the estimate.
        share: of the places outside the garment that have structure, how many show the same, in [0, 1].
        residual: median distance in pixels of the photo by which these places are still displaced.
        uncertainty: standard deviation in pixels of the photo of where the photo's corners lie.
        confidence: in [0, 1]; below `DOUBTFUL` the estimate may be wrong.
    """

    alignment: Alignment
    share: float
    residual: float
    uncertainty: float
    confidence: float

    def line(self) -> str:
        """What was found, in one readable line."""
        geometry = self.alignment
        across, down = (100 * zoom for zoom in geometry.zoom)
        zoom = f"{across:.2f} %" if abs(across - down) < 0.005 else f"{across:.2f} x {down:.2f} %"
        moved = " and ".join(
            f"{abs(value):.2f} px {names[value < 0]}"
            for value, names in zip(
                geometry.shift, (("right", "left"), ("down", "up")), strict=True
            )
        )
        turned = f", turned {geometry.turn:+.2f} degrees" if abs(geometry.turn) >= 0.005 else ""
        return (
            f"the edit is shifted {moved}, zoomed to {zoom}{turned}; residual {self.residual:.2f} px, "
            f"confidence {self.confidence:.2f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; None where a number is not finite."""
        geometry = self.alignment
        return {
            "shift_px": list(geometry.shift),
            "zoom_percent": [100 * zoom for zoom in geometry.zoom],
            "turn_degrees": geometry.turn,
            "residual_px": self.residual if math.isfinite(self.residual) else None,
            "uncertainty_px": self.uncertainty if math.isfinite(self.uncertainty) else None,
            "agreement": self.share,
            "confidence": self.confidence,
        }


#: Below this confidence the estimate may be wrong.
DOUBTFUL = 0.65
_AGREED = (0.5, 0.8)  # share of alike cells at which confidence is 0 and 1
_EXACT = (0.7, 0.2)  # the same for pixels by which they are displaced
_ENOUGH = 10  # cells with structure
_CORRELATED = (
    3.0  # neighbouring points see the same noise: a standard deviation is larger by this factor
)


def register(
    photo: torch.Tensor, edit: torch.Tensor, free: torch.Tensor | None = None
) -> Registration:
    """How `edit` is shifted, zoomed, stretched and turned against `photo`.

    Both are compared by their locally normalised brightness, from coarse to fine. Points that show different
    things are outliers without influence.

    Args:
        photo: (3, H, W) in [0, 1].
        edit: (3, h, w) in [0, 1], of any size and proportions.
        free: where the content may differ, (1, H, W); pixels above 0 and their surroundings are not compared.
            None compares everything.

    Returns:
        The estimate, whatever its confidence.

    Raises:
        ValueError: the shapes do not match, or a side is too small.
    """
    size = (photo.shape[-2], photo.shape[-1])
    alignment = Alignment(size, (edit.shape[-2], edit.shape[-1]))
    if photo.ndim != 3 or edit.ndim != 3 or (free is not None and free.shape != (1, *size)):
        raise ValueError("photo and edit must be (3, H, W), and the mask (1, H, W) of the photo")
    if min(*size, *alignment.edit_size) < SMALLEST:
        raise ValueError(f"images need at least {SMALLEST} pixels a side to be registered")
    levels = _Levels(photo, edit, free)
    best: tuple[Fit, Agreement] | None = None
    for start in _starts(levels, alignment):
        tried = _followed(levels, start)
        if best is None or _score(tried[1]) > _score(best[1]):
            best = tried
        if best[1].share > _PERFECT and best[1].apart < _NEAR:
            break
    if best is None:
        raise AssertionError("there is always a start")
    fit, found = best
    return _judged(alignment.with_parameters(fit.parameters), fit, found, levels.scale)


def _followed(levels: _Levels, parameters: Vector) -> tuple[Fit, Agreement]:
    """The fit that a start leads to on the finest level, and how well the images then agree."""
    last = len(levels.sizes) - 1
    for number in [
        *range(min(1, last), last + 1),
        last,
    ]:  # at the end twice: now edges lie on each other
        at = _unchanged(levels[number], parameters, _TOLERANCE)
        fit = refine(at, parameters, _ROUNDS)
        parameters = fit.parameters
    return fit, agreement(at, parameters)


def _score(found: Agreement) -> float:
    """How much speaks for an alignment: many places that agree, and few that do not."""
    return found.share * float(found.alike.sum())


class _Levels:
    """Both images from coarse to fine, each level computed when it is asked for."""

    def __init__(self, photo: torch.Tensor, edit: torch.Tensor, free: torch.Tensor | None) -> None:
        height, width = photo.shape[-2:]
        density = (edit.shape[-2] * edit.shape[-1] / (height * width)) ** 0.5
        longest = max(height, width)
        self.scale = min(1.0, _SIDE / longest, max(density, 2 * SMALLEST / longest))
        finest = (max(8, round(height * self.scale)), max(8, round(width * self.scale)))
        self._images = [resized(image.detach()[None].float(), finest) for image in (photo, edit)]
        self._free = None if free is None else (free.detach()[None] > 0).float()
        self.sizes = [finest]
        while max(self.sizes[0]) > _COARSEST:
            half = (self.sizes[0][0] + 1) // 2, (self.sizes[0][1] + 1) // 2
            self.sizes.insert(0, half)
        self._levels: dict[int, Level] = {}

    def __getitem__(self, number: int) -> Level:
        if number not in self._levels:
            size = self.sizes[number]
            photo, edit = (resized(image, size)[0].cpu().numpy() for image in self._images)
            found = level(photo, edit, np.ones(size, bool))
            if self._free is not None:
                found = without(found, resized(self._free, size)[0, 0].cpu().numpy() > 0)
            self._levels[number] = found
        return self._levels[number]


def _starts(levels: _Levels, alignment: Alignment) -> list[Vector]:
    """Parameters from which the finer levels may converge, the most likely first."""
    coarse, judge = levels[0], levels[min(1, len(levels.sizes) - 1)]

    def followed(start: Vector, at: Level, passes: tuple[int, ...]) -> tuple[Agreement, Vector]:
        """The agreement after refinements that tolerate so many pixels, and the parameters."""
        for number, tolerance in enumerate(passes):
            near = _unchanged(at, start, tolerance)
            start = refine(near, start, _COARSE_ROUNDS, looseness=3.0 - number).parameters
        return agreement(near, start), start

    _, start = followed(alignment.parameters, coarse, (_ROUGH, _TOLERANCE))
    first = followed(start, judge, (_TOLERANCE,))
    if first[0].share > _PERFECT and first[0].apart < _NEAR:
        return [first[1]]
    at = _unchanged(coarse, alignment.parameters, _ROUGH)
    tried = [followed(s, coarse, (_ROUGH, _TOLERANCE)) for s in starts(at, alignment, _STARTS)]
    tried.sort(key=lambda each: -_score(each[0]))
    nearer = [followed(start, judge, (_TOLERANCE,)) for _, start in tried[:_FOLLOWED]]
    different: list[Vector] = []
    for _, start in sorted([first, *nearer], key=lambda each: -_score(each[0])):
        if all(np.abs(start - other).max() > _SAME for other in different):
            different.append(start)
    return different[:_FINISHED]


def _unchanged(at: Level, parameters: Vector, tolerance: int) -> Level:
    """A level without what has another colour in the edit: what `parameters` align there is a new garment.

    If that would leave next to nothing, the level is returned as it is.
    """
    edit, seen = moved_image(at.colours[1], parameters)
    changed = different(at.colours[0], edit, seen & at.usable, tolerance)
    left = without(at, changed)
    return left if len(left.points) > _FEWEST else at


def _judged(alignment: Alignment, fit: Fit, found: Agreement, scale: float) -> Registration:
    """The registration with what speaks for it."""
    corners = (
        np.array([[x, y] for x in (-1, 1) for y in (-1, 1)])
        * np.array([alignment.size[1], alignment.size[0]])
        / (2 * alignment.radius)
    )
    zoom = fit.parameters[2:4]  # a rotation changes no length
    variances = []
    for x, y in corners:
        slopes = np.array([[1, 0, x, 0, -zoom[1] * y], [0, 1, 0, y, zoom[0] * x]])
        variances.append(np.trace(slopes @ fit.covariance @ slopes.T))
    uncertainty = _CORRELATED * float(np.sqrt(max(variances))) * alignment.radius
    residual = found.apart / scale
    confidence = _confidence(found, uncertainty)
    return Registration(alignment, found.share, residual, uncertainty, confidence)


def _confidence(found: Agreement, uncertainty: float) -> float:
    """A number in [0, 1]: do enough places agree, do they lie on each other, do they hold the corners."""
    agreed = _ramp(found.share, *_AGREED)
    exact = _ramp(found.apart, *_EXACT)
    enough = min(1.0, found.cells / _ENOUGH)
    return agreed * exact * enough / (1 + uncertainty**2)


def _ramp(value: float, none: float, full: float) -> float:
    """0 at `none`, 1 at `full`, linear between them."""
    return min(1.0, max(0.0, (value - none) / (full - none)))
