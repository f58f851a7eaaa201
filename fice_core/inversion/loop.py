"""Stage 2: constrained GAN inversion. Adam moves the W+ codes alone; every network is frozen."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch

from ..extraction.extractors import synthesize
from ..latents import LatentStatistics, check_latent, latent_statistics
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.regions import PersonSegmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import with_grad
from ..settings import InversionSettings
from .coordinates import Coordinates, PlainCoordinates, WhitenedCoordinates
from .cuda_graphs import GraphedObjective
from .objective import CachedTerm, Objective, ObjectiveValue
from .result import InversionInterrupted, InversionResult, OnStep, Phase, Step, StopReason
from .start_search import search_start
from .targets import Targets
from .trace import Trace

# Steps between two checks of which images are finished; a check makes the host wait for the device.
_CHECK_EVERY = {"cpu": 1}


def invert(
    generator: Generator,
    targets: Targets,
    settings: InversionSettings,
    *,
    clip: Clip | None = None,
    densepose: DensePose | None = None,
    segmenter: PersonSegmenter | None = None,
    statistics: LatentStatistics | None = None,
    on_step: OnStep | None = None,
    check_cancelled: Callable[[], None] = lambda: None,
    first_number: int = 1,
    phase: Phase = "edit",
    on_disk: bool = True,
) -> InversionResult:
    """Optimise W+ codes so that their images follow the text and keep to the targets (FICE, section 3.3).

    Samples do not influence one another: `settings.max_batch` changes memory, not the result.

    Args:
        generator: its gradient flows to the codes alone; no network is changed.
        targets: starting codes and what they must keep.
        settings: of the optimiser, the start, the objective and the computation.
        clip, densepose, segmenter: the critics; each is needed only if a term that asks it has a weight.
        statistics: of W, for `latent_prior`, `start_noise` and whitened coordinates; estimated if None.
        on_step: called after every step, first of the search for a start if there is one
            (`Step.phase` "start"), then of the loop. An exception that it raises ends the inversion and is
            passed on; `Step.stop()` ends the search or the loop with a result.
        check_cancelled: called repeatedly before the first step, while random codes are tried. An
            exception that it raises is passed on.
        first_number: the number of the first image in warnings.
        phase: the phase of every `Step` of the loop.
        on_disk: whether what the random codes of the start look like is remembered on disk, see `looks`.

    Raises:
        FiceError: a term has a weight but no critic or target, or the codes do not fit.
        InversionInterrupted: Ctrl-C; holds the result so far.
    """
    with with_grad():
        check_latent(targets.w_plus, generator)
        if statistics is None and settings.needs_statistics:
            statistics = latent_statistics(generator)
        objective = Objective(generator, settings, clip, densepose, segmenter, statistics)
        objective.check(targets)
        targets = _with_start_noise(targets.clone(), settings, statistics)
        initial = synthesize(generator, targets.w_plus, settings.clamp, settings.max_batch)
        start = targets.w_plus
        if settings.start_candidates and clip is not None and settings.judges_by_clip:
            start = search_start(
                generator, clip, objective, targets, settings, on_step, check_cancelled, on_disk
            )
        codes: Coordinates = PlainCoordinates(start)
        if settings.coordinates == "whitened":
            assert statistics is not None
            codes = WhitenedCoordinates(start, statistics.spread, settings.layer_freedom)
        loop = _Loop(objective, targets, settings, initial, codes, first_number, phase)
        try:
            stopped = loop.run(on_step)
        except KeyboardInterrupt as interrupt:
            raise InversionInterrupted(loop.result("interrupt")) from interrupt
        return loop.result(stopped)


class _Best(NamedTuple):
    """The best result so far. It is replaced as a whole, so that an interrupt never sees half of one."""

    w_plus: torch.Tensor
    images: torch.Tensor
    total: torch.Tensor
    step: torch.Tensor


_Evaluate = Callable[[torch.Tensor, int, dict[str, CachedTerm]], ObjectiveValue]


class _Piece(NamedTuple):
    """Samples that are evaluated at once, by index, and the function that evaluates them."""

    samples: torch.Tensor
    evaluate: _Evaluate


class _Loop:
    """The state of one inversion. All tensors are on the device; the host only queues work."""

    def __init__(
        self,
        objective: Objective,
        targets: Targets,
        settings: InversionSettings,
        initial: torch.Tensor,
        codes: Coordinates,
        first_number: int,
        phase: Phase,
    ) -> None:
        self.objective = objective
        self.targets = targets
        self.settings = settings
        self.initial = initial
        self.codes = codes
        self.first_number = first_number
        self.phase = phase
        count, device = len(targets), initial.device
        self.recorded = settings.uses_graphs_on(device.type)

        def filled(*shape: int, value: float) -> torch.Tensor:
            return torch.full(shape, value, device=device)

        self.best = _Best(
            targets.w_plus.clone(),
            self.initial,
            filled(count, value=torch.inf),
            torch.full((count,), -1, device=device),
        )
        self.active = torch.ones(count, dtype=torch.bool, device=device)
        self.diverged = torch.full((count,), -1, device=device)
        self.plateau_total = filled(count, value=torch.inf)
        self.improved_at = torch.zeros(count, dtype=torch.long, device=device)
        self.record = {
            name: filled(settings.steps, count, value=torch.nan) for name in objective.weights
        }
        self.total = filled(settings.steps, count, value=torch.nan)
        self.cached = {
            name: CachedTerm(filled(count, value=0.0), torch.zeros_like(initial))
            for name in objective.every
        }
        self.seconds: list[float] = []
        self.rates: list[float] = []

    def run(self, on_step: OnStep | None) -> StopReason:
        """Take the steps and return why they ended. The results are in the attributes."""
        settings = self.settings
        betas = (settings.beta1, settings.beta2)
        optimizer = torch.optim.Adam([self.codes.parameter], lr=settings.learning_rate, betas=betas)
        start = time.monotonic()
        device = self.initial.device
        check_every = _CHECK_EVERY.get(device.type, 10)
        pieces = self._pieces(torch.arange(len(self.targets), device=device))
        for index in range(settings.steps):
            step = self._update(index, self._evaluate(index, pieces))
            self.rates.append(settings.learning_rate_at(index))
            self.seconds.append(time.monotonic() - start)
            if on_step is not None:
                on_step(step)
                if step.stop_requested:
                    return "request"
            if index + 1 == settings.steps:
                break  # nothing would use the image of one more update
            optimizer.param_groups[0]["lr"] = self.rates[-1]
            optimizer.step()
            if (index + 1) % check_every == 0:
                remaining = self.active.nonzero().flatten()
                if len(remaining) == 0:
                    return "diverged" if bool((self.diverged >= 0).all()) else "plateau"
                # Recording new graphs would take longer than computing finished images to the end.
                if not self.recorded and len(remaining) != sum(len(p.samples) for p in pieces):
                    pieces = self._pieces(remaining)
        return "steps"

    def result(self, stopped: StopReason) -> InversionResult:
        """The result so far; the trace is on the CPU."""
        steps = len(self.seconds)
        if stopped == "plateau":  # noticed a few steps late, see _CHECK_EVERY
            steps = int(self.total.isfinite().any(dim=1).nonzero().max()) + 1
        trace = Trace(
            terms={name: values[:steps].cpu() for name, values in self.record.items()},
            weights=dict(self.objective.weights),
            total=self.total[:steps].cpu(),
            kept_step=self.best.step.cpu(),
            learning_rate=torch.tensor(self.rates[:steps]),
            seconds=torch.tensor(self.seconds[:steps]),
        )
        warnings = tuple(
            f"image {sample + self.first_number}: the losses became NaN or infinite at step {step + 1}; "
            "the result before that is used (a lower learning rate may help)"
            for sample, step in enumerate(self.diverged.tolist())
            if step >= 0
        )
        return InversionResult(
            w_plus=self.best.w_plus,
            images=self.best.images,
            initial=self.initial,
            trace=trace,
            stopped=stopped,
            warnings=warnings,
        )

    def _pieces(self, samples: torch.Tensor) -> list[_Piece]:
        """The samples, split into pieces that are evaluated at once."""
        parts = samples.split(self.objective.at_once(self.settings.max_batch))
        return [_Piece(index, self._evaluator(self.targets.select(index))) for index in parts]

    def _evaluator(self, targets: Targets) -> _Evaluate:
        if self.recorded:
            return GraphedObjective(self.objective, targets).evaluate
        return lambda codes, step, cached: self.objective.evaluate(codes, targets, step, cached)

    def _evaluate(self, step: int, pieces: list[_Piece]) -> ObjectiveValue:
        """The objective at the current codes; NaN for samples that are in no piece."""
        codes = self.codes.codes()
        nowhere = torch.full_like(self.best.total, torch.nan)
        whole = ObjectiveValue(
            terms={name: nowhere.clone() for name in self.objective.weights},
            total=nowhere,
            images=self.best.images.clone(),
            gradient=torch.zeros_like(codes),
            cached={},
        )
        for index, evaluate in pieces:
            cached = {
                name: CachedTerm(*(v[index] for v in one)) for name, one in self.cached.items()
            }
            part = evaluate(codes[index], step, cached)
            for name, one in part.cached.items():
                for held, value in zip(self.cached[name], one, strict=True):
                    held[index] = value
            for name, value in part.terms.items():
                whole.terms[name][index] = value
            whole.total[index] = part.total
            whole.images[index] = part.images
            whole.gradient[index] = part.gradient
        return whole

    def _update(self, index: int, now: ObjectiveValue) -> Step:
        """Record losses, update the best result of each image, deactivate converged and diverged images,
        and set the gradient of the rest."""
        settings, best, active = self.settings, self.best, self.active
        codes = self.codes.codes()

        good = active & now.total.isfinite()
        better = good if settings.result == "last" else good & (now.total < best.total)
        self.best = best = _Best(
            torch.where(better[:, None, None], codes, best.w_plus),
            torch.where(better[:, None, None, None], now.images, best.images),
            torch.where(better, now.total, best.total),
            torch.where(better, index, best.step),
        )
        terms = {name: torch.where(active, value, torch.nan) for name, value in now.terms.items()}
        for name, value in terms.items():
            self.record[name][index] = value
        self.total[index] = total = torch.where(active, now.total, torch.nan)
        shown = torch.where(good[:, None, None, None], now.images, best.images)

        usable = good & now.gradient.flatten(1).isfinite().all(dim=1)
        self.diverged = torch.where(active & ~usable, index, self.diverged)
        if settings.plateau_patience is not None:
            margin = settings.plateau_tolerance * self.plateau_total.abs().nan_to_num(posinf=0.0)
            improved = usable & (total < self.plateau_total - margin)
            self.plateau_total = torch.where(improved, total, self.plateau_total)
            self.improved_at = torch.where(improved, index, self.improved_at)
            usable = usable & (index - self.improved_at < settings.plateau_patience)
        self.active = usable
        # A bad gradient must not reach Adam's moments. The moments still move inactive codes, but nothing
        # reads those.
        self.codes.set_gradient(torch.where(usable[:, None, None], now.gradient, 0.0))
        return Step(index, settings.steps, terms, total, shown, self.phase)


def _with_start_noise(
    targets: Targets, settings: InversionSettings, statistics: LatentStatistics | None
) -> Targets:
    """The targets with `start_noise` added to their codes."""
    if not settings.start_noise or statistics is None:
        return targets
    rng = torch.Generator().manual_seed(settings.seed)
    shape = targets.w_plus.shape
    noise = torch.stack([torch.randn(shape[1:], generator=rng) for _ in range(shape[0])])
    spread = settings.start_noise * statistics.std * noise.to(targets.w_plus.device)
    return replace(targets, w_plus=targets.w_plus + spread)
