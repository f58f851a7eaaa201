"""What every reader gives: samples with an image and whatever is known of it, and texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..images.photo import read_image
from .labels import BACKGROUND, UNKNOWN


class Keypoints(NamedTuple):
    """Points of a body in an image.

    Attributes:
        names: of the points, as the layout calls them.
        points: (K, 3) float32: x and y in pixels of the image, and a confidence in [0, 1]. A point that is
            absent has confidence 0.
    """

    names: tuple[str, ...]
    points: Tensor


@dataclass(frozen=True)
class Text:
    """A description of clothes.

    Attributes:
        name: of what it describes; unique in its data set.
        text: the description, on one line.
        attributes: labelled facts, such as `category` and `gender`.
    """

    name: str
    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _ImageFile:
    """An image file, read when called."""

    path: Path

    def __call__(self) -> Tensor:
        return read_image(self.path)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One photo of a data set. Files are read when they are asked for; samples can be pickled.

    Attributes:
        name: unique in its data set; parts of it may be joined by "/".
        source: the file of the image.
        captions: texts that describe it, maybe none.
        attributes: labelled facts where the layout has them: sleeve, neckline, category, ...
        read_image, read_classes, read_person, read_densepose, read_keypoints: what `image` and the other
            methods call, and None for what the layout does not have. Without `read_image`, `source` is
            an image file.
    """

    name: str
    source: Path
    captions: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    read_image: Callable[[], Tensor] | None = None
    read_classes: Callable[[], Tensor] | None = None
    read_person: Callable[[], Tensor] | None = None
    read_densepose: Callable[[], Tensor] | None = None
    read_keypoints: Callable[[], Keypoints] | None = None

    def image(self) -> Tensor:
        """The photo, (1, 3, H, W) float32 in [0, 1].

        Raises:
            FiceError: its file cannot be read.
        """
        read = self.read_image or _ImageFile(self.source)
        return read()[None]

    def classes(self) -> Tensor | None:
        """The label map, (1, H, W) int64: indices into `networks.regions.NAMED`, or `UNKNOWN`.

        None if the layout has none for this photo. Raises a FiceError if its file cannot be read.
        """
        return None if self.read_classes is None else self.read_classes()[None]

    def person(self) -> Tensor | None:
        """Mask of the person, (1, 1, H, W) float32 in [0, 1]; None if the layout has none.

        It is the file's own mask, or all to which the label map gives a class.
        """
        if self.read_person is not None:
            return self.read_person()[None, None]
        classes = self.classes()
        return None if classes is None else person_in(classes)

    def densepose(self) -> Tensor | None:
        """The labels of DensePose, (1, H, W) int64: 0 for background, 1 to 24 for a part; or None."""
        return None if self.read_densepose is None else self.read_densepose()[None]

    def keypoints(self) -> Keypoints | None:
        """The points of the body; None if the layout has none for this photo."""
        return None if self.read_keypoints is None else self.read_keypoints()


def person_in(classes: Tensor) -> Tensor:
    """Mask (1, 1, H, W) of all to which a label map (1, H, W) gives a class."""
    return ((classes != BACKGROUND) & (classes != UNKNOWN)).float()[None]


def held_out(
    samples: Sequence[Sample], share: float, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """The samples to train on, and those that are held out.

    Which are held out follows from each name and the seed alone, so a sample stays where it is when others
    are added. At least one is on either side if there are two or more and `share` is above 0.
    """
    places = {
        sample.name: int.from_bytes(
            hashlib.sha256(f"{seed}:{sample.name}".encode("utf-8", "surrogateescape")).digest()[:8],
            "big",
        )
        / 2**64
        for sample in samples
    }
    kept = [sample for sample in samples if places[sample.name] >= share]
    out = [sample for sample in samples if places[sample.name] < share]
    ordered = sorted(samples, key=lambda sample: places[sample.name])
    if share > 0 and len(samples) > 1 and not (kept and out):
        out = (
            [ordered[0]] if not out else [sample for sample in samples if sample is not ordered[-1]]
        )
        kept = [sample for sample in samples if not any(sample is other for other in out)]
    return kept, out
