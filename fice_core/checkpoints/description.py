"""What `fice inspect` says about a file."""

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..files import KIND_KEY
from .detection import Found, identify
from .native import CONFIG_KEY, NETWORKS
from .reading.reader import read
from .reading.records import Stored


@dataclass(frozen=True)
class Description:
    """A checkpoint in words.

    Attributes:
        kind: "generator", "encoder", "densepose", "segmenter", "clip", "sam", "other" or "unknown".
        summary: one sentence, "x.pt is an e4e encoder (14 styles, 512)".
        details: name to value, ready to print, in a sensible order.
    """

    kind: str
    summary: str
    details: dict[str, Any] = field(default_factory=dict)


def describe(path: str | os.PathLike[str]) -> Description:
    """Say what a checkpoint holds, without reading its weights.

    Raises:
        FiceError: the file cannot be read (missing, damaged, asks for code).
    """
    contents = read(path)
    found = identify(contents)
    details = {
        "format": contents.format,
        **found.details,
        **_settings(found),
        **_volume(found.state),
        **{
            name: value
            for name, value in contents.metadata.items()
            if name not in (KIND_KEY, CONFIG_KEY)
        },
    }
    return Description(found.kind, f"{contents.name} is {found.what}", details)


def _settings(found: Found) -> dict[str, Any]:
    """The network's settings with a few that follow from them, flattened for printing."""
    if found.kind not in NETWORKS:
        return {}
    settings = dict(_flat(found.config))
    if found.kind == "generator":
        settings = {"num_ws": len(_style_layers(found.state)), **settings}
    if vocabulary := settings.get("vocabulary"):
        settings["vocabulary"] = f"{len(vocabulary)} words: {' '.join(vocabulary)}"
    return settings


def _style_layers(state: Mapping[str, Stored]) -> list[str]:
    """One key for each w of a generator: every styled convolution and the last colour layer."""
    convs = [key for key in state if key.endswith(".affine.weight") and ".conv" in key]
    return [*convs, "torgb"]


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            rows.extend(_flat(value, f"{prefix}{name}."))
        elif value is not None:
            rows.append((prefix + name, value))
    return rows


def _volume(state: Mapping[str, Stored]) -> dict[str, Any]:
    """Counts of tensors and numbers, and how they are stored."""
    numbers: Counter[str] = Counter()
    for tensor in state.values():
        numbers[str(tensor.dtype).removeprefix("torch.")] += math.prod(tensor.shape)
    return {
        "tensors": len(state),
        "numbers": sum(numbers.values()),
        "stored as": ", ".join(name for name, _ in numbers.most_common()),
    }
