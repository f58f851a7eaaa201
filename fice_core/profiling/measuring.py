"""Measures one configuration: seconds and operations of every stage and loop, and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..acceleration.bfloat16 import multiplies_bfloat16
from ..errors import FiceError
from ..extraction.extractors import encode_latent, extract_pose, segment_regions
from ..inversion.targets import Targets
from ..latents import latent_statistics
from ..models import Models, load_models
from ..ops.autograd import without_grad
from ..settings import EditSettings
from .full_size import configurations, random_models
from .machine import Clock, Peaks, describe, tf32
from .memory import PeakMemory
from .reference import PlainLoop
from .results import OURS, PAPER, PLAIN, Loop, Memory, Timing
from .stages import OPTIMISER, Laps, Operations, RealLoop, difference, optimiser_marked

RANDOM = "random"
_PROMPT = "a red striped shirt"
# A GPU gets many steps at a time, as in an edit. Otherwise the speed of the CPU would be measured.
_STEPS_ON_CUDA = 10
_TF32, _COMPILED, _EAGER, _FP32 = ", TF32", ", compiled", ", eager", ", fp32"
_STEPS_FOR_MEMORY = 3  # memory does not grow after the third step

Progress = Callable[[], None]


@dataclass(frozen=True)
class Configuration:
    """The configuration of a measurement.

    Attributes:
        source: "random", "demo" or a folder, see `models_for`.
        batch: number of images at a time.
        size: side of the generator's images; only for "random".
        device: a torch device.
        threads: number of torch's threads on the CPU; None for torch's default.
        repeat: number of measurements, after a first one that is discarded.
        compiled: whether the default is also measured compiled.
        plain: whether the authors' loop is also measured.
    """

    source: str
    batch: int = 1
    size: int | None = None
    device: str = "cpu"
    threads: int | None = None
    repeat: int = 5
    compiled: bool = False
    plain: bool = True


def models_for(configuration: Configuration, quick: bool) -> Models:
    """The networks: random ones of the published sizes, the demonstration set, or those of a folder.

    Raises:
        FiceError: see `load_models` and `configurations`.
    """
    if configuration.source == RANDOM:
        sizes = configurations(configuration.size or 256)
        return random_models(sizes, configuration.device, quick)
    if configuration.size is not None:
        raise FiceError(f"a size can only be given with the {RANDOM} models: leave it out")
    return load_models(configuration.source, configuration.device, quick=quick)


def measure_time(configuration: Configuration, progress: Progress) -> Timing:
    """Times and operations of a configuration; every loop and stage is measured `repeat` times."""
    _prepare(configuration)
    plain = models_for(configuration, quick=False) if configuration.plain else None
    ours = models_for(configuration, quick=True)
    return time_models(
        plain, ours, configuration.batch, configuration.repeat, configuration.compiled, progress
    )


def time_models(
    plain: Models | None,
    ours: Models,
    batch: int,
    repeat: int,
    compiled: bool = False,
    progress: Progress = lambda: None,
) -> Timing:
    """Times and operations, as `measure_time`, with the given networks.

    Args:
        plain: networks for the authors' loop, loaded with `quick=False`; None leaves the loop out.
        ours: networks for our loop, fused.
        batch, repeat, compiled: see `Configuration`.
        progress: called after every repetition.
    """
    comparison = _Comparison(plain, ours, batch, compiled)
    for repetition in range(repeat + 1):
        comparison.repeat()
        if repetition == 0:  # discarded, because caches were empty
            comparison.forget()
        progress()
    return comparison.timing()


class _Comparison:
    """The loops that are compared, and what is measured of them.

    Args:
        plain, ours, batch, compiled: see `time_models`.
    """

    def __init__(self, plain: Models | None, ours: Models, batch: int, compiled: bool) -> None:
        self.ours, self.batch = ours, batch
        self.on_cuda = ours.device.type == "cuda"
        self.targets = make_targets(ours, batch)
        self.statistics = latent_statistics(ours.generator)
        self.clock, self.peaks = Clock(ours.device), Peaks(ours.device)
        self.encoder = ours.encoder()  # loading is not a part of a pass
        self.steps = _STEPS_ON_CUDA if self.on_cuda else 1
        self.authors = None
        if plain is not None:
            self.authors = PlainLoop(plain, self.targets, EditSettings.paper(), self.steps)
        self.loops = self._compared()
        # Stages and operations of graphs and compiled code are not visible.
        self.eager = self._loop(EditSettings(), execution="eager")
        if self.on_cuda:
            self.loops[OURS + _EAGER] = self.eager
        self.compiling = self._compile() if compiled else None
        self.forget()

    def forget(self) -> None:
        """Drop all times measured so far."""
        self.seconds: dict[str, list[float]] = {}
        self.stage_seconds: dict[str, list[float]] = {}
        self.encoder_seconds: list[float] = []

    def repeat(self) -> None:
        """Measure everything once."""
        with tf32(False):
            self.peaks.sample()
            for name, loop in self.loops.items():
                laps = Laps(self.clock.read)
                with optimiser_marked(laps.mark):
                    self._note(name, loop)
                if name == OURS:
                    taken = laps.between(self.clock.between)[OPTIMISER] / loop.steps
                    _append(self.stage_seconds, {OPTIMISER: taken})
            stages = self.eager.stages(self.clock.read, self.clock.between)
            _append(self.stage_seconds, stages)
            first = self.clock.read()
            self._encode()
            self.encoder_seconds.append(self.clock.between(first, self.clock.read()))
        if self.on_cuda:
            with tf32(True):
                for name in (OURS, PAPER, PLAIN):
                    if name in self.loops:
                        self._note(name + _TF32, self.loops[name])

    def timing(self) -> Timing:
        """All times, with the operations of every loop and stage."""
        whole = self._count(self._compared(execution="eager"))
        rounded = self._count({OURS: self.eager}, torch.bfloat16)
        with Operations() as operations:
            self._encode()

        def loop(kind: str, name: str, spent: list[float]) -> Loop:
            for suffix in (_TF32, _COMPILED, _EAGER):
                name = name.removesuffix(suffix)
            return Loop(spent, whole[kind].get(name, 0.0), rounded[kind].get(name, 0.0))

        names = sorted(self.stage_seconds, key=lambda name: name == OPTIMISER)  # the last stage
        return Timing(
            resolution=self.ours.generator.resolution,
            stages={name: loop("stages", name, self.stage_seconds[name]) for name in names},
            loops={name: loop("loops", name, spent) for name, spent in self.seconds.items()},
            encoder=Loop(self.encoder_seconds, operations.read()),
            peaks=self.peaks.rates,
            machine=describe(str(self.ours.device)),
            compiling=self.compiling,
        )

    def _loop(self, settings: EditSettings, **other: Any) -> RealLoop:
        chosen = replace(settings, **other)
        return RealLoop(self.ours, self.targets, chosen, self.statistics, self.steps)

    def _compared(self, **other: Any) -> dict[str, RealLoop | PlainLoop]:
        result: dict[str, RealLoop | PlainLoop] = {
            OURS: self._loop(EditSettings(), **other),
            PAPER: self._loop(EditSettings.paper(), **other),
        }
        if self.authors is not None:
            result[PLAIN] = self.authors
        if multiplies_bfloat16(self.ours.device):
            result[OURS + _FP32] = self._loop(EditSettings(), mixed_precision=False, **other)
        return result

    def _compile(self) -> float:
        """Add the compiled loop; the seconds that compiling takes."""
        loop = self._loop(EditSettings(), execution="compile")
        self.loops[OURS + _COMPILED] = loop
        with tf32(False):
            cold, warm = (_whole(loop, self.clock) for _ in range(2))
        return cold - warm

    def _encode(self) -> torch.Tensor:
        return encode_latent(self.ours.generator, self.encoder, self.targets.images, self.batch)

    def _note(self, name: str, loop: RealLoop | PlainLoop) -> None:
        """Measure the seconds of a step."""
        spent = self.clock.between(*loop.lap(self.clock.read)) / loop.steps
        _append(self.seconds, {name: spent})

    def _count(
        self, loops: Mapping[str, RealLoop | PlainLoop], of: torch.dtype | None = None
    ) -> dict[str, dict[str, float]]:
        """The operations of a step of each loop, and of our stages; only those of one format if given."""
        with Operations(of) as operations:
            steps = {
                name: difference(*loop.lap(operations.read)) / loop.steps
                for name, loop in loops.items()
            }
            return {"loops": steps, "stages": self.eager.stages(operations.read, difference)}


def _append(into: dict[str, list[float]], values: Mapping[str, float]) -> None:
    for name, value in values.items():
        into.setdefault(name, []).append(value)


def _whole(loop: RealLoop, clock: Clock) -> float:
    """Seconds of a whole lap of `loop`, including the preparation before its first step."""
    first = clock.read()
    loop.lap(clock.read)
    return clock.between(first, clock.read())


def measure_memory(configuration: Configuration, loop: str, progress: Progress) -> Memory:
    """The memory of one of the loops; to be called in a new process."""
    _prepare(configuration)
    models = models_for(configuration, quick=loop != PLAIN)
    return memory_of(models, configuration.batch, loop, progress)


def memory_of(models: Models, batch: int, loop: str, progress: Progress = lambda: None) -> Memory:
    """The memory of a loop, as `measure_memory`, with the given networks."""
    with ExitStack() as stack:
        stack.enter_context(tf32(False))
        peak = stack.enter_context(PeakMemory(models.device))
        targets = make_targets(models, batch)
        run: RealLoop | PlainLoop
        if loop == PLAIN:
            run = PlainLoop(models, targets, EditSettings.paper(), _STEPS_FOR_MEMORY)
        else:
            settings = EditSettings() if loop == OURS else EditSettings.paper()
            w_statistics = latent_statistics(models.generator)
            run = RealLoop(models, targets, settings, w_statistics, _STEPS_FOR_MEMORY)
        run.lap(lambda: None)
    progress()
    return Memory(peak.before, peak.peak)


def make_targets(models: Models, batch: int) -> Targets:
    """Targets of noise images: the cost of a step does not depend on the content of the images."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, *models.generator.resolution, generator=random).to(models.device)
    regions = segment_regions(models.segmenter, images)
    with without_grad():
        text = models.clip.encode_text([_PROMPT])
    return Targets(
        images=images,
        w_plus=encode_latent(models.generator, models.encoder(), images),
        text_features=text.expand(batch, -1),
        parts=extract_pose(models.densepose, images),
        head=regions.head,
        keep_mask=1 - regions.body,
    )


def _prepare(configuration: Configuration) -> None:
    if configuration.threads is not None:
        torch.set_num_threads(configuration.threads)
