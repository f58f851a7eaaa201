"""Stage 2 with a generator tuned to each photo, see `pivotal_tuning.tune_generator`."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..extraction.extractors import synthesize
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.regions import PersonSegmenter
from ..networks.stylegan2 import Generator
from ..settings import InversionSettings
from .loop import invert
from .pivotal_tuning import tune_generator
from .result import InversionInterrupted, InversionResult, OnStep, StopReason
from .targets import Targets
from .trace import no_steps, side_by_side


def invert_tuned(
    generator: Generator,
    targets: Targets,
    settings: InversionSettings,
    spans: Sequence[slice],
    *,
    clip: Clip,
    densepose: DensePose,
    segmenter: PersonSegmenter,
    on_step: OnStep | None = None,
    check_cancelled: Callable[[], None] = lambda: None,
) -> InversionResult:
    """`invert` with a generator tuned to each photo, one photo after the other.

    Args:
        generator: the original, not changed; at most one copy of it exists at a time.
        targets: of N edits; `w_plus` are the pivots.
        settings: `tune_steps` >= 1, and those of `invert`.
        spans: the rows of each photo, which share its generator; together all rows, in order.
        clip, densepose, segmenter: the critics, see `invert`.
        on_step: called after every step of the tuning and of the edit, see `Step.phase`. `Step.stop()`
            in the edit of one photo also skips the photos after it.
        check_cancelled: see `invert`.

    Returns:
        As from one inversion, with the tuning in the trace. The codes belong to tuned generators that
        are released: `generator` makes similar images of them, not the same.

    Raises:
        InversionInterrupted: Ctrl-C; holds the result so far. Images that were not begun are those
            before the edit.
    """

    def invert_one(targets: Targets, first: int) -> InversionResult:
        """The edits of one photo; `first` is the number of its first edit."""
        tuned = tune_generator(
            generator,
            segmenter,
            targets.images[:1],
            targets.w_plus[:1],
            settings.tune_steps,
            seed=settings.seed,
            on_step=on_step,
        )
        notes = tuple(f"tuning the generator to image {first}: {line}" for line in tuned.warnings)
        columns = torch.zeros(len(targets), dtype=torch.long)

        def with_tuning(result: InversionResult) -> InversionResult:
            trace = replace(result.trace, tuning=tuned.trace.select(columns))
            return replace(result, trace=trace, warnings=(*notes, *result.warnings))

        try:
            result = invert(
                tuned.generator,
                targets,
                settings,
                clip=clip,
                densepose=densepose,
                segmenter=segmenter,
                on_step=on_step,
                check_cancelled=check_cancelled,
                first_number=first,
                on_disk=False,  # nobody will ask for this generator again
            )
        except InversionInterrupted as interrupt:
            raise InversionInterrupted(with_tuning(interrupt.result)) from interrupt
        return with_tuning(result)

    parts: list[InversionResult] = []
    interrupted: KeyboardInterrupt | None = None
    for span in spans:
        part = targets.select(span)
        if interrupted or (parts and parts[-1].stopped == "request"):
            parts.append(_not_begun(generator, part, settings, parts[-1].stopped))
            continue
        try:
            result = invert_one(part, span.start + 1)
        except InversionInterrupted as interrupt:
            interrupted, result = interrupt, interrupt.result
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
            result = _not_begun(generator, part, settings, "interrupt")
        parts.append(result)
    whole = _joined(parts)
    if interrupted is not None:
        raise InversionInterrupted(whole) from interrupted
    return whole


def _not_begun(
    generator: Generator, targets: Targets, settings: InversionSettings, stopped: StopReason
) -> InversionResult:
    """A result without a step: the images of the starting codes."""
    images = synthesize(generator, targets.w_plus, settings.clamp, settings.max_batch)
    nothing = no_steps(len(targets))
    return InversionResult(targets.w_plus, images, images, nothing, stopped, ())


def _joined(parts: Sequence[InversionResult]) -> InversionResult:
    reasons = {part.stopped for part in parts}
    order: tuple[StopReason, ...] = ("interrupt", "request", "steps", "plateau", "diverged")
    return InversionResult(
        w_plus=torch.cat([part.w_plus for part in parts]),
        images=torch.cat([part.images for part in parts]),
        initial=torch.cat([part.initial for part in parts]),
        trace=side_by_side([part.trace for part in parts]),
        stopped=next(reason for reason in order if reason in reasons),
        warnings=tuple(line for part in parts for line in part.warnings),
    )
