"""Where the rivals keep what they compute once for a generator and a CLIP."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from ..files import cache_folder
from ..networks.digest import add_tensors

FOLDER = "FICE_RIVALS"  # variable of the environment that names it


def default_folder() -> Path:
    """FICE_RIVALS, else a folder in the user's cache."""
    return cache_folder("rivals", FOLDER)


def key(*parts: object) -> str:
    """A name that differs where a part does; of a network, its weights count."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, nn.Module):
            add_tensors(digest, part)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()[:16]
