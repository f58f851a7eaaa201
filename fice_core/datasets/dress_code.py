"""Dress Code, and its multimodal captions.

Source: Morelli et al., "Dress Code: High-Resolution Multi-Category Virtual Try-On" (ECCV 2022); the captions,
Baldrati et al., "Multimodal Garment Designer" (ICCV 2023).
"""

from __future__ import annotations

from pathlib import Path

from .body_points import DressCodePoints
from .labels import ATR, DensePoseFile, LabelFile
from .places import Layout, by_stem, listed, read_text
from .sample import Sample
from .viton import digits, read_chunks

_CATEGORIES = ("dresses", "lower_body", "upper_body")
_LISTS = {
    "train": ("train_pairs.txt",),
    "test": ("test_pairs_paired.txt", "test_pairs_unpaired.txt"),
}


def read_dress_code(root: Path, split: str | None) -> list[Sample]:
    """The persons of Dress Code: `{dresses,lower_body,upper_body}/images/NNNNNN_0.jpg`.

    Without a split, all that are there; a split is that of the lists of pairs in each category.
    """
    layout = Layout(root, "dress-code")
    layout.check_split(split, tuple(_LISTS))
    captions: dict[str, str] = {}
    for name in ("coarse_captions.json", "fine_captions.json"):
        if (root / name).is_file():
            captions |= read_chunks(root / name)
    categories = [name for name in _CATEGORIES if layout.optional(name)]
    if not categories:
        raise layout.missing(f"folder {' or '.join(_CATEGORIES)}")
    return [sample for name in categories for sample in _persons(layout, name, split, captions)]


def _persons(
    layout: Layout, category: str, split: str | None, captions: dict[str, str]
) -> list[Sample]:
    folder = layout.root / category
    images = layout.images(layout.folder(f"{category}/images"), "*_0.*")
    if split is not None:
        wanted = _listed(layout, category, split)
        images = [image for image in images if image.name in wanted]
    maps = by_stem(layout.optional(f"{category}/label_maps"), "_4")
    dense = by_stem(layout.optional(f"{category}/dense"), "_5")
    keypoints = layout.optional(f"{category}/keypoints")
    points = {path.name for path in listed(keypoints)} if keypoints else set()
    samples = []
    for image in images:
        number = image.stem.removesuffix("_0")
        text = captions.get(digits(image.stem))
        there = f"{number}_2.json" in points
        samples.append(
            Sample(
                name=f"{category}/{image.stem}",
                source=image,
                captions=(text,) if text else (),
                attributes={"category": category},
                read_classes=LabelFile(maps[number], ATR) if number in maps else None,
                read_densepose=DensePoseFile(dense[number]) if number in dense else None,
                read_keypoints=DressCodePoints(folder / "keypoints" / f"{number}_2.json", image)
                if there
                else None,
            )
        )
    return samples


def _listed(layout: Layout, category: str, split: str) -> set[str]:
    """Names of the persons in the list of pairs of a split."""
    names = _LISTS[split]
    path = next((p for n in names if (p := layout.root / category / n).is_file()), None)
    if path is None:
        raise layout.missing(
            f"list {category}/{' or '.join(names)}, which says what is in the split"
        )
    return {line.split()[0] for line in read_text(path).splitlines() if line.strip()}
