"""Stage 3 for one photo: from the generator's picture to the changed part of the photo."""

from dataclasses import replace
from typing import NamedTuple

import torch

from .extraction.anatomy import Anatomy
from .framing import Frame
from .settings import EditSettings
from .stitching.background import Scenery
from .stitching.composite import put_in, stitch_head
from .stitching.edges import edge


class Patch(NamedTuple):
    """The part of one photo that lies in its frame, and what the generator has for it.

    Attributes:
        photo: at the photo's own scale, (1, 3, h, w), as `frame.cut` gives it.
        frame: where it lies.
        generated: (1, 3, *frame.resolution).
        garment: where the garment is or was, bool (1, 1, *frame.resolution).
        anatomy: of the photo.
        head: soft mask of the photo's head, (1, 1, *frame.resolution).
        scenery: what is behind the person, if the generated picture shows something else there.
        within: the edit stays within this, (1, 1, h, w) in [0, 1]; None for no limit.
    """

    photo: torch.Tensor
    frame: Frame
    generated: torch.Tensor
    garment: torch.Tensor
    anatomy: Anatomy
    head: torch.Tensor
    scenery: Scenery | None
    within: torch.Tensor | None


def finish(patch: Patch, settings: EditSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """The changed part of the photo (1, 3, h, w), and where it changed, (1, 1, h, w) in [0, 1].

    Where the second is 0, the first is the photo bit for bit.
    """
    photo = patch.photo
    generated = patch.frame.unfit(patch.generated)
    if settings.stitch == "head" and patch.within is None:
        head = patch.frame.unfit(patch.head)
        return stitch_head(generated, photo, head), 1 - head
    mask = _mask(patch, generated, settings)
    if patch.within is not None:
        mask = mask * patch.within
    # A picture that is NaN from the start has nothing to offer: the photo stays.
    mask = torch.where(generated.isfinite().all(dim=1, keepdim=True), mask, 0.0)
    if patch.scenery is not None:
        generated = patch.scenery.put_back(generated, photo, patch.frame)
        # What both show now says nothing about light: it is the photo's own.
        settings = replace(settings, match_colour=False)
    return put_in(generated, photo, mask, settings), mask


def _mask(patch: Patch, generated: torch.Tensor, settings: EditSettings) -> torch.Tensor:
    """Where the photo gives way to the generated picture, at the photo's scale."""
    if settings.stitch == "head":
        return 1 - patch.frame.unfit(patch.head)
    if settings.stitch == "none":
        return torch.ones_like(patch.photo[:, :1])
    return edge(patch.frame, patch.photo, generated, patch.garment, patch.anatomy, settings)
