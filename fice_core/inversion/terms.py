"""The loss terms as functions of images and targets: each asks its network and one of `losses`."""

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch

from ..errors import FiceError
from ..networks.segmenter import Segmenter
from ..ops.resize import resize
from . import losses
from .clip_views import draw_views, garment_view, take_views
from .targets import Targets

Term = Callable[[torch.Tensor, Targets, int], torch.Tensor]
ImageEncoder = Callable[[torch.Tensor], torch.Tensor]  # pictures to what a critic sees in them
_T = TypeVar("_T")

# Feature maps that the perceptual term compares: the stem's and those of two stages, at H/2, H/4 and H/8.
# The stages after them cost ten times as much and tell regions apart rather than looks.
_FEATURE_MAPS = 3


def _once_per_targets(function: Callable[[Targets], _T]) -> Callable[[Targets], _T]:
    """What follows from targets alone: computed without a graph, and held as long as they are."""
    known: WeakKeyDictionary[Targets, _T] = WeakKeyDictionary()

    def recalled(goal: Targets) -> _T:
        if goal not in known:
            with torch.no_grad():
                known[goal] = function(goal)
        return known[goal]

    return recalled


def clip_term(encode: ImageEncoder, views: int, seed: int) -> Term:
    """1 - cosine of the whole picture and, averaged with it, of `views` random views."""

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        assert goal.text_features is not None  # `check` has seen to it, here and below
        whole = losses.clip_loss(encode(images), goal.text_features)
        if views == 0:
            return whole
        pieces = take_views(images, draw_views(views, seed, step))
        texts = goal.text_features.repeat_interleave(views, dim=0)
        others = losses.clip_loss(encode(pieces), texts).view(-1, views)
        return (whole + others.sum(dim=1)) / (1 + views)

    return term


def clip_region_term(encode: ImageEncoder) -> Term:
    """1 - cosine of the garment's surroundings."""

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        assert goal.text_features is not None and goal.keep_mask is not None
        view = garment_view(images, goal.images, goal.keep_mask)
        return losses.clip_loss(encode(view), goal.text_features)

    return term


def clip_direction_term(encode: ImageEncoder) -> Term:
    """1 - cosine of the ways that picture and text went from photo and source text."""

    @_once_per_targets
    def before(goal: Targets) -> torch.Tensor:
        assert goal.keep_mask is not None
        return encode(garment_view(goal.images, goal.images, goal.keep_mask))

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        assert goal.direction is not None and goal.keep_mask is not None
        view = garment_view(images, goal.images, goal.keep_mask)
        return losses.direction_loss(encode(view), before(goal), goal.direction)

    return term


def pose_term(densepose: ImageEncoder) -> Term:
    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        assert goal.parts is not None
        return losses.pose_loss(densepose(images), goal.parts)

    return term


def head_term(head: ImageEncoder, scale: float) -> Term:
    def smaller(images: torch.Tensor) -> torch.Tensor:
        height, width = (max(1, round(scale * side)) for side in images.shape[-2:])
        return resize(images, (height, width))

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        assert goal.head is not None
        return losses.head_loss(head(smaller(images)), smaller(goal.head))

    return term


def image_term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
    assert goal.keep_mask is not None
    return losses.image_loss(images, goal.images, goal.keep_mask)


def perceptual_term(segmenter: Segmenter) -> Term:
    """How different the pictures look from the targets' to the segmenter's first stages."""

    @_once_per_targets
    def wanted(goal: Targets) -> list[torch.Tensor]:
        return segmenter.features(goal.images, _FEATURE_MAPS)

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        assert goal.keep_mask is not None
        seen = segmenter.features(images, _FEATURE_MAPS)
        return losses.perceptual_loss(seen, wanted(goal), goal.keep_mask)

    return term


def require(value: _T | None, term: str, what: str) -> _T:
    if value is None:
        raise FiceError(f"the {term} term has a weight but no {what}: give one, or set it to 0")
    return value
