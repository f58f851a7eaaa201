"""Opens data sets by a spec: a path, or the name of a layout, a colon and a path."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import FiceError
from ..files import check_name
from .ccp import read_ccp
from .deepfashion import read_deepfashion
from .dress_code import read_dress_code
from .fashion_gen import read_descriptions, read_fashion_gen
from .folder import read_folder
from .sample import Sample, Text
from .shhq import read_shhq
from .tables import read_captions
from .viton import read_chunks, read_viton, read_viton_hd

_READERS: dict[str, Callable[[Path, str | None], list[Sample]]] = {
    "folder": read_folder,
    "viton": read_viton,
    "viton-hd": read_viton_hd,
    "dress-code": read_dress_code,
    "deepfashion-multimodal": read_deepfashion,
    "fashion-gen": read_fashion_gen,
    "shhq": read_shhq,
    "ccp": read_ccp,
}
#: names of the layouts that a spec can begin with
LAYOUTS = tuple(_READERS)
# What tells the layout of a folder, for the hint to somebody who named none.
_MARKS = {
    "viton-hd": ("test/image-parse-v3", "train/image-parse-v3", "test/openpose_json", "test/openpose-json"),
    "viton": ("train/image-parse", "test/image-parse", "data/train/image-parse"),
    "dress-code": ("upper_body/images", "lower_body/images", "dresses/images"),
    "deepfashion-multimodal": ("keypoints/keypoints_loc.txt", "labels/shape", "train_images"),
    "shhq": ("no_segment",),
    "ccp": ("label_list.mat",),
}  # fmt: skip


class Spec(NamedTuple):
    """What a spec names: a layout, "folder" if none is given, and a path."""

    layout: str
    path: Path


def parse_spec(spec: str) -> Spec:
    """The layout and the path of "layout:PATH" or "PATH".

    Raises:
        FiceError: the spec cannot be the name of a file, or its layout is unknown.
    """
    check_name(spec)
    layout, colon, path = spec.partition(":")
    if colon and layout in _READERS:
        check_name(path)
        return Spec(layout, Path(path).expanduser())
    if colon and len(layout) > 1 and not os.path.exists(spec):
        raise FiceError(
            f"there is no layout {layout!r} and no file or folder {spec}; layouts are {', '.join(LAYOUTS)}"
        )
    return Spec("folder", Path(spec).expanduser())


def open_photos(spec: str, split: str | None = None) -> Sequence[Sample]:
    """The samples of a data set, in an order that depends on nothing but its files.

    Args:
        spec: "layout:PATH" with one of `LAYOUTS`, or the path of any folder of images.
        split: a part of the data set, such as "train" or "test", where its layout has them; None for all.

    Raises:
        FiceError: the data set is not there, is not laid out so, or has no such split.
    """
    layout, path = parse_spec(spec)
    if split is not None and (not split.strip() or ".." in split or os.path.isabs(split)):
        raise FiceError(
            f"{split!r} is no name of a split: give a part of the data set, such as train, or none"
        )
    if layout == "folder" and not spec.startswith("folder:"):
        meant = _meant(path)
        if meant is not None:
            raise FiceError(f"{path} is laid out as {meant}: name it {meant}:{path}")
    samples = _READERS[layout](path, split)
    if not samples:
        part = "" if split is None else f" of the split {split}"
        raise FiceError(f"there is no photo{part} in {path} ({layout})")
    _check_unique(samples, path)
    return tuple(samples)


def open_texts(
    spec: str, split: str | None = None, only: Mapping[str, Collection[str]] | None = None
) -> Sequence[Text]:
    """The texts of a file or of a data set, in the file's order, each with a unique name.

    Args:
        spec: "fashion-gen:FILE.h5" (one text for each product), "viton-hd:FILE.json" or
            "dress-code:FILE.json" (noun chunks of a garment), a .json, .jsonl, .csv, .tsv or .txt file,
            see `tables.read_captions`, or a data set of photos that has captions.
        split: as in `open_photos`; not for single files.
        only: values that an attribute may have, by its name, in any case; None for all texts.

    Raises:
        FiceError: there are no texts, or the file cannot be read.
    """
    layout, path = parse_spec(spec)
    if layout == "fashion-gen":
        found = read_descriptions(path, split)
    elif os.path.isdir(path):
        found = [
            Text(sample.name if number == 0 else f"{sample.name}#{number}", text, sample.attributes)
            for sample in open_photos(spec, split)
            for number, text in enumerate(sample.captions)
        ]
    elif split is not None:
        raise FiceError(f"{path} is one file, which has no split {split!r}")
    elif layout in ("viton-hd", "dress-code"):
        found = [Text(name, text) for name, text in read_chunks(path).items()]
    elif layout in ("folder", "deepfashion-multimodal"):
        found = [
            Text(name if number == 0 else f"{name}#{number}", text)
            for name, texts in read_captions(path).items()
            for number, text in enumerate(texts)
        ]
    else:
        raise FiceError(f"{path} is no folder: the folder of a data set ({layout}) was expected")
    if not found:
        raise FiceError(f"there is no text in {path}")
    return tuple(_selected(found, only or {}, path))


def _selected(found: list[Text], only: Mapping[str, Collection[str]], path: Path) -> list[Text]:
    wanted = {name: {value.casefold() for value in values} for name, values in only.items()}
    left = found
    for name, values in wanted.items():
        left = [text for text in left if text.attributes.get(name, "").casefold() in values]
        if not left:
            has = sorted({text.attributes[name] for text in found if name in text.attributes})
            known = f"it has {', '.join(has[:12])}" if has else "nothing says what they are"
            raise FiceError(
                f"no text of {path} has the {name} {' or '.join(sorted(only[name]))}: {known}"
            )
    return left


def _meant(path: Path) -> str | None:
    """The published layout whose marks a folder has, if any."""
    if not os.path.isdir(path):
        return None
    return next(
        (
            layout
            for layout, marks in _MARKS.items()
            if any(os.path.exists(path / mark) for mark in marks)
        ),
        None,
    )


def _check_unique(samples: Sequence[Sample], path: Path) -> None:
    names: dict[str, Sample] = {}
    for sample in samples:
        other = names.setdefault(sample.name, sample)
        if other is not sample:
            raise FiceError(
                f"{path} has two photos of the name {sample.name}: {other.source} and {sample.source}"
            )
