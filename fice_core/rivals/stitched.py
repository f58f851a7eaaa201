"""The stages that follow a rival's edit: its own return to the photo, or the stitch of this project."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..editing.finish import finish_edits
from ..editing.result import EditResult
from ..extraction.extractors import synthesize
from ..inversion.result import InversionResult
from ..inversion.trace import Trace
from ..ops.batching import MAX_BATCH
from ..settings import EditSettings, StitchMode
from ..stitching.composite import blend_into_photo
from .contract import Edited, Task


def finish(task: Task, edited: Edited, stitch: StitchMode, settings: EditSettings) -> EditResult:
    """The photos with the edits in them.

    Args:
        task: what the rival was given.
        edited: what it made.
        stitch: "none" puts the whole generated image into the frame, "head" brings only the head back from
            the photo, the others are those of this project.
        settings: of the stitch.
    """
    targets = task.preparation.targets
    initial = synthesize(task.models.generator, targets.w_plus, True, MAX_BATCH)
    if edited.images is targets.images:  # a copy was not made by the generator
        initial = targets.images
    return _finished(task, edited, initial, replace(settings, stitch=stitch))


def finish_foreign(
    task: Task, images: torch.Tensor, settings: EditSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Results of another program, stitched into their photos; and where these changed.

    The garment is looked for at the generator's size and blended in at the photo's.

    Args:
        task: N edits.
        images: the results, (N, 3, H, W) in [0, 1], of the size of the photos.
        settings: of masks and stitch.
    """
    preparation = task.preparation
    framed = torch.cat(
        [frame.fit(image[None]) for frame, image in zip(preparation.frames, images, strict=True)]
    ).to(task.models.device)
    edited = Edited(framed, preparation.targets.w_plus)
    mask = _finished(task, edited, preparation.targets.images, settings).edit_mask
    photos = preparation.photos.float()[preparation.photo_of]
    stitched = []
    for k in range(len(images)):
        one = slice(k, k + 1)
        stitched.append(blend_into_photo(images[one], photos[one], mask[one], settings, True))
    return torch.cat(stitched), mask


def _finished(
    task: Task, edited: Edited, initial: torch.Tensor, settings: EditSettings
) -> EditResult:
    nothing = torch.zeros(0, len(edited.images))
    trace = Trace({}, {}, nothing, torch.zeros(len(edited.images)), nothing[:, 0], nothing[:, 0])
    # The image is finished as an 8-bit file will show it.
    images = edited.images.clamp(0, 1) if settings.clamp else edited.images
    result = InversionResult(edited.w_plus, images, initial, trace, "steps", ())
    return finish_edits(task.models, task.preparation, result, settings, ())
