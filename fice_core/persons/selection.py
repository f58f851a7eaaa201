"""Selects the frame of an edit: around a detected person, a mask, or a box."""

import torch

from ..errors import FiceError
from ..extraction.extractors import segment_regions
from ..framing import Frame
from ..networks.regions import PersonSegmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..settings import Framing
from .search import AGREEMENT, SMALLEST, agreement, find_persons, frame_box, person_template

_MAX_ASPECT = 12  # ratio of the sides; a longer image is not searched
_SOME_BODY, _NO_HEAD = 0.1, 0.02  # shares of the photo, and of the body
_MAX_DEVIATION = 1.6  # factor between the aspect ratios of a photo of one person and the generator

__all__ = ["choose_frame", "find_persons", "frame_person"]


def choose_frame(
    generator: Generator,
    segmenter: PersonSegmenter,
    photo: torch.Tensor,
    framing: Framing,
    person: int = 0,
) -> Frame:
    """The frame around the person to edit, or around the whole photo.

    Args:
        generator, segmenter: frozen networks on one device.
        photo: (1, 3, H, W) in [0, 1], on any device.
        framing: see `EditSettings`.
        person: index of the person, 0 for the largest.

    Raises:
        FiceError: no person is found, or fewer than `person` + 1; the photo is too small or too narrow.
    """
    size = (photo.shape[2], photo.shape[3])
    narrow = max(size) > _MAX_ASPECT * min(size)
    if framing == "whole" or min(size) < SMALLEST or narrow:
        return Frame.around(size, generator.resolution)
    if framing == "auto" and person == 0 and _has_similar_aspect(size, generator.resolution):
        whole = Frame.around(size, generator.resolution)
        if agreement(generator, segmenter, photo, whole) >= AGREEMENT:
            return whole
    persons = find_persons(generator, segmenter, photo)
    if not persons:
        raise FiceError(
            f"{_what_is_missing(generator, segmenter, photo)}: give a box or a mask of the person, or take "
            "the whole image (framing 'whole')"
        )
    if person >= len(persons):
        raise FiceError(
            f"there is no person {person}: {len(persons)} found, counted from 0, the largest first"
        )
    return persons[person].frame


def _what_is_missing(generator: Generator, segmenter: PersonSegmenter, photo: torch.Tensor) -> str:
    """Why nobody was found in a photo (1, 3, H, W)."""
    whole = Frame.around((photo.shape[2], photo.shape[3]), generator.resolution)
    with without_grad():
        view = whole.fit(photo).to(next(generator.parameters()).device)
        regions = segment_regions(segmenter, view)
    body, head = ((mask > 0.5).float().mean() for mask in (regions.body, regions.head))
    if body > _SOME_BODY and head < _NO_HEAD * body:
        return "a body without a head was found in the image, and the edit could not tell what must stay"
    return f"no person of at least {SMALLEST} pixels was found in the image"


def frame_person(
    generator: Generator,
    segmenter: PersonSegmenter,
    photo: torch.Tensor,
    person: int = 0,
    mask: torch.Tensor | None = None,
    box: tuple[int, int, int, int] | None = None,
) -> Frame:
    """The frame around one person, selected by an index, a mask or a box.

    Args:
        generator, segmenter: frozen networks on one device.
        photo: (1, 3, H, W) in [0, 1], on any device.
        person: index of the person, 0 for the largest; ignored with a mask or a box.
        mask: (1, 1, H, W) in [0, 1], the person or a part of it. It selects the detected person with
            most of the mask. If there is none, the template is fitted to the mask.
        box: (left, top, right, bottom) in pixels, the area that the frame must contain. What lies
            outside of the photo is cut off. The frame grows to the generator's aspect ratio.

    Raises:
        FiceError: there is no such person, the person or the box is lower than `SMALLEST` pixels, the
            mask is empty, the box is outside of the photo, or both a mask and a box are given.
    """
    size = (photo.shape[2], photo.shape[3])
    if mask is not None and box is not None:
        raise FiceError("both a mask and a box of the person are given: give only one of them")
    if box is not None:
        frame = Frame.covering(size, generator.resolution, _within(box, size))
        return _large_enough(frame, "frame around the box")
    if mask is None:
        return choose_frame(generator, segmenter, photo, "person", person)
    if not bool((mask > 0.5).any()):
        raise FiceError("the mask of the person is empty: nothing in it is above one half")
    persons = find_persons(generator, segmenter, photo)
    if persons:
        marked = (mask > 0.5).float()
        shares = [float(p.frame.cut(marked).sum() / marked.sum()) for p in persons]
        best = max(range(len(persons)), key=shares.__getitem__)
        if shares[best] > 0.5:
            return persons[best].frame
    with without_grad():
        return _large_enough(
            _fitted_to_mask(person_template(generator, segmenter), mask, generator.resolution)
        )


def _within(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a box that lies in a photo of (H, W) pixels; the box itself if there is none."""
    left, top, right, bottom = box
    inside = (max(left, 0), max(top, 0), min(right, size[1]), min(bottom, size[0]))
    return inside if inside[0] < inside[2] and inside[1] < inside[3] else box


def _large_enough(frame: Frame, what: str = "person") -> Frame:
    """The frame; FiceError if it is lower than `SMALLEST` pixels. `what` is in it, for the message."""
    height = frame.box[3] - frame.box[1]
    if height < SMALLEST:
        raise FiceError(
            f"the {what} is {height} pixels high in the image; at least {SMALLEST} are needed"
        )
    return frame


def _fitted_to_mask(
    template: torch.Tensor, mask: torch.Tensor, resolution: tuple[int, int]
) -> Frame:
    """The frame in which the template's person has the width and the upper edge of the mask."""
    rows, columns = (mask[0, 0] > 0.5).nonzero().T
    top = int(rows.min())
    left, right = int(columns.min()), int(columns.max()) + 1
    person = template.sum(dim=1)[0] > 0.5
    ys, xs = person.nonzero().T
    # The bounding boxes of template and mask are aligned by their widths, not their heights: the mask
    # of a whole figure is as wide as the generator's person, but higher.
    share = float(xs.max() + 1 - xs.min()) / resolution[1]
    width = max((right - left) / share, 1.0)
    height = width * resolution[0] / resolution[1]
    centre = (left + right) / 2 - (float(xs.min() + xs.max() + 1) / 2 / resolution[1] - 0.5) * width
    frame_top = top - float(ys.min()) / resolution[0] * height
    box = frame_box(centre - width / 2, frame_top, height, resolution)
    return Frame((mask.shape[2], mask.shape[3]), resolution, box)


def _has_similar_aspect(size: tuple[int, int], resolution: tuple[int, int]) -> bool:
    """Whether a photo has about the generator's aspect ratio, so that one person can fill it."""
    ratio = size[1] * resolution[0] / (size[0] * resolution[1])
    return 1 / _MAX_DEVIATION <= ratio <= _MAX_DEVIATION
