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
    machine = describe(str(ours.device))
    cuda = ours.device.type == "cuda"
    targets = make_targets(ours, batch)
    steps = _STEPS_ON_CUDA if cuda else 1
    w_statistics = latent_statistics(ours.generator)
    clock, peaks = Clock(ours.device), Peaks(ours.device)
    encoder = ours.load_encoder()  # loading is not a part of a pass

    def real(settings: EditSettings, **other: Any) -> RealLoop:
        return RealLoop(ours, targets, replace(settings, **other), w_statistics, steps)

    authors = None
    if plain is not None:
        authors = PlainLoop(plain, targets, EditSettings.paper(), steps)

    def compared(**other: Any) -> dict[str, RealLoop | PlainLoop]:
        result: dict[str, RealLoop | PlainLoop] = {
            OURS: real(EditSettings(), **other),
            PAPER: real(EditSettings.paper(), **other),
        }
        if authors is not None:
            result[PLAIN] = authors
        if multiplies_bfloat16(ours.device):
            result[OURS + _FP32] = real(EditSettings(), mixed_precision=False, **other)
        return result

    loops = compared()
    # Stages and operations of graphs and compiled code are not visible.
    eager_loops = compared(execution="eager")
    eager = real(EditSettings(), execution="eager")
    if cuda:
        loops[OURS + _EAGER] = eager
    compiling = None
    if compiled:
        compiled_loop = loops[OURS + _COMPILED] = real(EditSettings(), execution="compile")
        with tf32(False):
            cold, warm = (_whole(compiled_loop, clock) for _ in range(2))
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
        if repetition == 0:  # discarded, because caches were empty
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

    whole, rounded = count(eager_loops), count({OURS: eager}, torch.bfloat16)
    with Operations() as operations:
        encode()
    passes = Loop(encoder_seconds, operations.read())

    def loop_of(kind: str, name: str, spent: list[float]) -> Loop:
        for suffix in (_TF32, _COMPILED, _EAGER):
            name = name.removesuffix(suffix)
        return Loop(spent, whole[kind].get(name, 0.0), rounded[kind].get(name, 0.0))

    names = sorted(stage_seconds, key=lambda name: name == OPTIMISER)  # the last stage of a step
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
        w_plus=encode_latent(models.generator, models.load_encoder(), images),
        text_features=text.expand(batch, -1),
        parts=extract_pose(models.densepose, images),
        head=regions.head,
        keep_mask=1 - regions.body,
    )


def _prepare(configuration: Configuration) -> None:
    if configuration.threads is not None:
        torch.set_num_threads(configuration.threads)
