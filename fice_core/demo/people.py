"""People of the gallery as tensors: the images to edit, and the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.densepose import UPPER_BODY_LABELS
from ..people.maths import Array
from ..people.portrait import Portrait
from .gallery import gallery

SIZE = 256  # pixels at which networks of people work
FIRST = 101  # the seed of the gallery's first person
#: what the first six people are to wear
PROMPTS = (
    "a red striped long sleeve top",
    "a blue polka dot t-shirt",
    "a green checked tank top",
    "a yellow sweater",
    "a black t-shirt with a graphic print",
    "a purple floral t-shirt",
)


@dataclass(frozen=True)
class Figures:
    """Images (N, 3, S, S) in [0, 1], and for each the garment to dress it in."""

    images: Tensor
    prompts: list[str]


@dataclass(frozen=True)
class Truth:
    """`images` (N, 3, S, S) in [0, 1]; `labels` (N, S, S) int64, DensePose's 24 parts, 0 background; the soft
    regions `background`, `body` and `head`, which sum to one, and the `garment` mask, each (N, 1, S, S);
    `classes` (N, 10, S, S), the coverage of each of `people.classes.CLASSES`."""

    images: Tensor
    labels: Tensor
    background: Tensor
    body: Tensor
    head: Tensor
    garment: Tensor
    classes: Tensor

    def parts(self, size: int = 112) -> Tensor:
        """The part map as DensePose would give it: (N, 14, size, size), area-averaged."""
        one_hot = torch.stack([self.labels == label for label in UPPER_BODY_LABELS], 1).float()
        return F.interpolate(one_hot, size=(size, size), mode="area")


def figures(size: int = SIZE) -> Figures:
    """The first six people of the gallery, in no training set, and a prompt for each."""
    images = [figure(FIRST + k, size)[0] for k in range(len(PROMPTS))]
    return Figures(torch.cat(images), list(PROMPTS))


def figure(seed: int, size: int = SIZE) -> tuple[Tensor, str]:
    """One person of the gallery: image (1, 3, size, size) in [0, 1], and what they wear.

    Seeds from 101 on are the gallery's people in order, again and again.
    """
    people = gallery()
    sitter = people[(seed - FIRST) % len(people)]
    return as_images([sitter.portrait(size).image]), sitter.captions[0]


def truth(portraits: Sequence[Portrait]) -> Truth:
    """The truth of portraits of one size, as tensors."""
    classes = torch.from_numpy(np.stack([who.coverage for who in portraits]))

    def region(name: str) -> Tensor:
        return torch.from_numpy(np.stack([who.region(name) for who in portraits]))[:, None]

    return Truth(
        images=as_images([who.image for who in portraits]),
        labels=torch.from_numpy(np.stack([who.parts for who in portraits]).astype(np.int64)),
        background=region("background"),
        body=region("body"),
        head=region("head"),
        garment=region("garment"),
        classes=classes,
    )


def as_images(arrays: Sequence[Array]) -> Tensor:
    """Images (S, S, 3) in [0, 1] as one tensor (N, 3, S, S) float32."""
    stacked = np.stack([np.asarray(array, np.float32) for array in arrays])
    return torch.from_numpy(stacked).movedim(-1, 1).contiguous()


def as_arrays(images: Tensor) -> list[Array]:
    """Images (N, 3, S, S) as arrays (S, S, 3)."""
    return list(images.detach().movedim(1, -1).cpu().numpy())
