"""Masks of the garment, from pose and body regions.

Masks are (N, 1, H, W) float32 in [0, 1], 1 where the image may change. No network segments garments
here, so a mask takes two steps. Torso and arms limit the area that clothing can cover. On the arms, only
pixels that the edit visibly changes are clothing; a bare forearm stays as in the photo.
"""

import torch

from ..extraction.anatomy import BodyRegions
from ..ops.morphology import blur, box_filter, dilate, max_filter
from ..ops.resize import resize, working_copy
from ..settings import MaskSettings
from .guided_filter import refine_mask

_ARM_SMOOTHING = 0.015  # radius over which a change is averaged, a fraction of the height
_SLIVER = 0.008  # half of the smallest width of a sleeve, a fraction of the height
_NEGLIGIBLE = 1 / 512  # an opacity that does not change an 8-bit image


def allowed_mask(anatomy: BodyRegions, settings: MaskSettings) -> torch.Tensor:
    """The area that any garment of this kind could cover: 1 there, else 0.

    The image term of the inversion keeps the rest. The area is as large as an edit mask can be, so
    the optimisation is free everywhere its image is used.

    Args:
        anatomy: of the photo.
        settings: its `garment`, `mask_dilation` and `mask_feather` are used.

    Returns:
        (N, 1, H, W).
    """
    reach = settings.mask_dilation + settings.mask_feather
    always, possible, never = anatomy.garment_regions(settings.garment)
    return (dilate(always | possible, reach) & ~never).float()


def garment_mask(
    before: BodyRegions,
    after: BodyRegions,
    photo: torch.Tensor,
    initial: torch.Tensor,
    generated: torch.Tensor,
    settings: MaskSettings,
) -> torch.Tensor:
    """The mask of the garment before and after the edit, bool (N, 1, H, W).

    The torso always belongs to an upper garment. On the arms, it is the pixels where `initial` and
    `generated` differ. Both come from the generator, so errors of its reconstruction cancel. A bare
    forearm is the same in both and stays as in the photo; a sleeve that appears or disappears is not.
    An old sleeve can be a little wider than the new arm. Photo and generated image differ there, so
    pixels close to the garment where they differ are added to the mask.

    Args:
        before: of the photo.
        after: of the generated image.
        photo: at the generator's resolution, (N, 3, H, W).
        initial, generated: the generator's images before and after the edit, (N, 3, H, W).
        settings: its `garment`, `mask_dilation`, `mask_feather` and `change_threshold` are used.
    """
    changed = blur(_difference(generated, initial), _ARM_SMOOTHING) > settings.change_threshold
    always, possible, _ = (
        old | new
        for old, new in zip(
            before.garment_regions(settings.garment),
            after.garment_regions(settings.garment),
            strict=True,
        )
    )
    garment = always | without_slivers(possible & changed)
    bare = dilate(possible & ~changed, _ARM_SMOOTHING)
    nearby = dilate(garment, settings.mask_dilation + settings.mask_feather) & ~bare
    return garment | nearby & (_difference(generated, photo) > settings.change_threshold)


def feathered_mask(
    garment: torch.Tensor, before: BodyRegions, settings: MaskSettings
) -> torch.Tensor:
    """The edit mask of a garment: dilated, with a soft border, 0 on protected parts.

    Args:
        garment: bool (N, 1, H, W).
        before: of the photo; its protected parts are never covered.
        settings: its `garment`, `mask_dilation` and `mask_feather` are used.

    Returns:
        (N, 1, H, W) in [0, 1]; exactly 0 where the photo must stay.
    """
    dilated = dilate(garment, settings.mask_dilation + settings.mask_feather / 2)
    soft = blur(dilated.float(), settings.mask_feather / 2)
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
    """The edit mask at the photo's resolution, along its edges.

    The outline of the old garment is an edge of the photo, that of the new one an edge of the generated
    image. The mask is aligned to both. It is then exact to a few pixels, so it is dilated by a quarter
    as much as by `feathered_mask`, and its border is half as wide.

    Args:
        garment: the result of `garment_mask`, bool (N, 1, h, w).
        never: parts that are never edited, bool (N, 1, h, w).
        photo, generated: (N, 3, H, W) in [0, 1].
        settings: its `mask_dilation` and `mask_feather` are used.

    Returns:
        (N, 1, H, W) in [0, 1]; exactly 0 where the photo must stay.
    """
    size = (photo.shape[-2], photo.shape[-1])
    photo, generated = working_copy(photo), working_copy(generated)
    exact = torch.maximum(*(refine_mask(image, garment.float()) for image in (photo, generated)))
    protected = refine_mask(photo, never.float())
    height = photo.shape[-2]
    feather = round(settings.mask_feather / 4 * height)
    soft = max_filter(exact, round(settings.mask_dilation / 4 * height) + feather)
    for _ in range(2):
        soft = box_filter(soft, feather // 2)
    soft = torch.where(soft > 1 - _NEGLIGIBLE, 1.0, soft)
    soft = torch.minimum(soft, 1 - protected)
    return resize(torch.where((protected > 0.5) | (soft < _NEGLIGIBLE), 0.0, soft), size)


def edit_mask(
    before: BodyRegions,
    after: BodyRegions,
    photo: torch.Tensor,
    initial: torch.Tensor,
    generated: torch.Tensor,
    settings: MaskSettings,
) -> torch.Tensor:
    """The edit mask (N, 1, H, W) in [0, 1]: `feathered_mask` of `garment_mask`; arguments as there."""
    garment = garment_mask(before, after, photo, initial, generated, settings)
    return feathered_mask(garment, before, settings)


def _difference(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of RGB: (N, 3, H, W) twice -> (N, 1, H, W)."""
    return (first - second).abs().mean(dim=1, keepdim=True)


def without_slivers(mask: torch.Tensor) -> torch.Tensor:
    """A bool mask without thin lines, such as the edge of an arm that moved by a pixel."""
    return dilate(~dilate(~mask, _SLIVER), _SLIVER)
