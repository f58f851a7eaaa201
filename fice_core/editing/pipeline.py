"""The whole method: a photo and a sentence in, the edited photo out."""

from collections.abc import Callable, Sequence

import torch

from ..errors import FiceError
from ..extraction.prompts import remarks
from ..framing import Frame
from ..inversion.loop import invert
from ..inversion.result import InversionInterrupted, OnStep, Step
from ..inversion.tuned import invert_tuned
from ..models import Models
from ..ops.autograd import without_grad
from ..ops.batching import broadcast_count
from ..settings import EditSettings
from .finish import finish_edits
from .prepare import PromptFeatures, prepare
from .result import EditInterrupted, EditResult


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
    on_warning: Callable[[str], None] = lambda line: None,
) -> EditResult:
    """Dress the persons in `images` as the prompts say.

    Args:
        models: from `load_models`.
        images: photos, (N, 3, H, W) float in [0, 1], any size.
        prompts: one for all photos, one for each, or several for a single photo. Each may hold several
            weighted prompts, see `prompts.parse`.
        settings: None for the default of these models, see `EditSettings.preset`.
        on_step: called after every step of the search for the code (without an encoder), the refinement,
            the tuning, the search for a start and the edit; `Step.phase` says which. `Step.stop()` ends
            that phase alone. An exception ends the edit and is passed on.
        mask: the edit stays within it, (N or 1, 1, H, W) in [0, 1].
        check_cancelled: called at every step and while the first step is prepared; an exception that
            it raises ends the edit and is passed on.
        negative: a prompt to move away from.
        source: what the persons wear now, for the term `clip_direction`; without it that term is off.
        frames: where the person is in each photo, or one for all, see `persons.choose_frame`; None
            finds them as `settings.framing` says.
        on_warning: called with every warning that is known before the optimisation begins, as soon as it
            is: for an image that the models do not know, before the first step of the edit.
            `EditResult.warnings` has them too.

    Returns:
        One edit for every pair of photo and prompt.

    Raises:
        FiceError: the numbers of photos and prompts do not match, a prompt is empty, too long or of
            unknown words only, a photo is too small or too narrow, no person is found, or the mask is 0
            everywhere.
        EditInterrupted: Ctrl-C after the edit has begun; holds the edit so far.
    """
    settings = settings or EditSettings.preset("default", models.generator.demonstration)
    if not source.strip():
        settings = settings.with_weights(clip_direction=0.0)
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    _check_images(images, mask)
    broadcast_count({"images": len(images), "prompts": len(prompts)})

    def follow(step: Step) -> None:
        check_cancelled()
        if on_step is not None:
            on_step(step)

    with without_grad():
        texts = PromptFeatures.of(models.clip, prompts, negative, source)
        of_texts = remarks(models.clip, prompts, negative, source)
        for line in of_texts:
            on_warning(line)
        preparation = prepare(
            *(models, images.detach(), texts, settings, mask, frames),
            *(follow, check_cancelled, on_warning),
        )
    warnings = [*of_texts, *preparation.warnings]
    try:
        if settings.tune_steps:
            result = invert_tuned(
                models.generator,
                preparation.targets,
                settings,
                _rows_of_photos(len(images), len(preparation.targets)),
                clip=models.clip,
                densepose=models.densepose,
                segmenter=models.segmenter,
                on_step=follow,
                check_cancelled=check_cancelled,
            )
        else:
            result = invert(
                models.generator,
                preparation.targets,
                settings,
                clip=models.clip,
                densepose=models.densepose,
                segmenter=models.segmenter,
                on_step=follow,
                check_cancelled=check_cancelled,
            )
    except InversionInterrupted as interrupt:
        raise EditInterrupted(
            finish_edits(models, preparation, interrupt.result, settings, warnings)
        ) from interrupt
    return finish_edits(models, preparation, result, settings, warnings)


def _rows_of_photos(photos: int, edits: int) -> list[slice]:
    """The rows of the edits of each photo."""
    return [slice(0, edits)] if photos == 1 else [slice(k, k + 1) for k in range(edits)]


def _check_images(images: torch.Tensor, mask: torch.Tensor | None) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(
            f"images must be (N, 3, H, W) floating point, not {tuple(images.shape)} {images.dtype}"
        )
    if len(images) == 0:
        raise FiceError("there is no image to edit: give at least one")
    if mask is not None and (
        mask.ndim != 4
        or mask.shape[1] != 1
        or mask.shape[2:] != images.shape[2:]
        or len(mask) not in (1, len(images))
    ):
        raise FiceError(
            f"the mask has shape {tuple(mask.shape)}, but images of {tuple(images.shape)} need one "
            f"of (1 or {len(images)}, 1, {images.shape[2]}, {images.shape[3]})"
        )
    if mask is not None and not bool((mask > 0).any()):
        raise FiceError(
            "the mask is 0 everywhere, so nothing could change: mark where the edit may go"
        )
