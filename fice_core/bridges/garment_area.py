"""The garment in a photo as a mask, for any inpainter."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..errors import FiceError
from ..extraction.anatomy import BodyRegions, find_body_regions
from ..extraction.extractors import extract_pose, segment_classes
from ..framing import Frame
from ..masks.garment import without_slivers
from ..networks.densepose import DensePose
from ..networks.regions import PersonSegmenter, regions_of
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..ops.morphology import blur
from ..persons.selection import choose_frame
from ..settings import Framing, MaskSettings
from ..stitching.edges import edit_mask_at_photo_scale
from ..stitching.skin import skin_likelihood, skin_tone_of_parts

_SKIN = 0.5  # likelihood from which a pixel of an arm or a leg is bare skin
_SMOOTHING = 0.015  # radius over which it is averaged, a fraction of the height


class Networks(NamedTuple):
    """What a garment is looked for with, on one device."""

    generator: Generator
    densepose: DensePose
    segmenter: PersonSegmenter


def garment_area(
    networks: Networks,
    photos: torch.Tensor,
    settings: MaskSettings | None = None,
    reach: bool = False,
    framing: Framing = "auto",
) -> torch.Tensor:
    """Where the garment of the person in each photo is, (N, 1, H, W) in [0, 1], at the photos' size.

    A segmenter that names clothes tells where they are. Otherwise an upper garment is the torso and what of
    the arms is not of the person's own skin tone. Head and hands are never in the mask.

    Args:
        networks: the generator tells how a person fills a frame.
        photos: (N, 3, H, W) in [0, 1], of any size.
        settings: which garment; how far the mask extends beyond it, how wide its soft border is, and whether
            it follows the edges of the photo. None for the defaults.
        reach: also where the garment may come to be, such as the arms under a longer sleeve.
        framing: see `FramingSettings`.

    Raises:
        FiceError: no person is found, or no such garment on the person.
    """
    settings = settings or MaskSettings()
    with without_grad():
        masks = [
            _area(networks, photo, settings, reach, framing, number)
            for number, photo in enumerate(photos.float().split(1), start=1)
        ]
        return torch.cat(masks).to(photos.device)


def _area(
    networks: Networks,
    photo: torch.Tensor,
    settings: MaskSettings,
    reach: bool,
    framing: Framing,
    number: int,
) -> torch.Tensor:
    generator, densepose, segmenter = networks
    frame = choose_frame(generator, segmenter, photo, framing)
    framed = frame.fit(photo).to(next(generator.parameters()).device)
    classes = segment_classes(segmenter, framed)
    parts = extract_pose(densepose, framed)
    body = find_body_regions(parts, regions_of(classes), classes)
    worn = _worn(framed, parts, body, settings, reach)
    if not bool(worn.any()):
        raise FiceError(
            f"image {number} shows no {settings.garment} garment: choose another garment, or frame the person"
        )
    return _at_photo_scale(frame, photo, worn, body, settings)


def _worn(
    framed: torch.Tensor,
    parts: torch.Tensor,
    body: BodyRegions,
    settings: MaskSettings,
    reach: bool,
) -> torch.Tensor:
    """The garment at the frame's resolution, bool (1, 1, h, w)."""
    always, possible, _ = body.garment_regions(settings.garment)
    if reach:
        return always | possible
    if body.clothes is not None:
        return always
    skin = blur(skin_likelihood(framed, skin_tone_of_parts(framed, parts)), _SMOOTHING)
    return always | without_slivers(possible & (skin < _SKIN))


def _at_photo_scale(
    frame: Frame,
    photo: torch.Tensor,
    worn: torch.Tensor,
    body: BodyRegions,
    settings: MaskSettings,
) -> torch.Tensor:
    """The mask (1, 1, H, W) of the whole photo; the photo's own edges are the only ones."""
    patch = frame.cut(photo).to(worn.device)
    mask = edit_mask_at_photo_scale(frame, patch, patch, worn, body, settings)
    result = photo.new_zeros(1, 1, *photo.shape[2:])
    frame.cut(result).copy_(mask)
    return result
