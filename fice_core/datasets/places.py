"""Folders and files of a layout: found, listed, or missing in one clear line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import FiceError
from ..files import read_bytes
from ..images.photo import is_image_file


class Layout:
    """A data set's folder, and the name of its layout for messages.

    Raises:
        FiceError: there is no such folder.
    """

    def __init__(self, root: Path, name: str) -> None:
        if not os.path.isdir(root):
            kind = "is a file" if os.path.exists(root) else "does not exist"
            raise FiceError(f"{root} {kind}; the folder of a data set ({name}) was expected")
        self.root, self.name = root, name

    def folder(self, *names: str) -> Path:
        """The first of these folders that is there.

        Raises:
            FiceError: there is none of them.
        """
        found = self.optional(*names)
        if found is None:
            raise self.missing(f"folder {' or '.join(names)}")
        return found

    def optional(self, *names: str) -> Path | None:
        """The first of these folders that is there; None if there is none of them."""
        return next((self.root / name for name in names if os.path.isdir(self.root / name)), None)

    def splits(self, split: str | None, known: Sequence[str]) -> list[str]:
        """The splits to read: `split`, or all that are there.

        Raises:
            FiceError: the layout has no such split, or none of its splits is there.
        """
        self.check_split(split, known)
        found = [name for name in known if os.path.isdir(self.root / name)]
        if split is not None and split not in found:
            raise self.missing(f"folder {split}")
        if not found:
            raise self.missing(f"folder {' or '.join(known)}")
        return found if split is None else [split]

    def check_split(self, split: str | None, known: Sequence[str]) -> None:
        """Check that the layout has the split.

        Raises:
            FiceError: it has not.
        """
        if split is not None and split not in known:
            has = f"its splits are {', '.join(known)}" if known else "it has no splits"
            raise FiceError(f"{self.root} ({self.name}) has no split {split!r}: {has}")

    def missing(self, what: str) -> FiceError:
        """The error that says what of the layout is missing."""
        return FiceError(f"{self.root} is not laid out as {self.name}: there is no {what} in it")

    def images(self, folder: Path, pattern: str = "*") -> list[Path]:
        """The image files of a folder whose names match, sorted.

        Raises:
            FiceError: there is none, or the folder cannot be read.
        """
        found = [path for path in listed(folder) if path.match(pattern) and is_image_file(path)]
        if not found:
            like = "image" if pattern == "*" else f"image {pattern}"
            raise self.missing(f"{like} in the folder {folder.relative_to(self.root)}")
        return found


def listed(folder: Path) -> list[Path]:
    """The files of a folder, sorted, without those whose names begin with a dot.

    Raises:
        FiceError: the folder cannot be read.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise FiceError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    return [path for path in found if path.name[:1] != "." and not path.is_dir()]


def by_stem(folder: Path | None, ending: str = "") -> dict[str, Path]:
    """The image files of a folder by their stems without `ending`; nothing for None."""
    if folder is None:
        return {}
    found = [path for path in listed(folder) if is_image_file(path) and path.stem.endswith(ending)]
    return {path.stem[: len(path.stem) - len(ending)]: path for path in found}


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or if it is not, in Latin-1.

    Raises:
        FiceError: the file cannot be read.
    """
    data = read_bytes(path, "a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FiceError: the file cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # ValueError: also a number of too many digits
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise FiceError(f"{path} is not JSON{line}: a JSON file was expected") from error


def one_line(text: str) -> str:
    """A text without line breaks, tabs and repeated spaces."""
    return " ".join(text.split())


def texts(values: Iterable[object], path: Path) -> tuple[str, ...]:
    """Texts, each on one line and without empty ones.

    Raises:
        FiceError: a value is no text; `path` is the file that holds it.
    """
    found = []
    for value in values:
        if not isinstance(value, str):
            raise FiceError(f"{path}: a text was expected, not {type(value).__name__}")
        found.append(one_line(value))
    return tuple(filter(None, found))
