"""The folder of a comparison: what everybody edits, what every method made, and the names of all of it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..editing.prepare import Preparation, PromptFeatures, prepare
from ..errors import FiceError
from ..files import make_folder, write_bytes
from ..images.mask import read_mask
from ..images.photo import read_image, to_bytes
from ..masks.garment import allowed_mask
from ..models import Models
from ..settings import EditSettings
from .pairs import Pair, read_pairs, write_pairs
from .sources import Photos

PAIRS = "pairs.csv"


class Folder:
    """Names in the folder of a comparison."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    @property
    def pairs(self) -> Path:
        """The list of pairs."""
        return self.root / PAIRS

    def photo(self, number: int) -> Path:
        """The photo of a pair."""
        return self.root / "photos" / f"{number:04d}.png"

    def mask(self, number: int) -> Path:
        """Where the photo of a pair may change: white."""
        return self.root / "masks" / f"{number:04d}.png"

    def edits(self, run: str) -> Path:
        """The folder of the edits of one method, at its own steps or within some seconds."""
        return self.root / "edits" / run.replace(" ", "-")


def set_out(
    folder: Folder,
    photos: Photos,
    pairs: Sequence[Pair],
    models: Models,
    settings: EditSettings,
    on_done: Callable[[], None] = lambda: None,
) -> dict[int, str]:
    """Write the pairs, their photos and the masks; what is there from an earlier run stays.

    A photo is written with 8 bits, so that all programs edit the same. Its mask is where a garment of this
    kind could be, found by the networks in the photo: outside of it nothing should change.

    Returns:
        Why a pair is left out, by its number: nobody is found in its photo, for instance.

    Raises:
        FiceError: the folder has other pairs, or the photos lack one.
    """
    if folder.pairs.exists() and read_pairs(folder.pairs) != list(pairs):
        raise FiceError(
            f"{folder.root} holds a comparison of other pairs: give another folder with -o"
        )
    for name in (folder.root, folder.photo(0).parent, folder.mask(0).parent):
        make_folder(name)
    write_pairs(folder.pairs, pairs)
    without = {}
    for number, pair in enumerate(pairs):
        if not folder.mask(number).exists():
            write_bytes(folder.photo(number), as_png(photos.image(pair.photo)))
            image = read_image(folder.photo(number))[None]
            try:
                found = preparation_of(models, image, [pair.text], settings)
            except FiceError as error:
                without[number] = str(error)
            else:
                area = found.frames[0].restore(allowed_mask(found.body, settings).cpu())
                mask = (area > 0).float()[0].expand(3, -1, -1)
                write_bytes(folder.mask(number), as_png(mask))
        on_done()
    return without


def preparation_of(
    models: Models, images: Tensor, prompts: Sequence[str], settings: EditSettings
) -> Preparation:
    """What every method starts from: frames, codes, regions; (N, 3, H, W) photos and N prompts."""
    texts = PromptFeatures.of(models.clip, list(prompts), "", "")
    return prepare(models, images, texts, settings, None, None, lambda step: None)


def load_pair(folder: Folder, number: int) -> tuple[Tensor, Tensor]:
    """The photo (3, H, W) and the mask (1, H, W) of a pair."""
    mask = read_mask(folder.mask(number))[None]
    return read_image(folder.photo(number)), (mask > 0.5).float()


def as_png(image: Tensor) -> bytes:
    """An image (3, H, W) in [0, 1] as the bytes of an 8-bit PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(torch.as_tensor(image).clamp(0, 1))).save(buffer, "PNG")
    return buffer.getvalue()
