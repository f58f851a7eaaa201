"""Make the generated patch a part of the photo: its colours and its grain, measured on what both show."""

import torch
import torch.nn.functional as F

from ..ops.morphology import max_filter
from ..ops.patches import check_same_size
from ..ops.resize import resize
from .grain import _MAD, _SPREADS

_RING_SIDE = 512  # the ring is grown on a picture of at most this size
_EVIDENCE_SIDE = 256  # colours are compared on a picture of at most this size: averages, not pixels
_LEAST_EVIDENCE = 48  # pixels of that picture
_GAINS = (0.7, 1.4)
_LARGEST_OFFSET = 0.2
_GAIN_PRIOR = 0.03  # standard deviation of RGB from which the evidence outweighs the gain 1
_ROUNDS = 12
_TUKEY = 4.685  # robust standard deviations from which a pixel is no evidence


def ring_around(mask: torch.Tensor, width: float = 0.04) -> torch.Tensor:
    """The kept pixels (`mask` 0) within `width`, a fraction of the height, of the edit.

    Args:
        mask: (N, 1, H, W) in [0, 1].

    Returns:
        (N, 1, H, W) bool.
    """
    height, longest = mask.shape[-2], max(mask.shape[-2:])
    block = max(1, -(-longest // _RING_SIDE))
    chosen = F.max_pool2d((mask > 0).float(), block, ceil_mode=True)
    reach = max(1, round(width * height / block))
    grown = max_filter(chosen, reach).repeat_interleave(block, -2).repeat_interleave(block, -1)
    return (grown[..., :height, : mask.shape[-1]] > 0) & (mask == 0)


def match_colour(
    generated: torch.Tensor, original: torch.Tensor, kept: torch.Tensor
) -> torch.Tensor:
    """`generated` with the gain and offset of each channel that make it look like the photo.

    See `fit_colour`. Arguments as there.

    Returns:
        (N, 3, H, W) clamped to [0, 1]; where nothing is known, `generated` as it is.
    """
    gain, offset = fit_colour(generated, original, kept)
    matched = (generated * gain[..., None, None] + offset[..., None, None]).clamp(0, 1)
    unknown = ((gain == 1) & (offset == 0)).all(dim=1)
    return torch.where(unknown[:, None, None, None], generated, matched)


def fit_colour(
    generated: torch.Tensor, original: torch.Tensor, kept: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and offset by which `original` = gain * `generated` + offset on most of the kept pixels.

    Least squares, reweighted by Tukey's biweight, ever more narrowly: what the two pictures do not
    share (a trouser leg in another colour) is no evidence. All channels of a pixel are weighted
    alike. Where the kept pixels have one colour they tell no gain, so it is drawn to 1.

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        kept: (N, 1, H, W) in [0, 1] or bool, where the two should show the same; best the
            neighbourhood of the edit, see `ring_around`.

    Returns:
        gain in [0.7, 1.4] and offset in [-0.2, 0.2], each (N, 3); 1 and 0 with too little evidence.

    Raises:
        ValueError: shapes do not agree.
    """
    check_same_size(generated, original, kept)
    pictures = [_small(images.detach()) for images in (generated, original)]
    # A small pixel counts if it is wholly kept and known.
    whole = _small(kept.to(original.dtype)) > 0.999
    whole &= torch.isfinite(pictures[0]).all(dim=1, keepdim=True)
    fits = [
        _fit(before[:, chosen[0]].double(), after[:, chosen[0]].double())
        for before, after, chosen in zip(*pictures, whole, strict=True)
    ]
    gain, offset = (torch.stack(values).to(generated) for values in zip(*fits, strict=True))
    return gain, offset


def _small(images: torch.Tensor) -> torch.Tensor:
    shrink = max(1.0, max(images.shape[-2:]) / _EVIDENCE_SIDE)
    height, width = (max(1, round(side / shrink)) for side in images.shape[-2:])
    return resize(images, (height, width))


def _fit(before: torch.Tensor, after: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and offset (3,) that take colours `before` to `after`, (3, K) each."""
    gain, offset = before.new_ones(3, 1), before.new_zeros(3, 1)
    if before.shape[1] < _LEAST_EVIDENCE:
        return gain[:, 0], offset[:, 0]
    offset = (after - before).median(dim=1, keepdim=True).values
    for least in torch.logspace(*_SPREADS, _ROUNDS):
        residual = (after - gain * before - offset).norm(dim=0)
        spread = (_MAD * residual.median()).clamp_min(float(least))
        weight = (1 - (residual / (_TUKEY * spread)) ** 2).clamp_min(0) ** 2
        weight = weight / weight.sum()
        x, y = ((weight * values).sum(dim=1, keepdim=True) for values in (before, after))
        covariance = (weight * (before - x) * (after - y)).sum(dim=1, keepdim=True)
        variance = (weight * (before - x) ** 2).sum(dim=1, keepdim=True)
        gain = (covariance + _GAIN_PRIOR**2) / (variance + _GAIN_PRIOR**2)
        gain = gain.clamp(*_GAINS)
        offset = y - gain * x
    return gain[:, 0], offset.clamp(-_LARGEST_OFFSET, _LARGEST_OFFSET)[:, 0]
