"""The whole method: edit pictures by a sentence."""

from collections.abc import Callable, Sequence

import torch

from ..errors import FiceError
from ..extraction.prompts import unknown_words
from ..framing import Frame
from ..inversion.loop import invert
from ..inversion.result import InversionInterrupted, OnStep, Step
from ..inversion.tuned import invert_tuned
from ..models import DEMO_WEIGHTS, Models, load_models, resolve_device
from ..ops.autograd import without_grad
from ..ops.batching import broadcast_count
from ..settings import EditSettings
from .finish import finish_edits
from .prepare import PromptFeatures, prepare
from .result import EditInterrupted, EditResult

__all__ = [
    "DEMO_WEIGHTS",
    "EditInterrupted",
    "EditResult",
    "Models",
    "edit",
    "load_models",
    "resolve_device",
]


def edit(
    models: Models,
    images: torch.Tensor,
    prompts: str | Sequence[str],
    settings: EditSettings | None = None,
    on_step: OnStep | None = None,
    mask: torch.Tensor | None = None,
    check_cancelled: Callable[[], None] = lambda: None,
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
        on_step: called after every step of the refinement, the tuning and the edit; `Step.phase` says
            which. `Step.stop()` ends that phase alone. An exception ends the edit and is passed on.
        mask: (N or 1, 1, H, W) in [0, 1]; the edit is kept within it.
        check_cancelled: called at every step and while the first step is prepared; an exception that
            it raises ends the edit and is passed on.
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
    broadcast_count({"pictures": len(images), "prompts": len(prompts)})

    def follow(step: Step) -> None:
        check_cancelled()
        if on_step is not None:
            on_step(step)

    with without_grad():
        texts = PromptFeatures.of(models.clip, prompts, negative, source)
        job = prepare(models, images.detach(), texts, settings, mask, frames, follow)
    said = [*prompts, *(text for text in (negative, source) if text.strip())]
    warnings = [*unknown_words(models.clip, said), *job.warnings]
    try:
        if settings.tune_steps:
            result = invert_tuned(
                models.generator,
                job.targets,
                settings,
                _rows_of_photos(len(images), len(job.targets)),
                clip=models.clip,
                densepose=models.densepose,
                segmenter=models.segmenter,
                on_step=follow,
                check_cancelled=check_cancelled,
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
                check_cancelled=check_cancelled,
            )
    except InversionInterrupted as interrupt:
        raise EditInterrupted(
            finish_edits(models, job, interrupt.result, settings, warnings)
        ) from interrupt
    return finish_edits(models, job, result, settings, warnings)


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
