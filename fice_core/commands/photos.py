"""The photos of a command line: which files, what is kept of them in memory, and what is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch.groups import MAX_PIXELS, Size
from ..errors import FiceError
from ..files import is_same_folder, some_of
from .console import warn

if TYPE_CHECKING:
    from torch import Tensor

    from ..images.photo import Photo


def expand(inputs: Sequence[str], output: str | None = None) -> list[str]:
    """Return all files: for a folder the images in it, sorted by name, without its subfolders.

    Subfolders and other files in a folder are told. Those whose names begin with a dot are hidden; macOS
    keeps no image in its "._photo.jpg".

    Args:
        inputs: files and folders.
        output: where the results go; a subfolder that it is in needs no word.

    Raises:
        FiceError: a folder has no image, or cannot be read.
    """
    from ..images.photo import is_image_file

    files: list[str] = []
    for name in inputs:
        folder = Path(name)
        if not os.path.isdir(folder):
            files.append(name)
            continue
        try:
            found = sorted(folder.iterdir())
        except OSError as error:
            raise FiceError(f"cannot read the folder {name}: {error.strerror or error}") from error
        found = [path for path in found if path.name[:1] != "."]
        below = [path.name for path in found if os.path.isdir(path) and not _holds(path, output)]
        found = [path for path in found if not os.path.isdir(path)]
        images = [path for path in found if is_image_file(path) and os.path.isfile(path)]
        others = [path.name for path in found if path not in set(images)]
        if not images:
            raise FiceError(f"there is no image in the folder {name}{_instead(others, below)}")
        if others or below:
            warn(_left_out(name, others, below))
        files += map(str, images)
    return list(dict.fromkeys(files))


def _holds(folder: Path, output: str | None) -> bool:
    """Whether results go into a folder, or below it."""
    if output is None:
        return False
    return Path(os.path.realpath(output)).is_relative_to(os.path.realpath(folder))


def _instead(others: list[str], below: list[str]) -> str:
    """What there is in a folder without images."""
    among = f" that FICE reads, among {some_of(others)}" if others else ""
    if not below:
        return among
    return f"{among}; its subfolders are not searched: {some_of(below)}"


def _left_out(folder: str, others: list[str], below: list[str]) -> str:
    """A line about what in a folder is not read."""
    parts = []
    if others:
        count = "1 file" if len(others) == 1 else f"{len(others)} files"
        parts.append(f"{count} of {folder} that FICE cannot read as an image: {some_of(others)}")
    if below:
        count = "1 subfolder" if len(below) == 1 else f"{len(below)} subfolders"
        count += "" if others else f" of {folder}"
        parts.append(f"{count}: {some_of(below)}")
    return f"left out {'; and '.join(parts)}"


def check_folder(inputs: Sequence[str], folder: str | os.PathLike[str]) -> None:
    """Check that results do not go where photos come from: the next run would edit them as photos.

    Raises:
        FiceError: the folder for the results is one of the inputs.
    """
    if any(is_same_folder(name, folder) for name in inputs):
        raise FiceError(
            f"{folder} is the folder of the photos, where a second run would take results for photos: "
            "give another one with -o"
        )


def merged(lines: Iterable[str], names: Collection[str]) -> list[str]:
    """Lines, each once; those that differ only in the file at their beginning become one.

    Args:
        lines: some begin with the name of a file and a colon.
        names: of files.
    """
    groups: dict[str, list[str]] = {}
    for line in dict.fromkeys(lines):
        name = next((name for name in _beginnings(line) if name in names), "")
        groups.setdefault(line.removeprefix(name), []).append(name)
    return [f"{some_of(found)}{rest}" for rest, found in groups.items()]


def _beginnings(line: str) -> list[str]:
    """What comes before each colon of a line."""
    parts = line.split(": ")
    return [": ".join(parts[:count]) for count in range(1, len(parts))]


def mask_of_size(
    path: str, photo: str, size: Size, note: Callable[[str], None] | None = None
) -> Tensor:
    """Return the mask in a file, (1, H, W) in [0, 1], for a photo of the size (H, W).

    Raises:
        FiceError: what `read_mask` raises; or it has another size, or is black everywhere.
    """
    from ..images.mask import read_mask

    mask = read_mask(path, note)[None]
    if tuple(mask.shape[1:]) != tuple(size):
        raise FiceError(
            f"the mask {path} has {mask.shape[2]} x {mask.shape[1]} pixels, but {photo} has "
            f"{size[1]} x {size[0]}: a mask must be of the photo's size"
        )
    if not bool(mask.any()):
        raise FiceError(f"the mask {path} is black everywhere: white marks where it applies")
    return mask


class Photos:
    """Reads images. The first ones stay in memory, up to `MAX_PIXELS`; the others are read each time.

    Attributes:
        sizes: (H, W) in pixels, by file, of every image read so far.
        notes: what the user should know about the files, one line each.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, Size] = {}
        self.notes: list[str] = []
        self._held: dict[tuple[object, str], Any] = {}
        self._room = MAX_PIXELS

    def read(self, path: str) -> Photo:
        """Return an image; raises what `read_photo` raises."""
        from ..images.photo import read_photo

        photo: Photo = self._kept(read_photo, path, lambda photo: photo.pixels.shape[1:])
        height, width = photo.pixels.shape[1:]
        self.sizes[path] = height, width
        return photo

    def read_mask(self, path: str) -> Tensor:
        """Return a mask; raises what `read_mask` raises."""
        from ..images.mask import read_mask

        mask: Tensor = self._kept(read_mask, path, lambda mask: mask.shape)
        return mask

    def _kept(
        self, read: Callable[..., Any], path: str, size: Callable[[Any], Sequence[int]]
    ) -> Any:
        if (read, path) in self._held:
            return self._held[read, path]
        found = read(path, note=self.notes.append)
        height, width = size(found)
        if height * width <= self._room:
            self._room -= height * width
            self._held[read, path] = found
        return found
