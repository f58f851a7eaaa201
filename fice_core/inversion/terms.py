"""The registry of loss terms: what each term needs, and how it is built.

A new term is a function in `losses.py`, a builder and an entry in `TERMS` here, a weight in
`settings.LossWeights`, and a tooltip in `nodes/settings.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, cast
from weakref import WeakKeyDictionary

import torch

from ..errors import FiceError
from ..ops.resize import resize
from ..settings import InversionSettings, LossWeights
from . import losses
from .clip_views import draw_views, garment_view, take_views
from .critics import Critics
from .targets import Targets

#: images (N, 3, H, W), targets and step number to one loss a sample, (N,)
Term = Callable[[torch.Tensor, Targets, int], torch.Tensor]
#: codes (N, num_ws, w_dim) to one loss a sample, (N,)
CodeTerm = Callable[[torch.Tensor], torch.Tensor]
Critic = Literal["clip", "densepose", "segmenter", "statistics"]
_T = TypeVar("_T")

# How error messages call what a term lacks.
_CRITIC_NAMES = {
    "clip": "CLIP network",
    "densepose": "DensePose network",
    "segmenter": "segmenter",
    "statistics": "statistics of W",
}
_TARGET_NAMES = {
    "text_features": "text",
    "direction": "source text",
    "parts": "pose",
    "head": "head mask",
    "keep_mask": "keep mask",
}


@dataclass(frozen=True)
class TermSpec:
    """What one loss term needs, and how it is built.

    Attributes:
        critic: the network, or the statistics of W, that the term asks; None for none.
        needs: the fields of `Targets` that must not be None.
        build: makes the term.
        of_code: whether the term is a `CodeTerm`; else it is a `Term` of images.
        interval: the setting that says at every how many steps the term is computed; None for every step.
    """

    critic: Critic | None
    needs: tuple[str, ...]
    build: Callable[[Critics, InversionSettings], Term | CodeTerm]
    of_code: bool = False
    interval: str | None = None

    def every(self, settings: InversionSettings) -> int:
        """At every how many steps the term is computed."""
        return getattr(settings, self.interval) if self.interval else 1


def clip_term(critics: Critics, settings: InversionSettings) -> Term:
    """1 - cosine of the whole image, averaged with that of `clip_views` random views."""
    encode, views, seed = critics.encode_image_fast, settings.clip_views, settings.seed

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        texts = _given(goal.text_features)
        whole = losses.clip_loss(encode(images), texts)
        if views == 0:
            return whole
        pieces = take_views(images, draw_views(views, seed, step))
        others = losses.clip_loss(encode(pieces), texts.repeat_interleave(views, dim=0))
        return (whole + others.view(-1, views).sum(dim=1)) / (1 + views)

    return term


def clip_region_term(critics: Critics, settings: InversionSettings) -> Term:
    """1 - cosine of the surroundings of the garment."""
    encode = critics.encode_image_fast

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        view = garment_view(images, goal.images, _given(goal.keep_mask))
        return losses.clip_loss(encode(view), _given(goal.text_features))

    return term


def clip_direction_term(critics: Critics, settings: InversionSettings) -> Term:
    """1 - cosine of two directions: from the photo to the image, and from the source text to the text."""
    encode = critics.encode_image_fast

    @_once_per_targets
    def photo_features(goal: Targets) -> torch.Tensor:
        return encode(garment_view(goal.images, goal.images, _given(goal.keep_mask)))

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        view = garment_view(images, goal.images, _given(goal.keep_mask))
        return losses.direction_loss(encode(view), photo_features(goal), _given(goal.direction))

    return term


def pose_term(critics: Critics, settings: InversionSettings) -> Term:
    """Mean squared difference of the DensePose part maps."""
    densepose = critics.find_parts

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        return losses.pose_loss(densepose(images), _given(goal.parts))

    return term


def head_term(critics: Critics, settings: InversionSettings) -> Term:
    """Mean squared difference of the head masks, in images of scale `head_scale`."""
    find_head, scale = critics.find_head, settings.head_scale

    def smaller(images: torch.Tensor) -> torch.Tensor:
        height, width = (max(1, round(scale * side)) for side in images.shape[-2:])
        return resize(images, (height, width))

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        return losses.head_loss(find_head(smaller(images)), smaller(_given(goal.head)))

    return term


def image_term(critics: Critics, settings: InversionSettings) -> Term:
    """Mean squared difference of the pixels that must stay."""

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        return losses.image_loss(images, goal.images, _given(goal.keep_mask))

    return term


def perceptual_term(critics: Critics, settings: InversionSettings) -> Term:
    """Difference of the segmenter's first feature maps where the image must stay."""
    features = critics.find_features

    @_once_per_targets
    def photo_features(goal: Targets) -> list[torch.Tensor]:
        return features(goal.images)

    def term(images: torch.Tensor, goal: Targets, step: int) -> torch.Tensor:
        return losses.perceptual_loss(
            features(images), photo_features(goal), _given(goal.keep_mask)
        )

    return term


def latent_term(critics: Critics, settings: InversionSettings) -> CodeTerm:
    """Mean squared distance of every layer's w from the first layer's."""
    return losses.latent_loss


def latent_prior_term(critics: Critics, settings: InversionSettings) -> CodeTerm:
    """Mean squared Mahalanobis distance of every layer's w from W."""
    statistics = _given(critics.statistics)
    return lambda codes: losses.latent_prior_loss(codes, statistics)


#: all terms, in the order in which they are computed and reported
TERMS: dict[str, TermSpec] = {
    "clip": TermSpec("clip", ("text_features",), clip_term),
    "clip_region": TermSpec("clip", ("text_features", "keep_mask"), clip_region_term),
    "clip_direction": TermSpec("clip", ("direction", "keep_mask"), clip_direction_term),
    "pose": TermSpec("densepose", ("parts",), pose_term, interval="pose_every"),
    "head": TermSpec("segmenter", ("head",), head_term, interval="head_every"),
    "image": TermSpec(None, ("keep_mask",), image_term),
    "perceptual": TermSpec("segmenter", ("keep_mask",), perceptual_term),
    "latent": TermSpec(None, (), latent_term, of_code=True),
    "latent_prior": TermSpec("statistics", (), latent_prior_term, of_code=True),
}


def weighted_terms(weights: LossWeights) -> dict[str, TermSpec]:
    """The terms whose weight is not 0, by name."""
    return {name: spec for name, spec in TERMS.items() if getattr(weights, name)}


def require_critics(weights: LossWeights, critics: Critics) -> None:
    """Raise FiceError if a term with a weight lacks its network or statistics."""
    for name, spec in weighted_terms(weights).items():
        if spec.critic is not None and getattr(critics, spec.critic) is None:
            raise _missing(name, _CRITIC_NAMES[spec.critic])


def require_targets(weights: LossWeights, targets: Targets) -> None:
    """Raise FiceError if a term with a weight lacks a target."""
    for name, spec in weighted_terms(weights).items():
        for field in spec.needs:
            if getattr(targets, field) is None:
                raise _missing(name, _TARGET_NAMES[field])


def without_missing(weights: LossWeights, targets: Targets, absent: set[Critic]) -> LossWeights:
    """The weights, 0 for every term that lacks a target, or whose critic is among the `absent` ones."""
    off = {
        name: 0.0
        for name, spec in TERMS.items()
        if spec.critic in absent or any(getattr(targets, field) is None for field in spec.needs)
    }
    return replace(weights, **off)


def _missing(term: str, what: str) -> FiceError:
    return FiceError(f"the {term} term has a weight but no {what}: give one, or set it to 0")


def _given(value: _T | None) -> _T:
    """A value that `require_targets` or `require_critics` has found to be there."""
    return cast(_T, value)


def _once_per_targets(function: Callable[[Targets], _T]) -> Callable[[Targets], _T]:
    """`function`, computed once for each `Targets` without a graph, and kept as long as these exist."""
    known: WeakKeyDictionary[Targets, _T] = WeakKeyDictionary()

    def recalled(goal: Targets) -> _T:
        if goal not in known:
            with torch.no_grad():
                known[goal] = function(goal)
        return known[goal]

    return recalled
