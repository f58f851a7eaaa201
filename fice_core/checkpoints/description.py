"""Descriptions of checkpoint files, for `fice inspect`."""

import itertools
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import FiceError, printable
from ..files import KIND_KEY
from .building import blank
from .detection import as_clip, identify
from .found import Found
from .layouts.folders import weights_file
from .native import CONFIG_KEY, NETWORKS, weights
from .reading.reader import read
from .reading.records import Stored, damage_named
from .unused import check_unused

_MAX_ROWS, _MAX_TEXT, _MAX_ITEMS = 60, 2000, 16  # of what is printed about one file


@dataclass(frozen=True)
class Description:
    """Description of a checkpoint.

    Attributes:
        kind: "generator", "encoder", "densepose", "segmenter", "segformer", "clip", "sam", "other" or
            "unknown".
        summary: one sentence, "x.pt is an e4e encoder (14 styles, 512)".
        details: values to print, by name, in order. Texts are printable and short, lists too.
    """

    kind: str
    summary: str
    details: dict[str, Any] = field(default_factory=dict)


def describe(path: str | os.PathLike[str], architecture: str | None = None) -> Description:
    """Description of a checkpoint file, and whether it can be loaded; its weights are not read.

    Args:
        path: the file, or a folder of a hub download.
        architecture: describe the file as a CLIP model of this architecture of open_clip.

    Raises:
        FiceError: the file is missing, damaged, or asks for code.
    """
    contents = read(weights_file(path))
    found = identify(contents) if architecture is None else as_clip(contents, architecture)
    with damage_named(contents.name):
        problem, notes = _verdict(found, contents.name)
        details = {
            "format": contents.format,
            **({"not usable here": problem} if problem else {}),
            **{f"warning {number}": note for number, note in enumerate(notes, 1)},
            **found.details,
            **_settings(found),
            **_volume(found.state),
            **{
                name: value
                for name, value in contents.metadata.items()
                if name not in (KIND_KEY, CONFIG_KEY, "format")
            },
        }
        return Description(found.kind, f"{contents.name} is {found.what}", _shortened(details))


def _verdict(found: Found, source: str) -> tuple[str, list[str]]:
    """Why the network cannot be used, or empty, and what a user of it is told."""
    if found.kind not in NETWORKS or found.problem:
        return found.problem, []
    try:
        network = blank(found.kind, found.config, found.state, source)
        unused = check_unused(found.kind, found.state, weights(network).state_dict(), source)
    except FiceError as error:
        return str(error).removeprefix(f"{source}: "), []
    return "", [*found.notes, *([unused] if unused else [])]


def _shortened(details: Mapping[str, Any]) -> dict[str, Any]:
    """The first rows, with names and values that are safe to print and short enough to read."""
    rows = itertools.islice(details.items(), _MAX_ROWS)
    shown = {printable(name, 60): _shown(value) for name, value in rows}
    if len(details) > _MAX_ROWS:
        shown["..."] = f"{len(details) - _MAX_ROWS} more"
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, list | tuple):
        items = [_shown(item) for item in value[:_MAX_ITEMS]]
        more = len(value) - _MAX_ITEMS
        value = [*items, f"... {more} more"] if more > 0 else items
        return value if len(str(value)) <= _MAX_TEXT else printable(str(value), _MAX_TEXT)
    if (
        value is None
        or isinstance(value, bool | float)
        or (isinstance(value, int) and abs(value) < 1 << 64)
    ):
        return value
    return printable(str(value), _MAX_TEXT)


def _settings(found: Found) -> dict[str, Any]:
    """The network's settings and the number of its styles, flattened for printing."""
    if found.kind not in NETWORKS:
        return {}
    settings = dict(_flat(found.config))
    if found.kind == "generator":
        settings = {"num_ws": len(_style_layers(found.state)), **settings}
    vocabulary = settings.get("vocabulary")
    if isinstance(vocabulary, list) and vocabulary:
        settings["vocabulary"] = f"{len(vocabulary)} words: {' '.join(map(str, vocabulary))}"
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
