"""Compares two images pixel by pixel, in strips: a dozen megapixels need little memory and time.

PSNR and SSIM are scikit-image's (`skimage.metrics`) with a data range of 1, restricted to some pixels;
CIELAB is `skimage.color.rgb2lab`. Those functions work on whole images, in gigabytes for twelve megapixels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS = 64  # of a strip, which then stays in the processor's cache
_WINDOW = 7  # pixels, side of SSIM's window
_C1, _C2 = 0.01**2, 0.03**2
_LAB_PIXELS = 4_000_000  # of more, CIELAB is taken in evenly spaced rows
_MAP_SIDE = 1024  # pixels of the heat map's longer side at most
_HOTTEST = 32.0  # grey levels from which a pixel of the map has the last colour
_DIM = 0.35  # brightness of the photo under the map inside the mask
# sRGB to linear light, linear light to the tristimulus values of D65 relative to its white (IEC 61966-2-1).
_TO_XYZ = (
    (0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883),
)


def compare(
    before: Tensor, after: Tensor, outside: Tensor | None
) -> tuple[dict[str, float], Tensor]:
    """Measures of the difference of two images (3, H, W) in [0, 1], and a heat map.

    Args:
        before, after: of one size.
        outside: the pixels to compare, (H, W) bool; None for all.

    Returns:
        The pixel measures of `drift.Drift` by name, and the map, see `heat_map`.
    """
    height, width = before.shape[-2:]
    equal = squares = lab = similarity = 0.0
    windows = count = lab_count = 0
    every = max(1, height * width // _LAB_PIXELS)
    difference = torch.zeros(height, width)
    half = _WINDOW // 2
    for top in range(0, height, _ROWS):
        bottom = min(height, top + _ROWS)
        first, second = before[:, top:bottom], after[:, top:bottom]
        apart = (first - second).abs().amax(dim=0)
        difference[top:bottom] = apart.cpu()
        where = None if outside is None else outside[top:bottom]
        pixels = apart.numel() if where is None else int(where.sum())
        if pixels:
            count += pixels
            equal += float(_sum(apart == 0, where))
            squares += float(_sum((first - second).square().sum(dim=0), where))
            chosen = slice(-top % every, None, every)
            seen = None if where is None else where[chosen]
            distance = _lab_distance(first[:, chosen], second[:, chosen])
            lab += float(_sum(distance, seen))
            lab_count += distance.numel() if seen is None else int(seen.sum())
        # SSIM's windows do not reach beyond the image; rows of the next strip complete those of this one.
        rows = slice(max(top - half, 0), min(bottom + half, height))
        if rows.stop - rows.start >= _WINDOW and width >= _WINDOW:
            values = _ssim(before[:, rows], after[:, rows])
            first_row, last_row = rows.start + half, rows.stop - half
            seen = None if outside is None else outside[first_row:last_row, half : width - half]
            similarity += float(_sum(values, seen))
            windows += values.numel() if seen is None else int(seen.sum())
    levels = 255 * difference
    compared = levels.flatten() if outside is None else levels[outside.cpu()]
    mean_square = squares / (3 * count)
    found = {
        "equal": equal / count,
        "psnr": -10 * math.log10(mean_square) if mean_square > 0 else math.inf,
        "ssim": similarity / windows if windows else math.nan,
        "mean": float(compared.double().mean()),
        "percentile95": _percentile(compared, 0.95),
        "largest": float(compared.max()),
        "lab": lab / max(lab_count, 1),
        "outside": count / (height * width),
    }
    return found, heat_map(levels, before, outside)


def heat_map(levels: Tensor, photo: Tensor, outside: Tensor | None) -> Tensor:
    """Differences in grey levels (H, W) as colours, (3, h, w) in [0, 1], from black to bright yellow.

    A pixel of the map has the largest difference of the pixels it stands for, so that none is overlooked. The
    scale ends at 32 levels and is the same for all maps. Inside the mask the photo is shown, grey and dim.
    """
    from matplotlib import colormaps

    height, width = levels.shape
    block = max(1, math.ceil(max(height, width) / _MAP_SIDE))
    counted = levels if outside is None else torch.where(outside.cpu(), levels, 0.0)
    small = F.max_pool2d(counted[None, None], block, ceil_mode=True)[0, 0]
    colours = colormaps["inferno"]((small / _HOTTEST).clamp(0, 1).numpy())[..., :3]
    result = torch.from_numpy(np.ascontiguousarray(colours, np.float32)).movedim(-1, 0)
    if outside is not None:
        inside = -F.max_pool2d(-(~outside).cpu().float()[None, None], block, ceil_mode=True)[0]
        grey = F.avg_pool2d(photo.cpu().mean(dim=0)[None, None], block, ceil_mode=True)[0]
        result = torch.where(inside > 0, _DIM * grey, result)
    return result


def _sum(values: Tensor, where: Tensor | None) -> Tensor:
    kept = values if where is None else torch.where(where, values, 0)
    return kept.sum(dtype=torch.float64)


def _percentile(values: Tensor, share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    rank = min(values.numel() - 1, max(0, math.ceil(share * values.numel()) - 1))
    return float(np.partition(values.numpy(), rank)[rank])


def _ssim(first: Tensor, second: Tensor) -> Tensor:
    """SSIM of every window of 7 x 7 pixels, mean over the channels: (3, h, w) twice -> (h - 6, w - 6)."""
    # Variances do not change if a constant is subtracted, and their rounding errors become smaller.
    x, y = first - 0.5, second - 0.5
    mean_x, mean_y = _box(x), _box(y)
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    products = mean_x * mean_y
    covariance = (_box(x * y) - products) * (2 * unbiased)
    squares = mean_x.square() + mean_y.square()
    variances = (_box(x.square().add_(y.square())) - squares) * unbiased
    shifted = mean_x.add_(mean_y)  # (a + 1/2)(b + 1/2) = ab + (a + b) / 2 + 1/4
    contrast = covariance.add_(_C2) / variances.add_(_C2)
    light = (2 * products + shifted + 0.5 + _C1) / (squares + shifted + 0.5 + _C1)
    return (light * contrast).mean(dim=0)


def _box(values: Tensor) -> Tensor:
    """Means over windows of 7 x 7 pixels, (C, h, w) -> (C, h - 6, w - 6)."""
    for axis in (-1, -2):
        length = values.shape[axis]
        two = values.narrow(axis, 0, length - 1) + values.narrow(axis, 1, length - 1)
        four = two.narrow(axis, 0, length - 3) + two.narrow(axis, 2, length - 3)
        seven = four.narrow(axis, 0, length - 6) + two.narrow(axis, 4, length - 6)
        values = seven.add_(values.narrow(axis, 6, length - 6))
    return values.mul_(1 / _WINDOW**2)


def _lab_distance(first: Tensor, second: Tensor) -> Tensor:
    """CIELAB distance of sRGB images (3, h, w): (h, w)."""
    a, b = _cube_roots(first), _cube_roots(second)
    x, y, z = (a - b).unbind(0)  # L*, a* and b* are differences of these
    return ((116 * y).square() + (500 * (x - y)).square() + (200 * (y - z)).square()).sqrt()


def _cube_roots(image: Tensor) -> Tensor:
    """CIELAB's function of the relative tristimulus values, (3, h, w)."""
    linear = torch.where(
        image > 0.04045, ((image + 0.055) / 1.055).clamp_min(0.05).pow(2.4), image / 12.92
    )
    matrix = image.new_tensor(_TO_XYZ)
    values = (matrix @ linear.flatten(1)).view_as(image)
    return torch.where(
        values > 0.008856, values.clamp_min(1e-3).pow(1 / 3), 7.787 * values + 16 / 116
    )
