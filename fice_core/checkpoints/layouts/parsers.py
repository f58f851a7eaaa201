"""What the files beside a parser's weights say: the names of its classes, and how it sees images.

A label map is a JSON file with `id2label`, as transformers writes it, or with a list `labels`. It lies beside
the weights: `NAME.json` for `NAME.safetensors`, else `config.json`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import FiceError, printable
from ...files import some_of
from ...networks.regions import CLASSES, CLOTHES, HEAD, group_of, named_channels
from .clip_settings import read_json

_CONFIG, _PREPROCESSING = "config.json", "preprocessor_config.json"
_HEADS, _STRIDES = "num_attention_heads", "strides"
# The size, height and width, of fashn's parser, which is not in its settings; others see 512 x 512.
_FASHN, _FASHN_SIZE = {"torso", "jewelry", "feet"}, [576, 384]


def channels_of(labels: Sequence[str], count: int, source: str) -> list[str]:
    """The named class of each of `count` outputs.

    Args:
        labels: the parser's own names.
        count: number of outputs of the network.
        source: what names them, for messages.

    Raises:
        FiceError: the numbers differ, a name means no class that is known, or a region has no class.
    """
    if len(labels) != count:
        raise FiceError(f"{source} names {len(labels)} classes, but the network has {count}")
    channels, unknown = named_channels(labels)
    if unknown:
        names = printable(some_of(unknown), 200)
        raise FiceError(
            f"{source} has the classes {names}, whose meaning is not known: rename each of them to one "
            f"of background, {', '.join(CLOTHES)}, arms, legs, hands, shoes, bag, {', '.join(HEAD)}, body"
        )
    lacking = {*CLASSES} - {group_of(name) for name in channels}
    if lacking:
        raise FiceError(f"{source} has no class of the {' and the '.join(sorted(lacking))}")
    return channels


def label_map(weights: Path, count: int) -> tuple[list[str] | None, str]:
    """The names of a parser's classes from the file beside its weights, and the name of that file.

    Returns:
        None if no file names `count` classes.

    Raises:
        FiceError: `NAME.json` is there but names another number of classes.
    """
    own = weights.with_suffix(".json")
    for path in (own, weights.parent / _CONFIG):
        stored = read_json(path)
        labels = None if stored is None else _labels(stored)
        if labels is None:
            continue
        if len(labels) == count:
            return labels, path.name
        if path == own and own.name != _CONFIG:
            raise FiceError(f"{own.name} names {len(labels)} classes, but the network has {count}")
    return None, _CONFIG


def segformer_settings(weights: Path, architecture: dict[str, Any], count: int) -> dict[str, Any]:
    """Arguments of `SegFormer` from the files beside its weights.

    Args:
        weights: the file.
        architecture: inferred from the shapes.
        count: number of outputs.

    Raises:
        FiceError: the classes are not named, or a setting is not supported.
    """
    own = read_json(weights.with_suffix(".json"))
    stored = own if own is not None and "id2label" in own else read_json(weights.parent / _CONFIG)
    stored = {} if stored is None or stored.get("model_type") != "segformer" else stored
    sizes = stored.get("hidden_sizes", architecture["hidden_sizes"])
    if (
        sizes != architecture["hidden_sizes"]
        or stored.get("depths", architecture["depths"]) != (architecture["depths"])
    ):
        raise FiceError(f"{_CONFIG} describes another SegFormer than the tensors")
    _apply(stored, architecture)
    labels, source = label_map(weights, count)
    if labels is None or all(name.upper().startswith("LABEL_") for name in labels):
        raise FiceError(
            f"the names of its {count} classes are missing: put the model's {_CONFIG}, with id2label, "
            "beside it"
        )
    found = {"labels": channels_of(labels, count, source), "architecture": architecture}
    default = _FASHN_SIZE if {name.lower() for name in labels} >= _FASHN else [512, 512]
    return found | _preprocessing(weights.parent, default)


def _labels(stored: Mapping[str, Any]) -> list[str] | None:
    """The names in the order of the outputs; None if there are none, or with gaps."""
    named = stored.get("id2label")
    if isinstance(named, dict):
        labels = [named.get(str(k)) for k in range(len(named))]
    else:
        labels = stored["labels"] if isinstance(stored.get("labels"), list) else [None]
    return [str(name) for name in labels] if all(isinstance(name, str) for name in labels) else None


def _apply(stored: Mapping[str, Any], architecture: dict[str, Any]) -> None:
    """Set what the shapes do not tell: heads, strides and activation.

    Raises:
        FiceError: one of them fits no network of these shapes.
    """
    sizes = architecture["hidden_sizes"]
    heads = stored.get(_HEADS, architecture[_HEADS])
    strides = stored.get(_STRIDES, [4, 2, 2, 2])
    for name, values in ((_HEADS, heads), (_STRIDES, strides)):
        whole = isinstance(values, list) and all(isinstance(v, int) and v > 0 for v in values)
        if not whole or len(values) != len(sizes):
            raise FiceError(f"{_CONFIG}: {name} is {printable(str(values), 60)}")
    if any(size % count for size, count in zip(sizes, heads, strict=True)):
        raise FiceError(f"{_CONFIG}: {_HEADS} is {heads} for widths of {sizes}")
    activation = stored.get("hidden_act", "gelu")
    if activation != "gelu" or not stored.get("reshape_last_stage", True):
        raise FiceError(f"{_CONFIG}: a SegFormer of this kind is not supported (only GELU is)")
    architecture |= {_HEADS: heads, _STRIDES: strides}


def _preprocessing(folder: Path, size: list[int]) -> dict[str, Any]:
    """Size, mean and std of the images; those of ImageNet if no file tells."""
    stored = read_json(folder / _PREPROCESSING) or {}
    found: dict[str, Any] = {"size": size}
    told = stored.get("size")
    if isinstance(told, dict):
        told = [told.get("height"), told.get("width")]
    elif isinstance(told, int):
        told = [told, told]
    if isinstance(told, list) and len(told) == 2 and all(_is_side(side) for side in told):
        found["size"] = told
    for name, key in (("mean", "image_mean"), ("std", "image_std")):
        values = stored.get(key)
        if isinstance(values, list) and len(values) == 3 and all(_is_number(v) for v in values):
            found[name] = [float(value) for value in values]
    if stored.get("do_normalize") is False:
        found |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    return found


def _is_side(value: object) -> bool:
    return isinstance(value, int) and 32 <= value <= 4096


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < 1000
