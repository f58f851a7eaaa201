"""What became of every photo, a line of JSON each; a run that was stopped goes on from it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import FiceError
from ..files import json_bytes, read_bytes, some_of
from .checks import BITS

NAME = "manifest.jsonl"


class Manifest:
    """The manifest of a folder.

    Args:
        folder: of the data set.
        made_with: the options that decide what an image looks like.

    Attributes:
        entries: what became of the photos, by their names, in the order of the lines.

    Raises:
        FiceError: the folder's manifest is damaged, or was made with other options.
    """

    def __init__(self, folder: Path, made_with: Mapping[str, Any]) -> None:
        self.path = folder / NAME
        self.entries: dict[str, dict[str, Any]] = {}
        self._made_with = {"made_with": dict(made_with)}
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        lines = read_bytes(self.path, "a manifest").split(b"\n")
        # A line without an end was being written when the run was stopped.
        whole, rest = lines[:-1], lines[-1]
        try:
            rows = [json.loads(line) for line in whole]
            head, entries = rows[0] if rows else self._made_with, rows[1:]
            self.entries = {entry["name"]: _checked(entry) for entry in entries}
            before = dict(head["made_with"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise FiceError(
                f"{self.path} is damaged: remove its folder, or prepare into another one"
            ) from error
        for key, value in self._made_with["made_with"].items():
            if before.get(key) != value:
                raise FiceError(
                    f"{self.path.parent} was prepared with {key} {before.get(key)}, not {value}: give "
                    "the same options, or another folder with -o"
                )
        if rest or not rows:
            keep = sum(len(line) + 1 for line in whole)
            with open(self.path, "r+b") as file:
                file.truncate(keep)

    def check_foreign(self, parts: Collection[str]) -> None:
        """Check that no file would be replaced that is not of this manifest.

        Args:
            parts: what a data set has in its folder.

        Raises:
            FiceError: the folder has one of them, but no manifest.
        """
        there = sorted(name for name in parts if os.path.lexists(self.path.parent / name))
        if there and not self.path.exists():
            raise FiceError(
                f"{self.path.parent} has {some_of(there)}, which `fice prepare` did not write, since there "
                f"is no {NAME}: give another folder with -o"
            )

    def begin(self) -> None:
        """Write the first line, if there is none; files of the data set come after it.

        Raises:
            FiceError: it cannot be written.
        """
        if not self.path.exists() or self.path.stat().st_size == 0:
            self._append(self._made_with)

    def add(self, entry: dict[str, Any]) -> None:
        """Write a line. What it is about must be on the disk already.

        Raises:
            FiceError: it cannot be written.
        """
        self.begin()
        self._append(entry)
        self.entries[entry["name"]] = entry

    def _append(self, line: dict[str, Any]) -> None:
        try:
            with open(self.path, "ab") as file:
                file.write(json_bytes(line) + b"\n")
        except OSError as error:
            raise FiceError(f"cannot write {self.path}: {error.strerror or error}") from error


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of a photo.

    Raises:
        ValueError, KeyError, TypeError: something that an entry has is missing, or of another kind.
    """
    if entry["status"] == "kept":
        if len(bytes.fromhex(entry["fingerprint"])) != BITS // 8:
            raise ValueError("a fingerprint of another length")
        wanted: dict[str, type] = {"fingerprint": str, "image": str, "labels": bool}
    else:
        wanted = {"reason": str}
    if not all(isinstance(entry[name], kind) for name, kind in wanted.items()):
        raise TypeError("an entry of another kind")
    return entry
