"""Stage 3 for one photo: from the generator's picture to the changed part of the photo."""

from typing import NamedTuple

import torch

from .framing import Frame
from .settings import EditSettings
from .stitching import stitch, stitch_head


class Patch(NamedTuple):
    """The part of one photo that lies in its frame, and what the generator has for it.

    Attributes:
        photo: at the photo's own scale, (1, 3, h, w), as `frame.cut` gives it.
        frame: where it lies.
        generated: (1, 3, *frame.resolution).
        mask: where the photo gives way, (1, 1, *frame.resolution) in [0, 1].
        within: the edit stays within this, (1, 1, h, w) in [0, 1]; None for no limit.
    """

    photo: torch.Tensor
    frame: Frame
    generated: torch.Tensor
    mask: torch.Tensor
    within: torch.Tensor | None


def finish(patch: Patch, settings: EditSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """The changed part of the photo (1, 3, h, w), and where it changed, (1, 1, h, w) in [0, 1]."""
    photo, frame = patch.photo, patch.frame
    generated, mask = frame.unfit(patch.generated), frame.unfit(patch.mask)
    if settings.stitch == "head" and patch.within is None:
        return stitch_head(generated, photo, 1 - mask), mask
    if patch.within is not None:
        mask = mask * patch.within
    # A picture that is NaN from the start has nothing to offer: the photo stays.
    mask = torch.where(generated.isfinite().all(dim=1, keepdim=True), mask, 0.0)
    return stitch(generated, photo, mask), mask
