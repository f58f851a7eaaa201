"""Detects the network in a file by the names and shapes of its tensors alone."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import FiceError, printable
from ..files import KIND_KEY
from ..networks.regions import CLASSES
from . import clip_detection
from .found import Found, below, is_average, note_of_choice, shapes_only, word
from .layouts import encoders, nvidia, parsers, rosinality
from .native import NETWORKS, parse_config
from .reading.budget import MAX_TENSORS, Budget
from .reading.reader import Contents
from .reading.records import (
    ArrayRecord,
    DamagedError,
    ObjectRecord,
    Stored,
    TensorRecord,
    damage_named,
)
from .signatures import EXPECTED, NETWORK_MARKS, OTHER_MARKS, SAM_ADVICE, VARIANTS

_MAX_DEPTH = 40  # of nested containers; the deepest published file has about ten


def identify(contents: Contents, expected: str | None = None) -> Found:
    """The network in a file.

    Args:
        contents: the file.
        expected: kind of network that is preferred if the file holds several, such as an encoder and
            its generator.

    Raises:
        FiceError: it is a known kind of network that cannot be used (class-conditional, incomplete,
            settings missing), or its tensors declare far more memory than the size of the file.
    """
    with damage_named(contents.name):
        return _identify(contents, expected)


def _identify(contents: Contents, expected: str | None) -> Found:
    """As `identify`, for contents that may be damaged."""
    tensors = flatten(contents.tree)
    _check_volume(tensors, contents)
    native_kind = contents.metadata.get(KIND_KEY)
    if native_kind in NETWORKS:
        config = parse_config(contents.metadata, contents.name)
        return Found(native_kind, _sentence(native_kind, config), config, tensors)
    if native_kind is not None:
        return Found("other", f"a FICE {printable(native_kind, 40)} file", state=tensors)
    for kind, marks in sorted(NETWORK_MARKS, key=lambda pair: pair[0] != expected):
        if kind == "clip":
            if (prefix := clip_detection.find_prefix(tensors)) is not None:
                return clip_detection.find_clip(prefix, tensors, contents)
        elif prefixes := _locate(tensors, marks):
            prefix = prefixes[0]
            if kind == "encoder" and (other := encoders.other_kind(tensors, prefix, contents)):
                return Found("other", other, state=tensors)
            for of, mark, what in VARIANTS:
                if of == kind and prefix + mark in tensors:
                    return Found("other", what, state=tensors, problem=SAM_ADVICE)
            found = _known(kind, prefix, tensors, contents)
            return replace(found, notes=(*found.notes, *note_of_choice(prefixes, prefix)))
    for marks, what, advice in OTHER_MARKS:
        if _has(tensors, marks):
            return Found("other", what, state=tensors, problem=advice)
    if not tensors:
        what = "a file without any tensors"
        if contents.format == "TorchScript":
            what = "a frozen TorchScript program, whose weights are constants of its code"
            advice = "use the original file with its state dict"
            return Found("other", what, problem=advice)
        return Found("unknown", what)
    first = ", ".join(printable(key, 60) for key in list(tensors)[:3])
    return Found("unknown", f"an unknown network ({len(tensors)} tensors: {first}...)", {}, tensors)


def as_clip(contents: Contents, architecture: str, tokenizer_folder: Path | None = None) -> Found:
    """The file as a CLIP model of a given architecture.

    Args:
        contents: the file.
        architecture: an open_clip name, ARCHITECTURE or ARCHITECTURE:TAG.
        tokenizer_folder: where the files of its tokenizer are; by default the folder of the file.

    Raises:
        FiceError: there is no such architecture, or the file is not a CLIP model.
    """
    with damage_named(contents.name):
        tensors = flatten(contents.tree)
    _check_volume(tensors, contents)
    prefix = clip_detection.find_prefix(tensors)
    if prefix is None:
        found = identify(contents)
        if found.kind == "clip":
            raise FiceError(f"{contents.name} is {found.what}, but has none of its tensors")
        raise FiceError(f"{contents.name} is {found.what}; {EXPECTED['clip']} was expected")
    return clip_detection.find_clip(prefix, tensors, contents, architecture, tokenizer_folder)


def flatten(tree: Any) -> dict[str, Stored]:
    """All tensors of a file by their dotted path, made printable.

    It walks through dictionaries and the state of recorded objects (parameters, buffers and
    children of modules). A container to which the file refers several times is visited once.

    Raises:
        DamagedError: there are far more tensors or longer paths than in any checkpoint.
    """
    budget = Budget(text=1 << 24)
    tensors: dict[str, Stored] = {}
    visited: set[int] = set()
    pending = [("", tree, 0)]
    while pending:
        path, node, depth = pending.pop()
        if isinstance(node, Tensor | TensorRecord) or (
            isinstance(node, ArrayRecord) and node.dtype is not None
        ):
            tensors.setdefault(printable(path), node)
            if len(tensors) > MAX_TENSORS:
                raise DamagedError("it has far more tensors than any checkpoint")
            continue
        if id(node) in visited or depth > _MAX_DEPTH:
            continue
        visited.add(id(node))
        children = []
        for name, child in _children(node):
            budget.spend(elements=1, text=len(path) + len(name) + 1)
            children.append((f"{path}.{name}" if path else name, child, depth + 1))
        pending.extend(reversed(children))
    return tensors


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of a container's children."""
    if isinstance(node, ObjectRecord):
        node = node.state
        if isinstance(node, dict) and "_parameters" in node:
            for part in ("_parameters", "_buffers", "_modules"):
                if isinstance(node.get(part), dict):
                    yield from node[part].items()
            return
    if isinstance(node, dict):
        yield from node.items()


def _check_volume(tensors: Mapping[str, Stored], contents: Contents) -> None:
    """Raise FiceError if copies of all tensors need many times the size of the file."""
    claimed = sum(
        math.prod(t.shape) * (t.dtype.itemsize if t.dtype else 1) for t in tensors.values()
    )
    if claimed > 4 * contents.size + (1 << 20):
        raise FiceError(
            f"{contents.name} declares {claimed / 1e9:.1f} GB of tensors in a file of "
            f"{contents.size / 1e9:.3f} GB; refused"
        )


def _has(tensors: Mapping[str, Stored], marks: tuple[str, ...]) -> bool:
    """Whether all marks are present; those that end in a dot anywhere in a name."""
    whole = tuple(mark for mark in marks if not mark.endswith("."))
    parts = [mark for mark in marks if mark.endswith(".")]
    return (not whole or bool(_locate(tensors, whole))) and all(
        any(f".{part}" in f".{key}" for key in tensors) for part in parts
    )


def _locate(tensors: Mapping[str, Stored], marks: tuple[str, ...]) -> list[str]:
    """Prefixes below which all of `marks` are present, those of moving averages first."""
    mark = marks[0]
    prefixes = [key.removesuffix(mark) for key in tensors if f".{key}".endswith(f".{mark}")]
    complete = [p for p in prefixes if all(p + mark in tensors for mark in marks)]
    return sorted(complete, key=lambda prefix: not is_average(prefix))


def _known(kind: str, prefix: str, tensors: Mapping[str, Stored], contents: Contents) -> Found:
    """A network of a known kind, with its tensors and settings.

    Raises:
        FiceError: it is incomplete or of a variant that cannot be read.
    """
    state = below(tensors, prefix)
    translated = kind == "generator" and rosinality.is_rosinality(state)
    notes: tuple[str, ...] = ()
    problem = ""
    try:
        if kind == "encoder":
            average, notes, problem = encoders.look_into(state, tensors, contents)
            state |= {} if average is None else {"latent_avg": average}
        if translated:
            state = rosinality.translate(state, encoders.stray_average(tensors))
        elif kind == "generator":
            state = nvidia.adapt(state, prefix, contents.tree)
        config = import_module(f"..networks.{NETWORKS[kind][0]}", __package__).infer_config(
            shapes_only(state)
        )
    except FiceError as error:
        raise FiceError(f"{contents.name}: {error}") from error
    except (LookupError, ValueError, ArithmeticError) as error:
        reason = printable(str(error).strip("'\""), 200) or type(error).__name__
        raise FiceError(
            f"{contents.name} looks like {EXPECTED[kind]}, but is incomplete: {reason}"
        ) from error
    if kind == "segmenter":
        problem = _name_classes(config, state, contents)
    if kind == "segformer":
        config, problem = _segformer(config, state, contents)
    if kind == "generator":
        config["conv_clamp"] = None if translated else nvidia.find_clamp(prefix, contents.tree)
    details = {"layout": "rosinality's"} if translated else {}
    return Found(kind, _sentence(kind, config), config, state, details, notes, problem)


def _name_classes(config: dict[str, Any], state: Mapping[str, Stored], contents: Contents) -> str:
    """Name the classes of a DeepLabV3 in its settings; returns why it cannot be used as it is, or ""."""
    count = state["classifier.4.weight"].shape[0]
    labels, source = parsers.label_map(contents.path, count)
    if labels is not None and sorted(labels) == sorted(CLASSES):
        config["class_order"] = labels
    elif labels is not None:
        try:
            config["labels"] = parsers.channels_of(labels, count, source)
        except FiceError as error:
            return str(error)
    elif count != len(CLASSES):
        return (
            f"the names of its {count} classes are missing: write them into {contents.path.stem}.json "
            'beside it, {"labels": ["background", "hair", "face", "upper", ...]}'
        )
    return ""


def _segformer(
    architecture: dict[str, Any], state: Mapping[str, Stored], contents: Contents
) -> tuple[dict[str, Any], str]:
    """Settings of a SegFormer, and why it cannot be used as it is, or ""."""
    count = state["decode_head.classifier.weight"].shape[0]
    try:
        return parsers.segformer_settings(contents.path, architecture, count), ""
    except FiceError as error:
        return {"architecture": architecture, "labels": [""] * count}, str(error)


def _sentence(kind: str, config: Mapping[str, Any]) -> str:
    """A network in a few words; `build` reports settings that are missing or invalid."""
    try:
        return f"{EXPECTED[kind]} ({_SENTENCES[kind](config)})"
    except (AttributeError, LookupError, TypeError, ValueError):
        return EXPECTED[kind]


def _generator(config: Mapping[str, Any]) -> str:
    height, width = config["resolution"]
    styles = 2 * int(math.log2(height)) - 2
    return f"{word(height)} x {word(width)}, {styles} styles of {word(config['w_dim'])}"


def _sam(config: Mapping[str, Any]) -> str:
    """The variant, ViT-B, ViT-L or ViT-H by width and depth, the image size and the blocks."""
    sizes = {(768, 12): "ViT-B", (1024, 24): "ViT-L", (1280, 32): "ViT-H"}
    tower = sizes.get((config["embed_dim"], config["depth"]), "ViT")
    size, depth, width = (word(config[name]) for name in ("image_size", "depth", "embed_dim"))
    return f"{tower}, {size} px, {depth} blocks of {width}"


_SENTENCES = {
    "generator": _generator,
    "encoder": lambda config: f"{word(config['num_styles'])} styles, {word(config['style_dim'])}",
    "densepose": lambda config: (
        f"R{word(3 * sum(config['blocks']) + 2)}-FPN, {word(config['head'])} head"
    ),
    "segmenter": lambda config: (
        f"ResNet-{word(3 * sum(config['blocks']) + 2)}, {len(config.get('labels') or CLASSES)} classes"
    ),
    "segformer": lambda config: (
        f"{word(sum(config['architecture']['depths']))} blocks, {len(config['labels'])} classes"
    ),
    "clip": clip_detection.describe,
    "sam": _sam,
}
