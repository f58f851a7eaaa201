"""The photos of a command line: which files, where the person is in each, what of it may change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..batch.groups import MAX_PIXELS
from ..errors import FiceError
from .common import bar, warn

if TYPE_CHECKING:
    import torch

    from ..framing import Frame
    from ..images.photo import Photo
    from ..models import Models
    from ..settings import Framing

Box = tuple[int, int, int, int]


def expand(inputs: Sequence[str]) -> list[str]:
    """The files that are meant: of a folder all pictures in it, by name, without its subfolders.

    Raises:
        FiceError: a folder has no picture, or cannot be read.
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
        # Names that begin with a point are hidden; macOS keeps no picture in its "._photo.jpg".
        found = [path for path in found if is_image_file(path) and not path.name.startswith(".")]
        if not found:
            raise FiceError(f"there is no picture in the folder {name}")
        files += map(str, found)
    return list(dict.fromkeys(files))


class Photos:
    """Photos that are read when they are needed; few are in memory, however many there are.

    Every one is read once at the beginning, so that a bad file is known before any work is done.

    Attributes:
        sizes: (H, W) in pixels by file name.
        bits: a channel, by file name.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        from ..images.photo import read_photo

        paths = list(paths)
        self.sizes: dict[str, tuple[int, int]] = {}
        self.bits: dict[str, int] = {}
        self._held: dict[str, Photo] = {}
        room = MAX_PIXELS
        with bar("reading the photos", len(paths), unit="photo") as progress:
            for path in paths:
                photo = read_photo(path, note=warn)
                height, width = photo.pixels.shape[1:]
                self.sizes[path], self.bits[path] = (height, width), photo.bits
                if height * width <= room:
                    room -= height * width
                    self._held[path] = photo
                progress.update()

    def read(self, path: str) -> Photo:
        """One of them; raises what `read_photo` raises."""
        from ..images.photo import read_photo

        return self._held[path] if path in self._held else read_photo(path)


def read_mask(path: str, photos: Photos) -> torch.Tensor:
    """A mask for all photos: the brightness of a picture, (1, 1, H, W) in [0, 1].

    Raises:
        FiceError: it is black, or of another size than a photo.
    """
    from ..images.photo import read_image

    mask = read_image(path, note=warn).mean(dim=0)[None, None]
    if not bool(mask.any()):
        raise FiceError(f"the mask {path} is black everywhere: white marks where it applies")
    height, width = mask.shape[2:]
    for name, size in photos.sizes.items():
        if size != (height, width):
            raise FiceError(
                f"the mask {path} has {width} x {height} pixels, but {name} has "
                f"{size[1]} x {size[0]}: a mask must be of the photo's size"
            )
    return mask


@dataclass(frozen=True)
class Where:
    """Where the person is, as the options say; all None to look for the largest.

    Attributes:
        person: which of those found, 0 for the largest.
        box: (left, top, right, bottom), what the generator shall see.
        mask: a file that shows the person.
    """

    person: int | None
    box: Box | None
    mask: str | None

    def check(self, framing: Framing | None) -> None:
        """Refuse options that contradict each other.

        Raises:
            FiceError: more than one of them is given, or one of them and the whole picture.
        """
        values = {"--person": self.person, "--box": self.box, "--person-mask": self.mask}
        given = [name for name, value in values.items() if value is not None]
        if framing == "whole":
            given.append("--frame whole")
        if len(given) > 1:
            raise FiceError(
                f"{' and '.join(given)} both say what the generator sees: leave one of them out"
            )

    def frames(self, models: Models, photos: Photos, framing: Framing) -> dict[str, Frame]:
        """The frame in each photo.

        Raises:
            FiceError: what `persons.frame_person` and `persons.choose_frame` say, and of which file.
        """
        from ..persons.selection import choose_frame, frame_person

        networks = models.generator, models.segmenter
        mask = None if self.mask is None else read_mask(self.mask, photos)
        if self.person is not None and framing == "whole":  # of the preset
            framing = "auto"
        frames: dict[str, Frame] = {}
        with bar("looking for the persons", len(photos.sizes), unit="photo") as progress:
            for path in photos.sizes:
                pixels = photos.read(path).pixels[None]
                try:
                    if mask is None and self.box is None:
                        frame = choose_frame(*networks, pixels, framing, self.person or 0)
                    else:
                        frame = frame_person(*networks, pixels, mask=mask, box=self.box)
                except FiceError as error:
                    raise FiceError(f"{path}: {error}") from error
                frames[path] = frame
                progress.update()
        return frames


def parse_box(
    context: click.Context | None, option: click.Parameter | None, value: str | None
) -> Box | None:
    """Four whole numbers with commas between them; a callback of an option."""
    if value is None:
        return None
    try:
        left, top, right, bottom = (int(number) for number in value.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not left,top,right,bottom in whole pixels, as in 100,50,400,350",
            context,
            option,
        ) from error
    return left, top, right, bottom
