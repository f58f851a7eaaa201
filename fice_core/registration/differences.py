"""Where two aligned images show different things: a garment, not an edge that lies a pixel beside."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..stitching.color import fit_colour

Planes = NDArray[np.float32]
Mask = NDArray[np.bool_]

_NOTICEABLE = 0.06  # RGB, after the edit has the photo's tone
_BLUR = 2.0  # pixels, standard deviation
_TONE_SIDE = 56  # pixels of the longer side are enough for a tone
_DEVIATIONS = 4.0  # standard deviations of noise; smaller differences are no change of content
_NOISIEST = 2.0  # times the noticeable difference is the most that noise asks for
_QUARTILE = 0.319  # of the absolute value of a standard normal variable


def in_tone(photo: Planes, edit: Planes, kept: Mask) -> Planes:
    """The edit (3, H, W) with the gain and offset of each channel that match it to the photo where `kept`."""
    step = max(1, round(max(kept.shape) / _TONE_SIDE))
    before, after, where = (
        torch.from_numpy(np.ascontiguousarray(each[..., ::step, ::step]))[None]
        for each in (edit, photo, kept[None])
    )
    gain, offset = fit_colour(before, after, where)
    matched: Planes = edit * gain[0].numpy()[:, None, None] + offset[0].numpy()[:, None, None]
    return matched


def distinct(photo: Planes, edit: Planes, seen: Mask, tolerance: int) -> tuple[Planes, float]:
    """By how much the edit leaves the range of the photo's colours around each pixel, (H, W), in RGB.

    Both are blurred first, so sharpness, noise and edges that lie a fraction of a pixel apart hardly count,
    and the range around a pixel of a striped garment is not that of all its stripes.

    Args:
        photo, edit: (3, H, W), in one tone.
        seen: where both show something, (H, W).
        tolerance: radius in pixels of "around": edges that are displaced by less make no difference.

    Returns:
        The difference, and the value from which it is another colour, given the noise of both images.
    """
    side = (1, 2 * tolerance + 1, 2 * tolerance + 1)
    photo, edit = (ndimage.gaussian_filter(image, (0, _BLUR, _BLUR)) for image in (photo, edit))
    beyond = np.maximum(
        edit - ndimage.maximum_filter(photo, side), ndimage.minimum_filter(photo, side) - edit
    )
    apart = np.abs(edit - photo).max(axis=0)[seen]
    # The quarter of the pixels that differ least shows noise, whatever the others show.
    noise = float(np.quantile(apart, 0.25)) / _QUARTILE if apart.size else 0.0
    least = _NOTICEABLE * min(max(1.0, _DEVIATIONS * noise / _NOTICEABLE), _NOISIEST)
    return np.asarray(np.where(seen, beyond.max(axis=0).clip(min=0), 0), np.float32), least


def different(photo: Planes, edit: Planes, seen: Mask, tolerance: int) -> Mask:
    """Where the images show other colours over more than a few pixels, (H, W) bool; arguments as above."""
    apart, least = distinct(photo, in_tone(photo, edit, seen), seen, tolerance)
    return np.asarray(ndimage.binary_opening(apart > least, iterations=1 + tolerance // 2))
