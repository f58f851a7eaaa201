"""Descriptions of checkpoint files, for `fice inspect`."""

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..files import KIND_KEY
from .detection import as_clip, identify
from .found import Found
from .layouts.folders import weights_file
from .native import CONFIG_KEY, NETWORKS
from .reading.reader import read
from .reading.records import Stored


@dataclass(frozen=True)
class Description:
    """Description of a checkpoint.

    Attributes:
        kind: "generator", "encoder", "densepose", "segmenter", "clip", "sam", "other" or "unknown".
        summary: one sentence, "x.pt is an e4e encoder (14 styles, 512)".
        details: values to print, by name, in order.
    """

    kind: str
    summary: str
    details: dict[str, Any] = field(default_factory=dict)


def describe(path: str | os.PathLike[str], architecture: str | None = None) -> Description:
    """Description of a checkpoint file; its weights are not read.

    Args:
        path: the file, or a folder of a hub download.
        architecture: describe the file as a CLIP model of this architecture of open_clip.

    Raises:
        FiceError: the file is missing, damaged, or asks for code.
    """
    contents = read(weights_file(path))
    found = identify(contents) if architecture is None else as_clip(contents, architecture)
    details = {
        "format": contents.format,
        **({"not usable here": found.problem} if found.problem else {}),
        **found.details,
        **_settings(found),
        **_volume(found.state),
        **{
            name: value
            for name, value in contents.metadata.items()
            if name not in (KIND_KEY, CONFIG_KEY, "format")
        },
    }
    return Description(found.kind, f"{contents.name} is {found.what}", details)


def _settings(found: Found) -> dict[str, Any]:
    """The network's settings and the number of its styles, flattened for printing."""
    if found.kind not in NETWORKS:
        return {}
    settings = dict(_flat(found.config))
    if found.kind == "generator":
        settings = {"num_ws": len(_style_layers(found.state)), **settings}
    if vocabulary := settings.get("vocabulary"):
        settings["vocabulary"] = f"{len(vocabulary)} words: {' '.join(vocabulary)}"
    settings.pop("tokenizer.description", None)  # megabytes
    return settings


def _style_layers(state: Mapping[str, Stored]) -> list[str]:
    """One key for each w of a generator: every styled convolution and the last torgb layer."""
    convs = [key for key in state if key.endswith(".affine.weight") and ".conv" in key]
    return [*convs, "torgb"]


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted names and values of nested settings, without those that are None."""
    rows: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            rows.extend(_flat(value, f"{prefix}{name}."))
        elif value is not None:
            rows.append((prefix + name, value))
    return rows


def _volume(state: Mapping[str, Stored]) -> dict[str, Any]:
    """Number of tensors, number of elements, and their types, the most frequent first."""
    numbers: Counter[str] = Counter()
    for tensor in state.values():
        numbers[str(tensor.dtype).removeprefix("torch.")] += math.prod(tensor.shape)
    return {
        "tensors": len(state),
        "numbers": sum(numbers.values()),
        "stored as": ", ".join(name for name, _ in numbers.most_common()),
    }
