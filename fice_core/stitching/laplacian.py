"""Ways of stitching the generated patch into the photo, at the photo's own resolution.

All take pictures (N, 3, H, W) and a mask (N, 1, H, W) in [0, 1], 1 where the generated picture shows,
and return the photo bit for bit where the mask is 0. `gradient_domain.blend_gradients` is another.
"""

import torch
import torch.nn.functional as F

from ..ops.patches import check_same_size, edit_boxes
from ..ops.pyramid import expand, laplacian_pyramid, reduce

_COARSEST = 32  # pixels a side of the edit at the pyramid's top
_REACH = 4  # pixels of a level that its own reduction and expansion together can spread over
_OUTLIER = 4.0  # robust standard deviations from the median within which a difference is light
_LEAST_LIMIT = 0.04  # RGB; so close to the median it is light, however even that may be


def blend_pyramid(
    generated: torch.Tensor,
    original: torch.Tensor,
    mask: torch.Tensor,
    levels: int | None = None,
) -> torch.Tensor:
    """Every spatial frequency mixed over a border as wide as its own wavelength.

    Burt and Adelson (1983), "A multiresolution spline with application to image mosaics", with two
    changes for an edit that must stay within its mask. The mask of each level is first shrunk by as
    much as the level spreads, so that every transition lies inside the mask and the kept pixels are
    exactly the photo's, without a step. And since the wide transitions of the low frequencies now
    lie over the old garment, whose colour must not shine through, only a difference in light takes
    part in them: as seen where the mask is below 1, without outliers, and continued from there into
    the core. The rest of the difference is faded by the mask alone.

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        mask: (N, 1, H, W) in [0, 1].
        levels: how often the resolution is halved, >= 0; None: until the edit's shorter side is
            32 pixels. 0 is `stitch`.

    Returns:
        (N, 3, H, W), in [0, 1] inside the mask.

    Raises:
        ValueError: shapes do not agree, or `levels` is negative.
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
        # What the photo's colours still contribute inside, from the coarsest level to the finest.
        kept = (1 - masks.pop()) * bands.pop()
        while bands:
            band = bands.pop()
            kept = expand(kept, band.shape[-2:]) + (1 - masks.pop()) * band
        blended = (patch - kept - (1 - soft) * content).clamp(0, 1)
        result[sample, :, rows, columns] = torch.where(soft > 0, blended, photo)[0]
    return result


def _default_levels(mask: torch.Tensor) -> int:
    """Halvings until the shorter side has `_COARSEST` pixels."""
    return max(0, (min(mask.shape[-2:]) // _COARSEST).bit_length() - 1)


def _masks(mask: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """The mask at every level, 0 wherever that level's pixels would reach a pixel outside."""
    masks = [mask]
    for _ in range(levels):
        size = 2 * _REACH + 1
        shrunk = -F.max_pool2d(-masks[-1], size, 1, _REACH)  # beyond the picture nothing is kept
        masks.append(reduce(shrunk))
    return masks


def usual_range(differences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Median of (C, K) and how far from it a difference in light may be, each (C, 1).

    That is a few robust standard deviations; beyond lies a difference in content.
    """
    middle = differences.median(dim=1, keepdim=True).values
    spread = 1.4826 * (differences - middle).abs().median(dim=1, keepdim=True).values
    return middle, (_OUTLIER * spread).clamp_min(_LEAST_LIMIT)


def _usual(difference: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Where (1, C, H, W) is within the usual range of the chosen pixels: (1, 1, H, W) bool."""
    if not chosen.any():
        return chosen
    middle, limit = usual_range(difference.detach()[0][:, chosen[0, 0]])
    deviation = (difference - middle[None, ..., None]).abs()
    return (deviation <= limit[None, ..., None]).all(dim=1, keepdim=True)


def _fill(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W) continued from `known` (1, 1, H, W) to where it is not: from half the resolution.

    Push-pull, as in Gortler et al. (1996), "The lumigraph", section 3.3. 0 if nothing is known.
    """
    if known.all() or not known.any():
        return values
    weight = reduce(known.to(values.dtype))
    smaller = reduce(values * known) / weight.clamp_min(1e-6)
    return torch.where(known, values, expand(_fill(smaller, weight > 0), values.shape[-2:]))
