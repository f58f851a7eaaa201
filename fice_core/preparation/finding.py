"""The frame around the one person of a photo, by its annotations or by the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from ..datasets import Sample, person_in
from ..extraction.extractors import segment_regions
from ..framing import Frame
from ..networks.regions import HEAD, NAMED, PersonSegmenter
from ..networks.stylegan2 import Generator
from ..persons.search import AGREEMENT, find_persons, fit_person, person_template

#: what an image shows: the person as in the generator's images, or the whole figure
Show = Literal["models", "figure"]
_NOBODY, _SEVERAL = "no person is found", "there are several persons"
_OTHERWISE = "the person is not shown as in the models' images"
_AGREEMENT = 0.6 * AGREEMENT  # of annotations, which never are wrong, but may show another pose
_MARGIN = 0.05  # of a figure's height, on all sides of it
_SMALL = 0.25  # share of the largest head or figure from which on another one is another person
_FACE = NAMED.index("face")
_HEAD = torch.tensor([NAMED.index(name) for name in HEAD])


class UnframedError(Exception):
    """A photo has no frame; the message says why."""


@dataclass(frozen=True)
class Networks:
    """What persons are found with, frozen and on one device."""

    generator: Generator
    segmenter: PersonSegmenter


@dataclass(frozen=True)
class Annotations:
    """Masks of a photo, (1, 1, H, W) in [0, 1]: the person, and if the label map tells it, the head."""

    person: Tensor
    head: Tensor | None


def annotations_of(sample: Sample, classes: Tensor | None) -> Annotations | None:
    """The masks that a sample has; None if it has none. `classes` is its label map.

    Raises:
        FiceError: a file cannot be read.
    """
    if classes is None:
        person = sample.person()
        return None if person is None else Annotations(person, None)
    person = person_in(classes) if sample.read_person is None else sample.person()
    assert person is not None
    head = torch.isin(classes, _HEAD)
    # Long hair below the chin is where a template has shoulders.
    faces = (classes == _FACE).any(2)[0].nonzero()
    if faces.numel():
        head[:, int(faces.max()) + 1 :] = False
    return Annotations(person, head.float()[None] if bool(head.any()) else None)


def find_frame(
    photo: Tensor,
    known: Annotations | None,
    size: tuple[int, int],
    show: Show,
    networks: Callable[[], Networks],
    largest: bool = False,
) -> Frame:
    """The frame of an image of `size` around the person in a photo.

    Args:
        photo: (1, 3, H, W) in [0, 1].
        known: its annotations; None if there are none, and the networks look for persons.
        size: (H, W) of the image.
        show: see `Show`.
        networks: called if they are needed.
        largest: take the largest of several persons.

    Raises:
        UnframedError: there is no person, or there are several.
    """
    if known is None:
        return _by_networks(photo, size, show, networks(), largest)
    if not bool((known.person > 0.5).any()):
        raise UnframedError(_NOBODY)
    person, head = known.person, known.head
    count, own = _largest(head if head is not None else person)
    if count > 1:
        if not largest:
            raise UnframedError(_SEVERAL)
        person, head = _apart(person, own, head is not None)
    if show == "figure":
        return _around_figure(person, size)
    template = _template(networks(), size)
    if head is None:  # both then are the person, which is a little less sure
        template = template.sum(1, keepdim=True).clamp(0, 1).expand(-1, 2, -1, -1)
        head = body = person
    else:
        body = (person - head).clamp(0, 1)
    found = fit_person(template, head, body)
    if found is None or found.agreement < _AGREEMENT:
        raise UnframedError(_OTHERWISE)
    return replace(found.frame, resolution=size)


def _template(networks: Networks, size: tuple[int, int]) -> Tensor:
    """The template for images of `size`: the models' own images, cut or widened to its proportions."""
    template = person_template(networks.generator, networks.segmenter)
    tall, wide = template.shape[-2:]
    if wide * size[0] == tall * size[1]:
        return template
    box = Frame.covering((tall, wide), size, (0, 0, wide, tall))
    left, right, top, bottom = box.padding
    return F.pad(template, (left, right, top, bottom))


def _largest(masks: Tensor) -> tuple[int, Tensor]:
    """The number of parts of a mask that are about as large as the largest, and that one."""
    parts, count = ndimage.label(masks[0, 0].numpy() > 0.5, np.ones((3, 3)))
    if count == 0:
        return 0, masks
    areas = np.bincount(parts.ravel())[1:]
    own = torch.from_numpy(parts == 1 + int(areas.argmax())).float()[None, None]
    return int((areas >= _SMALL * areas.max()).sum()), own


def _apart(person: Tensor, own: Tensor, is_head: bool) -> tuple[Tensor, Tensor | None]:
    """Masks of one person: what hangs together with the part `own`, which is a head or a person."""
    parts, _ = ndimage.label(person[0, 0].numpy() > 0.5, np.ones((3, 3)))
    numbers = np.unique(parts[own[0, 0].numpy() > 0])
    mask = torch.from_numpy(np.isin(parts, numbers[numbers > 0])).float()[None, None]
    return mask, own if is_head else None


def _box(person: Tensor) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the largest part of a mask."""
    _, own = _largest(person)
    rows, columns = (own[0, 0] > 0.5).nonzero().T
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _around_figure(person: Tensor, size: tuple[int, int]) -> Frame:
    """The frame around all of a person, with a margin, centred."""
    left, top, right, bottom = _box(person)
    margin = round(_MARGIN * (bottom - top))
    box = (left - margin, top - margin, right + margin, bottom + margin)
    return Frame.covering((person.shape[2], person.shape[3]), size, box)


def _by_networks(
    photo: Tensor, size: tuple[int, int], show: Show, networks: Networks, largest: bool
) -> Frame:
    persons = find_persons(networks.generator, networks.segmenter, photo)
    if not persons:
        raise UnframedError(_NOBODY)
    heights = [person.frame.box[3] - person.frame.box[1] for person in persons]
    several = sum(height > 0.5 * heights[0] for height in heights)  # the others stand behind
    if several > 1 and not largest:
        raise UnframedError(_SEVERAL)
    frame = persons[0].frame
    if show == "figure":
        return _around_figure(_figure_mask(photo, frame, networks), size)
    if frame.resolution == size:
        return frame
    if frame.resolution[0] * size[1] == frame.resolution[1] * size[0]:
        return replace(frame, resolution=size)
    return Frame.covering(frame.size, size, frame.box)


def _figure_mask(photo: Tensor, frame: Frame, networks: Networks) -> Tensor:
    """Mask of the person around whose upper part a frame lies, in a view three times as large."""
    left, top, right, bottom = frame.box
    width, height = right - left, bottom - top
    view = Frame(
        frame.size,
        frame.resolution,
        (left - width, top - height // 2, right + width, top - height // 2 + 3 * height),
    )
    device = next(networks.segmenter.parameters()).device
    regions = segment_regions(networks.segmenter, view.fit(photo).to(device))
    mask = view.restore((1 - regions.background).cpu())
    parts, _ = ndimage.label(mask[0, 0].numpy() > 0.5)
    inside = frame.cut(torch.from_numpy(parts)[None, None])
    numbers = inside[inside > 0]
    if not numbers.numel():
        raise UnframedError(_NOBODY)
    own = int(numbers.bincount().argmax())
    return torch.from_numpy(parts == own).float()[None, None]
