"""A mask of a network's resolution, brought to the photo's resolution with clean edges.

Networks see 112 to 256 pixels, a photo has thousands. A guided filter (He, Sun, Tang, "Guided Image
Filtering", PAMI 2013; He and Sun, "Fast Guided Filter", arXiv 1505.00996) fits the mask locally as a
linear function of the photo's colours, so that its edge moves onto an edge of the photo. `refine_mask`
applies filters from coarse to fine.

Masks are (N, 1, H, W) in [0, 1]. Lengths are fractions of the image height.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .resize import WORKING_SIDE, resize, working_copy

_STRIP = 1 << 20  # pixels of the photo that are in work at once
_GAIN = 2.0  # contrast given to the mask between two filters, so that haze does not build up
_HAZE = 0.1  # opacity below which the filtered mask is taken for 0, and above 1 minus it for 1
_NOTHING = 1e-6  # rounding of a share that is 0 or 1; the least other share is far above
_QUIET = 1e-4  # variance of a mask within a window that is not worth explaining
_LEAST_WEIGHT = 1e-3  # of a fit that explains nothing, against 1 for one that explains all
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of colour channels


def refine_mask(
    images: Tensor, mask: Tensor, radius: float = 0.03, epsilon: float = 1e-4
) -> Tensor:
    """The mask at the photo's resolution, its edge on the nearby edge of the photo.

    Guided filters of halving radius follow each other. Where the photo's colours do not explain the
    mask, it stays as it is. What is farther than twice the radius from the border (level 0.5) becomes
    exactly 0 or 1: a soft border is no part of the result; `masks.blur` makes one.

    Args:
        images: photos, (N, 3, H, W) in [0, 1].
        mask: probability or soft mask of the same pictures, (N, 1, h, w), any size.
        radius: how far the mask's border may be off, a fraction of the height.
        epsilon: variance of a colour (of [0, 1]) that is too small to be an edge.

    Returns:
        (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: shapes that do not go together, radius or epsilon not positive.
    """
    _check(images, mask, radius, epsilon)
    guide = working_copy(images, WORKING_SIDE).float()
    current = _resample(mask, guide)
    pixels = _pixels(radius, guide)
    share = _window_mean((current > 0.5).float(), 2 * pixels)
    while True:
        model, explained = _fit(guide, current, pixels, epsilon)
        trust = (2 * explained).clamp(max=1)
        # What is not trusted of the colours is made up by the mask itself, as a constant of the model.
        kept = (1 - trust) * current
        model = torch.cat([model[:, :3] * trust, model[:, 3:] * trust + kept], dim=1)
        if pixels < 4:
            break
        current = _contrast(_predict(model, guide), _GAIN)
        pixels //= 2
    return _in_strips(images, torch.cat([model, share], dim=1), _decide)


def _decide(model: Tensor, strip: Tensor) -> Tensor:
    """The filtered mask near the border, 0 or 1 where a window (fifth channel) sees only one of them."""
    near = _contrast(_predict(model[:, :4], strip), 1 / (1 - 2 * _HAZE))
    share = model[:, 4:]
    near = torch.where(share < _NOTHING, 0.0, near)
    return torch.where(share > 1 - _NOTHING, 1.0, near)


def _fit(guide: Tensor, mask: Tensor, pixels: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Local least squares of the mask on the colours.

    Every window of the given radius has its own fit; a pixel takes the mean of those of all windows
    that hold it, weighted by how well they explain the mask.

    Returns:
        Slopes for red, green and blue and the constant, (N, 4, h, w), for `_predict`; and the share
        of the mask's variance that the fits explain, (N, 1, h, w) in [0, 1].
    """
    colours = guide - 0.5  # products of small numbers keep more digits
    products = torch.stack([colours[:, i] * colours[:, j] for i, j in _PAIRS], dim=1)
    moments = torch.cat([colours, mask, products, colours * mask, mask * mask], dim=1)
    mean, level, second, mixed, square = _window_mean(moments, pixels).split([3, 1, 6, 3, 1], dim=1)
    covariance = second - torch.stack([mean[:, i] * mean[:, j] for i, j in _PAIRS], dim=1)
    mixed = mixed - mean * level
    slopes = _solve(covariance, mixed, epsilon)
    constant = level - (slopes * mean).sum(dim=1, keepdim=True)
    variance = (square - level * level).clamp_min(0)
    explained = (slopes * mixed).sum(dim=1, keepdim=True) / (variance + _QUIET)
    # Three colours explain three of n pixels by chance: the adjusted coefficient of determination.
    count = (2 * pixels + 1) ** 2
    explained = (1 - (1 - explained) * (count - 1) / (count - 4)).clamp(0, 1)
    weight = explained * explained + _LEAST_WEIGHT
    fits = torch.cat([slopes * weight, constant * weight, weight, explained], dim=1)
    fits = _window_mean(fits, pixels)
    return fits[:, :4] / fits[:, 4:5], fits[:, 5:]


def _solve(covariance: Tensor, right: Tensor, epsilon: float) -> Tensor:
    """x of (covariance + epsilon) x = right, by cofactors; (N, 6, h, w), (N, 3, h, w) -> (N, 3, h, w)."""
    rr, rg, rb, gg, gb, bb = covariance.unbind(dim=1)
    rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
    r, g, b = right.unbind(dim=1)
    c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = rr * c00 + rg * c01 + rb * c02
    solution = (
        c00 * r + c01 * g + c02 * b,
        c01 * r + c11 * g + c12 * b,
        c02 * r + c12 * g + c22 * b,
    )
    return torch.stack(solution, dim=1) / determinant[:, None]


def _predict(model: Tensor, images: Tensor) -> Tensor:
    """Slopes and constant (N, 4, h, w) applied to pictures (N, 3, h, w): (N, 1, h, w) in [0, 1]."""
    linear = (model[:, :3] * (images - 0.5)).sum(dim=1, keepdim=True)
    return (linear + model[:, 3:]).clamp(0, 1)


def _window_mean(values: Tensor, pixels: int) -> Tensor:
    """Mean over squares of radius `pixels`, over their part inside the picture near its border.

    By running sums: the cost does not depend on the radius.
    """
    for dim in (2, 3):
        size, window = values.shape[dim], 2 * pixels + 1
        padding = (pixels + 1, pixels)
        sums = F.pad(values, padding if dim == 3 else (0, 0, *padding)).cumsum(dim)
        total = sums.narrow(dim, window, size) - sums.narrow(dim, 0, size)
        place = torch.arange(size, device=values.device)
        count = (place + pixels + 1).clamp(max=size) - (place - pixels).clamp(min=0)
        values = total / (count[:, None] if dim == 2 else count)
    return values


def _in_strips(
    images: Tensor, model: Tensor, function: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """`function` of the model, brought to the photo's size, and the photo, a strip of rows at a time."""
    count, _, height, width = images.shape
    rows = max(1, _STRIP // (count * width))
    result = images.new_empty((count, 1, height, width), dtype=torch.float32)
    for top in range(0, height, rows):
        strip = images[:, :, top : top + rows].float()
        result[:, :, top : top + rows] = function(_rows(model, top, strip, height), strip)
    return result


def _rows(model: Tensor, top: int, strip: Tensor, height: int) -> Tensor:
    """What `F.interpolate` (bilinear) to `height` rows would give in the rows of a strip."""
    last = model.shape[2] - 1
    place = torch.arange(top, top + strip.shape[2], device=model.device) + 0.5
    place = (place * (model.shape[2] / height) - 0.5).clamp(0, last)
    above = place.long()
    part = (place - above)[:, None]
    upper, lower = model[:, :, above], model[:, :, (above + 1).clamp(max=last)]
    return F.interpolate(upper + part * (lower - upper), strip.shape[2:], mode="bilinear")


def _resample(mask: Tensor, like: Tensor) -> Tensor:
    size = (like.shape[2], like.shape[3])
    return resize(mask.to(like), size).clamp(0, 1)


def _pixels(radius: float, images: Tensor) -> int:
    return max(1, round(radius * images.shape[2]))


def _contrast(mask: Tensor, gain: float) -> Tensor:
    return ((mask - 0.5) * gain + 0.5).clamp(0, 1)


def _check(images: Tensor, mask: Tensor, radius: float, epsilon: float) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(
            f"images must be (N, 3, H, W) floating point, not {tuple(images.shape)} {images.dtype}"
        )
    if mask.ndim != 4 or mask.shape[:2] != (len(images), 1):
        raise ValueError(f"mask must be ({len(images)}, 1, h, w), not {tuple(mask.shape)}")
    if not radius > 0 or not epsilon > 0:
        raise ValueError(f"radius and epsilon must be positive, not {radius} and {epsilon}")
