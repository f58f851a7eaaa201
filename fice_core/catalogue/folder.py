"""The networks of a folder: by names of files, by folders named for a kind, else by their contents."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..checkpoints.description import Description, describe
from ..checkpoints.layouts.folders import weights_file
from ..errors import FiceError
from ..files import some_of
from .kinds import KIND_OF, KINDS, SUFFIXES, Kind

_NAMED_SUFFIXES = SUFFIXES[:4]  # of files that are known by their names


def networks_in(folder: Path, skipped: str | None = None) -> dict[str, Path]:
    """The file of each kind of network that a folder holds, by kind.

    `generator.pt` and other names of the kinds come first, then a folder `generator/` with one file or one
    hub download, then any other file or hub download in the folder that is such a network.

    Args:
        folder: an existing folder.
        skipped: a kind that is not looked for.

    Raises:
        FiceError: a kind is there several times, under no name that decides.
    """
    wanted = [kind for kind in KINDS if kind.name != skipped]
    found = {kind.name: path for kind in wanted if (path := _named(folder, kind)) is not None}
    if len(found) < len(wanted):
        others: dict[str, list[Path]] = {}
        for path in weights_below(folder):
            if path not in found.values() and (name := kind_of(path)) is not None:
                others.setdefault(name, []).append(path)
        for kind in wanted:
            if kind.name not in found and (paths := others.get(kind.name)):
                found[kind.name] = _only(paths, kind, folder)
    if "generator" not in found and "encoder" in found and _holds_generator(found["encoder"]):
        found["generator"] = found["encoder"]
    return {kind.name: found[kind.name] for kind in wanted if kind.name in found}


def weights_below(folder: Path) -> list[Path]:
    """The files of weights in a folder, and those of the hub downloads and folders in it, sorted."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    found = [*_weights_among(entries)]
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            found += _weights_of(entry)
    return found


def kind_of(path: Path) -> str | None:
    """The name of the kind of network in a file; None for anything else, also for damaged files."""
    description = description_of(path)
    if description is None:
        return None
    return next((kind.name for kind in KINDS if description.kind in kind.detected), None)


def description_of(path: Path) -> Description | None:
    """The description of a file; None if it cannot be read."""
    try:
        return describe(path)
    except FiceError:
        return None


def missing(found: dict[str, Path], skipped: str | None = None) -> list[Kind]:
    """The kinds that an edit needs and that were not found."""
    return [
        kind for kind in KINDS if kind.required and kind.name not in found and kind.name != skipped
    ]


def _named(folder: Path, kind: Kind) -> Path | None:
    """The file that bears a name of the kind, or the one in the folder that does."""
    for stem in kind.stems:
        for suffix in _NAMED_SUFFIXES:
            matches = sorted(path for path in folder.glob(stem + suffix) if path.is_file())
            if matches:
                return matches[0]
    for name in dict.fromkeys((kind.name, *kind.stems)):
        for place in sorted(folder.glob(name)):
            if place.is_dir() and (files := _weights_of(place) or weights_below(place)):
                return _only(files, kind, place)
    return None


def _only(paths: list[Path], kind: Kind, folder: Path) -> Path:
    if len(paths) > 1:
        names = some_of([path.relative_to(folder) for path in paths])
        raise FiceError(
            f"{folder} has several files for the {kind.name} ({names}): keep one of them there, or name "
            f"it {KIND_OF[kind.name].stems[0]}{paths[0].suffix}"
        )
    return paths[0]


def _weights_of(folder: Path) -> list[Path]:
    """The file of a hub download, or all files of weights in a folder."""
    try:
        whole = weights_file(folder)
    except FiceError:
        return []
    if whole != folder:
        return [whole]
    try:
        return [*_weights_among(sorted(folder.iterdir()))]
    except OSError:
        return []


def _weights_among(entries: list[Path]) -> Iterator[Path]:
    for path in entries:
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path


def _holds_generator(path: Path) -> bool:
    """Whether the file of an encoder holds its generator too, as e4e's training script writes it."""
    from ..checkpoints.detection import identify
    from ..checkpoints.reading.reader import read

    try:
        return identify(read(os.fspath(path)), "generator").kind == "generator"
    except FiceError:
        return False
