"""What the inversion minimises: the weighted sum of the loss terms, and its gradient."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

import torch

from ..acceleration.compilation import compiled
from ..acceleration.frozen_generator import with_precomputed_styles
from ..errors import FiceError
from ..latents import LatentStatistics
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.regions import PersonSegmenter
from ..networks.stylegan2 import Generator, HeldFeatures
from ..ops.autograd import without_grad
from ..settings import InversionSettings
from .critics import Critics
from .targets import Targets
from .terms import CodeTerm, Term, require_critics, require_targets, weighted_terms

#: stages of a step that `on_stage` names, besides the terms
FORWARD, AGAIN, BACKWARD = "generator forward", "generator forward again", "generator backward"

# Pixels of two full-size images, or of eight of the demonstration's, see `rendered_at_once`; GPUs have room
# for four times as many.
_RENDER_ONCE = 2**17
_TIMES_ON_GPUS = 4


class CachedTerm(NamedTuple):
    """A term as it was last computed.

    Attributes:
        value: (n,).
        image_gradient: of the weighted term with respect to the images, (n, 3, H, W).
    """

    value: torch.Tensor
    image_gradient: torch.Tensor


class ObjectiveValue(NamedTuple):
    """The objective at n codes.

    Attributes:
        terms: unweighted loss by term, (n,) each.
        total: weighted sum, (n,).
        images: of the codes, (n, 3, H, W).
        gradient: of every sample's total with respect to its code, (n, num_ws, w_dim).
        cached: of the terms that are not computed at every step.
    """

    terms: dict[str, torch.Tensor]
    total: torch.Tensor
    images: torch.Tensor
    gradient: torch.Tensor
    cached: dict[str, CachedTerm]


class Judged(NamedTuple):
    """The objective at n codes without a gradient.

    Attributes:
        terms: unweighted loss by term, (n,) each.
        total: weighted sum, (n,).
        images: of the codes, (n, 3, H, W).
    """

    terms: dict[str, torch.Tensor]
    total: torch.Tensor
    images: torch.Tensor


class Objective:
    """The weighted sum of the terms whose weight is not 0.

    Args:
        generator: its gradient flows to the codes alone.
        settings: weights and intervals of the terms, whether images are clamped, how it is computed.
        clip, densepose, segmenter: the critics; each is needed only if a term that asks it has a weight.
        statistics: of W; needed only if `latent_prior` has a weight.
        on_stage: called with the name of every stage of `evaluate` as it begins, and with None at the
            end: a term, or one of `FORWARD`, `AGAIN` and `BACKWARD`. It measures steps.

    Attributes:
        critics: the networks as the terms ask them.
        weights: by term, those that are not 0.
        every: the terms that are not computed at every step, and at every how many they are.

    Raises:
        FiceError: a term has a weight but no network, or the device records no graphs.
    """

    def __init__(
        self,
        generator: Generator,
        settings: InversionSettings,
        clip: Clip | None = None,
        densepose: DensePose | None = None,
        segmenter: PersonSegmenter | None = None,
        statistics: LatentStatistics | None = None,
        on_stage: Callable[[str | None], None] | None = None,
    ) -> None:
        device = generator.w_avg.device
        if settings.execution == "graph" and device.type != "cuda":
            raise FiceError(
                f"execution is 'graph', which needs a CUDA device, but the networks are on {device}: "
                "set it to eager or compile"
            )
        self.critics = Critics(settings, device, clip, densepose, segmenter, statistics)
        require_critics(settings.weights, self.critics)
        self._settings = settings
        self._generator = generator
        synthesize = with_precomputed_styles(generator).synthesize
        self._synthesize = compiled(synthesize) if settings.execution == "compile" else synthesize
        self._on_stage = on_stage or (lambda stage: None)
        specs = weighted_terms(settings.weights)
        terms = {name: spec.build(self.critics, settings) for name, spec in specs.items()}
        self._image_terms = {n: cast(Term, t) for n, t in terms.items() if not specs[n].of_code}
        self._code_terms = {n: cast(CodeTerm, t) for n, t in terms.items() if specs[n].of_code}
        names = [*self._image_terms, *self._code_terms]
        self.weights: dict[str, float] = {name: getattr(settings.weights, name) for name in names}
        every = {name: specs[name].every(settings) for name in self._image_terms}
        self.every = {name: steps for name, steps in every.items() if steps > 1}

    def at_once(self, most: int) -> int:
        """How many of up to `most` images to evaluate at once.

        What a CPU renders once keeps all its cores busy. More images at a time would be rendered twice
        or take more memory, and no less time each.
        """
        if self._generator.w_avg.device.type != "cpu":
            return most
        return max(1, min(most, rendered_at_once(self._generator)))

    def check(self, targets: Targets) -> None:
        """Raise FiceError if a term with a weight has no target."""
        require_targets(self._settings.weights, targets)
        if self._settings.hold and targets.keep_mask is None:
            raise FiceError("hold is on but there is no keep mask: give one, or set hold to False")

    def evaluate(
        self,
        codes: torch.Tensor,
        targets: Targets,
        step: int = 0,
        cached: Mapping[str, CachedTerm] | None = None,
    ) -> ObjectiveValue:
        """Losses, images and gradient at `codes` (n, num_ws, w_dim).

        Every term is differentiated to the image by itself, and their sum once through the generator.
        That equals the gradient of the sum, with the graph of one network in memory at a time.

        Args:
            step: seeds the views, and decides which terms are due.
            cached: stands for the terms that are not due; without it all are computed.
        """
        codes = codes.detach().clone().requires_grad_()
        keep_graph = len(codes) <= rendered_at_once(self._generator)
        self._on_stage(FORWARD)
        with torch.set_grad_enabled(keep_graph):
            images = self._render(codes, targets)
        image = images.detach().requires_grad_()
        found: dict[str, CachedTerm] = {}
        for name, term in self._image_terms.items():
            if cached is not None and step % self.every.get(name, 1):
                found[name] = cached[name]
                continue
            self._on_stage(name)
            loss = term(image, targets, step)
            pull = torch.autograd.grad(self.weights[name] * loss.sum(), image)[0]
            found[name] = CachedTerm(loss.detach(), pull)
        terms = {name: one.value for name, one in found.items()}
        gradient = torch.zeros_like(codes)
        if found:
            if not keep_graph:
                self._on_stage(AGAIN)
                images = self._render(codes, targets)
            self._on_stage(BACKWARD)
            pull = torch.stack([one.image_gradient for one in found.values()]).sum(dim=0)
            gradient += torch.autograd.grad(images, codes, pull)[0]
        for name, code_term in self._code_terms.items():
            self._on_stage(name)
            loss = code_term(codes)
            gradient += torch.autograd.grad(self.weights[name] * loss.sum(), codes)[0]
            terms[name] = loss.detach()
        kept = {name: one for name, one in found.items() if name in self.every}
        value = ObjectiveValue(terms, self._weighted(terms), image.detach(), gradient, kept)
        self._on_stage(None)
        return value

    def judge(self, codes: torch.Tensor, targets: Targets, max_batch: int) -> Judged:
        """The objective at `codes` (N, num_ws, w_dim) without a gradient, in pieces of `max_batch`."""
        parts = []
        with without_grad():
            for index in torch.arange(len(codes), device=codes.device).split(max_batch):
                goal, piece = targets.select(index), codes[index]
                images = self._render(piece, goal)
                terms = {name: term(images, goal, 0) for name, term in self._image_terms.items()}
                terms |= {name: term(piece) for name, term in self._code_terms.items()}
                parts.append(Judged(terms, self._weighted(terms), images))
            return Judged(
                {name: torch.cat([part.terms[name] for part in parts]) for name in self.weights},
                torch.cat([part.total for part in parts]),
                torch.cat([part.images for part in parts]),
            )

    def _weighted(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum(dim=0)

    def _render(self, codes: torch.Tensor, targets: Targets) -> torch.Tensor:
        held = None
        if self._settings.hold:
            assert targets.keep_mask is not None
            held = HeldFeatures(targets.w_plus, targets.keep_mask)
        images = self._synthesize(codes, held)
        return images.clamp(0, 1) if self._settings.clamp else images


def rendered_at_once(generator: Generator) -> int:
    """For how many images the generator's graph stays in memory beside a critic's; it may be 0.

    The critic's graph takes 0.3 GB for a full-size image. More images, and a single larger one, are
    rendered twice instead, which takes up to a third more time.
    """
    height, width = generator.resolution
    times = 1 if generator.w_avg.device.type == "cpu" else _TIMES_ON_GPUS
    return times * _RENDER_ONCE // (height * width)
