"""The whole method: edit pictures by a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from .batches import common_count
from .errors import FiceError
from .fidelity import refine_latent
from .framing import Frame
from .initialization import (
    Targets,
    encode_latent,
    extract_anatomy,
    extract_pose,
    no_graph,
    segment_regions,
)
from .inversion import InversionInterrupted, InversionResult, OnStep, Step, StopReason, invert
from .masks import Anatomy, allowed_mask, edit_mask, find_anatomy
from .models import DEMO_WEIGHTS, Models, load_models, resolve_device
from .networks.segmenter import Regions
from .prompts import encode, unknown_words
from .settings import EditSettings
from .stitching import stitch, stitch_head
from .trace import Trace
from .tuned_inversion import invert_tuned

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

    Returns:
        One edit per pair of picture and prompt.

    Raises:
        FiceError: numbers of pictures and prompts do not go together, empty or overlong prompt,
            a picture too small or too narrow.
        EditInterrupted: Ctrl-C once the edit has begun; holds the edit as far as it had come.
    """
    settings = settings or EditSettings()
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    _check_images(images, mask)

    def fitted(step: Step) -> None:
        between()
        if on_prepare is not None:
            on_prepare(step)

    with no_graph():
        job = _prepare(models, images.detach().clone(), prompts, settings, mask, fitted)
    warnings = [*unknown_words(models.clip, prompts), *job.warnings]
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
            _finish(models, job, interrupt.result, settings, warnings)
        ) from interrupt
    return _finish(models, job, result, settings, warnings)


class _Job(NamedTuple):
    """Everything known before the optimisation; all tensors have one row per edit."""

    photos: torch.Tensor
    frame: Frame
    targets: Targets
    anatomy: Anatomy
    head: torch.Tensor
    mask: torch.Tensor | None
    refinement: Trace | None
    warnings: tuple[str, ...]


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


def _prepare(
    models: Models,
    photos: torch.Tensor,
    prompts: list[str],
    settings: EditSettings,
    mask: torch.Tensor | None,
    on_fit: OnStep,
) -> _Job:
    """Stage 1: run every network once over the photos, then pair them with the prompts."""
    count = common_count({"pictures": len(photos), "prompts": len(prompts)})
    text_features = encode(models.clip, prompts)
    frame = Frame.around((photos.shape[2], photos.shape[3]), models.generator.resolution)
    framed = frame.fit(photos.to(models.device, torch.float32))
    parts = extract_pose(models.densepose, framed, settings.max_batch)
    regions = segment_regions(models.segmenter, framed, settings.max_batch)
    anatomy = find_anatomy(parts, regions)
    w_plus = encode_latent(models.generator, models.encoder, framed, settings.max_batch)
    refined = None
    if settings.refine_steps:
        refined = refine_latent(
            models.generator,
            models.segmenter,
            framed,
            w_plus,
            settings.refine_steps,
            max_batch=settings.max_batch,
            on_step=on_fit,
        )
        w_plus = refined.w_plus
    if mask is not None:
        mask = mask.detach().clone().to(models.device, torch.float32).clamp(0, 1)
        mask = mask.expand(len(photos), -1, -1, -1)
    keep = _keep_mask(regions, anatomy, settings)
    if mask is not None:
        keep = 1 - (1 - keep) * frame.fit(mask)

    edits = torch.arange(count, device=models.device)
    picture, prompt = edits % len(photos), edits % len(prompts)
    return _Job(
        photos=photos[picture.to(photos.device)],
        frame=frame,
        targets=Targets(
            images=framed[picture],
            w_plus=w_plus[picture],
            text_features=text_features[prompt],
            parts=parts[picture],
            head=regions.head[picture],
            keep_mask=keep[picture],
        ),
        anatomy=Anatomy(*(region[picture] for region in anatomy)),
        head=regions.head[picture],
        mask=None if mask is None else mask[picture],
        refinement=None if refined is None else refined.trace.select(picture),
        warnings=() if refined is None else refined.warnings,
    )


def _keep_mask(regions: Regions, anatomy: Anatomy, settings: EditSettings) -> torch.Tensor:
    """What the image term holds on to: the paper's non-body, or all but what a garment may cover."""
    if settings.stitch == "head":
        return 1 - regions.body
    return 1 - allowed_mask(anatomy, settings)


def _finish(
    models: Models,
    job: _Job,
    result: InversionResult,
    settings: EditSettings,
    warnings: Sequence[str],
) -> EditResult:
    """Stage 3: stitch at the photos' own size."""
    with no_graph():
        photos = job.photos.to(models.device, torch.float32)
        mask = job.frame.restore(_small_mask(models, job, result, settings))
        if job.mask is not None:
            mask = mask * job.mask
        generated = job.frame.restore(result.images)
        # A picture that is NaN from the start has nothing to offer: the photo stays.
        mask = torch.where(generated.isfinite().all(dim=1, keepdim=True), mask, 0.0)
        if settings.stitch == "head" and job.mask is None:
            images = stitch_head(generated, photos, job.frame.restore(job.head))
        else:
            images = stitch(generated, photos, mask)
        home = job.photos.device
        return EditResult(
            images=images.to(home),
            generated=result.images.to(home),
            initial=result.initial.to(home),
            w_plus=result.w_plus.to(home),
            edit_mask=mask.to(home),
            trace=replace(result.trace, refinement=job.refinement),
            warnings=(*warnings, *result.warnings, *_unchanged(mask)),
            steps=result.trace.steps,
            stopped=result.stopped,
        )


def _unchanged(mask: torch.Tensor) -> list[str]:
    """A warning for every picture of which nothing may change."""
    empty = (mask.flatten(1).amax(dim=1) == 0).tolist()
    return [
        f"picture {sample + 1} is unchanged: no upper body was found in it within the mask"
        for sample, nothing in enumerate(empty)
        if nothing
    ]


def _small_mask(
    models: Models, job: _Job, result: InversionResult, settings: EditSettings
) -> torch.Tensor:
    """Where the photo gives way to the generated picture, at the generator's resolution."""
    if settings.stitch == "head":
        return 1 - job.head
    if settings.stitch == "none":
        return torch.ones_like(job.head)
    after = extract_anatomy(models.densepose, models.segmenter, result.images, settings.max_batch)
    return edit_mask(
        job.anatomy, after, job.targets.images, result.initial, result.images, settings
    )
