"""Adds the photo's grain to the generated image."""

import torch
import torch.nn.functional as F

from ..ops.patches import check_same_size, edit_boxes
from ..ops.pyramid import smooth
from ..ops.robust import STD_PER_MAD

_BANDS = 2  # octaves
_FLAT_SHARE = 0.4  # grain is measured in this share of the pixels, those with the least structure
_MIN_FLAT = 400  # pixels
_TILE, _TILES = 64, 8  # side of a tile in pixels, and the largest number of tiles a side
_CLIPPED = 0.02  # RGB; closer to black or white, grain is clipped
_MIN_GRAIN = 0.0015  # RGB; less is the effect of rounding to 8 bits


def match_grain(
    generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor, seed: int
) -> torch.Tensor:
    """`generated` with the grain that it lacks compared with the photo; grain is never removed.

    The standard deviation of two octaves (single pixels, and pairs of pixels) is measured in flat areas:
    of the photo outside of the mask, and of the generated image inside. Grain is mostly common to the
    channels, so brightness and two colour differences are measured separately. Missing grain is added
    as Gaussian noise.

    Args:
        generated, original: (N, 3, H, W) in [0, 1], at the photo's resolution.
        mask: (N, 1, H, W) in [0, 1], 1 where the generated image will be used.
        seed: of the noise. The grain of an image depends only on its pixels and the seed, not on the
            batch or the device.

    Returns:
        (N, 3, H, W), in [0, 1] where grain was added, else equal to `generated`.

    Raises:
        ValueError: the shapes do not match.
    """
    check_same_size(generated, original, mask)
    result = generated.clone()
    basis = _opponent_basis(original)
    for sample, (rows, columns) in edit_boxes(mask, margin=0):
        target = _grain(original[sample], mask[sample, 0] == 0, basis)
        patch, inside = generated[sample, :, rows, columns], mask[sample, 0, rows, columns] > 0
        present = _grain(patch, mask[sample, 0, rows, columns] > 0.5, basis)
        if target is None or present is None:
            continue
        missing = (target**2 - present**2).clamp_min(0)
        if not missing.any():
            continue
        noise = _noise(missing, inside.shape, seed).to(patch)
        grain = torch.einsum("ck,khw->chw", basis.T, noise)
        grained = (patch + grain).clamp(0, 1)
        result[sample, :, rows, columns] = torch.where(inside, grained, patch)
    return result


def _opponent_basis(like: torch.Tensor) -> torch.Tensor:
    """Brightness, red-blue and green-purple, as orthonormal rows (3, 3)."""
    rows = like.new_tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]])
    return rows / rows.square().sum(dim=1, keepdim=True).sqrt()


def _bands(values: torch.Tensor, count: int = _BANDS) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Octaves of (N, C, H, W) at full resolution, the finest first, and the low-pass rest."""
    bands = []
    for step in range(count):
        rest = smooth(values, 2**step)
        bands.append(values - rest)
        values = rest
    return bands, values


def _tiles(images: torch.Tensor) -> torch.Tensor:
    """Evenly spaced tiles (T, C, h, w) of (C, H, W): grain is uniform, so a sample is enough."""
    for axis in (1, 2):
        side = images.shape[axis]
        tile = min(_TILE, side)
        images = images.unfold(axis, tile, max(tile, (side - tile) // (_TILES - 1)))
    return images.flatten(1, 2).transpose(0, 1).contiguous()


def _grain(images: torch.Tensor, area: torch.Tensor, basis: torch.Tensor) -> torch.Tensor | None:
    """Robust standard deviations (2 bands, 3 opponent channels) in the flattest pixels of an area.

    Args:
        images: (3, H, W).
        area: (H, W) bool.
        basis: see `_opponent_basis`.

    Returns:
        None if there are too few pixels.
    """
    images, area = _tiles(images), _tiles(area[None])[:, 0]
    area &= ((images > _CLIPPED) & (images < 1 - _CLIPPED)).all(dim=1)
    bands, rest = _bands(torch.where(images.isfinite(), images, 0.0))
    # Structure is the difference of pixels at a distance of four, after smoothing the grain away.
    padded = F.pad(rest, (2, 2, 2, 2), mode="replicate")
    horizontal = (padded[..., 2:-2, 4:] - padded[..., 2:-2, :-4]).abs().amax(dim=1)
    vertical = (padded[..., 4:, 2:-2] - padded[..., :-4, 2:-2]).abs().amax(dim=1)
    structure = torch.maximum(horizontal, vertical)[area]
    if structure.numel() * _FLAT_SHARE < _MIN_FLAT:
        return None
    rank = max(1, int(_FLAT_SHARE * structure.numel()))
    flat = structure <= structure.kthvalue(rank).values
    values = torch.stack([basis @ band.transpose(0, 1)[:, area][:, flat] for band in bands])
    deviation = (values - values.median(dim=2, keepdim=True).values).abs()
    grain = STD_PER_MAD * deviation.median(dim=2).values
    return torch.where(grain > _MIN_GRAIN, grain, 0.0)


def _noise(variances: torch.Tensor, size: torch.Size, seed: int) -> torch.Tensor:
    """Gaussian noise (3, *size) whose two bands have these variances, (2, 3), as closely as possible."""
    rng = torch.Generator().manual_seed(seed)
    # Each band of white noise contributes to both bands; solve for the mixture.
    power = torch.linalg.solve(_band_shares(), variances.double().cpu()).clamp_min(0)
    total = torch.zeros(3, *size)
    for channel in range(3):
        for band in range(_BANDS):
            if power[band, channel] > 0:
                white = torch.randn(1, 1, *size, generator=rng)
                share = float(power[band, channel].sqrt())
                total[channel].add_(_bands(white, band + 1)[0][band][0, 0], alpha=share)
    return total


def _band_shares() -> torch.Tensor:
    """Variance in band i of the j-th band of unit white noise, at [i, j]: (2, 2) float64."""
    impulse = torch.zeros(1, 1, 49, 49, dtype=torch.float64)
    impulse[..., 24, 24] = 1
    shares = [
        torch.stack([twice.square().sum() for twice in _bands(once)[0]])
        for once in _bands(impulse)[0]
    ]
    return torch.stack(shares, dim=1)
