"""What the optimisation minimises: the weighted sum of the loss terms, and its gradient."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import torch

from ..acceleration.bfloat16 import in_bfloat16, multiplies_bfloat16
from ..acceleration.compilation import compiled
from ..acceleration.frozen_generator import with_precomputed_styles
from ..acceleration.fusion import with_winograd
from ..errors import FiceError
from ..latents import LatentStatistics
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.segmenter import Segmenter
from ..networks.stylegan2 import Generator, HeldFeatures
from ..ops.batching import in_batches
from ..settings import InversionSettings
from . import losses
from .targets import Targets
from .terms import (
    _T,
    ImageEncoder,
    Term,
    clip_direction_term,
    clip_region_term,
    clip_term,
    head_term,
    image_term,
    perceptual_term,
    pose_term,
    require,
)

# Pixels of two full-size pictures, or of eight of the demonstration's, see `rendered_at_once`; GPUs have four
# times as many in hand.
_RENDER_ONCE = 2**17
_TIMES_ON_GPUS = 4


class ObjectiveValue(NamedTuple):
    """The objective at n codes.

    Attributes:
        terms: unweighted loss by term, (n,) each.
        total: weighted sum, (n,).
        images: pictures of the codes, (n, 3, H, W).
        gradient: of every sample's total with respect to its code, (n, num_ws, w_dim).
        recent: of the terms that are not computed at every step.
    """

    terms: dict[str, torch.Tensor]
    total: torch.Tensor
    images: torch.Tensor
    gradient: torch.Tensor
    recent: dict[str, "CachedTerm"]


class CachedTerm(NamedTuple):
    """What a term was when it was last computed: its value, (n,), and the weighted gradient at the
    pictures, (n, 3, H, W)."""

    value: torch.Tensor
    pull: torch.Tensor


class Objective:
    """The weighted sum of the terms whose weight is not 0.

    Args:
        generator: its gradient flows to the codes alone.
        settings: weights, and whether pictures are clamped.
        clip, densepose, segmenter: the critics; each needed only if its term has a weight.
        statistics: of W; needed only if `latent_prior` has a weight.

    Raises:
        FiceError: a term has a weight but no network, or the device records no graphs.
    """

    def __init__(
        self,
        generator: Generator,
        settings: InversionSettings,
        clip: Clip | None = None,
        densepose: DensePose | None = None,
        segmenter: Segmenter | None = None,
        statistics: LatentStatistics | None = None,
    ) -> None:
        device = generator.w_avg.device
        if settings.execution == "graph" and device.type != "cuda":
            raise FiceError(
                f"execution is 'graph', which needs a CUDA device, but the networks are on {device}: "
                "set it to eager or compile"
            )
        quick = compiled if settings.execution == "compile" else _unchanged
        self._generator = generator
        self._synthesize = quick(with_precomputed_styles(generator).synthesize)
        self._clamp = settings.clamp
        self._hold = settings.hold
        weights = settings.weights
        #: whether the critics multiply in bfloat16
        self.uses_bfloat16 = settings.mixed_precision and multiplies_bfloat16(device)
        critic = cache(in_bfloat16 if self.uses_bfloat16 else with_winograd)
        see = _in_bfloat16 if self.uses_bfloat16 else _unchanged
        #: pictures (N, 3, H, W) to CLIP's features (N, D), as the terms of the text see them; None
        #: where none of these has a weight
        self.encode_image: ImageEncoder | None = None
        self._picture_terms: dict[str, Term] = {}
        self._code_terms: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}

        def encoder(term: str) -> ImageEncoder:
            encode = see(critic(require(clip, term, "CLIP network")).encode_image)
            self.encode_image = encode
            # In float32 there is nothing to gain, and Winograd's convolutions are not for compilers.
            return quick(encode) if self.uses_bfloat16 else encode

        if weights.clip:
            self._picture_terms["clip"] = clip_term(
                encoder("clip"), settings.clip_views, settings.seed
            )
        if weights.clip_region:
            self._picture_terms["clip_region"] = clip_region_term(encoder("clip_region"))
        if weights.clip_direction:
            self._picture_terms["clip_direction"] = clip_direction_term(encoder("clip_direction"))
        if weights.pose:
            self._picture_terms["pose"] = pose_term(
                see(critic(require(densepose, "pose", "DensePose network")))
            )
        if weights.head:
            parser = critic(require(segmenter, "head", "segmenter"))
            self._picture_terms["head"] = head_term(
                see(lambda images: parser(images).head), settings.head_scale
            )
        if weights.image:
            self._picture_terms["image"] = image_term
        if weights.perceptual:
            self._picture_terms["perceptual"] = perceptual_term(
                require(segmenter, "perceptual", "segmenter")
            )
        if weights.latent:
            self._code_terms["latent"] = losses.latent_loss
        if weights.latent_prior:
            known = require(statistics, "latent_prior", "statistics of W")
            self._code_terms["latent_prior"] = lambda w: losses.latent_prior_loss(w, known)
        names = [*self._picture_terms, *self._code_terms]
        self.weights = {name: getattr(weights, name) for name in names}
        every = {"head": settings.head_every, "pose": settings.pose_every}
        #: terms that are not computed at every step, and at every how many
        self.every = {n: k for n, k in every.items() if k > 1 and n in self._picture_terms}

    def at_once(self, most: int) -> int:
        """How many of up to `most` pictures to evaluate at once. A CPU has its hands full with what is
        rendered once: more at a time would be rendered twice or take more memory, and no less time each."""
        if self._generator.w_avg.device.type != "cpu":
            return most
        return max(1, min(most, rendered_at_once(self._generator)))

    def check(self, targets: Targets) -> None:
        """Raise FiceError if a term with a weight has no target."""
        wanted = {
            "clip": (targets.text_features, "text"),
            "clip_region": (targets.text_features, "text"),
            "clip_direction": (targets.direction, "source text"),
            "pose": (targets.parts, "pose"),
            "head": (targets.head, "head mask"),
            "image": (targets.keep_mask, "keep mask"),
            "perceptual": (targets.keep_mask, "keep mask"),
        }
        for term, (value, what) in wanted.items():
            if term in self.weights:
                require(value, term, what)
        if self._hold:
            require(targets.keep_mask, "hold", "keep mask")
        if {"clip_region", "clip_direction"} & set(self.weights):
            require(targets.keep_mask, "clip_region or clip_direction", "keep mask")

    def evaluate(
        self,
        codes: torch.Tensor,
        targets: Targets,
        step: int = 0,
        recent: Mapping[str, CachedTerm] | None = None,
    ) -> ObjectiveValue:
        """Losses, pictures and gradient at `codes` (n, num_ws, w_dim).

        Every term is differentiated to the picture by itself, and their sum once through the
        generator. That equals the gradient of the sum, with one network's graph in memory at a time.

        Args:
            step: seeds the views, and says which terms are due.
            recent: what stands for those that are not; without it all are computed.
        """
        codes = codes.detach().clone().requires_grad_()
        keep_graph = len(codes) <= rendered_at_once(self._generator)
        with torch.set_grad_enabled(keep_graph):
            images = self._render(codes, targets)
        picture = images.detach().requires_grad_()
        found: dict[str, CachedTerm] = {}
        for name, term in self._picture_terms.items():
            if recent is not None and step % self.every.get(name, 1):
                found[name] = recent[name]
                continue
            value = term(picture, targets, step)
            pull = torch.autograd.grad(self.weights[name] * value.sum(), picture)[0]
            found[name] = CachedTerm(value.detach(), pull)
        terms = {name: one.value for name, one in found.items()}
        gradient = torch.zeros_like(codes)
        if found:
            if not keep_graph:
                images = self._render(codes, targets)
            pull = torch.stack([one.pull for one in found.values()]).sum(dim=0)
            gradient += torch.autograd.grad(images, codes, pull)[0]
        for name, code_term in self._code_terms.items():
            value = code_term(codes)
            gradient += torch.autograd.grad(self.weights[name] * value.sum(), codes)[0]
            terms[name] = value.detach()
        kept = {name: one for name, one in found.items() if name in self.every}
        return ObjectiveValue(terms, self._weighted(terms), picture.detach(), gradient, kept)

    def total(self, codes: torch.Tensor, targets: Targets, max_batch: int) -> torch.Tensor:
        """The weighted sum alone, (N,), at `codes` (N, num_ws, w_dim), in pieces of `max_batch`."""

        def of(index: torch.Tensor) -> torch.Tensor:
            goal, piece = targets.select(index), codes[index]
            images = self._render(piece, goal)
            terms = {name: term(images, goal, 0) for name, term in self._picture_terms.items()}
            terms |= {name: term(piece) for name, term in self._code_terms.items()}
            return self._weighted(terms)

        return in_batches(of, torch.arange(len(codes), device=codes.device), max_batch)

    def _weighted(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum(dim=0)

    def _render(self, codes: torch.Tensor, targets: Targets) -> torch.Tensor:
        held = None
        if self._hold:
            assert targets.keep_mask is not None
            held = HeldFeatures(targets.w_plus, targets.keep_mask)
        images = self._synthesize(codes, held)
        return images.clamp(0, 1) if self._clamp else images


def rendered_at_once(generator: Generator) -> int:
    """For how many pictures, 0 too, the generator's graph is kept in memory beside a critic's, which takes
    0.3 GB for a full-size one. More, and a single larger picture, are rendered twice instead, which takes
    up to a third more time."""
    height, width = generator.resolution
    times = 1 if generator.w_avg.device.type == "cpu" else _TIMES_ON_GPUS
    return times * _RENDER_ONCE // (height * width)


def _unchanged(sight: _T) -> _T:
    return sight


def _in_bfloat16(sight: ImageEncoder) -> ImageEncoder:
    """A critic whose products are of bfloat16; what it says is float32 again."""

    def lower(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            return sight(images).float()

    return lower
