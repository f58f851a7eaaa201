"""One function a network: file in, frozen network out."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import FiceError
from .building import build
from .native import CONFIG_KEY, KIND_KEY

PathLike = str | os.PathLike[str]


def load_generator(path: PathLike, device: str = "cpu") -> nn.Module:
    """A StyleGAN2 `Generator`, frozen, float32."""
    return _load(path, "generator", device)


def load_encoder(path: PathLike, device: str = "cpu") -> nn.Module:
    """An e4e `Encoder`, frozen, float32."""
    return _load(path, "encoder", device)


def load_densepose(path: PathLike, device: str = "cpu") -> nn.Module:
    """A `DensePose` network, frozen, float32."""
    return _load(path, "densepose", device)


def load_segmenter(
    path: PathLike, class_order: tuple[str, str, str] | None = None, device: str = "cpu"
) -> nn.Module:
    """A `Segmenter`, frozen, float32."""
    return _load(path, "segmenter", device)


def load_clip(path_or_name: PathLike, architecture: str | None = None, device: str = "cpu") -> Any:
    """A `Clip`, frozen, float32."""
    return _load(path_or_name, "clip", device)


def _load(path: PathLike, kind: str, device: str) -> nn.Module:
    name = Path(path).name
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise FiceError(f"cannot read {path}: {error}") from error
    if metadata.get(KIND_KEY) != kind:
        raise FiceError(f"{name} is a {metadata.get(KIND_KEY)}; a {kind} was expected")
    return build(kind, json.loads(metadata[CONFIG_KEY]), state, name, device)
