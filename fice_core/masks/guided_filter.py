"""Guided filter: brings a mask from a network's resolution to the photo's, with its edges.

Networks work at 112 to 256 pixels, a photo has thousands. A guided filter (He, Sun, Tang, "Guided Image
Filtering", PAMI 2013; He and Sun, "Fast Guided Filter", arXiv 1505.00996) fits the mask locally as a
linear function of the photo's colours. The edge of the mask thus moves to an edge of the photo.
`refine_mask` applies filters from coarse to fine.

Masks are (N, 1, H, W) in [0, 1]. Lengths are fractions of the image height.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.resize import WORKING_SIDE, resize, working_copy

_STRIP = 1 << 20  # pixels of the photo that are processed at a time
_GAIN = 2.0  # contrast gain of the mask between two filters; without it, small errors accumulate
_OPACITY_MARGIN = 0.1  # the filtered mask becomes 0 below this value, and 1 above 1 minus it
_SHARE_TOLERANCE = 1e-6  # for rounding of a share that is 0 or 1; other shares are far from both
_MIN_VARIANCE = 1e-4  # of the mask in a window; a smaller variance needs no explanation by colours
_MIN_WEIGHT = 1e-3  # of a fit that explains nothing; a fit that explains all has weight 1
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of colour channels


def refine_mask(
    images: Tensor, mask: Tensor, radius: float = 0.03, epsilon: float = 1e-4
) -> Tensor:
    """The mask at the photo's resolution, with its edge at the nearest edge of the photo.

    Guided filters are applied one after the other; each has half the radius of the one before. Where
    the photo's colours do not explain the mask, it stays as it is. At more than twice the radius from
    the border (level 0.5) the result is exactly 0 or 1. It has no soft border; `morphology.blur` makes
    one.

    Args:
        images: photos, (N, 3, H, W) in [0, 1].
        mask: probability or soft mask of the same images, (N, 1, h, w), any size.
        radius: largest expected error of the mask's border, a fraction of the height.
        epsilon: variance of a colour in [0, 1]; smaller ones do not count as an edge.

    Returns:
        (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: the shapes do not match, or radius or epsilon is not positive.
    """
    _check(images, mask, radius, epsilon)
    guide = working_copy(images, WORKING_SIDE).float()
    current = _resample(mask, guide)
    pixels = _pixels(radius, guide)
    share = _window_mean((current > 0.5).float(), 2 * pixels)
    while True:
        model, explained = _fit(guide, current, pixels, epsilon)
        trust = (2 * explained).clamp(max=1)
        # Where the fit is not trusted, the mask itself is blended into the constant of the model.
        fallback = (1 - trust) * current
        model = torch.cat([model[:, :3] * trust, model[:, 3:] * trust + fallback], dim=1)
        if pixels < 4:
            break
        current = _contrast(_predict(model, guide), _GAIN)
        pixels //= 2
    return _in_strips(images, torch.cat([model, share], dim=1), _decide)


def _decide(model: Tensor, strip: Tensor) -> Tensor:
    """The filtered mask near the border; 0 or 1 where the window has only this value.

    The fifth channel of `model` is the share of ones in the window.
    """
    filtered = _contrast(_predict(model[:, :4], strip), 1 / (1 - 2 * _OPACITY_MARGIN))
    share = model[:, 4:]
    filtered = torch.where(share < _SHARE_TOLERANCE, 0.0, filtered)
    return torch.where(share > 1 - _SHARE_TOLERANCE, 1.0, filtered)


def _fit(guide: Tensor, mask: Tensor, pixels: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Local least-squares fit of the mask to the colours.

    Every window of the given radius has its own fit. The fit of a pixel is the mean over all windows
    that contain it, weighted by how well they explain the mask.

    Returns:
        Slopes for red, green and blue and the constant, (N, 4, h, w), for `_predict`; and the share
        of the mask's variance that the fits explain, (N, 1, h, w) in [0, 1].
    """
    colours = guide - 0.5  # products of smaller numbers lose fewer digits
    products = torch.stack([colours[:, i] * colours[:, j] for i, j in _PAIRS], dim=1)
    moments = torch.cat([colours, mask, products, colours * mask, mask * mask], dim=1)
    mean, level, second, mixed, square = _window_mean(moments, pixels).split([3, 1, 6, 3, 1], dim=1)
    covariance = second - torch.stack([mean[:, i] * mean[:, j] for i, j in _PAIRS], dim=1)
    mixed = mixed - mean * level
    slopes = _solve(covariance, mixed, epsilon)
    constant = level - (slopes * mean).sum(dim=1, keepdim=True)
    variance = (square - level * level).clamp_min(0)
    explained = (slopes * mixed).sum(dim=1, keepdim=True) / (variance + _MIN_VARIANCE)
    # The adjusted coefficient of determination: three colours explain three of n pixels by chance.
    count = (2 * pixels + 1) ** 2
    explained = (1 - (1 - explained) * (count - 1) / (count - 4)).clamp(0, 1)
    weight = explained * explained + _MIN_WEIGHT
    fits = torch.cat([slopes * weight, constant * weight, weight, explained], dim=1)
    fits = _window_mean(fits, pixels)
    return fits[:, :4] / fits[:, 4:5], fits[:, 5:]


def _solve(covariance: Tensor, right: Tensor, epsilon: float) -> Tensor:
    """Solve (covariance + epsilon I) x = right by cofactors: (N, 6, h, w), (N, 3, h, w) -> (N, 3, h, w)."""
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
    """The mask (N, 1, h, w) in [0, 1] of slopes and constant (N, 4, h, w) for images (N, 3, h, w)."""
    linear = (model[:, :3] * (images - 0.5)).sum(dim=1, keepdim=True)
    return (linear + model[:, 3:]).clamp(0, 1)


def _window_mean(values: Tensor, pixels: int) -> Tensor:
    """Mean over squares of radius `pixels`; at the border, over their part inside the image.

    It uses running sums, so the cost does not depend on the radius.
    """
    for dim in (2, 3):
        size, window = values.shape[dim], 2 * pixels + 1
        padding = (pixels + 1, pixels)
        sums = F.pad(values, padding if dim == 3 else (0, 0, *padding)).cumsum(dim)
        total = sums.narrow(dim, window, size) - sums.narrow(dim, 0, size)
        position = torch.arange(size, device=values.device)
        count = (position + pixels + 1).clamp(max=size) - (position - pixels).clamp(min=0)
        values = total / (count[:, None] if dim == 2 else count)
    return values


def _in_strips(
    images: Tensor, model: Tensor, function: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """`function` of the model, resized to the photo, and the photo, computed in strips of rows."""
    count, _, height, width = images.shape
    rows = max(1, _STRIP // (count * width))
    result = images.new_empty((count, 1, height, width), dtype=torch.float32)
    for top in range(0, height, rows):
        strip = images[:, :, top : top + rows].float()
        result[:, :, top : top + rows] = function(_rows(model, top, strip, height), strip)
    return result


def _rows(model: Tensor, top: int, strip: Tensor, height: int) -> Tensor:
    """The rows of a strip in `F.interpolate(model)` (bilinear) to `height` rows."""
    last = model.shape[2] - 1
    position = torch.arange(top, top + strip.shape[2], device=model.device) + 0.5
    position = (position * (model.shape[2] / height) - 0.5).clamp(0, last)
    above = position.long()
    fraction = (position - above)[:, None]
    upper, lower = model[:, :, above], model[:, :, (above + 1).clamp(max=last)]
    return F.interpolate(upper + fraction * (lower - upper), strip.shape[2:], mode="bilinear")


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
