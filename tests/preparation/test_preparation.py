"""`prepare` on people of the gallery in larger photos, where they stand as is known."""

import hashlib
import json
from pathlib import Path

import command
import dataset_files
import numpy as np
import pytest
import torch
from PIL import Image
from sitters import sitters

from fice_core.datasets import open_photos
from fice_core.datasets.labels import UNKNOWN
from fice_core.errors import FiceError
from fice_core.files import alone_in
from fice_core.networks.regions import NAMED
from fice_core.people.classes import CLASSES
from fice_core.preparation import Report, Wanted, prepare
from fice_core.preparation.checks import Seen, fingerprint, sharpness
from fice_core.preparation.manifest import NAME, Manifest

NUMBERS = torch.tensor([NAMED.index(name) for name in CLASSES])


def place(
    folder: Path,
    name: str,
    boxes: list[tuple[int, int, int]],
    size: tuple[int, int] = (240, 320),
    first: int = 0,
    labels: bool = True,
) -> None:
    """Write a photo with people in square boxes (left, top, side), and its label map."""
    generator = np.random.default_rng(first)
    photo = generator.integers(90, 140, (*size, 3)).astype(np.uint8)
    known = np.zeros(size, np.uint8)
    for number, (left, top, side) in enumerate(boxes):
        person = sitters(1, side, first + number)
        classes = NUMBERS[person.classes[0].argmax(0)].numpy().astype(np.uint8)
        pixels = (person.images[0].permute(1, 2, 0) * 255).to(torch.uint8).numpy()
        rows, columns = slice(max(top, 0), top + side), slice(max(left, 0), left + side)
        inside = (slice(max(-top, 0), size[0] - top), slice(max(-left, 0), size[1] - left))
        where = classes[inside] > 0
        photo[rows, columns][where] = pixels[inside][where]
        known[rows, columns][where] = classes[inside][where]
    dataset_files.photo(folder / "images" / f"{name}.png")
    Image.fromarray(photo).save(folder / "images" / f"{name}.png")
    if labels:
        dataset_files.labels_file(folder / "labels" / f"{name}.png", known)
        dataset_files.text(folder / "labels" / "classes.json", [*NAMED])


def manifest(folder: Path) -> dict[str, dict[str, object]]:
    lines = (folder / "manifest.jsonl").read_text().splitlines()[1:]
    return {entry["name"]: entry for entry in map(json.loads, lines)}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def overlap(first: list[int], second: tuple[int, int, int]) -> float:
    left, top, side = second
    wide = min(first[2], left + side) - max(first[0], left)
    tall = min(first[3], top + side) - max(first[1], top)
    shared = max(wide, 0) * max(tall, 0)
    return shared / ((first[2] - first[0]) * (first[3] - first[1]) + side * side - shared)


def make(folder: Path, out: Path, workers: int = 1, **options: object) -> Report:
    settings: dict[str, object] = {"size": (64, 64), "least": 48, "sharpness": 0.0, **options}
    return prepare(open_photos(str(folder)), out, Wanted(**settings), workers)  # type: ignore[arg-type]


def test_a_person_is_framed_by_its_label_map(tmp_path: Path) -> None:
    places = {"a": (120, 30, 180), "b": (20, 100, 130)}
    for first, (name, box) in zip((2, 6), places.items(), strict=True):
        place(tmp_path / "in", name, [box], first=first)
    dataset_files.text(tmp_path / "in" / "captions.json", {"a.png": "a top"})
    dataset_files.text(tmp_path / "in" / "attributes.json", {"a": {"sleeve": "long"}})
    report = make(tmp_path / "in", tmp_path / "out")
    assert (report.count, report.kept, report.labelled, report.captioned) == (2, 2, 2, 1)
    entries = manifest(tmp_path / "out")
    for name, box in places.items():
        assert overlap(entries[name]["frame"], box) > 0.6  # type: ignore[arg-type]
    samples = open_photos(str(tmp_path / "out"))
    assert [sample.name for sample in samples] == ["a", "b"]
    assert samples[0].captions == ("a top",)
    assert samples[0].attributes == {"sleeve": "long"}
    for sample in samples:
        classes = sample.classes()
        assert classes is not None
        assert sample.image().shape == (1, 3, 64, 64)
        assert classes.shape == (1, 64, 64)
        assert {*classes.unique().tolist()} <= {*NUMBERS.tolist(), UNKNOWN}
        head = torch.isin(classes, NUMBERS[1:3])[0].nonzero()
        assert 0 <= int(head[:, 0].min()) < 12  # the head is at the top


def test_a_person_without_annotations_is_found_by_the_networks(tmp_path: Path) -> None:
    place(tmp_path / "in", "a", [(90, 20, 200)], first=2, labels=False)
    make(tmp_path / "in", tmp_path / "out")
    entry = manifest(tmp_path / "out")["a"]
    assert entry["status"] == "kept"
    assert overlap(entry["frame"], (90, 20, 200)) > 0.6  # type: ignore[arg-type]
    assert not (tmp_path / "out" / "labels").exists()


def test_whole_figures_fill_tall_images(tmp_path: Path) -> None:
    place(tmp_path / "in", "a", [(100, 40, 150)])
    make(tmp_path / "in", tmp_path / "out", size=(64, 32), show="figure")
    (sample,) = open_photos(str(tmp_path / "out"))
    classes = sample.classes()
    assert classes is not None
    assert classes.shape == (1, 64, 32)
    rows, columns = ((classes[0] > 0) & (classes[0] != UNKNOWN)).nonzero().T
    assert rows.min() in range(1, 8) or columns.min() in range(1, 4)  # a margin of a twentieth
    assert abs(float(columns.float().mean()) - 15.5) < 4  # in the middle


def test_photos_are_left_out_for_a_reason(tmp_path: Path) -> None:
    source = tmp_path / "in"
    place(source, "cut", [(-90, 40, 180)], first=1)
    place(source, "good", [(100, 20, 160)])
    place(source, "nobody", [])
    place(source, "small", [(100, 100, 45)], first=2)
    place(source, "two", [(10, 60, 150), (165, 50, 150)], first=3)
    place(source, "zsame", [(100, 20, 160)])
    (source / "images" / "broken.png").write_bytes(b"\x89PNG and nothing else")
    dataset_files.labels_file(source / "labels" / "broken.png", np.zeros((4, 4), np.uint8))
    report = make(source, tmp_path / "out")
    found = {name: entry.get("reason") for name, entry in manifest(tmp_path / "out").items()}
    assert found == {
        "broken": "a file cannot be read",
        "cut": "the person is cut off by the edge of the photo",
        "good": None,
        "nobody": "no person is found",
        "small": "the person is too small",
        "two": "there are several persons",
        "zsame": "the same as another",
    }
    assert report.kept == 1
    assert "1 of 7 photos became images" in report.summary
    assert manifest(tmp_path / "out")["zsame"]["same_as"] == "good"
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["good.png"]
    chosen = make(source, tmp_path / "largest", largest=True)
    assert chosen.kept == 2
    blurred = make(source, tmp_path / "sharp", sharpness=0.99)
    assert blurred.refused["blurred"] == 2


def test_a_stopped_run_goes_on_and_processes_make_no_difference(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number in range(3):
        place(source, f"p{number}", [(60 + 20 * number, 20, 150)], first=number)
    make(source, tmp_path / "whole", show="figure")
    make(source, tmp_path / "two", workers=2, show="figure")
    wanted = contents(tmp_path / "whole")
    assert contents(tmp_path / "two") == wanted
    path = tmp_path / "two" / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:20])  # killed while it wrote a line
    (tmp_path / "two" / "images" / "p1.png").unlink()
    make(source, tmp_path / "two", show="figure")
    assert contents(tmp_path / "two") == wanted
    with pytest.raises(FiceError, match="was prepared with size 64x64, not 32x32: give the same"):
        make(source, tmp_path / "two", size=(32, 32), show="figure")
    path.write_bytes(b"{]\n")
    with pytest.raises(FiceError, match="is damaged"):
        make(source, tmp_path / "two", show="figure")


def test_photos_that_are_added_take_no_names_of_others(tmp_path: Path) -> None:
    place(tmp_path / "in", "z", [(60, 20, 150)])
    (tmp_path / "in" / "images" / "z.png").rename(tmp_path / "in" / "images" / "a+b.png")
    (tmp_path / "in" / "labels" / "z.png").rename(tmp_path / "in" / "labels" / "a+b.png")
    make(tmp_path / "in", tmp_path / "out", show="figure")
    place(tmp_path / "in", "a$b", [(90, 40, 170)], first=3)  # sorted before the other one
    make(tmp_path / "in", tmp_path / "out", show="figure")
    images = {name: entry["image"] for name, entry in manifest(tmp_path / "out").items()}
    assert images == {"a+b": "a-b.png", "a$b": "a-b~2.png"}


def test_missing_models_are_one_line_and_not_a_reason(tmp_path: Path) -> None:
    place(tmp_path / "in", "a", [(60, 20, 150)])
    with pytest.raises(FiceError, match="there is no folder of models"):
        make(tmp_path / "in", tmp_path / "out", models=str(tmp_path / "none"))


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    image = sitters(1, 64).images
    blurred = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    value = sharpness(image)
    assert sharpness(blurred) < 0.7 * value
    assert sharpness(0.5 * image + 0.2) == pytest.approx(value, rel=1e-3)
    assert sharpness(torch.full((1, 3, 16, 16), 0.5)) == 0
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert sharpness(noise) == pytest.approx(1, abs=0.1)
    # Only what the mask shows counts.
    image[..., 32:] = noise[..., 32:]
    left = torch.zeros(1, 1, 64, 64)
    left[..., :32] = 1
    assert sharpness(image, left) < sharpness(image, 1 - left)


def test_fingerprints_know_resized_photos_and_tell_others_apart() -> None:
    images = sitters(3, 128).images
    marks = [fingerprint(images[k : k + 1]) for k in range(3)]
    small = torch.nn.functional.interpolate(images[:1], size=(90, 90), mode="area")
    seen = Seen()
    for number, mark in enumerate(marks):
        assert seen.like(mark, 10) is None
        seen.add(str(number), mark)
    assert seen.like(fingerprint(small), 20) == "0"
    assert seen.like(marks[2], 0) == "2"
    assert seen.like(marks[2], -1) is None


def test_the_command_tells_what_became_of_the_photos(tmp_path: Path) -> None:
    place(tmp_path / "in", "a", [(100, 20, 160)])
    place(tmp_path / "in", "b", [])
    options = ("--size", 64, "--show", "figure", "--sharpness", 0)
    result = command.fice("prepare", tmp_path / "in", "-o", tmp_path / "out", *options)
    assert result.stdout == (
        "1 of 2 photos became images, 1 with a label map, 0 with captions\n"
        "1 left out: no person is found\n"
    )
    line = command.mistake("prepare", tmp_path / "in", "-o", tmp_path / "in" / "out")
    assert "lies in the folder of the photos" in line
    assert "viton-hd" in command.mistake("prepare", "vitonhd:x", "-o", tmp_path / "o")


HEAD = b'{"made_with": {}}\n'


@pytest.mark.parametrize(
    "content",
    [
        b"[]\n",
        b'{"made_with": null}\n',
        b"\xff\xfe\n",
        HEAD + b'{"name": "a"}\n',
        HEAD + b'{"name": "a", "status": "kept"}\n',
        HEAD + b'{"name": "a", "status": "refused"}\n',
        HEAD
        + b'{"name": "a", "status": "kept", "fingerprint": "zz", "image": "a", "labels": true}\n',
        HEAD
        + b'{"name": "a", "status": "kept", "fingerprint": "00", "image": "a", "labels": true}\n',
        HEAD + b'{"name": "a", "status": "refused", "reason": ' + b"9" * 5000 + b"}\n",
    ],
)
def test_a_damaged_manifest_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(FiceError, match="is damaged: remove its folder"):
        Manifest(tmp_path, {})


def test_a_data_set_of_others_is_not_replaced(tmp_path: Path) -> None:
    for name in ("a", "b"):
        place(tmp_path / "in", name, [(100, 20, 160)])
    before = contents(tmp_path / "in")
    for photos in (tmp_path / "in" / "images", tmp_path / "in"):
        with pytest.raises(FiceError, match="which `fice prepare` did not write"):
            make(photos, tmp_path / "in", show="figure")
    left = contents(tmp_path / "in")
    left.pop(".fice.lock")
    assert left == before


def test_one_run_at_a_time(tmp_path: Path) -> None:
    place(tmp_path / "in", "a", [(100, 20, 160)])
    (tmp_path / "out").mkdir()
    with alone_in(tmp_path / "out"), pytest.raises(FiceError, match="another run is working"):
        make(tmp_path / "in", tmp_path / "out", show="figure")


def test_a_run_that_was_killed_after_its_first_file_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / "in", "a", [(100, 20, 160)])
    with monkeypatch.context() as kill, pytest.raises(SystemExit):
        kill.setattr(Manifest, "add", lambda *_: exit())
        make(tmp_path / "in", tmp_path / "out", show="figure")
    assert (tmp_path / "out" / "images" / "a.png").exists()
    assert make(tmp_path / "in", tmp_path / "out", show="figure").kept == 1
