"""SHHQ: whole figures.

Source: Fu et al., "StyleGAN-Human: A Data-Centric Odyssey of Human Generation" (ECCV 2022).
"""

from __future__ import annotations

from pathlib import Path

from ..errors import FiceError
from .body_points import BODY_25, GivenPoints
from .labels import SHHQ, LabelFile, MaskFile
from .places import Layout, by_stem, listed, read_text
from .sample import Sample

_IMAGES = ("no_segment", "images", "raw")
_MASKS = ("segments", "masks", "segment")
_PARSES = ("parsing", "parsings", "parsing_masks", "human_parsing", "labels")


def read_shhq(root: Path, split: str | None) -> list[Sample]:
    """The photos of SHHQ, in `no_segment`.

    What is there of `segments` (masks), `parsing` and a text file of keypoints is read, too.
    """
    layout = Layout(root, "shhq")
    layout.check_split(split, ())
    images = layout.images(layout.folder(*_IMAGES))
    maps, masks = by_stem(layout.optional(*_PARSES)), by_stem(layout.optional(*_MASKS))
    points = _points(layout)
    return [
        Sample(
            name=image.stem,
            source=image,
            read_classes=LabelFile(maps[image.stem], SHHQ) if image.stem in maps else None,
            read_person=MaskFile(masks[image.stem]) if image.stem in masks else None,
            read_keypoints=points.get(image.stem),
        )
        for image in images
    ]


def _points(layout: Layout) -> dict[str, GivenPoints]:
    """Points by the photo's stem, with confidence 1, or 0 where they are absent."""
    found: dict[str, GivenPoints] = {}
    places = [layout.root, *filter(None, [layout.optional("keypoints")])]
    for path in (path for folder in places for path in listed(folder)):
        if path.suffix != ".txt" or "keypoint" not in path.stem.lower():
            continue
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if not line.strip():
                continue
            name, *words = line.split()
            try:
                values = [float(word) for word in words]
                pairs = list(zip(values[::2], values[1::2], strict=True))
                if len(pairs) != len(BODY_25):
                    raise ValueError
            except ValueError:
                raise FiceError(
                    f"{path}, line {number}: the name of a photo and 25 pairs of numbers were expected"
                ) from None
            rows = tuple((x, y, 1.0) if x > 0 and y > 0 else (0.0, 0.0, 0.0) for x, y in pairs)
            found[Path(name).stem] = GivenPoints(BODY_25, rows)
    return found
