"""The measurements of one configuration: seconds and operations of every stage and loop, and memory."""

from __future__ import annotations

import statistics
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
from .machine import Clock, Machine, Peaks, describe, tf32
from .memory import PeakMemory
from .reference import PlainLoop
from .stages import OPTIMISER, Laps, Operations, RealLoop, difference, optimiser_marked

RANDOM = "random"
#: the loops that are compared: ours with two presets, a step of `draft` being one of the default, and the
#: authors' in plain words
OURS, PAPER, PLAIN = "default", "paper settings", "plain"
_SENTENCE = "a red striped shirt"
# A GPU is given many steps at once, as in an edit: the host must not be what is measured.
_STEPS_ON_CUDA = 10
_TF32, _COMPILED, _EAGER, _FP32 = ", TF32", ", compiled", ", eager", ", fp32"
_STEPS_FOR_MEMORY = 3  # from the third on, memory does not grow

Progress = Callable[[], None]


@dataclass(frozen=True)
class Configuration:
    """What is measured.

    Attributes:
        source: "random", "demo" or a folder, see `models_for`.
        batch: pictures at once.
        size: side of the generator's pictures; for "random" alone.
        device: a torch device.
        threads: that torch uses on the CPU; None for its own choice.
        repeat: measurements of everything, after one that is thrown away.
        compiled: whether the default is measured compiled, too.
        plain: whether the authors' loop is measured beside ours.
    """

    source: str
    batch: int = 1
    size: int | None = None
    device: str = "cpu"
    threads: int | None = None
    repeat: int = 5
    compiled: bool = False
    plain: bool = True


@dataclass(frozen=True)
class Loop:
    """Seconds of a step, one value for every repetition, and the operations counted in it: all, and those
    of them that were of bfloat16."""

    seconds: list[float]
    flops: float
    rounded_flops: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def floor(self, peaks: Mapping[str, float], otherwise: str = "fp32") -> float:
        """Seconds at the machine's fastest products: of bfloat16, and in another format the rest."""
        rest = (self.flops - self.rounded_flops) / peaks[otherwise]
        return rest + self.rounded_flops / peaks.get("bf16", peaks[otherwise])


@dataclass(frozen=True)
class Timing:
    """What was measured of one configuration.

    Attributes:
        resolution: (H, W) of the pictures.
        stages: of our step; the names are those of `stages` and of the loss terms.
        loops: OURS, PAPER and, if it was measured, PLAIN; "default, fp32" where the default's critics are of
            bfloat16, "default, compiled" if asked for, and on CUDA, where the first two are graphs,
            "default, eager" and the first three with TF32, by names that end so.
        encoder: one pass for the starting codes, which is no part of a step.
        peaks: fastest matrix product in operations a second, by number format.
        compiling: seconds that "default, compiled" took before its first step; None without it.
    """

    resolution: tuple[int, int]
    stages: dict[str, Loop]
    loops: dict[str, Loop]
    encoder: Loop
    peaks: dict[str, float]
    machine: Machine
    compiling: float | None = None

    def ratio(self, loop: str) -> float | None:
        """Of a loop's median of seconds to the plain loop's, if that was measured."""
        if PLAIN not in self.loops:
            return None
        return self.loops[loop].median / self.loops[PLAIN].median

    @property
    def covered(self) -> float:
        """How much of our step the stages add up to; what is missing is the loop's bookkeeping."""
        return sum(stage.median for stage in self.stages.values()) / self.loops[OURS].median


@dataclass(frozen=True)
class Memory:
    """Bytes with the networks loaded, and at most from the photo's first look to the last step; None if
    unknown."""

    before: int | None
    peak: int | None


def models_for(configuration: Configuration, quick: bool) -> Models:
    """The networks: of the published sizes at random, the demonstration set, or a folder's.

    Raises:
        FiceError: see `load_models` and `configurations`.
    """
    if configuration.source == RANDOM:
        sizes = configurations(configuration.size or 256)
        return random_models(sizes, configuration.device, quick)
    if configuration.size is not None:
        raise FiceError(f"a size can be chosen with the {RANDOM} models alone: leave it out")
    return load_models(configuration.source, configuration.device, quick=quick)


def measure_time(configuration: Configuration, progress: Progress) -> Timing:
    """Seconds and operations, every loop and stage in turn `repeat` times."""
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
    """As `measure_time`, with the networks as their files have them, None to leave the authors' loop out,
    and as they are used."""
    machine = describe(str(ours.device))
    cuda = ours.device.type == "cuda"
    targets = make_targets(ours, batch)
    steps = _STEPS_ON_CUDA if cuda else 1
    w_statistics = latent_statistics(ours.generator)
    clock, peaks = Clock(ours.device), Peaks(ours.device)
    encoder = ours.load_encoder()  # to fetch it is no part of a pass

    def real(settings: EditSettings, **other: Any) -> RealLoop:
        return RealLoop(ours, targets, replace(settings, **other), w_statistics, steps)

    authors = None
    if plain is not None:
        authors = PlainLoop(plain, targets, EditSettings.paper(), steps)

    def compared(**other: Any) -> dict[str, RealLoop | PlainLoop]:
        found: dict[str, RealLoop | PlainLoop] = {
            OURS: real(EditSettings(), **other),
            PAPER: real(EditSettings.paper(), **other),
        }
        if authors is not None:
            found[PLAIN] = authors
        if multiplies_bfloat16(ours.device):
            found[OURS + _FP32] = real(EditSettings(), mixed_precision=False, **other)
        return found

    loops = compared()
    # Graphs and compiled code hide their stages and operations.
    seen = compared(execution="eager")
    eager = real(EditSettings(), execution="eager")
    if cuda:
        loops[OURS + _EAGER] = eager
    compiling = None
    if compiled:
        quick = loops[OURS + _COMPILED] = real(EditSettings(), execution="compile")
        with tf32(False):
            cold, warm = (_whole(quick, clock) for _ in range(2))
        compiling = cold - warm
    seconds: dict[str, list[float]] = {}
    stage_seconds: dict[str, list[float]] = {}
    encoder_seconds: list[float] = []

    def note(into: dict[str, list[float]], values: dict[str, float]) -> None:
        for name, value in values.items():
            into.setdefault(name, []).append(value)

    def encode() -> torch.Tensor:
        return encode_latent(ours.generator, encoder, targets.images, batch)

    def once() -> None:
        for name, loop in loops.items():
            laps = Laps(clock.read)
            with optimiser_marked(laps.mark):
                note(seconds, {name: clock.between(*loop.lap(clock.read)) / loop.steps})
            if name == OURS:
                taken = laps.between(clock.between)[OPTIMISER] / loop.steps
                note(stage_seconds, {OPTIMISER: taken})

    for repetition in range(repeat + 1):
        with tf32(False):
            peaks.sample()
            once()
            note(stage_seconds, eager.stages(clock.read, clock.between))
            first = clock.read()
            encode()
            encoder_seconds.append(clock.between(first, clock.read()))
        if cuda:
            with tf32(True):
                for name, loop in loops.items():
                    if name not in (OURS, PAPER, PLAIN):
                        continue
                    spent = clock.between(*loop.lap(clock.read)) / loop.steps
                    note(seconds, {name + _TF32: spent})
        if repetition == 0:  # caches were empty
            seconds, stage_seconds, encoder_seconds = {}, {}, []
        progress()

    def count(
        some: Mapping[str, RealLoop | PlainLoop], of: torch.dtype | None = None
    ) -> dict[str, dict[str, float]]:
        with Operations(of) as operations:
            steps = {
                name: difference(*loop.lap(operations.read)) / loop.steps
                for name, loop in some.items()
            }
            return {"loops": steps, "stages": eager.stages(operations.read, difference)}

    whole, rounded = count(seen), count({OURS: eager}, torch.bfloat16)
    with Operations() as operations:
        encode()
    passes = Loop(encoder_seconds, operations.read())

    def loop_of(kind: str, name: str, spent: list[float]) -> Loop:
        for suffix in (_TF32, _COMPILED, _EAGER):
            name = name.removesuffix(suffix)
        return Loop(spent, whole[kind].get(name, 0.0), rounded[kind].get(name, 0.0))

    names = sorted(stage_seconds, key=lambda name: name == OPTIMISER)  # it comes last in a step
    return Timing(
        resolution=ours.generator.resolution,
        stages={name: loop_of("stages", name, stage_seconds[name]) for name in names},
        loops={n: loop_of("loops", n, v) for n, v in seconds.items()},
        encoder=passes,
        peaks=peaks.rates,
        machine=machine,
        compiling=compiling,
    )


def _whole(loop: RealLoop, clock: Clock) -> float:
    """Seconds of all that `loop` does, from before its first step on."""
    first = clock.read()
    loop.lap(clock.read)
    return clock.between(first, clock.read())


def measure_memory(configuration: Configuration, loop: str, progress: Progress) -> Memory:
    """What one of the loops needs; to be called in a process of its own."""
    _prepare(configuration)
    models = models_for(configuration, quick=loop != PLAIN)
    return memory_of(models, configuration.batch, loop, progress)


def memory_of(models: Models, batch: int, loop: str, progress: Progress = lambda: None) -> Memory:
    """As `measure_memory`, with these networks."""
    with ExitStack() as stack:
        stack.enter_context(tf32(False))
        peak = stack.enter_context(PeakMemory(models.device))
        targets = make_targets(models, batch)
        run: RealLoop | PlainLoop
        if loop == PLAIN:
            run = PlainLoop(models, targets, EditSettings.paper(), _STEPS_FOR_MEMORY)
        else:
            settings = EditSettings() if loop == OURS else EditSettings.paper()
            known = latent_statistics(models.generator)
            run = RealLoop(models, targets, settings, known, _STEPS_FOR_MEMORY)
        run.lap(lambda: None)
    progress()
    return Memory(peak.before, peak.peak)


def make_targets(models: Models, batch: int) -> Targets:
    """Targets from noise: what a step costs does not depend on what the pictures show."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, *models.generator.resolution, generator=random).to(models.device)
    regions = segment_regions(models.segmenter, images)
    with without_grad():
        text = models.clip.encode_text([_SENTENCE])
    return Targets(
        images=images,
        w_plus=encode_latent(models.generator, models.load_encoder(), images),
        text_features=text.expand(batch, -1),
        parts=extract_pose(models.densepose, images),
        head=regions.head,
        keep_mask=1 - regions.body,
    )


def _prepare(configuration: Configuration) -> None:
    if configuration.threads is not None:
        torch.set_num_threads(configuration.threads)
