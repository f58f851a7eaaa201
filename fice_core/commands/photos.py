"""The photos of a command line: which files, and what is kept of them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.groups import MAX_PIXELS, Size
from ..errors import FiceError
from .console import warn

if TYPE_CHECKING:
    from ..images.photo import Photo


def expand(inputs: Sequence[str]) -> list[str]:
    """Return all files: for a folder the images in it, sorted by name, without its subfolders.

    Raises:
        FiceError: a folder has no image, or cannot be read.
    """
    from ..images.photo import is_image_file

    files: list[str] = []
    for name in inputs:
        folder = Path(name)
        if not folder.is_dir():
            files.append(name)
            continue
        try:
            found = sorted(path for path in folder.iterdir() if path.is_file())
        except OSError as error:
            raise FiceError(f"cannot read the folder {name}: {error.strerror or error}") from error
        # Names that begin with a dot are hidden; macOS keeps no image in its "._photo.jpg".
        found = [path for path in found if is_image_file(path) and not path.name.startswith(".")]
        if not found:
            raise FiceError(f"there is no image in the folder {name}")
        files += map(str, found)
    return list(dict.fromkeys(files))


class Photos:
    """Reads images. The first ones stay in memory, up to `MAX_PIXELS`; the others are read each time.

    Attributes:
        sizes: (H, W) in pixels, by file, of every image read so far.
        bits: bits a channel, by file.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, Size] = {}
        self.bits: dict[str, int] = {}
        self._held: dict[str, Photo] = {}
        self._room = MAX_PIXELS

    def read(self, path: str) -> Photo:
        """Return an image; raises what `read_photo` raises. What it notes is a warning, given once."""
        from ..images.photo import read_photo

        if path in self._held:
            return self._held[path]
        photo = read_photo(path, note=None if path in self.sizes else warn)
        height, width = photo.pixels.shape[1:]
        if height * width <= self._room:
            self._room -= height * width
            self._held[path] = photo
        self.sizes[path], self.bits[path] = (height, width), photo.bits
        return photo
