"""Rendered people on disk: shards that are read without the renderer, and composed with any texture."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import FiceError
from .record import Record, from_bytes

FORMAT = 1
MANIFEST = "people.json"
BLOBS = (
    "rest.png", "light.png", "classes.png", "parts.png", "panel.z", "uv.z", "joints.z", "code.z",
)  # fmt: skip


def shard_path(folder: Path, index: int) -> Path:
    """Where shard `index` lies."""
    return folder / f"people-{index:05d}.zip"


class Pool:
    """All people of a folder that `python -m fice_core.people.render` filled, finished or not.

    `len(pool)` people; `pool[i]` reads one `Record`. `shards` are the files, in the order of their people.
    Safe to use from forked workers.

    Raises:
        FiceError: the folder holds no rendered people, or of another format.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            self.settings = json.loads((self.folder / MANIFEST).read_text())
        except (OSError, ValueError) as error:
            raise FiceError(
                f"{folder} holds no rendered people ({error}); make some with "
                f"python -m fice_core.people.render {folder} --count 64"
            ) from error
        if self.settings.get("format") != FORMAT:
            raise FiceError(
                f"{folder}: people of format {self.settings.get('format')}, this version reads {FORMAT}; "
                "render them anew"
            )
        self._open: dict[tuple[int, Path], zipfile.ZipFile] = {}
        self.shards = sorted(self.folder.glob("people-*.zip"))
        self._where = [(shard, name) for shard in self.shards for name in people_in(shard)]

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, index: int) -> Record:
        shard, name = self._where[index]
        key = (os.getpid(), shard)
        if key not in self._open:
            self._open[key] = zipfile.ZipFile(shard)
        archive = self._open[key]
        return from_bytes({blob: archive.read(f"{name}/{blob}") for blob in BLOBS})

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))


def people_in(shard: Path) -> list[str]:
    """The names of the people in a shard.

    Raises:
        FiceError: it is damaged.
    """
    try:
        with zipfile.ZipFile(shard) as archive:
            return sorted(n.split("/")[0] for n in archive.namelist() if n.endswith("/code.z"))
    except (OSError, zipfile.BadZipFile) as error:
        raise FiceError(f"{shard} is damaged ({error}); delete it and render again") from error


def write_shard(path: Path, people: dict[str, dict[str, bytes]]) -> None:
    """Write people by name as one zip file; the blobs are compressed already.

    Raises:
        OSError: it cannot be written.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, blobs in people.items():
            for blob in BLOBS:
                # a fixed date: the same people give the same bytes
                archive.writestr(
                    zipfile.ZipInfo(f"{name}/{blob}", (2020, 1, 1, 0, 0, 0)), blobs[blob]
                )
