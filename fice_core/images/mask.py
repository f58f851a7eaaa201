"""Reads mask files: white marks where something applies."""

import os
from collections.abc import Callable

import numpy as np
import torch

from ..errors import FiceError
from ..files import read_bytes
from .photo import decode_file, naming

_NEAR = 0.1  # of a level in [0, 1]: what a lossy file does to black, white and grey
_PLAIN = 0.9  # share of the visible pixels that are black or white where transparency has a meaning


def read_mask(
    path: str | os.PathLike[str], note: Callable[[str], None] | None = None
) -> torch.Tensor:
    """The mask in an image file, turned upright as `read_photo` does.

    It is the brightness of the image, and what is transparent is black.

    Args:
        path: a file of a format that `read_photo` reads.
        note: called with one line for everything that the user should know about the file.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        FiceError: what `read_photo` raises; or the image has transparent pixels and is not black and
            white. Such a file is a photo with a hole or with a cut-out person, and nothing says whether
            the hole or the rest is meant.
    """
    return decode_mask(read_bytes(path, "an image file"), path, note)


def remarks(mask: torch.Tensor) -> list[str]:
    """A line for the user if a mask, of any shape and in [0, 1], marks next to nothing."""
    strongest = float(mask.max())
    if not 0 < strongest < _NEAR:
        return []
    return [
        f"the mask is nowhere brighter than {255 * strongest:.3g}/255, so next to nothing may change: "
        "white is 255"
    ]


def decode_mask(
    data: bytes, path: str | os.PathLike[str], note: Callable[[str], None] | None = None
) -> torch.Tensor:
    """The mask in the bytes of a file, as `read_mask`; `path` is its name in messages."""
    decoded = decode_file(data, path)
    notes = list(decoded.notes)
    with naming(path), torch.inference_mode(False):
        planes = decoded.levels.transpose(2, 0, 1)
        levels = np.empty(planes.shape, np.float32)
        np.divide(planes, np.float32(np.iinfo(planes.dtype).max), out=levels)
        colours, alpha = torch.from_numpy(levels[:3]), torch.from_numpy(levels[3:])
        mask = colours.mean(dim=0)
        darkest, brightest = colours.amin(dim=0), colours.amax(dim=0)
        if bool((alpha < 1).any()):
            visible = alpha[0] >= 0.5
            plain = (brightest < _NEAR) | (darkest > 1 - _NEAR)
            count = int(visible.sum())
            if int((plain & visible).sum()) < _PLAIN * count:
                raise FiceError(
                    f"the mask {path} has transparent pixels and is not black and white, so it cannot be "
                    "told which part is meant: save it without transparency, white where it applies"
                )
            mask = mask * alpha[0]
            notes.append("its transparent pixels count as black")
        elif bool((brightest - darkest > _NEAR).any()):
            notes.append("the mask is coloured: its brightness counts, and only white counts fully")
        notes += remarks(mask)
    if note is not None:
        for line in notes:
            note(f"{path}: {line}")
    return mask
