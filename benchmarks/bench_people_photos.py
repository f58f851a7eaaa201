"""Measure the segmenter on street photographs with pixel annotations (Clothing Co-Parsing, CVPR 2014).

    python benchmarks/bench_people_photos.py FOLDER [--count 200] [--segmenter FILE] [--people COMPOSED]

FOLDER has `photos/*.jpg`, `annotations/*.mat` and `label_list.mat`. Prints Markdown: the mean IoU (Jaccard
index) of body and head on the first photos, each cropped to a square around its person, and the share of the
whole photos in which the person that an edit takes is the annotated one. Its frame is compared with the frame
that the same search finds in the annotation; an IoU of 0.5 counts. Needs scipy.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import io, ndimage
from torch import Tensor, nn

from fice_core import checkpoints, load_models
from fice_core.networks.segmenter import Regions
from fice_core.persons import search

HEAD = {"hair", "hat", "glasses", "sunglasses", "earrings"}
#: carried or worn over the clothes: whether they are the person is not measured
VOID = {"bag", "purse", "wallet", "accessories"}
MARGIN = 1.1  # side of the crop over the longer side of the person
CHIN = 1.35  # height of a face over its width
NECK = 0.25  # of a face's width: below the chin, where the annotation does not say what is neck
FOUND = 0.5


class Photo(NamedTuple):
    """A photograph and what its annotation says, (1, C, H, W): body, head and what is measured at all."""

    name: str
    image: Tensor
    body: Tensor
    head: Tensor
    known: Tensor


def _head_skin(skin: NDArray[Any], hair: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of all skin, the face, and the neck, which is not measured: bool (H, W) each."""
    patches, _ = ndimage.label(skin)
    near = ndimage.binary_dilation(hair, iterations=3)
    touching = np.unique(patches[near & skin])
    face, neck = np.zeros_like(skin), np.zeros_like(skin)
    rows = np.arange(len(skin))[:, None]
    low = np.nonzero(hair.any(1))[0]
    for patch in touching[touching > 0]:
        shape = patches == patch
        top = int(np.nonzero(shape.any(1))[0][0])
        if len(low) and top > low[0] + 0.8 * (low[-1] - low[0] + 1):
            continue  # an arm beside the tips of long hair
        width = shape.sum(1)[top:]
        wide = float(
            np.median(width[: max(4, int(width.max()))][width[: max(4, int(width.max()))] > 0])
        )
        chin = top + CHIN * wide
        face |= shape & (rows < chin)
        neck |= shape & (rows >= chin) & (rows < chin + NECK * wide)
    return face, neck


def read(folder: Path, name: str, labels: list[str]) -> Photo:
    """One photo with its truth."""
    with Image.open(folder / "photos" / f"{name}.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    labelled = io.loadmat(folder / "annotations" / f"{name}.mat")["groundtruth"]

    def named(wanted: set[str]) -> NDArray[Any]:
        return np.isin(labelled, [labels.index(n) for n in wanted])

    worn_on_head, void, skin = named(HEAD), named(VOID), named({"skin"})
    face, neck = _head_skin(skin, named({"hair", "hat"}))
    head = worn_on_head | face
    body = (labelled > 0) & ~head & ~void & ~neck
    maps = [torch.from_numpy(m)[None, None].float() for m in (body, head, ~(void | neck))]
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    return Photo(name, tensor, *maps)


def photos(folder: Path) -> Iterator[Photo]:
    """All photos of the folder in order."""
    listed = io.loadmat(folder / "label_list.mat")["label_list"].ravel()
    labels = [str(entry[0]) for entry in listed]
    for path in sorted((folder / "annotations").glob("*.mat")):
        yield read(folder, path.stem, labels)


def cropped(photo: Photo, size: int) -> Photo:
    """The square around the person, as an image of `size` pixels; beyond the photo its border is repeated."""
    ys, xs = torch.nonzero((photo.body + photo.head)[0, 0] > 0, as_tuple=True)
    top, bottom, left, right = (int(v) for v in (ys.min(), ys.max() + 1, xs.min(), xs.max() + 1))
    side = round(MARGIN * max(bottom - top, right - left))
    y, x = (top + bottom - side) // 2, (left + right - side) // 2
    height, width = photo.image.shape[-2:]
    pad = [max(0, -x), max(0, x + side - width), max(0, -y), max(0, y + side - height)]
    maps = []
    for index, values in enumerate(photo[1:]):
        padded = F.pad(values, pad, "replicate" if index == 0 else "constant")
        part = padded[..., y + pad[2] : y + pad[2] + side, x + pad[0] : x + pad[0] + side]
        maps.append(F.interpolate(part, (size, size), mode="bilinear", antialias=True))
    image, body, head, known = maps
    return Photo(photo.name, image.clamp(0, 1), body, head, known)


def overlap(found: Tensor, true: Tensor, known: Tensor) -> float:
    """IoU of two maps, as masks at one half, where the truth is known."""
    a, b, k = found > 0.5, true > 0.5, known > 0.5
    union = ((a | b) & k).sum()
    return float(((a & b & k).sum() / union) if union else 1.0)


class Annotation(nn.Module):
    """A segmenter of images whose channels are background, body and head."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, images: Tensor) -> Regions:
        """The channels as regions."""
        return Regions(*images.split(1, dim=1))


class Renders(nn.Module):
    """In a generator's place: rendered people are its images."""

    z_dim = 1

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from fice_core.training.demonstration.dataset import People

        self.people = People(folder)
        self.resolution = (self.people.size, self.people.size)
        self.nothing = nn.Parameter(torch.zeros(()), requires_grad=False)

    def map(self, z: Tensor, truncation: float) -> Tensor:
        """Indices of people, one for each row of z."""
        return torch.linspace(0, len(self.people) - 1, len(z)).long()

    def synthesize(self, index: Tensor) -> Tensor:
        """Their images."""
        return self.people.batch(index).images


def box_overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """IoU of two boxes (left, top, right, bottom)."""
    sides = [max(0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1)]
    both = sides[0] * sides[1]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return both / (sum(areas) - both)


def found(generator: Any, segmenter: nn.Module, photo: Photo) -> float | None:
    """IoU of the frame found in the photo with that found in its annotation; None if that has none."""
    truth = torch.cat([1 - photo.body - photo.head, photo.body, photo.head], 1)
    search.person_template(generator, segmenter)  # type: ignore[arg-type]
    expected = search.find_persons(generator, Annotation(), truth)  # type: ignore[arg-type]
    if not expected:
        return None
    persons = search.find_persons(generator, segmenter, photo.image)  # type: ignore[arg-type]
    return box_overlap(persons[0].frame.box, expected[0].frame.box) if persons else 0.0


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--segmenter", help="file; the bundled one by default")
    parser.add_argument(
        "--people", type=Path, help="composed people, in the bundled generator's place"
    )
    parser.add_argument("--crops-only", action="store_true", help="do not search whole photos")
    options = parser.parse_args()
    if options.segmenter:
        segmenter = checkpoints.load_segmenter(options.segmenter)
    else:
        segmenter = load_models("demo", device="cpu").segmenter
    generator: Any = Renders(options.people) if options.people else None
    if generator is None and not options.crops_only:
        generator = load_models("demo", device="cpu").generator

    rows: list[tuple[str, float, float, float | None]] = []
    for number, photo in enumerate(photos(options.folder)):
        if number == options.count:
            break
        small = cropped(photo, 256)
        with torch.inference_mode():
            regions = segmenter(small.image)
        body = overlap(regions.body, small.body, small.known)
        head = overlap(regions.head, small.head, small.known)
        frame = None if options.crops_only else found(generator, segmenter, photo)
        rows.append((photo.name, body, head, frame))
    for title, index in (("body IoU", 1), ("head IoU", 2), ("frame IoU", 3)):
        values = sorted((row[index], row[0]) for row in rows if row[index] is not None)
        if not values:
            continue
        mean = np.mean([v for v, _ in values])
        worst = ", ".join(f"{name} {value:.2f}" for value, name in values[:10])
        print(f"- {title}: {mean:.3f} over {len(values)} photos; worst: {worst}")
        if index == 3:
            share = np.mean([v >= FOUND for v, _ in values])
            print(f"- person found (frame IoU {FOUND}): {100 * share:.1f} percent")


if __name__ == "__main__":
    main()
