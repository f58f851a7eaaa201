"""Matches the colours of the generated image to the photo, measured where both show the same."""

import torch
import torch.nn.functional as F

from ..ops.morphology import max_filter
from ..ops.patches import check_same_size
from ..ops.resize import resize
from ..ops.robust import STD_PER_MAD

_RING_SIDE = 512  # the ring is computed on a mask of at most this size
_FIT_SIDE = 256  # colours are compared on images of at most this size, which averages pixels
_MIN_PIXELS = 48  # of these images
_GAINS = (0.7, 1.4)  # limits
_MAX_OFFSET = 0.2
_GAIN_PRIOR = 0.03  # standard deviation of RGB; a smaller one pulls the gain to 1
_ROUNDS = 12  # of reweighted least squares
# Lower limits of the scale of residuals in the first and last round, in RGB, as powers of ten. With one
# grey level from the start, a fit to the wall alone would treat the trousers as outliers, because their
# gain is not fitted yet.
_SPREADS = (-1.3, -2.4)
_TUKEY = 4.685  # robust standard deviations; pixels with larger residuals have weight 0


def ring_around(mask: torch.Tensor, width: float = 0.04) -> torch.Tensor:
    """The unedited pixels (`mask` 0) within a distance of the edit, bool (N, 1, H, W).

    Args:
        mask: (N, 1, H, W) in [0, 1].
        width: the distance, a fraction of the height.
    """
    height, longest = mask.shape[-2], max(mask.shape[-2:])
    block = max(1, -(-longest // _RING_SIDE))
    edited = F.max_pool2d((mask > 0).float(), block, ceil_mode=True)
    reach = max(1, round(width * height / block))
    dilated = max_filter(edited, reach).repeat_interleave(block, -2).repeat_interleave(block, -1)
    return (dilated[..., :height, : mask.shape[-1]] > 0) & (mask == 0)


def match_colour(
    generated: torch.Tensor, original: torch.Tensor, kept: torch.Tensor
) -> torch.Tensor:
    """`generated` with the gain and offset of each channel that match it to the photo.

    Arguments as for `fit_colour`.

    Returns:
        (N, 3, H, W) clamped to [0, 1]; images with too few pixels to fit are returned as they are.
    """
    gain, offset = fit_colour(generated, original, kept)
    matched = (generated * gain[..., None, None] + offset[..., None, None]).clamp(0, 1)
    unknown = ((gain == 1) & (offset == 0)).all(dim=1)
    return torch.where(unknown[:, None, None, None], generated, matched)


def fit_colour(
    generated: torch.Tensor, original: torch.Tensor, kept: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and offset with `original` = gain * `generated` + offset on most of the kept pixels.

    Least squares, reweighted by Tukey's biweight with a scale that shrinks every round. Pixels where
    the images show different things, such as a trouser leg in another colour, are outliers. All
    channels of a pixel have the same weight. If the kept pixels have only one colour, the gain is
    undetermined; a prior pulls it to 1.

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        kept: (N, 1, H, W) in [0, 1] or bool, the pixels where both should show the same; preferably
            the neighbourhood of the edit, see `ring_around`.

    Returns:
        gain in [0.7, 1.4] and offset in [-0.2, 0.2], each (N, 3); 1 and 0 with too few pixels.

    Raises:
        ValueError: the shapes do not match.
    """
    check_same_size(generated, original, kept)
    reduced = [_small(images.detach()) for images in (generated, original)]
    # A reduced pixel is used if all of its pixels are kept and finite.
    usable = _small(kept.to(original.dtype)) > 0.999
    usable &= torch.isfinite(reduced[0]).all(dim=1, keepdim=True)
    fits = [
        _fit(before[:, area[0]].double(), after[:, area[0]].double())
        for before, after, area in zip(*reduced, usable, strict=True)
    ]
    gain, offset = (torch.stack(values).to(generated) for values in zip(*fits, strict=True))
    return gain, offset


def _small(images: torch.Tensor) -> torch.Tensor:
    """Images reduced to at most `_FIT_SIDE` pixels a side."""
    factor = max(1.0, max(images.shape[-2:]) / _FIT_SIDE)
    height, width = (max(1, round(side / factor)) for side in images.shape[-2:])
    return resize(images, (height, width))


def _fit(before: torch.Tensor, after: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and offset (3,) that map colours `before` to `after`, (3, K) each."""
    gain, offset = before.new_ones(3, 1), before.new_zeros(3, 1)
    if before.shape[1] < _MIN_PIXELS:
        return gain[:, 0], offset[:, 0]
    offset = (after - before).median(dim=1, keepdim=True).values
    for minimum in torch.logspace(*_SPREADS, _ROUNDS):
        residual = (after - gain * before - offset).norm(dim=0)
        spread = (STD_PER_MAD * residual.median()).clamp_min(float(minimum))
        weight = (1 - (residual / (_TUKEY * spread)) ** 2).clamp_min(0) ** 2
        weight = weight / weight.sum()
        x, y = ((weight * values).sum(dim=1, keepdim=True) for values in (before, after))
        covariance = (weight * (before - x) * (after - y)).sum(dim=1, keepdim=True)
        variance = (weight * (before - x) ** 2).sum(dim=1, keepdim=True)
        gain = (covariance + _GAIN_PRIOR**2) / (variance + _GAIN_PRIOR**2)
        gain = gain.clamp(*_GAINS)
        offset = y - gain * x
    return gain[:, 0], offset.clamp(-_MAX_OFFSET, _MAX_OFFSET)[:, 0]
