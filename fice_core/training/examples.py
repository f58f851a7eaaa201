"""The examples that fine-tuning learns from: which ones, of which size, and how they are varied by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..datasets import Sample, held_out
from ..datasets.labels import UNKNOWN
from ..errors import FiceError
from .camera import lit, taken
from .dice import Dice

#: more held-out examples tell hardly more
MOST_HELD_OUT = 256


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
