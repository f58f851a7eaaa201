"""Multi-band blending of the generated image and the photo, by Laplacian pyramids.

Like every stitch mode, it takes images (N, 3, H, W) at the photo's resolution and a mask (N, 1, H, W) in
[0, 1], 1 for the generated image. It returns the photo bit for bit where the mask is 0.
"""

import torch
import torch.nn.functional as F

from ..ops.patches import check_same_size, edit_boxes
from ..ops.pyramid import expand, laplacian_pyramid, reduce
from ..ops.robust import STD_PER_MAD

_COARSEST = 32  # shorter side of the edit in pixels at the coarsest level
_REACH = 4  # radius in pixels of a level within which reduction and expansion have an effect
_OUTLIER = 4.0  # robust standard deviations from the median; a smaller difference is one of light
_MIN_LIMIT = 0.04  # RGB; a difference so close to the median is always one of light


def blend_pyramid(
    generated: torch.Tensor,
    original: torch.Tensor,
    mask: torch.Tensor,
    levels: int | None = None,
) -> torch.Tensor:
    """Images blended per frequency band, each over a border as wide as its wavelength.

    Source: Burt and Adelson (1983), "A multiresolution spline with application to image mosaics", with
    two changes for an edit that must stay within its mask.

    - The mask of each level is first eroded by the radius of the level. Every transition thus lies
      inside the mask, and the pixels outside equal the photo, without a step.
    - The wide transitions of low frequencies therefore lie over the old garment, whose colour must not
      show through. So only a difference in light is blended there. It is measured where the mask is
      below 1, without outliers, and extrapolated into the interior. The rest of the difference is
      blended by the mask alone.

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        mask: (N, 1, H, W) in [0, 1].
        levels: number of halvings of the resolution, >= 0; None halves until the shorter side of the
            edit is 32 pixels. 0 is the same as `stitch`.

    Returns:
        (N, 3, H, W), in [0, 1] inside the mask.

    Raises:
        ValueError: the shapes do not match, or `levels` is negative.
    """
    check_same_size(generated, original, mask)
    if levels is not None and levels < 0:
        raise ValueError(f"levels is {levels}, but must be at least 0")
    result = original.clone()
    for sample, (rows, columns) in edit_boxes(mask, margin=_COARSEST):
        soft = mask[sample : sample + 1, :, rows, columns]
        photo = original[sample : sample + 1, :, rows, columns]
        patch = generated[sample : sample + 1, :, rows, columns]
        finite = patch.isfinite().all(dim=1, keepdim=True)
        difference = torch.where((soft < 1) & finite, patch - photo, 0.0)
        usual = (soft < 1) & finite & _usual(difference, (soft < 1) & finite)
        light = _fill(difference, usual)
        content = torch.where(soft < 1, difference - light, 0.0)
        depth = _default_levels(soft) if levels is None else levels
        masks, bands = _masks(soft, depth), laplacian_pyramid(light, depth)
        # The contribution of the photo's light inside, summed from the coarsest level to the finest.
        photo_light = (1 - masks.pop()) * bands.pop()
        while bands:
            band = bands.pop()
            photo_light = expand(photo_light, band.shape[-2:]) + (1 - masks.pop()) * band
        blended = (patch - photo_light - (1 - soft) * content).clamp(0, 1)
        result[sample, :, rows, columns] = torch.where(soft > 0, blended, photo)[0]
    return result


def _default_levels(mask: torch.Tensor) -> int:
    """Number of halvings until the shorter side has `_COARSEST` pixels."""
    return max(0, (min(mask.shape[-2:]) // _COARSEST).bit_length() - 1)


def _masks(mask: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """The mask at every level, 0 where a pixel of the level would affect pixels outside of the mask."""
    masks = [mask]
    for _ in range(levels):
        size = 2 * _REACH + 1
        eroded = -F.max_pool2d(
            -masks[-1], size, 1, _REACH
        )  # the image's border is no border of the mask
        masks.append(reduce(eroded))
    return masks


def usual_range(differences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Median of differences (C, K), and the largest deviation of a difference in light, each (C, 1).

    The limit is a few robust standard deviations. Larger deviations are differences in content.
    """
    median = differences.median(dim=1, keepdim=True).values
    spread = STD_PER_MAD * (differences - median).abs().median(dim=1, keepdim=True).values
    return median, (_OUTLIER * spread).clamp_min(_MIN_LIMIT)


def _usual(difference: torch.Tensor, area: torch.Tensor) -> torch.Tensor:
    """Where (1, C, H, W) is within the usual range of the pixels of an area: (1, 1, H, W) bool."""
    if not area.any():
        return area
    median, limit = usual_range(difference.detach()[0][:, area[0, 0]])
    deviation = (difference - median[None, ..., None]).abs()
    return (deviation <= limit[None, ..., None]).all(dim=1, keepdim=True)


def _fill(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Values (1, C, H, W), extrapolated from `known` (1, 1, H, W) to the other pixels.

    Push-pull, as in Gortler et al. (1996), "The lumigraph", section 3.3: unknown pixels are filled from
    half the resolution. If no pixel is known, the values are returned as they are.
    """
    if known.all() or not known.any():
        return values
    weight = reduce(known.to(values.dtype))
    smaller = reduce(values * known) / weight.clamp_min(1e-6)
    return torch.where(known, values, expand(_fill(smaller, weight > 0), values.shape[-2:]))
