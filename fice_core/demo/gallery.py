"""The bundled gallery: rendered people at 512 pixels with everything known about them.

Reading it needs numpy and Pillow, neither the renderer nor torch:

    from fice_core.demo.gallery import gallery
    person = gallery()[0]
    person.image, person.captions, person.portrait(256).coverage

`python -m fice_core.people.gallery` makes it.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import FiceError
from ..people.captions import Facts
from ..people.compact import BLOBS, HALF, Compact, from_bytes, parts_and_joints
from ..people.maths import Array
from ..people.portrait import Portrait, resampled, upper_panel
from ..people.record import Record, all_coverage

FOLDER = Path(__file__).parent / "gallery"
LIST, TRUTH = "people.json", "truth.zip"
FORMAT = 1


@dataclass(frozen=True)
class Sitter:
    """One person of a gallery; images and truth are read when they are asked for."""

    folder: Path
    name: str
    facts: Facts
    captions: tuple[str, ...]

    @property
    def image(self) -> Array:
        """The image (S, S, 3), uint8 sRGB."""
        try:
            with Image.open(self.folder / f"{self.name}.jpg") as image:
                return np.asarray(image.convert("RGB"))
        except OSError as error:
            raise _damaged(self.folder, error) from error

    @property
    def compact(self) -> Compact:
        """The truth as it is kept."""
        return _compact(self.folder, self.name)

    def pose(self) -> tuple[Array, Array]:
        """DensePose's parts (S, S), and the joints (B, 2) in pixels."""
        return parts_and_joints(_blobs(self.folder, self.name, ("parts.webp", "joints.z")))

    @property
    def code(self) -> Array:
        """The person's Gaussian code (CODE_DIM,) float64, see `people.sampling`."""
        return np.asarray(self.compact.code, np.float64)

    def record(self) -> Record:
        """The person's record at half the image's size, to be composed with any texture."""
        return self.compact.record()

    def portrait(self, size: int | None = None) -> Portrait:
        """The image and its truth at `size` x `size` pixels, by default the image's own."""
        kept, image = self.compact, self.image
        twice = np.arange(len(image)) // HALF
        whole = Portrait(
            image=image.astype(np.float32) / 255,
            coverage=all_coverage(kept.classes),
            parts=kept.parts,
            joints=kept.joints,
            panel=upper_panel(kept.panel)[twice[:, None], twice],
            uv=kept.uv[twice[:, None], twice],
            light=resampled(kept.light, len(image)),
            code=kept.code,
        )
        return whole.at(size or len(image))


class Gallery:
    """The people in a folder that `python -m fice_core.people.gallery` filled.

    `len(gallery)` people; `gallery[i]` is a `Sitter`.

    Raises:
        FiceError: the folder holds no gallery, or one of another format.
    """

    def __init__(self, folder: str | os.PathLike[str] = FOLDER) -> None:
        self.folder = Path(folder)
        try:
            listed: dict[str, Any] = json.loads((self.folder / LIST).read_text(encoding="utf-8"))
            if listed["format"] != FORMAT:
                raise FiceError(
                    f"{folder}: a gallery of format {listed['format']}, this version reads {FORMAT}; "
                    "make it anew"
                )
            self._people = [
                Sitter(self.folder, p["name"], Facts(**p["facts"]), tuple(p["captions"]))
                for p in listed["people"]
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(self.folder, error) from error

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int) -> Sitter:
        return self._people[index]

    def __iter__(self) -> Iterator[Sitter]:
        return iter(self._people)


@cache
def gallery() -> Gallery:
    """The bundled gallery.

    Raises:
        FiceError: it is missing or damaged.
    """
    return Gallery()


@lru_cache(maxsize=4)
def _compact(folder: Path, name: str) -> Compact:
    return from_bytes(_blobs(folder, name, BLOBS))


def _blobs(folder: Path, name: str, wanted: Sequence[str]) -> dict[str, bytes]:
    """What is kept of a person under some names."""
    try:
        with zipfile.ZipFile(folder / TRUTH) as archive:
            return {blob: archive.read(f"{name}/{blob}") for blob in wanted}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> FiceError:
    return FiceError(
        f"{folder} holds no whole gallery ({error}); install the package again, or make one with "
        "python -m fice_core.people.gallery"
    )
