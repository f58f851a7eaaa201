"""Whether a photo is sharp, and whether two photos show the same."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..ops.resize import resize

#: differences in brightness between neighbours that a fingerprint holds, one bit each
BITS = 256
_SIDE = 16
_GREY = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def sharpness(image: Tensor, person: Tensor | None = None) -> float:
    """How much of the contrast is between neighbouring pixels: 0 for a flat image, about 1 for noise.

    It is the root mean square of the differences between neighbours over that of the differences across an
    eighth of the image, so it does not depend on contrast or brightness.

    Args:
        image: (1, 3, H, W) in [0, 1].
        person: mask (1, 1, H, W) of where it is measured, since a background may be blurred; None for the
            middle half of the image.
    """
    grey = (image[0] * _GREY).sum(0)
    height, width = grey.shape
    if person is None:
        where = torch.zeros_like(grey)
        where[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    else:
        where = (person[0, 0] > 0.5).float()
    near, far = _differences(grey, where, 1), _differences(grey, where, max(2, height // 8))
    return (near / far) ** 0.5 if far > 0 else 0.0


def _differences(grey: Tensor, where: Tensor, step: int) -> float:
    """Mean square of the differences between pixels `step` apart, both of them in the mask."""
    total, count = 0.0, 0.0
    for values, inside in ((grey, where), (grey.T, where.T)):
        both = inside[step:] * inside[:-step]
        total += float(((values[step:] - values[:-step]).square() * both).sum())
        count += float(both.sum())
    return total / count if count else 0.0


def fingerprint(image: Tensor) -> str:
    """A number of `BITS` bits in hexadecimal that hardly changes if an image is resized or compressed again.

    Each bit says which of two neighbours is brighter after the image was shrunk (difference hash).

    Args:
        image: (1, 3, H, W) in [0, 1].
    """
    grey = (image[0] * _GREY).sum(0)[None, None]
    small = resize(grey, (_SIDE, _SIDE + 1))[0, 0]
    bits = (small[:, 1:] > small[:, :-1]).flatten().numpy()
    return np.packbits(bits).tobytes().hex()


class Seen:
    """Fingerprints of images that were seen."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._known: NDArray[np.uint8] = np.empty((0, BITS // 8), np.uint8)

    def add(self, name: str, mark: str) -> None:
        """Remember an image."""
        if len(self._names) == len(self._known):
            room = np.empty((max(256, len(self._known)), BITS // 8), np.uint8)
            self._known = np.concatenate([self._known, room])
        self._known[len(self._names)] = np.frombuffer(bytes.fromhex(mark), np.uint8)
        self._names.append(name)

    def like(self, mark: str, most: int) -> str | None:
        """The first image whose fingerprint differs in at most `most` bits; None if there is none."""
        if not self._names:
            return None
        wanted = np.frombuffer(bytes.fromhex(mark), np.uint8)
        different = np.unpackbits(self._known[: len(self._names)] ^ wanted, axis=1).sum(1)
        near = np.flatnonzero(different <= most)
        return self._names[int(near[0])] if near.size else None
