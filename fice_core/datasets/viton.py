"""VITON in the form of CP-VTON, and VITON-HD with both spellings of its folders.

Sources: Wang et al., "Toward Characteristic-Preserving Image-based Virtual Try-On Network" (ECCV 2018);
Choi et al., "VITON-HD" (CVPR 2021); the captions, Baldrati et al., "Multimodal Garment Designer" (ICCV 2023).
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import FiceError
from .body_points import OpenPoseFile
from .labels import LIP, VITON_HD, LabelFile, LabelSet
from .places import Layout, by_stem, listed, read_json, texts
from .sample import Sample

_SPLITS = ("train", "test")


def read_viton(root: Path, split: str | None) -> list[Sample]:
    """The persons of VITON: `{train,test}/{image,image-parse,pose}`; also below a folder `data`."""
    layout = Layout(root, "viton")
    if not (root / "train").is_dir() and not (root / "test").is_dir():
        layout = Layout(layout.optional("data") or root, "viton")
    return _persons(layout, split, ("image-parse",), ("pose",), LIP, {})


def read_viton_hd(root: Path, split: str | None) -> list[Sample]:
    """The persons of VITON-HD: `{train,test}/{image,image-parse-v3,openpose_json}`, or with hyphens.

    Captions are those of VITON-HD Multimodal, if `captions.json` is in the folder or in its splits.
    """
    layout = Layout(root, "viton-hd")
    captions: dict[str, str] = {}
    for path in (root / "captions.json", *(root / name / "captions.json" for name in _SPLITS)):
        if path.is_file():
            captions |= read_chunks(path)
    parses, poses = ("image-parse-v3", "image-parse"), ("openpose_json", "openpose-json")
    return _persons(layout, split, parses, poses, VITON_HD, captions)


def read_chunks(path: Path) -> dict[str, str]:
    """Texts by the digits of a garment's name, in a file of multimodal captions.

    It has a list of noun chunks for each garment; the text has all of them. Garments with
    fewer than three are left out, as the authors do.

    Raises:
        FiceError: the file cannot be read, or is not such a file.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(v, list) for v in content.values()):
        raise FiceError(
            f'{path}: noun chunks by garment were expected, as {{"03195": ["...", "..."]}}'
        )
    chunks = {key: texts(value, path) for key, value in content.items()}
    return {digits(key): ", ".join(value) for key, value in chunks.items() if len(value) >= 3}


def digits(name: str) -> str:
    """The number at the beginning of a file's name, which a person and its garment share."""
    found = re.match(r"\d+", name)
    return found[0] if found else name


def _persons(
    layout: Layout,
    split: str | None,
    parses: tuple[str, ...],
    poses: tuple[str, ...],
    labels: LabelSet,
    captions: dict[str, str],
) -> list[Sample]:
    samples = []
    for name in layout.splits(split, _SPLITS):
        images = layout.images(layout.folder(f"{name}/image"))
        maps = by_stem(layout.optional(*(f"{name}/{each}" for each in parses)))
        pose = layout.optional(*(f"{name}/{each}" for each in poses))
        points = {path.name: path for path in listed(pose)} if pose else {}
        for image in images:
            stem = image.stem
            found = points.get(f"{stem}_keypoints.json")
            text = captions.get(digits(stem))
            samples.append(
                Sample(
                    name=f"{name}/{stem}",
                    source=image,
                    captions=(text,) if text else (),
                    read_classes=LabelFile(maps[stem], labels) if stem in maps else None,
                    read_keypoints=OpenPoseFile(found) if found else None,
                )
            )
    return samples
