"""Label maps: the labels of published sets, what class each of them is, and their files.

A label map of a sample holds indices into `networks.regions.NAMED`, the same for every layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import FiceError
from ..files import read_bytes
from ..framing import Frame
from ..images.decoding import open_image
from ..images.mask import read_mask
from ..images.photo import naming
from ..networks.regions import NAMED
from ..ops.resize import resize

#: a pixel of which nothing is known, in the place of an index into `NAMED`
UNKNOWN = 255
BACKGROUND = NAMED.index("background")
#: number of labels of DensePose: background and 24 parts
DENSEPOSE_LABELS = 25
_FAR = 40  # levels; a colour this far from all of a palette is none of them

Colour = tuple[int, int, int]


class LabelSet(NamedTuple):
    """The labels of a layout, by their numbers.

    Attributes:
        classes: the named class of each label, "" for one that is none of them.
        colours: of the labels in files that were saved as RGB; empty if there are no such files.
    """

    classes: tuple[str, ...]
    colours: tuple[Colour, ...] = ()


# The colours of the LIP set, with 254 where it has 255 (as stored in VITON-HD): the nearest one counts.
_LIP_COLOURS: tuple[Colour, ...] = (
    (0, 0, 0), (128, 0, 0), (254, 0, 0), (0, 85, 0), (169, 0, 51), (254, 85, 0), (0, 0, 85),
    (0, 119, 220), (85, 85, 0), (0, 85, 85), (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 254),
    (51, 169, 220), (0, 254, 254), (85, 254, 169), (169, 254, 85), (254, 254, 0), (254, 169, 0),
)  # fmt: skip
_LIP = (
    "background", "hat", "hair", "hands", "glasses", "upper", "dress", "upper", "legs", "lower",
    "dress", "scarf", "lower", "face", "arms", "arms", "legs", "legs", "shoes", "shoes",
)  # fmt: skip
LIP = LabelSet(_LIP, _LIP_COLOURS)
#: LIP's, but what it calls jumpsuits is bare skin of neck and trunk
VITON_HD = LabelSet((*_LIP[:10], "neck", *_LIP[11:]), _LIP_COLOURS)

ATR = LabelSet(
    (
        "background", "hat", "hair", "glasses", "upper", "lower", "lower", "dress", "lower",
        "shoes", "shoes", "face", "legs", "legs", "arms", "arms", "bag", "scarf",
    )
)  # fmt: skip

DEEPFASHION = LabelSet(
    (
        "background", "upper", "upper", "lower", "dress", "lower", "lower", "hat", "glasses",
        "scarf", "lower", "shoes", "bag", "hair", "face", "body", "jewelry", "jewelry", "legs",
        "hands", "jewelry", "dress", "jewelry", "upper",
    )
)  # fmt: skip

SHHQ = LabelSet(
    (
        "background", "hat", "hair", "hands", "glasses", "upper", "dress", "upper", "legs", "lower",
        "body", "scarf", "lower", "face", "shoes", "bag", "jewelry",
    ),
    (
        (0, 0, 0), (127, 255, 212), (255, 0, 0), (213, 140, 88), (0, 100, 0), (255, 250, 250),
        (255, 250, 205), (220, 220, 220), (160, 140, 88), (211, 211, 211), (144, 238, 144),
        (150, 26, 181), (250, 235, 215), (16, 78, 139), (245, 222, 179), (255, 140, 0), (50, 205, 50),
    ),
)  # fmt: skip

# Colours in which Dress Code draws the 25 labels of DensePose.
DENSEPOSE = LabelSet(
    tuple(map(str, range(DENSEPOSE_LABELS))),
    (
        (0, 0, 0), (105, 105, 105), (85, 107, 47), (139, 69, 19), (72, 61, 139), (0, 128, 0),
        (154, 205, 50), (0, 0, 139), (255, 69, 0), (255, 165, 0), (255, 255, 0), (0, 255, 0),
        (186, 85, 211), (0, 255, 127), (220, 20, 60), (0, 191, 255), (0, 0, 255), (216, 191, 216),
        (255, 0, 255), (30, 144, 255), (219, 112, 147), (240, 230, 140), (255, 20, 147),
        (255, 160, 122), (127, 255, 212),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class LabelFile:
    """A label map in an image file, read when called."""

    path: Path
    labels: LabelSet

    def __call__(self) -> Tensor:
        """(H, W) int64: indices into `NAMED`, or `UNKNOWN`.

        Raises:
            FiceError: the file cannot be read, or has a label or colour that the set has not.
        """
        return as_named(read_labels(self.path, self.labels), self.labels)


@dataclass(frozen=True)
class DensePoseFile:
    """The labels of DensePose in an image file, read when called.

    Attributes:
        path: of the file.
        channel: of a file with part, u and v, the one that holds the part; None for a label map.
    """

    path: Path
    channel: int | None = None

    def __call__(self) -> Tensor:
        """(H, W) int64 from 0 to 24; raises what `LabelFile` raises."""
        numbers = read_labels(self.path, DENSEPOSE, self.channel)
        return torch.from_numpy(numbers.astype(np.int64))


@dataclass(frozen=True)
class MaskFile:
    """A black and white mask in an image file, read when called."""

    path: Path

    def __call__(self) -> Tensor:
        """(H, W) float32 in [0, 1]."""
        return read_mask(self.path)


def as_named(numbers: NDArray[np.integer], labels: LabelSet) -> Tensor:
    """Numbers of labels (H, W) -> indices into `NAMED` (H, W) int64, `UNKNOWN` for other things."""
    table = np.full(256, UNKNOWN, np.int64)
    for number, name in enumerate(labels.classes):
        table[number] = NAMED.index(name) if name else UNKNOWN
    return torch.from_numpy(table[numbers])


def read_labels(path: Path, labels: LabelSet, channel: int | None = None) -> NDArray[np.uint8]:
    """Numbers of labels (H, W) uint8 in an image file; `UNKNOWN` stays as it is.

    In files with a palette or with one channel, a pixel's value is the label. In colour files it is the label
    of the nearest colour of the set, unless `channel` says which one holds it.

    Raises:
        FiceError: the file cannot be read, or a label or colour is none of the set's.
    """
    data = read_bytes(path, "a label map")
    with naming(path):
        image = open_image(data)
        if image.mode not in ("P", "L", "I", "I;16"):
            image = image.convert("L" if image.mode in ("1", "LA") else "RGB")  # type: ignore[assignment]
        values = np.asarray(image)
    if values.ndim == 3:
        values = _of_colours(values, labels, path) if channel is None else values[..., channel]
    count = len(labels.classes)
    wrong = values[((values >= count) | (values < 0)) & (values != UNKNOWN)]
    if wrong.size:
        raise FiceError(
            f"the label map {path} has the label {int(wrong[0])}, but labels from 0 to {count - 1} "
            "were expected"
        )
    return values.astype(np.uint8)


def _of_colours(pixels: NDArray[np.uint8], labels: LabelSet, path: Path) -> NDArray[np.uint8]:
    """Labels (H, W) of colours (H, W, 3)."""
    grey = bool((pixels == pixels[..., :1]).all())
    if grey and int(pixels.max()) < len(labels.classes):  # a label map that was saved as RGB
        return pixels[..., 0]
    if not labels.colours:
        raise FiceError(
            f"the label map {path} is saved in colours, of which nothing says what they mean: save it "
            "with one channel, in which each value is a label"
        )
    codes = pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    found, back = np.unique(codes, return_inverse=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], -1).astype(np.float32)
    distances = np.linalg.norm(colours[:, None] - np.array(labels.colours, np.float32), axis=-1)
    nearest = distances.min(1)
    if float(nearest.max()) > _FAR:
        worst = ", ".join(str(int(level)) for level in colours[int(nearest.argmax())])
        raise FiceError(
            f"the label map {path} has the colour ({worst}), which is none of the "
            f"{len(labels.colours)} of its layout"
        )
    numbers: NDArray[np.uint8] = distances.argmin(1).astype(np.uint8)[back].reshape(codes.shape)
    return numbers


def fit_labels(labels: Tensor, frame: Frame, count: int) -> Tensor:
    """Labels (1, *frame.size) in the frame, (H, W) uint8: of each pixel the one that covers most of it.

    What lies outside of the photo is `UNKNOWN`.

    Args:
        labels: int64 from 0 to `count` - 1, or `UNKNOWN`.
        frame: of the image.
        count: number of labels.
    """
    known = torch.where(labels == UNKNOWN, count, labels)
    present = known.unique().tolist()
    inside = torch.ones(1, 1, *frame.size)
    best = 1 - fit_mask(inside, frame)  # what the photo does not cover
    found = torch.full_like(best, count)
    for number in present:
        share = fit_mask((known == number).float()[None], frame)
        found = torch.where(share > best, float(number), found)
        best = torch.maximum(best, share)
    return torch.where(found == count, float(UNKNOWN), found)[0, 0].to(torch.uint8)


def fit_mask(masks: Tensor, frame: Frame) -> Tensor:
    """Masks (1, 1, *frame.size) in the frame, (1, 1, *resolution); 0 outside of the photo."""
    padded = F.pad(frame.cut(masks), frame.padding)
    return padded if padded.shape[-2:] == frame.resolution else resize(padded, frame.resolution)
