"""Where an edit may change the picture: the garment, found from pose and regions.

Masks are (N, 1, H, W) float32 in [0, 1], 1 where the picture may change. No network here knows
garments, so they are found in two steps: the torso and the arms bound what clothing can cover, and on
the arms only what the edit visibly changed is clothing (a bare forearm stays the photo's own).
"""

import torch

from ..extraction.anatomy import BodyRegions
from ..ops.guided_filter import refine_mask
from ..ops.morphology import blur, box_filter, dilate, max_filter
from ..ops.resize import resize, working_copy
from ..settings import MaskSettings

_ARM_SMOOTHING = 0.015  # radius, as a fraction of the height, over which a change is averaged
_SLIVER = 0.008  # half the width, as a fraction of the height, below which a change is no sleeve
_NEGLIGIBLE = 1 / 512  # an opacity that cannot change an 8-bit picture


def allowed_mask(anatomy: BodyRegions, settings: MaskSettings) -> torch.Tensor:
    """Everything that any such garment of this person could cover: 1 there, else 0.

    The image term of the inversion keeps the rest. As wide as an edit mask can become, so that the
    loop is free wherever its picture is used.
    """
    reach = settings.mask_dilation + settings.mask_feather
    always, perhaps, never = anatomy.garment_regions(settings.garment)
    return (dilate(always | perhaps, reach) & ~never).float()


def garment_mask(
    before: BodyRegions,
    after: BodyRegions,
    photo: torch.Tensor,
    initial: torch.Tensor,
    generated: torch.Tensor,
    settings: MaskSettings,
) -> torch.Tensor:
    """Where the garment is before or after the edit.

    The torso always belongs to an upper garment. Of the arms, only what differs between `initial` and
    `generated`: both come from the generator, so what it cannot reproduce cancels. A bare forearm is
    alike in both and stays the photo's; a sleeve that appears or disappears is not. An old sleeve may
    stand out a little beside the new arm: there the photo and the generated picture differ, and what
    differs close to the garment belongs to the mask too.

    Args:
        before: of the photo.
        after: of the generated picture.
        photo: at the generator's resolution, (N, 3, H, W).
        initial, generated: the generator's pictures before and after the edit, (N, 3, H, W).

    Returns:
        bool (N, 1, H, W).
    """
    changed = blur(_difference(generated, initial), _ARM_SMOOTHING) > settings.change_threshold
    always, perhaps, _ = (
        old | new
        for old, new in zip(
            before.garment_regions(settings.garment),
            after.garment_regions(settings.garment),
            strict=True,
        )
    )
    garment = always | _without_slivers(perhaps & changed)
    bare = dilate(perhaps & ~changed, _ARM_SMOOTHING)
    beside = dilate(garment, settings.mask_dilation + settings.mask_feather) & ~bare
    return garment | beside & (_difference(generated, photo) > settings.change_threshold)


def feathered_mask(
    garment: torch.Tensor, before: BodyRegions, settings: MaskSettings
) -> torch.Tensor:
    """The edit mask of a garment: dilated, with a soft border outside, never over what is protected.

    Args:
        garment: bool (N, 1, H, W).
        before: of the photo; its protected parts are never covered.

    Returns:
        (N, 1, H, W); exactly 0 where the photo must stay.
    """
    grown = dilate(garment, settings.mask_dilation + settings.mask_feather / 2)
    soft = blur(grown.float(), settings.mask_feather / 2)
    soft = torch.where(soft > 1 - _NEGLIGIBLE, 1.0, soft)
    never = before.garment_regions(settings.garment)[2]
    return torch.where(never | (soft < _NEGLIGIBLE), 0.0, soft)


def edge_aligned_mask(
    garment: torch.Tensor,
    never: torch.Tensor,
    photo: torch.Tensor,
    generated: torch.Tensor,
    settings: MaskSettings,
) -> torch.Tensor:
    """The edit mask at a photo's own resolution, along the edges in it.

    The old garment's outline is an edge of the photo, the new one's an edge of the generated picture;
    so the mask is brought to both. Since it is exact to few pixels then, it is dilated by a quarter and
    its border is half as wide as `feathered_mask` has them.

    Args:
        garment: as `garment_mask` gives it, bool (N, 1, h, w).
        never: what stays in any case, bool (N, 1, h, w).
        photo, generated: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 1, H, W); exactly 0 where the photo must stay.
    """
    size = (photo.shape[-2], photo.shape[-1])
    photo, generated = working_copy(photo), working_copy(generated)
    exact = torch.maximum(*(refine_mask(image, garment.float()) for image in (photo, generated)))
    kept = refine_mask(photo, never.float())
    height = photo.shape[-2]
    feather = round(settings.mask_feather / 4 * height)
    soft = max_filter(exact, round(settings.mask_dilation / 4 * height) + feather)
    for _ in range(2):
        soft = box_filter(soft, feather // 2)
    soft = torch.where(soft > 1 - _NEGLIGIBLE, 1.0, soft)
    soft = torch.minimum(soft, 1 - kept)
    return resize(torch.where((kept > 0.5) | (soft < _NEGLIGIBLE), 0.0, soft), size)


def edit_mask(
    before: BodyRegions,
    after: BodyRegions,
    photo: torch.Tensor,
    initial: torch.Tensor,
    generated: torch.Tensor,
    settings: MaskSettings,
) -> torch.Tensor:
    """`garment_mask`, made soft: where the photo gives way, (N, 1, H, W) in [0, 1]."""
    garment = garment_mask(before, after, photo, initial, generated, settings)
    return feathered_mask(garment, before, settings)


def _difference(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of RGB: (N, 3, H, W) twice -> (N, 1, H, W)."""
    return (first - second).abs().mean(dim=1, keepdim=True)


def _without_slivers(mask: torch.Tensor) -> torch.Tensor:
    """A bool mask without lines thinner than a sleeve's edge: an arm that moved by a pixel."""
    return dilate(~dilate(~mask, _SLIVER), _SLIVER)
