"""Stage 2 with a generator of its own for every photo, see `fidelity.tune_generator`."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..extraction.extractors import synthesize
from ..models import Models
from ..networks.stylegan2 import Generator
from ..settings import EditSettings
from .loop import invert
from .pivotal_tuning import tune_generator
from .result import InversionInterrupted, InversionResult, OnStep, StopReason
from .targets import Targets
from .trace import no_steps, side_by_side


def invert_tuned(
    models: Models,
    targets: Targets,
    settings: EditSettings,
    spans: Sequence[slice],
    *,
    on_prepare: OnStep | None = None,
    on_step: OnStep | None = None,
    between: Callable[[], None] = lambda: None,
) -> InversionResult:
    """`invert` with a generator tuned to each photo, one photo after the other.

    Args:
        models: their generator is not changed, and only one copy of it is held at a time.
        targets: of N edits; `w_plus` are the pivots.
        settings: `tune_steps` >= 1, and those of `invert`.
        spans: the rows of each photo, which share its generator; together all rows, in order.
        on_prepare: called after every step of the tuning, see `tune_generator`.
        on_step, between: see `invert`. A stop asked for by `Step.stop()` in the edit of one photo also
            leaves out those after it.

    Returns:
        As of one inversion, with the tuning in the trace. The codes belong to generators that are
        gone: `models.generator` makes similar pictures of them, not these.

    Raises:
        InversionInterrupted: Ctrl-C; holds the result so far, with pictures that were not begun as
            they were before the edit.
    """
    parts: list[InversionResult] = []
    interrupted: KeyboardInterrupt | None = None
    for span in spans:
        part = targets.select(span)
        if interrupted or (parts and parts[-1].stopped == "request"):
            parts.append(_not_begun(models.generator, part, settings, parts[-1].stopped))
            continue
        try:
            result = _invert_one(models, part, settings, span.start, on_prepare, on_step, between)
        except InversionInterrupted as interrupt:
            interrupted, result = interrupt, interrupt.result
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
            result = _not_begun(models.generator, part, settings, "interrupt")
        parts.append(result)
    whole = _joined(parts)
    if interrupted is not None:
        raise InversionInterrupted(whole) from interrupted
    return whole


def _invert_one(
    models: Models,
    targets: Targets,
    settings: EditSettings,
    before: int,
    on_prepare: OnStep | None,
    on_step: OnStep | None,
    between: Callable[[], None],
) -> InversionResult:
    """All edits of one photo; `before` them there are so many others."""
    tuned = tune_generator(
        models.generator,
        models.segmenter,
        targets.images[:1],
        targets.w_plus[:1],
        settings.tune_steps,
        seed=settings.seed,
        on_step=on_prepare,
    )
    first = before + 1
    notes = tuple(f"tuning the generator to picture {first}: {line}" for line in tuned.warnings)
    columns = torch.zeros(len(targets), dtype=torch.long)

    def with_tuning(result: InversionResult) -> InversionResult:
        trace = replace(result.trace, tuning=tuned.trace.select(columns))
        return replace(result, trace=trace, warnings=(*notes, *result.warnings))

    try:
        result = invert(
            tuned.generator,
            targets,
            settings,
            clip=models.clip,
            densepose=models.densepose,
            segmenter=models.segmenter,
            on_step=on_step,
            between=between,
            first=first,
        )
    except InversionInterrupted as interrupt:
        raise InversionInterrupted(with_tuning(interrupt.result)) from interrupt
    return with_tuning(result)


def _not_begun(
    generator: Generator, targets: Targets, settings: EditSettings, stopped: StopReason
) -> InversionResult:
    """The photos as the generator sees them."""
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
