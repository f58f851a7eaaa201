"""Which part of a photo an edit is about: a person who is found, marked, or has a box drawn around."""

import torch

from ..errors import FiceError
from ..framing import Frame
from ..networks.segmenter import Segmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..settings import Framing
from .search import AGREEMENT, SMALLEST, agreement, find_persons, frame_box, person_template

_NARROWEST = 12  # a picture longer than this times its width is not searched
_ODD = 1.6  # proportions farther from the generator's than this are no picture of one person

__all__ = ["choose_frame", "find_persons", "frame_person"]


def choose_frame(
    generator: Generator,
    segmenter: Segmenter,
    photo: torch.Tensor,
    framing: Framing,
    person: int = 0,
) -> Frame:
    """Where the person is that an edit is about.

    Args:
        photo: (1, 3, H, W) in [0, 1], on any device.
        framing: see `EditSettings`.
        person: which of several, 0 for the largest.

    Raises:
        FiceError: no person is found, or not so many; the photo is too small or too narrow.
    """
    size = (photo.shape[2], photo.shape[3])
    narrow = max(size) > _NARROWEST * min(size)
    if framing == "whole" or min(size) < SMALLEST or narrow:
        return Frame.around(size, generator.resolution)
    if framing == "auto" and person == 0 and _proportionate(size, generator.resolution):
        whole = Frame.around(size, generator.resolution)
        if agreement(generator, segmenter, photo, whole) >= AGREEMENT:
            return whole
    found = find_persons(generator, segmenter, photo)
    if not found:
        raise FiceError(
            f"no person of at least {SMALLEST} pixels was found in the picture: give a box or a mask "
            "of the person, or take the whole picture (framing 'whole')"
        )
    if person >= len(found):
        raise FiceError(
            f"there is no person {person}: {len(found)} found, counted from 0, the largest first"
        )
    return found[person].frame


def frame_person(
    generator: Generator,
    segmenter: Segmenter,
    photo: torch.Tensor,
    person: int = 0,
    mask: torch.Tensor | None = None,
    box: tuple[int, int, int, int] | None = None,
) -> Frame:
    """The frame around a person: one that is found, that a mask shows, or that a box is drawn around.

    Args:
        generator, segmenter: frozen networks on one device.
        photo: (1, 3, H, W) in [0, 1], on any device.
        person: which of those found, 0 for the largest; with a mask or a box it plays no part.
        mask: (1, 1, H, W) in [0, 1], the person or part of them; the person it covers most is taken, and
            where none is found the layout is fitted to the mask itself.
        box: (left, top, right, bottom) in pixels, what the generator shall see; grown to its
            proportions.

    Raises:
        FiceError: no such person, a person or box of less than `SMALLEST` pixels, a mask that is 0
            everywhere, a box outside of the photo, both a mask and a box.
    """
    size = (photo.shape[2], photo.shape[3])
    if mask is not None and box is not None:
        raise FiceError("both a mask and a box of the person are given: leave one of them out")
    if box is not None:
        frame = Frame.covering(size, generator.resolution, box)
        return _large_enough(frame)
    if mask is None:
        return choose_frame(generator, segmenter, photo, "person", person)
    if not bool((mask > 0.5).any()):
        raise FiceError("the mask of the person is empty: nothing in it is above one half")
    found = find_persons(generator, segmenter, photo)
    if found:
        marked = (mask > 0.5).float()
        shares = [float(p.frame.cut(marked).sum() / marked.sum()) for p in found]
        best = max(range(len(found)), key=shares.__getitem__)
        if shares[best] > 0.5:
            return found[best].frame
    with without_grad():
        return _large_enough(
            _fitted_to_mask(person_template(generator, segmenter), mask, generator.resolution)
        )


def _large_enough(frame: Frame) -> Frame:
    height = frame.box[3] - frame.box[1]
    if height < SMALLEST:
        raise FiceError(
            f"the person is {height} pixels high in the picture; at least {SMALLEST} are needed"
        )
    return frame


def _fitted_to_mask(wanted: torch.Tensor, mask: torch.Tensor, resolution: tuple[int, int]) -> Frame:
    """The frame in which the layout's person covers the mask best."""
    rows, columns = (mask[0, 0] > 0.5).nonzero().T
    top = int(rows.min())
    left, right = int(columns.min()), int(columns.max()) + 1
    person = wanted.sum(dim=1)[0] > 0.5
    ys, xs = person.nonzero().T
    # The layout's own bounding box, in fractions of the frame, is laid over the mask's by its width:
    # the mask of a whole figure is higher than what the generator shows, but as wide.
    share = float(xs.max() + 1 - xs.min()) / resolution[1]
    wide = max((right - left) / share, 1.0)
    tall = wide * resolution[0] / resolution[1]
    middle = (left + right) / 2 - (float(xs.min() + xs.max() + 1) / 2 / resolution[1] - 0.5) * wide
    first = top - float(ys.min()) / resolution[0] * tall
    box = frame_box(middle - wide / 2, first, tall, resolution)
    return Frame((mask.shape[2], mask.shape[3]), resolution, box)


def _proportionate(size: tuple[int, int], resolution: tuple[int, int]) -> bool:
    """Whether a photo has about the generator's proportions, so that the person may fill it."""
    ratio = size[1] * resolution[0] / (size[0] * resolution[1])
    return 1 / _ODD <= ratio <= _ODD
