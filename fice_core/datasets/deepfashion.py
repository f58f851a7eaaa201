"""DeepFashion-MultiModal, and the form of it that Text2Human's authors processed.

Source: Jiang et al., "Text2Human: Text-Driven Controllable Human Image Generation" (SIGGRAPH 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import FiceError
from .body_points import GivenPoints
from .labels import DEEPFASHION, DensePoseFile, LabelFile
from .places import Layout, by_stem, listed, read_json, read_text, texts
from .sample import Sample

_SPLITS = ("train", "test")
_POINTS = tuple(map(str, range(1, 22)))
#: the attributes in a line of the shape file, with the words of their numbers; what follows is unknown
_SHAPE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sleeve", ("sleeveless", "short", "medium", "long", "not long")),
    ("lower_length", ("three-point", "medium short", "three-quarter", "long")),
    ("socks", ("no", "socks", "leggings")),
    ("hat", ("no", "yes")),
    ("glasses", ("no", "eyeglasses", "sunglasses", "held")),
    ("neckwear", ("no", "yes")),
    ("wristwear", ("no", "yes")),
    ("ring", ("no", "yes")),
    ("waist", ("no", "belt", "clothing", "hidden")),
    ("neckline", ("v-shape", "square", "round", "standing", "lapel", "suspenders")),
    ("cardigan", ("yes", "no")),
    ("navel_covered", ("no", "yes")),
)
_FABRICS = ("denim", "cotton", "leather", "furry", "knitted", "chiffon", "other")
_PATTERNS = ("floral", "graphic", "striped", "pure color", "lattice", "other", "color block")
_FABRIC = tuple((f"{part}_fabric", _FABRICS) for part in ("upper", "lower", "outer"))
_PATTERN = tuple((f"{part}_pattern", _PATTERNS) for part in ("upper", "lower", "outer"))
# Words in the names of the files with one line for each photo, in any folder below these.
_FILES = (("shape", _SHAPE), ("fabric", _FABRIC), ("pattern", _PATTERN))
_LABEL_FOLDERS = ("labels", "shape_ann", "texture_ann")


def read_deepfashion(root: Path, split: str | None) -> list[Sample]:
    """The photos of DeepFashion-MultiModal, in `images`, or in `train_images` and `test_images`.

    What is there of `segm`, `densepose`, `keypoints`, `labels` and `captions.json` is read, too.
    """
    layout = Layout(root, "deepfashion-multimodal")
    folders = _image_folders(layout, split)
    maps = by_stem(layout.optional("segm"), "_segm")
    dense = by_stem(layout.optional("densepose"), "_densepose")
    attributes = _attributes(layout)
    points = _points(layout)
    captions = _captions(layout)
    samples = []
    for folder in folders:
        for image in layout.images(folder):
            stem = image.stem
            text = captions.get(image.name) or captions.get(stem) or ""
            rows = points.get(image.name)
            samples.append(
                Sample(
                    name=stem,
                    source=image,
                    captions=(text,) if text else (),
                    attributes=_of_name(stem) | attributes.get(image.name, {}),
                    read_classes=LabelFile(maps[stem], DEEPFASHION) if stem in maps else None,
                    # OpenCV wrote them as blue, green, red: the part is what other programs read as blue.
                    read_densepose=DensePoseFile(dense[stem], channel=2) if stem in dense else None,
                    read_keypoints=GivenPoints(_POINTS, rows) if rows else None,
                )
            )
    return samples


def _image_folders(layout: Layout, split: str | None) -> list[Path]:
    images = layout.optional("images", "image")
    if images is not None:
        layout.check_split(split, ())
        return [images]
    layout.check_split(split, _SPLITS)
    names = [f"{each}_images" for each in ((split,) if split else _SPLITS)]
    found = [folder for name in names if (folder := layout.optional(name))]
    if not found:
        raise layout.missing(f"folder {' or '.join(('images', *names))}")
    return found


def _of_name(stem: str) -> dict[str, str]:
    """Gender and category, as in "WOMEN-Tees_Tanks-id_00007979-04_4_full"."""
    parts = stem.split("-")
    if len(parts) < 3 or parts[0] not in ("WOMEN", "MEN"):
        return {}
    return {"gender": parts[0].lower(), "category": parts[1].replace("_", " ")}


def _attributes(layout: Layout) -> dict[str, dict[str, str]]:
    """Attributes by the photo's file name."""
    found: dict[str, dict[str, str]] = {}
    folders = [folder for name in _LABEL_FOLDERS if (folder := layout.optional(name))]
    paths = sorted({path for folder in folders for path in folder.rglob("*.txt")})
    for path in paths:
        inside = path.relative_to(layout.root)
        known = next((names for word, names in _FILES if word in path.name), None)
        if known is None and inside.parts[0] == "shape_ann":
            known = _SHAPE
        if known is None:  # what else there is has no published meaning
            continue
        for name, values in _rows(path, len(known)):
            found.setdefault(name, {}).update(_words(values, known, path))
    return found


def _words(
    values: Sequence[float], known: tuple[tuple[str, tuple[str, ...]], ...], path: Path
) -> Mapping[str, str]:
    words = {}
    for value, (name, options) in zip(values, known, strict=True):
        if not 0 <= value <= len(options):
            raise FiceError(
                f"{path}: {value:g} is no value of {name}, which has 0 to {len(options)}"
            )
        if value < len(options):  # the number after the last one: it is not visible
            words[name] = options[int(value)]
    return words


def _points(layout: Layout) -> dict[str, tuple[tuple[float, float, float], ...]]:
    """Points by the photo's file name: confidence 1 if visible, 0.5 if hidden, 0 if absent."""
    folder = layout.optional("keypoints")
    if folder is None:
        return {}
    places = {path.name: path for path in listed(folder)}
    if "keypoints_loc.txt" not in places:
        raise layout.missing("file keypoints/keypoints_loc.txt")
    seen = {}
    if "keypoints_vis.txt" in places:
        seen = dict(_rows(places["keypoints_vis.txt"], len(_POINTS)))
    found = {}
    for name, values in _rows(places["keypoints_loc.txt"], 2 * len(_POINTS)):
        state = seen.get(name, (0.0,) * len(_POINTS))
        found[name] = tuple(
            (x, y, 1 - s / 2) if x >= 0 and y >= 0 and s < 2 else (0.0, 0.0, 0.0)
            for x, y, s in zip(values[::2], values[1::2], state, strict=True)
        )
    return found


def _captions(layout: Layout) -> dict[str, str]:
    """Captions by the photo's file name."""
    path = layout.root / "captions.json"
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise FiceError(f'{path}: captions by file were expected, as {{"file.jpg": "a text"}}')
    return {name: " ".join(texts([text], path)) for name, text in content.items()}


def _rows(path: Path, count: int) -> list[tuple[str, tuple[float, ...]]]:
    """Lines of a name and `count` numbers."""
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            values = tuple(float(word) for word in words[1:])
        except ValueError:
            values = ()
        if len(values) != count:
            raise FiceError(
                f"{path}, line {number}: the name of a photo and {count} numbers were expected"
            )
        found.append((words[0], values))
    return found
