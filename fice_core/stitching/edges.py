"""Where the photo gives way to the generated image, at the photo's own scale."""

import torch

from ..extraction.anatomy import BodyRegions
from ..framing import Frame
from ..masks.garment import edge_aligned_mask, feathered_mask
from ..settings import MaskSettings

# A photo that is larger than the generator's picture by this factor has edges worth following.
_FINER = 1.5


def edit_mask_at_photo_scale(
    frame: Frame,
    photo: torch.Tensor,
    generated: torch.Tensor,
    garment: torch.Tensor,
    anatomy: BodyRegions,
    settings: MaskSettings,
) -> torch.Tensor:
    """The edit mask of a garment at the photo's scale: along the edges in the photo, or soft.

    It follows edges if `settings.sharp_mask` asks for that and the photo has finer ones than the
    generator's picture.

    Args:
        frame: of all N photos.
        photo, generated: at the photo's own scale, (N, 3, h, w), as `frame.cut` and `frame.unfit` give them.
        garment: bool (N, 1, *frame.resolution).
        anatomy: of the photo.

    Returns:
        (N, 1, h, w) in [0, 1].
    """
    if not settings.sharp_mask or frame.scale * _FINER > 1:
        return frame.unfit(feathered_mask(garment, anatomy, settings))
    never = anatomy.garment_regions(settings.garment)[2]
    return edge_aligned_mask(frame.trim(garment), frame.trim(never), photo, generated, settings)
