"""Clothing Co-Parsing: street photos, some with a label for each pixel.

Source: Yang, Luo, Lin, "Clothing Co-Parsing by Joint Image Segmentation and Labeling" (CVPR 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import FiceError
from ..files import read_bytes
from .labels import LabelSet, as_named
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
_NAMES = {label: name for name, labels in _CLASSES.items() for label in labels.split()}


@dataclass(frozen=True)
class _Annotation:
    """A photo's annotation, read when called."""

    path: Path
    labels: LabelSet
    skin: int

    def __call__(self) -> Tensor:
        """(H, W) int64: indices into `NAMED`."""
        numbers = _matrix(self.path, "groundtruth")
        if numbers.ndim != 2 or int(numbers.max(initial=0)) >= len(self.labels.classes):
            raise FiceError(
                f"{self.path} is no annotation of CCP: a label below 59 a pixel was expected"
            )
        return as_named(numbers.astype(np.uint8), self.labels)


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
    names = [str(entry[0]) for entry in _matrix(root / "label_list.mat", "label_list").ravel()]
    labels = LabelSet(tuple(_NAMES.get(name, "") for name in names))
    skin = names.index("skin") if "skin" in names else -1
    return [
        Sample(
            name=image.stem,
            source=image,
            read_classes=_Annotation(maps[image.stem], labels, skin),
        )
        for image in images
        if image.stem in maps
    ]


def _matrix(path: Path, name: str) -> NDArray[Any]:
    """A matrix of a MATLAB file."""
    import io

    from scipy.io import loadmat

    data = read_bytes(path, "a MATLAB file")
    try:
        return np.asarray(loadmat(io.BytesIO(data), variable_names=[name])[name])
    except KeyError:
        raise FiceError(f"{path} has no variable {name!r}") from None
    except Exception as error:  # damaged files make the reader raise anything
        raise FiceError(f"{path} is damaged or no MATLAB file") from error
