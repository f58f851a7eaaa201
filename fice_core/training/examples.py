"""The examples of a training on photos: read once, kept in memory as bytes, drawn and varied by seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..datasets import Sample, held_out
from ..datasets.labels import UNKNOWN, fit_labels
from ..errors import FiceError
from ..framing import Frame
from .camera import lit, taken
from .dice import Dice

_MEMORY = 4 << 30  # bytes of examples that are kept
#: more held-out examples tell hardly more
MOST_HELD_OUT = 256


class Example(NamedTuple):
    """A photo at the size of the training, (3, H, W) uint8, and its labels (H, W) uint8, if it has some."""

    image: Tensor
    labels: Tensor | None


class Examples:
    """The photos of a data set, fitted to one size as in an edit of the whole photo, see `Frame.around`.

    Args:
        samples: of the data set.
        size: (H, W).
        labels: what is read of a sample beside the image: (1, h, w) int64, or None for no labels.
        count: number of different labels.
        memory: bytes of examples to keep.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: tuple[int, int],
        labels: Callable[[Sample], Tensor | None] | None = None,
        count: int = 0,
        memory: int = _MEMORY,
    ) -> None:
        self.samples, self.size = samples, size
        self._labels, self._count = labels, count
        self._most = max(1, memory // (4 * size[0] * size[1]))
        self._kept: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int) -> Example:
        if k in self._kept:
            return self._kept[k]
        example = self._read(self.samples[k])
        if len(self._kept) < self._most:
            self._kept[k] = example
        return example

    def images(self, index: Sequence[int]) -> Tensor:
        """The photos of these indices, (n, 3, H, W) float32 in [0, 1]."""
        return torch.stack([self[k].image for k in index]).float() / 255

    def _read(self, sample: Sample) -> Example:
        image = sample.image()
        frame = Frame.around((image.shape[-2], image.shape[-1]), self.size)
        pixels = (frame.fit(image)[0].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
        labels = None if self._labels is None else self._labels(sample)
        if labels is None:
            return Example(pixels, None)
        if labels.shape[-2:] != image.shape[-2:]:
            raise FiceError(
                f"the labels of {sample.source} have {labels.shape[-1]} x {labels.shape[-2]} pixels, but "
                f"the photo has {image.shape[-1]} x {image.shape[-2]}"
            )
        return Example(pixels, fit_labels(labels, frame, self._count))


def divided(
    samples: Sequence[Sample], share: float, what: str, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """The samples to train on and those to measure on; see `datasets.held_out`.

    Args:
        samples: those that can be used.
        share: of those that are held out.
        what: a sample needs, for the message.
        seed: of the division.

    Raises:
        FiceError: there are fewer than two samples.
    """
    if len(samples) < 2:
        raise FiceError(
            f"there {'is one photo' if samples else 'are no photos'} with {what}: at least two are needed, "
            "one to train on and one to measure on"
        )
    kept, out = held_out(samples, share, seed)
    return kept, out[:MOST_HELD_OUT]


def size_of(samples: Sequence[Sample], height: int | None, multiple: int = 32) -> tuple[int, int]:
    """(H, W) of a training, with the proportions of the first photo.

    Args:
        samples: of the data set.
        height: in pixels; None for that of the first photo, which is a multiple of 32 in data sets that
            `fice prepare` made for training.
        multiple: of the sides; they are rounded to it.
    """
    tall, wide = samples[0].image().shape[-2:]
    chosen = tall if height is None else height

    def rounded(side: float) -> int:
        return max(multiple, round(side / multiple) * multiple)

    return rounded(chosen), rounded(chosen * wide / tall)


def moved(
    image: Tensor, labels: Tensor | None, dice: Dice, mirrored: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """An image (1, 3, H, W) and its labels (1, H, W), zoomed, shifted, turned and maybe mirrored alike.

    Labels of what comes in from outside are `UNKNOWN`; the image's border is replicated there.

    Args:
        image, labels: of one example; None for no labels.
        dice: of the example.
        mirrored: the label (256,) that each label has in the mirror; None if all stay the same.
    """
    height, width = image.shape[-2:]
    zoom = math.exp(float(dice.draw(-0.25, 0.2)))
    angle = float(dice.draw(-0.14, 0.14))
    shift_x, shift_y = float(dice.draw(-0.2, 0.2)), float(dice.draw(-0.2, 0.2))
    side = -1.0 if bool(dice.chance(0.5)) else 1.0
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    theta = torch.tensor(
        [
            [
                [side * cos, -sin * height / width, shift_x],
                [side * sin * width / height, cos, shift_y],
            ]
        ]
    )
    grid = F.affine_grid(theta, [1, 1, height, width], align_corners=False)
    image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    if labels is None:
        return image, None
    if side < 0 and mirrored is not None:
        labels = mirrored[labels.long()]
    # Turned so that 0, which comes in from outside, stands for what is unknown.
    turned = (labels[:, None].float() + 256 - UNKNOWN) % 256
    placed = F.grid_sample(turned, grid, mode="nearest", align_corners=False)
    return image, (placed[:, 0].long() + UNKNOWN) % 256


def photographed(image: Tensor, dice: Dice, strength: float = 0.5) -> Tensor:
    """A photo (1, 3, H, W) in other light, colours and quality, in [0, 1]."""
    if bool(dice.chance(0.5)):
        image = lit(image, dice, strength).clamp(0, 1)
    cast = torch.exp(strength * dice.draw(-0.16, 0.16, 3))
    image = (image * cast).clamp(0, 1) ** torch.exp(strength * dice.draw(-0.4, 0.4))
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * (1 + strength * dice.draw(-0.6, 0.4))
    contrast = 1 + strength * dice.draw(-0.4, 0.4)
    image = ((image - 0.5) * contrast + 0.5 + strength * dice.draw(-0.1, 0.1)).clamp(0, 1)
    return taken(image, dice, strength)
