"""The edit mask at the photo's scale."""

import torch

from ..extraction.anatomy import BodyRegions
from ..framing import Frame
from ..masks.garment import edge_aligned_mask, feathered_mask
from ..settings import MaskSettings

# A photo whose scale is this many times the generator's has finer edges, to which the mask is aligned.
_FINER = 1.5


def edit_mask_at_photo_scale(
    frame: Frame,
    photo: torch.Tensor,
    generated: torch.Tensor,
    garment: torch.Tensor,
    anatomy: BodyRegions,
    settings: MaskSettings,
) -> torch.Tensor:
    """The edit mask of a garment at the photo's scale, (N, 1, h, w) in [0, 1].

    It is aligned to edges if `settings.sharp_mask` is set and the photo has a finer scale than the
    generator's image. Otherwise it is the resized `feathered_mask`.

    Args:
        frame: of all N photos.
        photo, generated: at the photo's scale, (N, 3, h, w), as returned by `frame.cut` and
            `frame.unfit`.
        garment: bool (N, 1, *frame.resolution).
        anatomy: of the photo.
        settings: its mask settings are used.
    """
    if not settings.sharp_mask or frame.scale * _FINER > 1:
        return frame.unfit(feathered_mask(garment, anatomy, settings))
    never = anatomy.garment_regions(settings.garment)[2]
    return edge_aligned_mask(frame.trim(garment), frame.trim(never), photo, generated, settings)
