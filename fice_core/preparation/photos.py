"""Photos become images of one size around one person each, with all that is known of them.

Each photo is treated by itself, here or in other processes. Duplicates are told, and files and the manifest
written, by one process in the order of the photos, so the result does not depend on the number of processes.
"""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..datasets import Sample
from ..datasets.folder import ATTRIBUTES, LABEL_NAMES, LABELS, MASKS, PARTS
from ..datasets.labels import DENSEPOSE_LABELS, fit_labels, fit_mask
from ..errors import FiceError
from ..files import alone_in, json_bytes, make_folder, write_bytes, write_json
from ..framing import Frame
from ..images.photo import Photo, encode_photo
from ..models import load_network
from ..networks.regions import NAMED
from ..ops.autograd import without_grad
from .checks import Seen, fingerprint, sharpness
from .finding import Annotations, Networks, Show, UnframedError, annotations_of, find_frame
from .manifest import Manifest

IMAGES, CAPTIONS = "images", "captions.json"
_PALETTE = [level for k in range(256) for level in (53 * k % 256, 101 * k % 256, 197 * k % 256)]
_AHEAD = 4  # photos for each process that are treated before the first of them is written


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the images shall be like.

    Attributes:
        size: (H, W) of the images.
        show: the person as in the models' images, or the whole figure.
        models: "demo" or a folder of models, whose images and segmenter say what a person looks like.
        device: where the networks run.
        least: height in pixels that a frame must have in its photo.
        outside: share of a frame that may lie outside of its photo.
        sharpness: lowest value of `checks.sharpness`.
        same: number of bits in which the fingerprints of two photos of the same differ at most.
        largest: whether the largest of several persons is taken; such photos are refused otherwise.
    """

    size: tuple[int, int]
    show: Show = "models"
    models: str = "demo"
    device: str = "cpu"
    least: int
    outside: float = 0.3
    sharpness: float = 0.12
    same: int = 20
    largest: bool = False

    def decisive(self) -> dict[str, Any]:
        """The options that decide about images, for the manifest."""
        return {
            "size": f"{self.size[1]}x{self.size[0]}",
            "show": self.show,
            "models": self.models,
            "least": self.least,
            "outside": self.outside,
            "sharpness": self.sharpness,
            "same": self.same,
            "largest": self.largest,
        }


@dataclass(frozen=True)
class Prepared:
    """A treated photo: its entry in the manifest, and the files of a data set by their folder."""

    entry: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Report:
    """What became of the photos.

    Attributes:
        count: of all photos.
        kept: number of images in the data set.
        labelled, captioned: how many of them have a label map, and a caption.
        refused: number of the others by reason.
    """

    count: int
    kept: int
    labelled: int
    captioned: int
    refused: dict[str, int]

    @property
    def summary(self) -> str:
        """Lines for the user."""
        lines = [
            f"{self.kept} of {self.count} photos became images, {self.labelled} with a label map, "
            f"{self.captioned} with captions"
        ]
        lines += [f"{number} left out: {reason}" for reason, number in self.refused.items()]
        return "\n".join(lines)


def prepare(
    samples: Sequence[Sample],
    folder: Path,
    wanted: Wanted,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Make a data set in `folder`, or go on with one; see `datasets.folder` for what is in it.

    Args:
        samples: the photos.
        folder: made if it is missing.
        wanted: what the images shall be like.
        workers: number of processes.
        progress: called with the number of photos done, and of all.

    Raises:
        FiceError: the folder was prepared with other options, has files of others, or is that of a run at
            work; or a file cannot be written.
    """
    with alone_in(make_folder(folder)):
        return _prepare(samples, folder, wanted, workers, progress)


def _prepare(
    samples: Sequence[Sample],
    folder: Path,
    wanted: Wanted,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Report:
    manifest = Manifest(folder, wanted.decisive())
    manifest.check_foreign((IMAGES, LABELS, MASKS, PARTS, CAPTIONS, ATTRIBUTES))
    seen = Seen()
    for entry in manifest.entries.values():
        if entry["status"] == "kept":
            seen.add(entry["name"], entry["fingerprint"])
    todo = [sample for sample in samples if sample.name not in manifest.entries]
    names = _file_names(todo, [entry.get("image", "") for entry in manifest.entries.values()])
    if any(wanted.show == "models" or not _is_annotated(sample) for sample in todo):
        _networks(wanted.models, wanted.device)  # what is wrong with them is told now
    manifest.begin()
    done = len(samples) - len(todo)
    for prepared in _treated(todo, wanted, workers):
        entry = prepared.entry
        if entry["status"] == "kept":
            other = seen.like(entry["fingerprint"], wanted.same)
            if other is None:
                seen.add(entry["name"], entry["fingerprint"])
                entry["image"] = names[entry["name"]]
                for kind, data in prepared.files.items():
                    make_folder(folder / kind)
                    write_bytes(folder / kind / entry["image"], data)
            else:
                entry |= {"status": "refused", "reason": "the same as another", "same_as": other}
        manifest.add(entry)
        done += 1
        if progress is not None:
            progress(done, len(samples))
    return _finish(folder, manifest)


def _is_annotated(sample: Sample) -> bool:
    return sample.read_classes is not None or sample.read_person is not None


def _file_names(samples: Sequence[Sample], used: Sequence[str]) -> dict[str, str]:
    """A file name for each sample, by the sample's name; no two differ in case alone.

    Args:
        samples: that get names.
        used: names that are not to be given.
    """
    taken = {name.casefold() for name in used}
    names = {}
    for sample in samples:
        plain = "".join(c if c.isalnum() or c in "._- " else "-" for c in sample.name).strip(". ")
        base = plain[:120] or "photo"
        name, number = f"{base}.png", 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}~{number}.png"
        taken.add(name.casefold())
        names[sample.name] = name
    return names


def _treated(todo: Sequence[Sample], wanted: Wanted, workers: int) -> Iterator[Prepared]:
    """The treated photos in their order."""
    if workers == 1 or len(todo) < 2:
        for sample in todo:
            yield treat(sample, wanted)
        return
    # Not forked: torch's threads do not survive it.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as pool:
        waiting: deque[Future[Prepared]] = deque()
        try:
            for sample in todo:
                waiting.append(pool.submit(treat, sample, wanted))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _begin_worker() -> None:
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _networks(models: str, device: str) -> Networks:
    """The networks of this process."""
    return Networks(
        load_network(models, "generator", device), load_network(models, "segmenter", device)
    )


def treat(sample: Sample, wanted: Wanted) -> Prepared:
    """One photo as an image of a data set, or the reason why it is none."""
    entry: dict[str, Any] = {
        "name": sample.name,
        "source": str(sample.source),
        "status": "refused",
    }
    try:
        photo = sample.image()
        classes = sample.classes()
        known = annotations_of(sample, classes)
        if known is not None and known.person.shape[-2:] != photo.shape[-2:]:
            raise UnframedError("its label map or mask has another size")
        if min(photo.shape[-2:]) < 16:
            raise UnframedError("too small")
        with without_grad():
            frame = find_frame(
                photo,
                known,
                wanted.size,
                wanted.show,
                lambda: _networks(wanted.models, wanted.device),
                wanted.largest,
            )
        entry |= {"frame": list(frame.box), "of": list(frame.size[::-1])}
        _check_frame(frame, wanted)
        image = frame.fit(photo).clamp(0, 1)
        person = None if known is None else (frame.fit(known.person) > 0.5).float()
        entry["sharpness"] = round(sharpness(image, person), 4)
        if entry["sharpness"] < wanted.sharpness:
            raise UnframedError("blurred")
        files = _files(sample, frame, image, classes, known)
    except UnframedError as reason:
        return Prepared(entry | {"reason": str(reason)}, {})
    except FiceError as error:
        return Prepared(entry | {"reason": "a file cannot be read", "detail": str(error)}, {})
    entry |= {"status": "kept", "fingerprint": fingerprint(image)}
    if sample.captions:
        entry["captions"] = list(sample.captions)
    if sample.attributes:
        entry["attributes"] = dict(sample.attributes)
    entry["labels"] = LABELS in files
    return Prepared(entry, files)


def _check_frame(frame: Frame, wanted: Wanted) -> None:
    """Raise UnframedError if a frame is too small, or too much of it lies outside of the photo."""
    left, top, right, bottom = frame.box
    if bottom - top < wanted.least:
        raise UnframedError("the person is too small")
    inner = frame.inside
    area = (inner[2] - inner[0]) * (inner[3] - inner[1])
    if 1 - area / ((right - left) * (bottom - top)) > wanted.outside:
        raise UnframedError("the person is cut off by the edge of the photo")


def _files(
    sample: Sample,
    frame: Frame,
    image: Tensor,
    classes: Tensor | None,
    known: Annotations | None,
) -> dict[str, bytes]:
    """The files of an image, by their folder."""
    files = {IMAGES: encode_photo("image.png", Photo(image[0]))}
    if classes is not None:
        files[LABELS] = _labels_png(fit_labels(classes, frame, len(NAMED)))
    elif known is not None:
        files[MASKS] = _mask_png(fit_mask(known.person, frame))
    parts = sample.densepose()
    if parts is not None:
        if parts.shape[-2:] != frame.size:
            raise UnframedError("its DensePose labels have another size")
        files[PARTS] = _labels_png(fit_labels(parts, frame, DENSEPOSE_LABELS))
    return files


def _labels_png(labels: Tensor) -> bytes:
    """A label map (H, W) uint8 as a PNG in which each value is a label; a palette makes it visible."""
    image = Image.fromarray(labels.numpy())
    image.putpalette(_PALETTE)
    return _png(image)


def _mask_png(mask: Tensor) -> bytes:
    """A mask (1, 1, H, W) in [0, 1] as a grey PNG."""
    return _png(Image.fromarray((mask[0, 0] * 255 + 0.5).to(torch.uint8).numpy()))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _finish(folder: Path, manifest: Manifest) -> Report:
    """Write what is in one file for all images, and count."""
    entries = [*manifest.entries.values()]
    kept = [entry for entry in entries if entry["status"] == "kept"]
    captions = {entry["image"]: entry["captions"] for entry in kept if "captions" in entry}
    facts = {
        Path(entry["image"]).stem: entry["attributes"] for entry in kept if "attributes" in entry
    }
    for name, content in ((CAPTIONS, captions), (ATTRIBUTES, facts)):
        if content:
            write_json(folder / name, content)
    labelled = sum(entry["labels"] for entry in kept)
    if labelled:
        write_bytes(folder / LABELS / LABEL_NAMES, json_bytes(list(NAMED)) + b"\n")
    refused = Counter(entry["reason"] for entry in entries if entry["status"] != "kept")
    return Report(len(entries), len(kept), labelled, len(captions), dict(refused.most_common()))
