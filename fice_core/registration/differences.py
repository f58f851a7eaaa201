"""Where two aligned images show different things: a garment, not an edge that lies a pixel beside."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..ops.robust import STD_PER_MAD
from ..stitching.color import fit_colour

Planes = NDArray[np.float32]
Mask = NDArray[np.bool_]

_NOTICEABLE = 0.06  # RGB, after the edit has the photo's tone
_TONE_SIDE = 56  # pixels of the longer side are enough for a tone
_DEVIATIONS = 4.0  # robust standard deviations of the differences; smaller ones are no change of content


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


def distinct(photo: Planes, edit: Planes, seen: Mask, tolerance: int) -> Planes:
    """By how much the edit leaves the range of the photo's colours around each pixel, (H, W).

    Args:
        photo, edit: (3, H, W), in one tone.
        seen: where both show something, (H, W).
        tolerance: radius in pixels of "around": edges that are displaced by less make no difference.
    """
    side = (1, 2 * tolerance + 1, 2 * tolerance + 1)
    beyond = np.maximum(
        edit - ndimage.maximum_filter(photo, side), ndimage.minimum_filter(photo, side) - edit
    )
    return np.asarray(np.where(seen, beyond.max(axis=0).clip(min=0), 0), np.float32)


def noticeable(photo: Planes, edit: Planes, seen: Mask) -> float:
    """The difference in RGB from which a pixel counts as another colour, given the noise of both images."""
    apart = np.abs(edit - photo).max(axis=0)[seen][::7]
    noise = STD_PER_MAD * float(np.median(apart)) if apart.size else 0.0
    return max(_NOTICEABLE, min(_DEVIATIONS * noise, 3 * _NOTICEABLE))


def different(photo: Planes, edit: Planes, seen: Mask, tolerance: int) -> Mask:
    """Where the images show other colours over more than a few pixels, (H, W) bool; arguments as above."""
    edit = in_tone(photo, edit, seen)
    found = distinct(photo, edit, seen, tolerance) > noticeable(photo, edit, seen)
    return np.asarray(ndimage.binary_opening(found, iterations=1 + tolerance // 2))
