"""Fashion-Gen: photos and descriptions of products, in HDF5 files.

Source: Rostamzadeh et al., "Fashion-Gen: The Generative Fashion Dataset and Challenge" (2018).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import FiceError
from .places import Layout, listed, one_line
from .sample import Sample, Text

#: attributes, and the data sets of the file that hold them
_ATTRIBUTES = {
    "category": "input_category",
    "subcategory": "input_subcategory",
    "gender": "input_gender",
    "department": "input_department",
    "brand": "input_brand",
    "season": "input_season",
    "pose": "input_pose",
}
_SPLITS = ("train", "validation")
_ODD = (LookupError, ValueError, TypeError, AttributeError)  # what h5py raises for other contents


@dataclass(frozen=True)
class _Row:
    """A photo in a file, read when called."""

    path: Path
    number: int

    def __call__(self) -> Tensor:
        """(3, H, W) float32 in [0, 1]."""
        with _opened(self.path) as file:
            try:
                levels = np.asarray(file["input_image"][self.number])
            except (OSError, *_ODD) as error:
                raise FiceError(
                    f"{self.path}: cannot read the photo of row {self.number}"
                ) from error
        if levels.dtype != np.uint8 or levels.ndim != 3 or levels.shape[2] != 3 or not levels.size:
            raise FiceError(
                f"{self.path}: the photo of row {self.number} is {levels.dtype} of the shape "
                f"{levels.shape}; bytes of the shape (height, width, 3) were expected"
            )
        return torch.from_numpy(levels).permute(2, 0, 1).float() / 255


def read_fashion_gen(path: Path, split: str | None) -> list[Sample]:
    """The photos of a file, or of the files of a folder; each row is one."""
    samples = []
    for file in _files(path, split):
        columns = _columns(file)
        products, texts = columns.pop("product"), columns.pop("text")
        for number, text in enumerate(texts):
            facts = {key: values[number] for key, values in columns.items() if values[number]}
            samples.append(
                Sample(
                    name=f"{file.stem}/{number:06d}",
                    source=file,
                    captions=(text,) if text else (),
                    attributes=facts | {"product": products[number]},
                    read_image=_Row(file, number),
                )
            )
    return samples


def read_descriptions(path: Path, split: str | None) -> list[Text]:
    """The descriptions of a file, or of the files of a folder: one for each product, in the file's order."""
    found: dict[str, Text] = {}
    for file in _files(path, split):
        columns = _columns(file)
        products, texts = columns.pop("product"), columns.pop("text")
        columns.pop("pose", None)
        for number, (product, text) in enumerate(zip(products, texts, strict=True)):
            if text and product not in found:
                facts = {key: values[number] for key, values in columns.items() if values[number]}
                found[product] = Text(product, text, facts)
    return [*found.values()]


def _files(path: Path, split: str | None) -> list[Path]:
    if os.path.isfile(path):
        if split is not None:
            raise FiceError(
                f"{path} is one file: give the folder of the files to choose the split {split!r}"
            )
        return [path]
    layout = Layout(path, "fashion-gen")
    layout.check_split(split, _SPLITS)
    found = [file for file in listed(path) if file.suffix in (".h5", ".hdf5")]
    found = [file for file in found if split is None or split in file.stem]
    if not found:
        raise layout.missing(f"file {'' if split is None else f'*{split}'}*.h5")
    return found


def _columns(path: Path) -> dict[str, list[str]]:
    """Descriptions ("text"), numbers of products ("product") and attributes of all rows."""
    with _opened(path) as file:
        if "input_description" not in file:
            raise FiceError(f"{path} is not a file of Fashion-Gen: it has no input_description")
        try:
            columns = {
                name: _strings(file[key][:]) for name, key in _ATTRIBUTES.items() if key in file
            }
            columns["text"] = _strings(file["input_description"][:])
            count = len(columns["text"])
            rows = file["input_productID"][:] if "input_productID" in file else np.arange(count)
            columns["product"] = [
                str(int(value)) for value in np.asarray(rows).reshape(count, -1)[:, 0]
            ]
        except (OSError, *_ODD) as error:
            raise FiceError(f"{path} is damaged: its descriptions cannot be read") from error
    if any(len(values) != count for values in columns.values()):
        raise FiceError(f"{path} is damaged: its columns have different lengths")
    return columns


def _strings(values: Any) -> list[str]:
    """Texts of bytes (N, 1), in Latin-1: some rows are not UTF-8."""
    flat = np.asarray(values).reshape(len(values), -1)[:, 0]
    return [
        one_line(value.decode("latin-1") if isinstance(value, bytes) else str(value))
        for value in flat.tolist()
    ]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An HDF5 file.

    Raises:
        FiceError: h5py is not installed, or the file cannot be opened.
    """
    try:
        import h5py
    except ImportError:
        raise FiceError(
            'Fashion-Gen is read with h5py: install it with pip install "comfyui-fice[datasets]"'
        ) from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FiceError(f"{path} is not an HDF5 file that can be read") from error
    with file:
        yield file
