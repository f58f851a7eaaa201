"""Stage 3 for one photo: from the generator's picture to the changed part of the photo."""

from typing import NamedTuple

import torch

from .backdrop import Scenery
from .blending import blend_pyramid
from .framing import Frame
from .gradient_domain import blend_gradients
from .masks import Anatomy, sharpened, soften
from .matching import match_colour, match_grain, ring_around
from .settings import EditSettings
from .stitching import stitch, stitch_head

# A photo that is larger than the generator's picture by this factor has edges worth following.
_FINER = 1.5
_BLENDS = {"pyramid": blend_pyramid, "gradient": blend_gradients}


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
    if settings.keeps_outside:
        generated = _matched(generated, patch, mask, settings)
    return _BLENDS.get(settings.stitch, stitch)(generated, photo, mask), mask


def _mask(patch: Patch, generated: torch.Tensor, settings: EditSettings) -> torch.Tensor:
    """Where the photo gives way to the generated picture, at the photo's scale."""
    if settings.stitch == "head":
        return 1 - patch.frame.unfit(patch.head)
    if settings.stitch == "none":
        return torch.ones_like(patch.photo[:, :1])
    if not settings.sharp_mask or patch.frame.scale * _FINER > 1:
        return patch.frame.unfit(soften(patch.garment, patch.anatomy, settings))
    never = patch.anatomy.worn(settings.garment)[2]
    garment, never = (patch.frame.shown(mask) for mask in (patch.garment, never))
    return sharpened(garment, never, patch.photo, generated, settings)


def _matched(
    generated: torch.Tensor, patch: Patch, mask: torch.Tensor, settings: EditSettings
) -> torch.Tensor:
    """The generated picture in the photo's surroundings, in its light and with its grain."""
    photo = patch.photo
    if patch.scenery is not None:
        generated = patch.scenery.put_back(generated, photo, patch.frame)
    elif settings.match_colour:  # with scenery put back, what both show says nothing about light
        generated = match_colour(generated, photo, ring_around(mask))
    if settings.match_grain:
        generated = match_grain(generated, photo, mask, settings.seed)
    return generated
