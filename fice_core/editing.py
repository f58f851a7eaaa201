"""The whole method: edit pictures by a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from .errors import FiceError
from .extraction.anatomy import Anatomy, find_anatomy
from .extraction.extractors import extract_pose, segment_regions
from .extraction.prompts import unknown_words
from .finishing import Patch, finish
from .framing import Frame
from .inversion.loop import invert
from .inversion.result import InversionInterrupted, InversionResult, OnStep, Step, StopReason
from .inversion.trace import Trace
from .inversion.tuned import invert_tuned
from .masks.garment import garment_mask
from .models import DEMO_WEIGHTS, Models, load_models, resolve_device
from .networks.segmenter import Regions
from .ops.autograd import no_graph
from .ops.batching import common_count
from .preparing import Job, Texts, prepare
from .settings import EditSettings
from .stitching.background import Scenery
from .stitching.skin import match_skin

__all__ = [
    "DEMO_WEIGHTS",
    "EditInterrupted",
    "EditResult",
    "Models",
    "edit",
    "load_models",
    "resolve_device",
]


@dataclass(frozen=True)
class EditResult:
    """Edited pictures and how they came about. Pictures are on the device of the input.

    Attributes:
        images: the edited photos, at their own size, (N, 3, H, W).
        generated: the generator's pictures before stitching, (N, 3, *generator.resolution).
        initial: what the generator made of the photos before the edit, refined and tuned if asked for;
            the same shape.
        w_plus: the codes of `generated`, (N, num_ws, w_dim); with `tune_steps`, of a tuned generator
            that is gone.
        edit_mask: where the photo was changed, at its own size, (N, 1, H, W) in [0, 1]; where it is 0,
            `images` is the photo bit for bit.
        frames: which part of each photo the generator saw.
        trace: every loss at every step, and of the refinement and the tuning if asked for.
        warnings: one line each.
        steps: optimisation steps taken.
        stopped: why the loop ended, see `InversionResult`.
    """

    images: torch.Tensor
    generated: torch.Tensor
    initial: torch.Tensor
    w_plus: torch.Tensor
    edit_mask: torch.Tensor
    frames: tuple[Frame, ...]
    trace: Trace
    warnings: tuple[str, ...]
    steps: int
    stopped: StopReason


class EditInterrupted(KeyboardInterrupt):
    """Ctrl-C during the optimisation. `result` is the edit as far as it had come."""

    def __init__(self, result: EditResult) -> None:
        super().__init__("interrupted")
        self.result = result


def edit(
    models: Models,
    images: torch.Tensor,
    prompts: str | Sequence[str],
    settings: EditSettings | None = None,
    on_step: OnStep | None = None,
    mask: torch.Tensor | None = None,
    between: Callable[[], None] = lambda: None,
    on_prepare: OnStep | None = None,
    negative: str = "",
    source: str = "",
    frames: Sequence[Frame] | None = None,
) -> EditResult:
    """Dress the persons in `images` as the prompts say.

    Args:
        models: from `load_models`.
        images: photos, (N, 3, H, W) float in [0, 1], any size.
        prompts: one for all pictures, one for each, or several for a single picture; each may hold
            several with weights, see `prompts.parse`.
        settings: default `EditSettings()`.
        on_step: called after every optimisation step, see `invert`.
        mask: (N or 1, 1, H, W) in [0, 1]; the edit is kept within it.
        between: called while the first step is prepared, see `invert`.
        on_prepare: called after every step that fits the code or the generator to the photos, as
            `on_step` is after those of the edit; `Step.stop()` ends that fit alone.
        negative: a prompt to move away from.
        source: what the persons wear now, for the term `clip_direction`; without it that term is left
            out.
        frames: where the person is in each picture (or one for all), see `persons.py`; found as
            `settings.framing` says when missing.

    Returns:
        One edit per pair of picture and prompt.

    Raises:
        FiceError: numbers of pictures and prompts do not go together, empty or overlong prompt,
            a picture too small or too narrow, no person found, a mask that is 0 everywhere.
        EditInterrupted: Ctrl-C once the edit has begun; holds the edit as far as it had come.
    """
    settings = settings or EditSettings()
    if not source.strip():
        settings = settings.with_weights(clip_direction=0.0)
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    _check_images(images, mask)
    common_count({"pictures": len(images), "prompts": len(prompts)})

    def fitted(step: Step) -> None:
        between()
        if on_prepare is not None:
            on_prepare(step)

    with no_graph():
        texts = Texts.of(models.clip, prompts, negative, source)
        job = prepare(models, images.detach(), texts, settings, mask, frames, fitted)
    said = [*prompts, *(text for text in (negative, source) if text.strip())]
    warnings = [*unknown_words(models.clip, said), *job.warnings]
    try:
        if settings.tune_steps:
            result = invert_tuned(
                models,
                job.targets,
                settings,
                _rows_of_photos(len(images), len(job.targets)),
                on_prepare=fitted,
                on_step=on_step,
                between=between,
            )
        else:
            result = invert(
                models.generator,
                job.targets,
                settings,
                clip=models.clip,
                densepose=models.densepose,
                segmenter=models.segmenter,
                on_step=on_step,
                between=between,
            )
    except InversionInterrupted as interrupt:
        raise EditInterrupted(
            _result(models, job, interrupt.result, settings, warnings)
        ) from interrupt
    return _result(models, job, result, settings, warnings)


def _rows_of_photos(photos: int, edits: int) -> list[slice]:
    """Which edits are of the same photo."""
    return [slice(0, edits)] if photos == 1 else [slice(k, k + 1) for k in range(edits)]


def _check_images(images: torch.Tensor, mask: torch.Tensor | None) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(
            f"images must be (N, 3, H, W) floating point, not {tuple(images.shape)} {images.dtype}"
        )
    if len(images) == 0:
        raise FiceError("there is no picture to edit")
    if mask is not None and (
        mask.ndim != 4
        or mask.shape[1] != 1
        or mask.shape[2:] != images.shape[2:]
        or len(mask) not in (1, len(images))
    ):
        raise FiceError(
            f"the mask has shape {tuple(mask.shape)}, but pictures of {tuple(images.shape)} need one "
            f"of (1 or {len(images)}, 1, {images.shape[2]}, {images.shape[3]})"
        )
    if mask is not None and not bool((mask > 0).any()):
        raise FiceError(
            "the mask is 0 everywhere, so nothing could change: mark where the edit may go"
        )


def _result(
    models: Models,
    job: Job,
    result: InversionResult,
    settings: EditSettings,
    warnings: Sequence[str],
) -> EditResult:
    """Stage 3: stitch at the photos' own size, one after the other."""
    with no_graph():
        found = _Found.of(models, job, result, settings)
        images = job.photos.float()[job.picture]
        masks = images.new_zeros(len(images), 1, *images.shape[2:])
        for i, frame in enumerate(job.frames):
            sample = slice(i, i + 1)
            within = None if job.mask is None else frame.cut(job.mask[job.picture[i]][None])
            patch = Patch(
                photo=frame.cut(images[sample]).to(models.device),
                frame=frame,
                generated=found.generated[sample],
                garment=found.garment[sample],
                anatomy=Anatomy(*(region[sample] for region in job.anatomy)),
                head=found.head[sample],
                scenery=found.scenery[i],
                within=within if within is None else within.to(models.device),
            )
            changed, mask = finish(patch, settings)
            frame.cut(images[sample]).copy_(changed)
            frame.cut(masks[sample]).copy_(mask)
        home = job.photos.device
        return EditResult(
            images=images,
            generated=result.images.to(home),
            initial=result.initial.to(home),
            w_plus=result.w_plus.to(home),
            edit_mask=masks,
            frames=tuple(job.frames),
            trace=replace(result.trace, refinement=job.refinement),
            warnings=(*warnings, *result.warnings, *_unchanged(masks)),
            steps=result.trace.steps,
            stopped=result.stopped,
        )


def _unchanged(mask: torch.Tensor) -> list[str]:
    """A warning for every picture of which nothing may change."""
    empty = (mask.flatten(1).amax(dim=1) == 0).tolist()
    return [
        f"picture {sample + 1} is unchanged: no garment was found in it within the mask"
        for sample, nothing in enumerate(empty)
        if nothing
    ]


class _Found(NamedTuple):
    """What stage 3 needs of the generated pictures, at the generator's resolution."""

    generated: torch.Tensor
    garment: torch.Tensor
    head: torch.Tensor
    scenery: list[Scenery | None]

    @classmethod
    def of(
        cls, models: Models, job: Job, result: InversionResult, settings: EditSettings
    ) -> "_Found":
        generated, photo, head = result.images, job.targets.images, job.targets.head
        assert head is not None and job.targets.parts is not None
        if not settings.keeps_outside:
            nowhere = torch.ones_like(head, dtype=torch.bool)
            return cls(generated, nowhere, head, [None] * len(head))
        parts = extract_pose(models.densepose, generated, settings.max_batch)
        regions = segment_regions(models.segmenter, generated, settings.max_batch)
        after = find_anatomy(parts, regions)
        garment = garment_mask(job.anatomy, after, photo, result.initial, generated, settings)
        if settings.match_skin:
            generated, _ = match_skin(generated, photo, after.arms, parts, job.targets.parts)
        scenery: list[Scenery | None] = [
            _scenery(i, job, regions) if replaced else None
            for i, replaced in enumerate(job.replaced)
        ]
        return cls(generated, garment, head, scenery)


def _scenery(i: int, job: Job, after: Regions) -> Scenery:
    """What is behind the person of one edit."""
    one = slice(i, i + 1)
    before, now = (Regions(*(r[one] for r in regions)) for regions in (job.regions, after))
    return Scenery.of(job.framed[one], before, now)
