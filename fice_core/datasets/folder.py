"""Any folder of images, with captions, masks and label maps where there are some.

`fice prepare` writes this form.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..errors import FiceError
from ..images.photo import is_image_file
from ..networks.regions import named_channels
from .labels import DensePoseFile, LabelFile, LabelSet, MaskFile
from .places import Layout, read_json
from .sample import Sample
from .tables import read_captions

#: folders beside the images that hold something else, by what it is
LABELS, MASKS, PARTS = "labels", "masks", "densepose"
#: the file in `labels` that names the labels, in the order of their numbers
LABEL_NAMES = "classes.json"
#: files of captions and attributes
CAPTIONS = ("captions.json", "captions.csv", "metadata.jsonl", "metadata.csv")
ATTRIBUTES = "attributes.json"


def read_folder(root: Path, split: str | None) -> list[Sample]:
    """The images of a folder and its subfolders, or those of its subfolder `images`.

    A split is a subfolder that is laid out like this.
    """
    if split is not None:
        layout = Layout(root, "folder")
        return read_folder(layout.folder(split), None)
    layout = Layout(root, "folder")
    inner = layout.optional("images")
    base = root if inner is None else inner
    aside = {root / name for name in (LABELS, MASKS, PARTS)}
    images = _images(base, aside)
    if not images:
        raise FiceError(f"there is no image in the folder {base}")
    names = _names(base, images)
    captions = _captions(root, base, names)
    attributes = _attributes(root, names)
    maps, masks, parts = (_beside(root / folder) for folder in (LABELS, MASKS, PARTS))
    labels = _label_set(root / LABELS) if maps else None
    samples = []
    for image in images:
        name = names[image]
        key = _key(base, image)
        samples.append(
            Sample(
                name=name,
                source=image,
                captions=captions.get(name, ()),
                attributes=attributes.get(name, {}),
                read_classes=LabelFile(maps[key], labels) if labels and key in maps else None,
                read_person=MaskFile(masks[key]) if key in masks else None,
                read_densepose=DensePoseFile(parts[key]) if key in parts else None,
            )
        )
    return samples


def _key(base: Path, image: Path) -> str:
    """An image's path below a folder, without its suffix: what names the files that belong to it."""
    return image.relative_to(base).with_suffix("").as_posix()


def _images(base: Path, aside: set[Path]) -> list[Path]:
    """The images of a folder and its subfolders, sorted, without hidden ones and those in `aside`."""
    found = []
    for folder, subfolders, files in os.walk(base):
        here = Path(folder)
        subfolders[:] = sorted(
            name for name in subfolders if name[:1] != "." and here / name not in aside
        )
        found += [here / name for name in files if name[:1] != "." and is_image_file(here / name)]
    return sorted(found)


def _names(base: Path, images: list[Path]) -> dict[Path, str]:
    """A name for each image, with its suffix if two would have the same one."""
    keys = [_key(base, image) for image in images]
    count = Counter(keys)
    return {
        image: image.relative_to(base).as_posix() if count[key] > 1 else key
        for image, key in zip(images, keys, strict=True)
    }


def _beside(folder: Path) -> dict[str, Path]:
    """The images of a folder by `_key`; none if the folder is not there."""
    if not folder.is_dir():
        return {}
    return {_key(folder, path): path for path in _images(folder, set())}


def _label_set(folder: Path) -> LabelSet:
    """The labels of the maps in a folder.

    Raises:
        FiceError: the file that names them is missing or damaged.
    """
    path = folder / LABEL_NAMES
    if not path.is_file():
        raise FiceError(
            f"there is no {path}, which names the labels of the maps beside it in the order of their "
            'numbers, as ["background", "body", "head"]'
        )
    names = read_json(path)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FiceError(f'{path}: a list of names was expected, as ["background", "body", "head"]')
    if not 1 < len(names) < 255:
        raise FiceError(f"{path} has {len(names)} names; 2 to 254 were expected")
    channels, _ = named_channels(names)
    return LabelSet(tuple(channels))


def _captions(root: Path, base: Path, names: Mapping[Path, str]) -> dict[str, tuple[str, ...]]:
    """Captions by the name of the sample: of one file for all, or of a text file beside each image."""
    known: dict[str, str] = {}
    for image, name in names.items():
        relative = image.relative_to(base)
        known |= dict.fromkeys((name, relative.as_posix(), _key(base, image)), name)
    found: dict[str, tuple[str, ...]] = {}
    for path in (root / name for name in CAPTIONS):
        if path.is_file():
            for key, texts in read_captions(path).items():
                key = key.removeprefix(f"{base.name}/") if base != root else key
                if key in known:
                    found[known[key]] = found.get(known[key], ()) + texts
    for image, name in names.items():
        path = image.with_suffix(".txt")
        if name not in found and path.is_file():
            lines = read_captions(path).values()
            found[name] = tuple(text for line in lines for text in line)
    return found


def _attributes(root: Path, names: Mapping[Path, str]) -> dict[str, dict[str, str]]:
    """Attributes by the name of the sample."""
    path = root / ATTRIBUTES
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise FiceError(
            f'{path}: facts by image were expected, as {{"name": {{"sleeve": "long"}}}}'
        )
    return {
        name: {str(key): str(value) for key, value in content[name].items()}
        for name in names.values()
        if name in content
    }
