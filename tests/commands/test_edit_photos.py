"""`fice edit` on photographs: folders, persons, boxes and masks, and what of a file survives an edit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from batch_files import random_image
from click.testing import CliRunner, Result
from PIL import Image, ImageCms
from png_files import png16
from toys import toy_models

from fice_core import editing
from fice_core.cli import main
from fice_core.commands import photos as photos_module
from fice_core.framing import Frame
from fice_core.images import png16 as png16_codec
from fice_core.images.photo import read_photo
from fice_core.persons import selection
from fice_core.persons.search import Person

SIZE = 40


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "load_models", lambda *_, **__: toy_models())


def found(monkeypatch: pytest.MonkeyPatch, *boxes: tuple[int, int, int, int]) -> None:
    """Toy networks see no persons; these are to be found."""

    def find(generator: object, segmenter: object, photo: torch.Tensor) -> list[Person]:
        size = (photo.shape[2], photo.shape[3])
        return [Person(Frame(size, (8, 8), box), 1.0) for box in boxes]

    monkeypatch.setattr(selection, "find_persons", find)


def white(path: Path, box: tuple[int, int, int, int] | None, size: tuple[int, int]) -> Path:
    mask = Image.new("L", size)
    if box is not None:
        mask.paste(255, box)
    mask.save(path)
    return path


def edit(*arguments: object) -> Result:
    line = ["edit", *arguments, "--prompt", "a shirt", "--steps", 2]
    return CliRunner().invoke(main, [str(part) for part in line], catch_exceptions=False)


def frame(*arguments: object) -> list[int]:
    """The box that the generator saw."""
    report = Path(str(arguments[0])).parent / "report.json"
    result = edit(*arguments, "--report", report, "-o", report.with_name("out.png"))
    assert result.exit_code == 0, result.stderr
    box: list[int] = json.loads(report.read_text())["edits"][0]["frame"]
    return box


def mistake(*arguments: object) -> str:
    result = edit(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("fice: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


# Folders


def test_a_folder_is_all_images_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    random_image(folder / "b.png", 50, 30)
    random_image(folder / "a.JPG")
    random_image(folder / "c.png", 50, 30)
    random_image(folder / "sub.png" / "deeper.png")
    (folder / "notes.txt").write_text("no image")
    (folder / "._a.jpg").write_bytes(b"\0\5\26\7")
    result = edit(folder, "-o", out, "--frame", "whole")
    assert result.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png", "c.png"]
    together = (out / "c.png").read_bytes()
    # The same where nothing may be held in memory.
    monkeypatch.setattr(photos_module, "MAX_PIXELS", 10)
    monkeypatch.setattr("fice_core.batch.groups.MAX_PIXELS", 10)
    refused = edit(folder, "-o", out, "--frame", "whole")
    assert refused.exit_code == 2
    assert "has a.png, b.png, c.png already" in refused.stderr
    assert edit(folder, "-o", out, "--frame", "whole", "--overwrite").exit_code == 0
    assert (out / "c.png").read_bytes() == together


def test_few_photos_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(random_image(tmp_path / f"{k}.png")) for k in range(5)]
    monkeypatch.setattr(photos_module, "MAX_PIXELS", 2 * SIZE * SIZE)
    photos = photos_module.Photos()
    for _ in range(2):
        for path in paths:
            assert torch.equal(photos.read(path).pixels, read_photo(path).pixels)
        assert len(photos._held) == 2
    assert photos.sizes == dict.fromkeys(paths, (SIZE, SIZE))


def test_bad_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there is no image in the folder" in mistake(tmp_path / "empty", "-o", tmp_path / "o")
    random_image(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"hello")
    assert "b.png is not an image" in mistake(tmp_path / "in", "-o", tmp_path / "o")
    assert list((tmp_path / "o").iterdir()) == []


# Where the person is


def test_options_that_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = random_image(tmp_path / "a.png", 100, SIZE)
    found(monkeypatch, (0, 0, 40, 40), (60, 2, 95, 37))
    assert frame(photo) == frame(photo, "--person", 0) == [0, 0, 40, 40]
    assert frame(photo, "--person", 1) == [60, 2, 95, 37]
    assert frame(photo, "--person", 1, "--preset", "paper") == [60, 2, 95, 37]
    assert frame(photo, "--frame", "whole") == [0, -30, 100, 70]
    assert frame(photo, "--box", "10,4,44,38") == [10, 4, 44, 38]
    mask = white(tmp_path / "m.png", (65, 10, 90, 30), (100, SIZE))
    assert frame(photo, "--person-mask", mask) == [60, 2, 95, 37]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no person of at least 32 pixels was found"),
        (["--person", "1"], "no person of at least 32 pixels was found"),
        (["--person", "-1"], "--person"),
        (["--box", "1,2,3"], "left,top,right,bottom"),
        (["--box", "a,b,c,d"], "left,top,right,bottom"),
        (["--box", "10,10,10,30"], "is empty"),
        (["--box", "200,0,260,40"], "lies outside of the image"),
        (["--box", "0,0,20,20"], "at least 32 are needed"),
        (["--box", "0,0,40,40", "--person", "0"], "--person and --box both say"),
        (["--frame", "whole", "--person", "0"], "--person and --frame whole both say"),
        (["--frame", "half"], "--frame"),
        (["--garment", "hat"], "--garment"),
        (["--stitch", "glue"], "--stitch"),
    ],
)
def test_mistakes_of_framing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    found(monkeypatch)
    photo, out = random_image(tmp_path / "a.png", 100, SIZE), tmp_path / "o.png"
    assert words in mistake(photo, "-o", out, *options)
    assert not out.exists()


def test_a_person_beyond_those_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, (0, 0, 40, 40))
    photo = random_image(tmp_path / "a.png", 100, SIZE)
    message = mistake(photo, "-o", tmp_path / "o.png", "--person", 4)
    assert "there is no person 4: 1 found" in message
    assert str(photo) in message


# What may change


def test_a_mask_limits_the_edit(tmp_path: Path) -> None:
    photo, out = random_image(tmp_path / "a.png"), tmp_path / "o.png"
    mask = white(tmp_path / "m.png", (0, 0, SIZE // 2, SIZE), (SIZE, SIZE))
    assert edit(photo, "-o", out, "--frame", "whole", "--mask", mask).exit_code == 0
    same = (np.asarray(Image.open(out)) == np.asarray(Image.open(photo))).all(axis=2)
    assert same[:, SIZE // 2 :].all()
    assert not same.all()


def test_mistakes_of_masks(tmp_path: Path) -> None:
    photo, line = random_image(tmp_path / "a.png"), ["-o", tmp_path / "o.png", "--frame", "whole"]
    black = white(tmp_path / "black.png", None, (SIZE, SIZE))
    assert "black.png is black everywhere" in mistake(photo, *line, "--mask", black)
    small = white(tmp_path / "small.png", (0, 0, 9, 9), (20, 10))
    message = mistake(photo, *line, "--mask", small)
    assert "small.png has 20 x 10 pixels" in message
    assert str(photo) in message
    assert "there is no file" in mistake(photo, *line, "--mask", tmp_path / "none.png")
    assert "of the photo's size" in mistake(photo, *line[:2], "--person-mask", small)
    before = small.read_bytes()
    assert "overwrite" in mistake(photo, "-o", small, "--mask", small)
    assert small.read_bytes() == before


def test_texts_and_choices_arrive(tmp_path: Path) -> None:
    photo, report = random_image(tmp_path / "a.png"), tmp_path / "r.json"
    line = ["-o", tmp_path / "o.png", "--frame", "whole", "--report", report]
    line += ["--negative", "a coat", "--from", "a top", "--garment", "outfit"]
    assert edit(photo, *line, "--stitch", "pyramid").exit_code == 0
    written = json.loads(report.read_text())
    assert written["texts"] == {"negative": "a coat", "source": "a top"}
    assert written["settings"]["garment"] == "outfit"
    assert written["settings"]["stitch"] == "pyramid"
    assert "clip_direction" in written["edits"][0]["trace"]


# What a file says of itself


def deep(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return png16_codec.decode(image, path.read_bytes())


def test_16_bits_outside_of_the_edit_are_kept_to_the_last(tmp_path: Path) -> None:
    photo, out = tmp_path / "deep.png", tmp_path / "o.png"
    levels = np.random.default_rng(0).integers(0, 65536, (SIZE, SIZE, 3)).astype(np.uint16)
    photo.write_bytes(png16(levels))
    mask = white(tmp_path / "m.png", (0, 0, SIZE, SIZE // 2), (SIZE, SIZE))
    line = [photo, "--frame", "whole", "--mask", mask]
    assert edit(*line, "-o", out).exit_code == 0
    result = deep(out)
    assert (result[SIZE // 2 :] == levels[SIZE // 2 :]).all()
    assert (result != levels).any()
    assert len(np.unique(result % 257)) > 100  # the low bytes of the edit, too
    warned = edit(*line, "-o", tmp_path / "o.tif")
    assert warned.exit_code == 0
    assert "only .png keeps more than 8" in warned.stderr


def test_profile_and_exif_are_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo, out = tmp_path / "a.jpg", tmp_path / "o.png"
    Image.new("RGB", (60, SIZE)).save(photo, exif=exif, icc_profile=profile)
    assert edit(photo, "-o", out, "--frame", "whole").exit_code == 0
    with Image.open(out) as image:
        image.load()
        assert image.size == (SIZE, 60)
        assert image.info["icc_profile"] == profile
        assert dict(image.getexif()) == {0x010F: "camera"}


def test_damaged_exif_is_told(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    Image.new("RGB", (SIZE, SIZE)).save(photo, exif=b"Exif\0\0II*\0" + b"\xff" * 30)
    result = edit(photo, "-o", tmp_path / "o.png", "--frame", "whole")
    assert result.exit_code == 0
    assert result.stderr.count("EXIF data is damaged") == 1
