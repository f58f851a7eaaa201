"""This project's files: safetensors with the network's kind and settings in the metadata."""

import json
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import FiceError
from ..files import KIND_KEY, write_safetensors
from ..networks.segformer import SegFormer

CONFIG_KEY = "fice.config"
SOURCE_KEY = "fice.source"
#: how the source of a demonstration model begins
DEMONSTRATION = "trained by `fice train demo`"
NETWORKS = {  # kind: (module in fice_core.networks, class)
    "generator": ("stylegan2", "Generator"),
    "encoder": ("e4e", "Encoder"),
    "densepose": ("densepose", "DensePose"),
    "segmenter": ("segmenter", "Segmenter"),
    "segformer": ("segformer", "SegFormer"),
    "clip": ("clip", "Clip"),
    "sam": ("sam", "Sam"),
}


def network_class(kind: str) -> type[nn.Module]:
    """The network class of a kind; its module is imported by the call."""
    module, name = NETWORKS[kind]
    cls: type[nn.Module] = getattr(import_module(f"..networks.{module}", __package__), name)
    return cls


def weights(network: nn.Module) -> nn.Module:
    """The module whose state dict is stored: the network, or the wrapped model of `Clip` and `Sam`."""
    wrapped = type(network).__name__ in ("Clip", "Sam")
    return network.model if wrapped else network  # type: ignore[return-value]


def expected_tensors(network: nn.Module) -> Mapping[str, Tensor]:
    """The tensors of a file of the network, by name; only their shapes and types count."""
    if isinstance(network, SegFormer):
        return network.layout()
    found: Mapping[str, Tensor] = weights(network).state_dict()
    return found


def is_demonstration(metadata: Mapping[str, str]) -> bool:
    """Whether the file of this metadata holds a demonstration model."""
    return metadata.get(SOURCE_KEY, "").startswith(DEMONSTRATION)


def parse_config(metadata: Mapping[str, str], source: str) -> dict[str, Any]:
    """Constructor arguments from the metadata of a file that `save` wrote.

    Raises:
        FiceError: they are missing or unreadable.
    """
    try:
        config = json.loads(metadata.get(CONFIG_KEY, ""))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise FiceError(f"{source}: the settings of its network are missing or unreadable")
    return config


def save(
    network: nn.Module,
    path: str | os.PathLike[str],
    extra_metadata: Mapping[str, str] | None = None,
    half: bool = False,
) -> None:
    """Write a network and its settings to a file that the `load_*` functions read.

    The file appears whole or not at all.

    Args:
        network: one of `fice_core.networks`.
        path: file to write, `.safetensors`.
        extra_metadata: further metadata to store.
        half: store matrices and filters as float16. Vectors, and tensors with values beyond its
            range, stay float32. All are read back as float32.

    Raises:
        FiceError: the file cannot be written.
        TypeError: the network is of another kind.
    """
    kinds = {name: kind for kind, (_, name) in NETWORKS.items()}
    kind = kinds.get(type(network).__name__)
    if kind is None:
        raise TypeError(f"cannot save a {type(network).__name__}; expected one of {list(kinds)}")
    metadata = {
        **(extra_metadata or {}),
        KIND_KEY: kind,
        CONFIG_KEY: json.dumps(network.config),
    }
    state = {}
    stored = network.published() if isinstance(network, SegFormer) else None
    for key, value in (stored or weights(network).state_dict()).items():
        value = value.detach().cpu()
        state[key] = (_halved(value) if half else value).contiguous()
    write_safetensors(path, state, metadata)


def _halved(value: Tensor) -> Tensor:
    """`value` as float16; vectors, and tensors with values beyond its range, do not change."""
    if value.dtype != torch.float32 or value.ndim < 2:
        return value
    half = value.half()
    return half if bool(torch.isfinite(half).all()) else value
