"""Finds the garment in a photo and somebody's edit of it: where both differ once they are aligned."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..extraction.anatomy import BodyRegions, Clothes
from ..extraction.extractors import extract_body_regions
from ..framing import Frame
from ..masks.garment import edge_aligned_mask
from ..networks.densepose import DensePose
from ..networks.regions import PersonSegmenter
from ..ops.resize import resize
from ..registration.alignment import Alignment
from ..registration.differences import distinct, in_tone
from ..registration.features import resized
from ..registration.refinement import moved_image
from ..settings import MaskSettings

Mask = NDArray[np.bool_]

_SIDE = 768  # pixels of the longer side at which differences are looked for
_TOLERANCE = 1  # pixels there by which edges may lie apart
_STRONG = 1.5  # a change is at least so many times as strong somewhere as at its border
_SMALLEST = 4e-4  # of the image; smaller changes are not clothes
_MINOR = 0.03  # of the largest change; smaller ones are not clothes either
_GAPS = 0.006  # of the longer side: distance over which parts of a change are joined
_PARSED = (256, 256)  # pixels at which DensePose and segmenter see the photo


def body_regions(
    densepose: DensePose, segmenter: PersonSegmenter, photo: torch.Tensor
) -> BodyRegions:
    """The regions of the person in a photo (3, H, W), at the photo's size, bool on the CPU.

    Args:
        densepose, segmenter: on one device.
        photo: on any device.

    Raises:
        FiceError: the photo is too small or too narrow.
    """
    frame = Frame.around((photo.shape[-2], photo.shape[-1]), _PARSED)
    device = next(densepose.parameters()).device
    found = extract_body_regions(densepose, segmenter, frame.fit(photo[None]).to(device))

    def at_size(part: torch.Tensor) -> torch.Tensor:
        return frame.restore(part.float().cpu()) > 0.5

    torso, arms, legs, protected = (at_size(part) for part in found[:4])
    worn = found.clothes and Clothes(*(at_size(garment) for garment in found.clothes))
    return BodyRegions(torso, arms, legs, protected, worn)


def find_mask(
    photo: torch.Tensor,
    edited: torch.Tensor,
    alignment: Alignment,
    settings: MaskSettings,
    body: BodyRegions | None = None,
) -> torch.Tensor | None:
    """Where the edit shows something else than the photo, with a soft border along the edges of both.

    Colours count after the edit has the photo's tone; edges that lie a pixel apart and noise do not. Small
    specks are left out. With `body`, the garment it shows is joined, and head and hands stay as they are.

    Args:
        photo: (3, H, W) in [0, 1].
        edited: (3, h, w) in [0, 1].
        alignment: of the edit.
        settings: the garment, and how far the mask reaches beyond the difference.
        body: of the photo, (1, 1, H, W) each.

    Returns:
        (1, H, W) in [0, 1]; None if nothing differs.
    """
    size = photo.shape[-2:]
    scale = min(1.0, _SIDE / max(size))
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    before = resized(photo[None].float(), small)
    after = resized(edited[None].float(), small)
    moved, seen = moved_image(after[0].cpu().numpy(), alignment.parameters)
    shown = in_tone(before[0].cpu().numpy(), moved, seen)
    found = _changes(before[0].cpu().numpy(), shown, seen)
    never = np.zeros_like(found)
    if body is not None:
        worn, _, protected = (
            resized(part.float(), small)[0, 0].cpu().numpy() > 0.5
            for part in body.garment_regions(settings.garment)
        )
        found, never = (found | worn) & ~protected, protected
    if not found.any():
        return None
    with torch.inference_mode(False):
        garment, kept = (
            torch.from_numpy(np.ascontiguousarray(m))[None, None] for m in (found, never)
        )
        aligned = torch.from_numpy(shown.clip(0, 1))[None]
    mask = edge_aligned_mask(garment, kept, before.cpu(), aligned, settings)
    return resize(mask, (size[0], size[1]))[0].to(photo.device)


def _changes(photo: np.ndarray, edit: np.ndarray, seen: Mask) -> Mask:
    """Where two aligned images (3, H, W) in one tone differ by more than noise, without specks."""
    from skimage.filters import apply_hysteresis_threshold  # imported here, because it takes long

    apart, least = distinct(photo, edit, seen, _TOLERANCE)
    found = apply_hysteresis_threshold(apart, least, _STRONG * least)
    reach = max(1, round(_GAPS * max(found.shape)))
    found = ndimage.binary_closing(np.pad(found, reach), iterations=reach)
    found = ndimage.binary_fill_holes(found[reach:-reach, reach:-reach])
    found = ndimage.binary_opening(found)
    labels, count = ndimage.label(found)
    if not count:
        return np.asarray(found)
    least_area = max(_SMALLEST * found.size, _MINOR * np.bincount(labels.flat)[1:].max())
    large = np.bincount(labels.flat) >= least_area
    large[0] = False
    return np.asarray(large[labels])
