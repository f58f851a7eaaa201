"""The tensors of a file that holds a network of another project, such as a trunk of torchvision."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from .detection import flatten
from .reading.reader import read


def plain_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """All tensors of a file by their dotted name. No code of the file runs.

    Raises:
        FiceError: it cannot be read, or is no checkpoint.
    """
    found = flatten(read(path).tree)
    return {
        name: (stored if isinstance(stored, torch.Tensor) else stored.to_tensor()).clone()
        for name, stored in found.items()
    }
