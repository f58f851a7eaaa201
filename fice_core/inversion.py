"""Stage 2: constrained GAN inversion. Adam moves the W+ codes alone; every network is frozen."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

import torch

from . import losses
from .errors import FiceError
from .initialization import Targets, synthesize
from .latents import LatentStatistics, check_latent, latent_statistics
from .networks.clip import Clip
from .networks.densepose import DensePose
from .networks.segmenter import Segmenter
from .networks.stylegan2 import Generator
from .settings import EditSettings
from .trace import Trace

# Steps after which the host asks an accelerator which pictures are finished: asking makes it wait.
_CHECK_EVERY = 10

_T = TypeVar("_T")
StopReason = Literal["steps", "plateau", "diverged", "request", "interrupt"]
PictureTerm = Callable[[torch.Tensor, Targets], torch.Tensor]


@dataclass(frozen=True)
class InversionResult:
    """What the loop found.

    Attributes:
        w_plus: codes, (N, num_ws, w_dim).
        images: their pictures, (N, 3, H, W); in [0, 1] if the settings clamp.
        initial: pictures of the starting codes, (N, 3, H, W).
        trace: every loss at every step.
        stopped: why the loop ended: all "steps" done, "plateau" of every picture, every picture
            "diverged", the callback's "request", or an "interrupt" from the keyboard.
        warnings: one line each.
    """

    w_plus: torch.Tensor
    images: torch.Tensor
    initial: torch.Tensor
    trace: Trace
    stopped: StopReason
    warnings: tuple[str, ...]


class InversionInterrupted(KeyboardInterrupt):
    """Ctrl-C in the loop. Uncaught it acts as any KeyboardInterrupt; `result` is the best so far."""

    def __init__(self, result: InversionResult) -> None:
        super().__init__("interrupted")
        self.result = result


class Step:
    """One step, as the callback sees it. What is not looked at is not computed or copied.

    Attributes:
        index: number of the step, from 0.
        steps: number of steps asked for.
        values: unweighted loss by term, (N,) on the device; NaN for pictures that are finished.
        total: weighted sum, (N,) on the device.
    """

    def __init__(
        self,
        index: int,
        steps: int,
        values: dict[str, torch.Tensor],
        total: torch.Tensor,
        images: torch.Tensor,
    ) -> None:
        self.index = index
        self.steps = steps
        self.values = values
        self.total = total
        self.stop_requested = False
        self._images = images

    @cached_property
    def losses(self) -> dict[str, float]:
        """Unweighted terms and their weighted "total", averaged over the pictures still optimised.

        Reading it makes the host wait for the device.
        """
        names = [*self.values, "total"]
        means = torch.stack([*self.values.values(), self.total]).nanmean(dim=1)
        return dict(zip(names, means.tolist(), strict=True))

    @cached_property
    def preview(self) -> torch.Tensor:
        """Pictures of this step, (N, 3, H, W) in [0, 1] on the CPU."""
        return self._images.clamp(0, 1).cpu()

    def stop(self) -> None:
        """End the loop after this step, with the result so far."""
        self.stop_requested = True


OnStep = Callable[[Step], None]


def invert(
    generator: Generator,
    targets: Targets,
    settings: EditSettings,
    *,
    clip: Clip | None = None,
    densepose: DensePose | None = None,
    segmenter: Segmenter | None = None,
    statistics: LatentStatistics | None = None,
    on_step: OnStep | None = None,
) -> InversionResult:
    """Optimise W+ codes so that their pictures follow the text and keep to the targets.

    Every term's gradient is taken to the picture by itself and then all at once through the
    generator: the same sum, with only one critic's graph in memory at a time. Samples do not
    influence one another, so `settings.max_batch` changes memory and not the result.

    Args:
        generator: its gradient flows to the codes alone; no network is changed.
        targets: starting codes and what they are held to.
        settings: steps, schedule, weights...
        clip, densepose, segmenter: the critics; each is needed only if its term's weight is above 0.
        statistics: of W, for `latent_prior` and `start_noise`; estimated when missing.
        on_step: called after every step. An exception that it raises ends the loop and is passed
            on (cancel); `Step.stop()` ends it with a result.

    Raises:
        FiceError: a term has a weight but no critic or target, or the codes do not fit.
        InversionInterrupted: Ctrl-C; holds the result so far.
    """
    with torch.inference_mode(False), torch.enable_grad():
        terms = _picture_terms(settings, targets, clip, densepose, segmenter)
        check_latent(targets.w_plus, generator)
        if statistics is None and (settings.weights.latent_prior or settings.start_noise):
            statistics = latent_statistics(generator)
        loop = _Loop(generator, targets.clone(), settings, terms, statistics)
        try:
            stopped = loop.run(on_step)
        except KeyboardInterrupt as interrupt:
            raise InversionInterrupted(loop.result("interrupt")) from interrupt
        return loop.result(stopped)


def _picture_terms(
    settings: EditSettings,
    targets: Targets,
    clip: Clip | None,
    densepose: DensePose | None,
    segmenter: Segmenter | None,
) -> dict[str, PictureTerm]:
    """The terms that judge a picture, by name, those of weight 0 left out."""

    terms: dict[str, PictureTerm] = {}
    weights = settings.weights
    if weights.clip:
        clip_network = _need(clip, "clip", "CLIP network")
        _need(targets.text_features, "clip", "text")
        terms["clip"] = lambda images, goal: losses.clip_loss(
            clip_network.encode_image(images), goal.text_features
        )
    if weights.pose:
        pose_network = _need(densepose, "pose", "DensePose network")
        _need(targets.parts, "pose", "pose")
        terms["pose"] = lambda images, goal: losses.pose_loss(pose_network(images), goal.parts)
    if weights.head:
        head_network = _need(segmenter, "head", "segmenter")
        _need(targets.head, "head", "head mask")
        terms["head"] = lambda images, goal: losses.head_loss(head_network(images).head, goal.head)
    if weights.image:
        _need(targets.keep_mask, "image", "keep mask")
        terms["image"] = lambda images, goal: losses.image_loss(images, goal.images, goal.keep_mask)
    return terms


def _need(value: _T | None, term: str, what: str) -> _T:
    if value is None:
        raise FiceError(f"the {term} term has a weight but no {what}: give one, or set it to 0")
    return value


class _Kept(NamedTuple):
    """The result so far; replaced as a whole, so that an interrupt never sees half of one."""

    w_plus: torch.Tensor
    images: torch.Tensor
    total: torch.Tensor
    step: torch.Tensor


class _Loop:
    """The state of one inversion. All of it lives on the device; the host only queues work."""

    def __init__(
        self,
        generator: Generator,
        targets: Targets,
        settings: EditSettings,
        terms: dict[str, PictureTerm],
        statistics: LatentStatistics | None,
    ) -> None:
        self.generator = generator
        self.targets = targets
        self.settings = settings
        self.picture_terms = terms
        self.statistics = statistics
        weights = settings.weights.as_dict()
        latent_names = [name for name in ("latent", "latent_prior") if weights[name]]
        self.weights = {name: weights[name] for name in [*terms, *latent_names]}

        count, device = len(targets), targets.w_plus.device
        self.w_plus = targets.w_plus.clone()
        if settings.start_noise and statistics is not None:
            rng = torch.Generator().manual_seed(settings.seed)
            noise = [torch.randn(self.w_plus.shape[1:], generator=rng) for _ in range(count)]
            spread = settings.start_noise * statistics.std
            self.w_plus += spread * torch.stack(noise).to(device)
        self.initial = synthesize(generator, self.w_plus, settings.clamp, settings.max_batch)

        def filled(*shape: int, value: float) -> torch.Tensor:
            return torch.full(shape, value, device=device)

        self.kept = _Kept(
            self.w_plus.clone(),
            self.initial,
            filled(count, value=torch.inf),
            torch.full((count,), -1, device=device),
        )
        self.active = torch.ones(count, dtype=torch.bool, device=device)
        self.diverged = torch.full((count,), -1, device=device)
        self.plateau_total = filled(count, value=torch.inf)
        self.improved_at = torch.zeros(count, dtype=torch.long, device=device)
        self.record = {
            name: filled(settings.steps, count, value=torch.nan) for name in self.weights
        }
        self.total = filled(settings.steps, count, value=torch.nan)
        self.seconds: list[float] = []
        self.rates: list[float] = []

    def run(self, on_step: OnStep | None) -> StopReason:
        """Take all steps, or fewer; the results are then in the attributes."""
        settings = self.settings
        self.w_plus.grad = torch.zeros_like(self.w_plus)
        optimizer = torch.optim.Adam([self.w_plus.requires_grad_()], lr=settings.learning_rate)
        start = time.monotonic()
        check_every = 1 if self.w_plus.device.type == "cpu" else _CHECK_EVERY
        pieces = self._pieces(torch.arange(len(self.targets), device=self.w_plus.device))
        for index in range(settings.steps):
            values, total, images = self._evaluate(pieces)
            step = self._keep(index, values, total, images)
            self.rates.append(settings.learning_rate_at(index))
            self.seconds.append(time.monotonic() - start)
            if on_step is not None:
                on_step(step)
                if step.stop_requested:
                    return "request"
            if index + 1 == settings.steps:
                break  # the picture of one more update would not be looked at
            optimizer.param_groups[0]["lr"] = self.rates[-1]
            optimizer.step()
            if (index + 1) % check_every == 0:
                remaining = self.active.nonzero().flatten()
                if len(remaining) == 0:
                    return "diverged" if bool((self.diverged >= 0).all()) else "plateau"
                if len(remaining) != sum(len(piece) for _, piece in pieces):
                    pieces = self._pieces(remaining)
        return "steps"

    def result(self, stopped: StopReason) -> InversionResult:
        """The state so far, brought over to the host."""
        steps = len(self.seconds)
        if stopped == "plateau":  # found out a few steps late, see _CHECK_EVERY
            steps = int(self.total.isfinite().any(dim=1).nonzero().max()) + 1
        trace = Trace(
            terms={name: values[:steps].cpu() for name, values in self.record.items()},
            weights=dict(self.weights),
            total=self.total[:steps].cpu(),
            kept_step=self.kept.step.cpu(),
            learning_rate=torch.tensor(self.rates[:steps]),
            seconds=torch.tensor(self.seconds[:steps]),
        )
        warnings = tuple(
            f"picture {sample + 1}: the losses became NaN or infinite at step {step + 1}; "
            "the result before that is used (a lower learning rate may help)"
            for sample, step in enumerate(self.diverged.tolist())
            if step >= 0
        )
        return InversionResult(
            w_plus=self.kept.w_plus,
            images=self.kept.images,
            initial=self.initial,
            trace=trace,
            stopped=stopped,
            warnings=warnings,
        )

    def _pieces(self, samples: torch.Tensor) -> list[tuple[torch.Tensor, Targets]]:
        """Indices and targets of the samples, in pieces that fit into memory."""
        parts = samples.split(self.settings.max_batch)
        return [(index, self.targets.select(index)) for index in parts]

    def _evaluate(
        self, pieces: list[tuple[torch.Tensor, Targets]]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """Losses (N,), their weighted sum and the pictures at the present codes; sets the gradient."""
        count, codes = len(self.targets), self.w_plus.detach()
        values = {name: torch.full_like(self.kept.total, torch.nan) for name in self.weights}
        images = self.kept.images.clone()
        gradient = torch.zeros_like(codes)
        for index, targets in pieces:
            terms, images[index], gradient[index] = self._evaluate_piece(codes[index], targets)
            for name, value in terms.items():
                values[name][index] = value
        total = torch.zeros(count, device=codes.device)
        for name, weight in self.weights.items():
            total = total + weight * values[name]
        self.w_plus.grad = gradient
        return values, total, images

    def _evaluate_piece(
        self, codes: torch.Tensor, targets: Targets
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """Losses (n,) by term, pictures, and the gradient of the weighted sum, of n codes."""
        codes = codes.clone().requires_grad_()
        images = self.generator.synthesize(codes)
        if self.settings.clamp:
            images = images.clamp(0, 1)
        picture = images.detach().requires_grad_()
        pull = torch.zeros_like(picture)
        values: dict[str, torch.Tensor] = {}
        for name, term in self.picture_terms.items():
            value = term(picture, targets)
            pull += torch.autograd.grad(self.weights[name] * value.sum(), picture)[0]
            values[name] = value.detach()
        gradient = torch.zeros_like(codes)
        if self.picture_terms:
            gradient += torch.autograd.grad(images, codes, pull)[0]
        latent_terms: dict[str, torch.Tensor] = {}
        if "latent" in self.weights:
            latent_terms["latent"] = losses.latent_loss(codes)
        if "latent_prior" in self.weights:
            assert self.statistics is not None
            latent_terms["latent_prior"] = losses.latent_prior_loss(codes, self.statistics)
        for name, value in latent_terms.items():
            gradient += torch.autograd.grad(self.weights[name] * value.sum(), codes)[0]
            values[name] = value.detach()
        return values, picture.detach(), gradient

    def _keep(
        self, index: int, values: dict[str, torch.Tensor], total: torch.Tensor, images: torch.Tensor
    ) -> Step:
        """Note the losses, keep what is good, and retire pictures that are finished or bad."""
        settings, kept, active = self.settings, self.kept, self.active
        gradient = self.w_plus.grad
        assert gradient is not None
        codes = self.w_plus.detach()

        good = active & total.isfinite()
        better = good if settings.result == "last" else good & (total < kept.total)
        wide = better[:, None, None]
        self.kept = kept = _Kept(
            torch.where(wide, codes, kept.w_plus),
            torch.where(wide[..., None], images, kept.images),
            torch.where(better, total, kept.total),
            torch.where(better, index, kept.step),
        )
        for name, value in values.items():
            values[name] = self.record[name][index] = torch.where(active, value, torch.nan)
        self.total[index] = shown_total = torch.where(active, total, torch.nan)
        shown = torch.where(active[:, None, None, None] & images.isfinite(), images, kept.images)

        usable = good & gradient.flatten(1).isfinite().all(dim=1)
        self.diverged = torch.where(active & ~usable, index, self.diverged)
        if settings.plateau_patience is not None:
            margin = settings.plateau_tolerance * self.plateau_total.abs().nan_to_num(posinf=0.0)
            improved = usable & (total < self.plateau_total - margin)
            self.plateau_total = torch.where(improved, total, self.plateau_total)
            self.improved_at = torch.where(improved, index, self.improved_at)
            usable = usable & (index - self.improved_at < settings.plateau_patience)
        self.active = usable
        # A bad gradient must not reach Adam's moments; a retired code then merely drifts unseen.
        gradient.copy_(torch.where(usable[:, None, None], gradient, 0.0))
        with torch.no_grad():
            self.w_plus.copy_(torch.where(usable[:, None, None], codes, kept.w_plus))
        return Step(index, settings.steps, values, shown_total, shown)
