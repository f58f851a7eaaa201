"""The file with the weights in a folder that was downloaded from a hub."""

import os
from pathlib import Path

from ...errors import FiceError
from . import open_clip, transformers

_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
_CONFIGS = (open_clip.CONFIG_FILE, transformers.CONFIG_FILE)


def weights_file(path: str | os.PathLike[str]) -> Path:
    """The file itself, or the file of weights in a folder.

    Raises:
        FiceError: the folder has a configuration and no weights, or has them in several files. Any other
            folder is returned, to be refused by the reader.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    if any(path.glob("*.index.json")):
        raise FiceError(f"{path} has its weights in several files; give a folder with one file")
    if any((path / name).is_file() for name in _CONFIGS):
        raise FiceError(f"{path} is a folder without weights; expected one of {', '.join(_NAMES)}")
    return path
