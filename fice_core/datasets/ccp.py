"""Clothing Co-Parsing: street photos, some with a label for each pixel.

Source: Yang, Luo, Lin, "Clothing Co-Parsing by Joint Image Segmentation and Labeling" (CVPR 2014).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.io import loadmat
from torch import Tensor

from ..errors import FiceError
from ..files import read_bytes
from ..networks.regions import HEAD, NAMED
from .labels import BACKGROUND, LabelSet, as_named
from .places import Layout, listed
from .sample import Sample

_ANNOTATIONS = ("annotations/pixel-level", "annotations")
_CLASSES = {
    "background": "null",
    "upper": "blazer blouse bra cape cardigan coat hoodie jacket jumper shirt suit sweater sweatshirt "
    "t-shirt tie top vest",
    "lower": "belt jeans leggings panties pants shorts skirt",
    "dress": "bodysuit dress intimate romper swimwear",
    "legs": "socks stockings tights",
    "shoes": "boots clogs flats heels loafers pumps sandals shoes sneakers wedges",
    "bag": "bag purse wallet",
    "jewelry": "accessories bracelet earrings necklace ring watch",
    "hands": "gloves",
    "glasses": "glasses sunglasses",
    "hat": "hat",
    "hair": "hair",
    "scarf": "scarf",
    "body": "skin",
}
_SKIN = NAMED.index("body")
_GLASSES = NAMED.index("glasses")
_HEAD = [NAMED.index(name) for name in HEAD]
_EIGHT = np.ones((3, 3))  # neighbours of a pixel
_NAMES = {label: name for name, labels in _CLASSES.items() for label in labels.split()}


@dataclass(frozen=True)
class _Annotation:
    """A photo's annotation, read when called."""

    path: Path
    labels: LabelSet

    def __call__(self) -> Tensor:
        """(H, W) int64: indices into `NAMED`."""
        numbers = _matrix(self.path, "groundtruth")
        known = numbers.dtype.kind in "uif" and numbers.ndim == 2
        if not known or not ((numbers >= 0) & (numbers < len(self.labels.classes))).all():
            raise FiceError(
                f"{self.path} is no annotation of CCP: a label below 59 a pixel was expected"
            )
        named = as_named(numbers.astype(np.uint8), self.labels)
        return torch.from_numpy(with_face(named.numpy()))


def with_face(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """A label map (H, W) in which face and neck are told from other skin, which is all one label of CCP.

    The photos show whole figures, so a head has a known share of the height. Skin at this height that touches
    hair, a hat or glasses is the face, down to where it narrows; what lies below is the neck.
    """
    rows = np.flatnonzero((classes != BACKGROUND).any(1))
    if not rows.size:
        return classes
    top, tall = int(rows[0]), int(rows[-1]) + 1 - int(rows[0])
    shortest, longest, shoulders = (top + round(share * tall) for share in (0.11, 0.15, 0.2))
    above = classes[top:longest]
    parts, _ = ndimage.label(above == _SKIN, _EIGHT)
    near = ndimage.binary_dilation(np.isin(above, _HEAD), _EIGHT, iterations=3)
    face = np.isin(parts, np.unique(parts[near & (parts > 0)]))
    widths = face.sum(1)
    narrow = ~(above == _GLASSES).any(1) & (widths < 0.7 * np.maximum.accumulate(widths))
    narrow[: shortest - top] = False
    chin = int(narrow.argmax()) if narrow.any() else longest - top
    told = classes.copy()
    told[top : top + chin][face[:chin]] = NAMED.index("face")
    columns = np.flatnonzero(face[:chin].any(0))
    if columns.size:
        neck = told[top + chin : shoulders, columns[0] : columns[-1] + 1]
        neck[neck == _SKIN] = NAMED.index("neck")
    return told


def read_ccp(root: Path, split: str | None) -> list[Sample]:
    """The photos of CCP that have labels: `photos/NNNN.jpg`, `annotations[/pixel-level]/NNNN.mat`,
    `label_list.mat`. Without annotations all photos.
    """
    layout = Layout(root, "ccp")
    layout.check_split(split, ())
    images = layout.images(layout.folder("photos"))
    folder = layout.optional(*_ANNOTATIONS)
    if folder is None:
        return [Sample(name=image.stem, source=image) for image in images]
    maps = {path.stem: path for path in listed(folder) if path.suffix == ".mat"}
    if not (root / "label_list.mat").is_file():
        raise layout.missing("file label_list.mat, which names the labels")
    try:
        names = [str(entry[0]) for entry in _matrix(root / "label_list.mat", "label_list").ravel()]
    except (LookupError, TypeError):
        raise FiceError(f"{root / 'label_list.mat'} has no list of names in it") from None
    labels = LabelSet(tuple(_NAMES.get(name, "") for name in names))
    return [
        Sample(
            name=image.stem,
            source=image,
            read_classes=_Annotation(maps[image.stem], labels),
        )
        for image in images
        if image.stem in maps
    ]


def _matrix(path: Path, name: str) -> NDArray[Any]:
    """A matrix of a MATLAB file."""
    data = read_bytes(path, "a MATLAB file")
    try:
        return np.asarray(loadmat(io.BytesIO(data), variable_names=[name])[name])
    except KeyError:
        raise FiceError(f"{path} has no variable {name!r}") from None
    except Exception as error:  # damaged files make the reader raise anything
        raise FiceError(f"{path} is damaged or no MATLAB file") from error
