"""Give a generated image the grain of a photo."""

import torch
import torch.nn.functional as F

from ..ops.patches import check_same_size, edit_boxes
from ..ops.pyramid import smooth

# RGB, powers of ten: residuals are taken to be no smaller than this in the first round and the last. With
# one grey level from the start, a fit to the wall alone would reject the trousers for want of a gain.
_SPREADS = (-1.3, -2.4)

_BANDS = 2
_FLAT_SHARE = 0.4  # of the pixels, those with the least structure show the grain
_LEAST_FLAT = 400  # pixels
_TILE, _TILES = 64, 8  # pixels a side, and how many a side at most
_CLIPPED = 0.02  # RGB; closer to black or white than this, grain is cut off
_LEAST_GRAIN = 0.0015  # RGB; what rounding to 8 bits leaves behind is no grain
_MAD = 1.4826


def match_grain(
    generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor, seed: int
) -> torch.Tensor:
    """`generated` with as much of the photo's grain as it lacks; grain is never removed.

    The standard deviation of two octaves (pixels, and pairs of pixels) is measured in flat areas, of
    the photo where it is kept and of the patch where it is used, for brightness and two colour
    differences apart, since grain is mostly common to the channels. What is missing is added as
    Gaussian noise.

    Args:
        generated, original: (N, 3, H, W) in [0, 1], at the photo's resolution.
        mask: (N, 1, H, W) in [0, 1], 1 where the generated picture will be used.
        seed: of the noise. A picture's grain depends on its own pixels and the seed alone, not on the
            batch or the device.

    Returns:
        (N, 3, H, W), in [0, 1] where grain was added, else `generated` as it is.

    Raises:
        ValueError: shapes do not agree.
    """
    check_same_size(generated, original, mask)
    result = generated.clone()
    basis = _opponent_basis(original)
    for sample, (rows, columns) in edit_boxes(mask, margin=0):
        wanted = _grain(original[sample], mask[sample, 0] == 0, basis)
        patch, inside = generated[sample, :, rows, columns], mask[sample, 0, rows, columns] > 0
        present = _grain(patch, mask[sample, 0, rows, columns] > 0.5, basis)
        if wanted is None or present is None:
            continue
        missing = (wanted**2 - present**2).clamp_min(0)
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
    """Octaves of (N, C, H, W) at full resolution, the finest first, and what is left of it."""
    bands = []
    for step in range(count):
        rest = smooth(values, 2**step)
        bands.append(values - rest)
        values = rest
    return bands, values


def _tiles(images: torch.Tensor) -> torch.Tensor:
    """Tiles evenly spread over (C, H, W), (T, C, h, w): grain is alike everywhere, a sample will do."""
    for axis in (1, 2):
        side = images.shape[axis]
        tile = min(_TILE, side)
        images = images.unfold(axis, tile, max(tile, (side - tile) // (_TILES - 1)))
    return images.flatten(1, 2).transpose(0, 1).contiguous()


def _grain(images: torch.Tensor, chosen: torch.Tensor, basis: torch.Tensor) -> torch.Tensor | None:
    """Robust standard deviations (2 bands, 3 opponent channels) in the flattest of the chosen pixels.

    Args:
        images: (3, H, W).
        chosen: (H, W) bool.

    Returns:
        None with too few pixels to tell.
    """
    images, chosen = _tiles(images), _tiles(chosen[None])[:, 0]
    chosen &= ((images > _CLIPPED) & (images < 1 - _CLIPPED)).all(dim=1)
    bands, rest = _bands(torch.where(images.isfinite(), images, 0.0))
    # Structure is what remains when the grain is smoothed away: differences four pixels apart.
    wide = F.pad(rest, (2, 2, 2, 2), mode="replicate")
    across = (wide[..., 2:-2, 4:] - wide[..., 2:-2, :-4]).abs().amax(dim=1)
    down = (wide[..., 4:, 2:-2] - wide[..., :-4, 2:-2]).abs().amax(dim=1)
    structure = torch.maximum(across, down)[chosen]
    if structure.numel() * _FLAT_SHARE < _LEAST_FLAT:
        return None
    rank = max(1, int(_FLAT_SHARE * structure.numel()))
    flat = structure <= structure.kthvalue(rank).values
    found = torch.stack([basis @ band.transpose(0, 1)[:, chosen][:, flat] for band in bands])
    deviation = (found - found.median(dim=2, keepdim=True).values).abs()
    grain = _MAD * deviation.median(dim=2).values
    return torch.where(grain > _LEAST_GRAIN, grain, 0.0)


def _noise(variances: torch.Tensor, size: torch.Size, seed: int) -> torch.Tensor:
    """Gaussian noise (3, *size) whose two bands have these variances, (2, 3), as far as can be."""
    rng = torch.Generator().manual_seed(seed)
    # Each band of independent white noise shows up in both bands; solve for the mixture.
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
    """[i, j]: variance in band i of the j-th band of unit white noise, (2, 2) float64."""
    impulse = torch.zeros(1, 1, 49, 49, dtype=torch.float64)
    impulse[..., 24, 24] = 1
    shares = [
        torch.stack([twice.square().sum() for twice in _bands(once)[0]])
        for once in _bands(impulse)[0]
    ]
    return torch.stack(shares, dim=1)
