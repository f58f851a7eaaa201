"""Paths of `fice edit` and `fice batch`: nothing of the user's is lost, and all is said before the work."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_files import random_image, table
from command import edit_mistake, fice, mistake
from PIL import Image
from png_files import png16
from toys import toy_models

from fice_core import editing
from fice_core import models as models_module
from fice_core.batch import workers
from fice_core.batch.editor import Editor, Outcome, Setup, Work
from fice_core.commands.photos import merged

LONG = "x" * 300


class Here:
    """A worker in this process."""

    def __init__(self, setup: Setup) -> None:
        self._editor = Editor(setup)

    def run(self, work: Work) -> Outcome:
        return workers.accepted(self._editor.answer(work))

    def close(self) -> None:
        pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LocalWorker", Here)
    monkeypatch.setattr(models_module, "load_models", lambda *_, **__: toy_models())


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(editing, "load_models", work)
    monkeypatch.setattr(models_module, "load_models", work)


def batch(listed: object, out: object, *options: object) -> Any:
    return fice("batch", listed, "-o", out, "--steps", 2, "--frame", "whole", *options)


OPTIONS = ["--mask", "--person-mask", "--report", "--models", "--clip"]


@pytest.mark.parametrize("name", ["", " ", LONG, "sub/" + LONG])
def test_names_are_checked_first(no_work: None, photo: Path, tmp_path: Path, name: str) -> None:
    for line in (
        ["edit", name, "--prompt", "a", "-o", tmp_path / "o.png"],
        ["edit", photo, "--prompt", "a", "-o", name],
        *(["edit", photo, "--prompt", "a", "-o", tmp_path / "o.png", o, name] for o in OPTIONS),
        ["batch", name, "--prompt", "a", "-o", tmp_path / "out"],
        ["batch", tmp_path, "--prompt", "a", "-o", name],
        ["restore", name, photo, "-o", tmp_path / "o.png"],
        ["restore", photo, photo, "-o", name],
        ["drift", photo, name],
        ["drift", photo, photo, "--heat", name],
        ["inspect", name],
        ["convert", name, tmp_path / "o.safetensors"],
        ["demo", "-o", name],
        ["evaluate", "--report", name],
        ["evaluate", "--images", name],
        ["bench", "--report", name],
        ["train", "demo", "-o", name],
    ):
        message = mistake(*line)
        assert "is empty" in message or "too long" in message
        assert len(message) < 250
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_no_output_replaces_an_input(no_work: None, photo: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (24, 24), 255).save(mask)
    before = {path: path.read_bytes() for path in (photo, mask)}
    out = tmp_path / "o.png"
    assert "would overwrite an input" in edit_mistake(photo, out, "--report", photo)
    assert "would overwrite an input" in edit_mistake(photo, mask, "--mask", mask)
    assert "would overwrite an input" in edit_mistake(photo, out, "--mask", mask, "--report", mask)
    assert "would overwrite an input" in edit_mistake(photo, mask, "--person-mask", mask)
    assert "is also that of" in edit_mistake(photo, out, "--report", out)
    (tmp_path / "clip.pt").touch()
    assert "would overwrite an input" in edit_mistake(
        photo, out, "--clip", tmp_path / "clip.pt", "--report", tmp_path / "clip.pt"
    )
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").touch()
    assert "would overwrite an input" in edit_mistake(
        photo, out, "--clip", tmp_path / "hub", "--report", tmp_path / "hub" / "config.json"
    )
    assert {path: path.read_bytes() for path in before} == before
    assert not out.exists()


def test_commands_that_write_two_files_or_read_one(no_work: None, tmp_path: Path) -> None:
    x = tmp_path / "x.png"
    assert "is also that of --report" in mistake("bench", "--report", x, "--plot", x)
    one = tmp_path / "x.safetensors"
    one.write_bytes(b"network")
    assert "would overwrite an input" in mistake("convert", one, one)
    assert one.read_bytes() == b"network"


def test_the_folder_of_the_photos_is_not_that_of_the_results(no_work: None, tmp_path: Path) -> None:
    random_image(tmp_path / "in" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for out in (tmp_path / "in", f"{tmp_path}/in/", tmp_path / "link"):
        for command in ("edit", "batch"):
            message = mistake(command, tmp_path / "in", "--prompt", "a", "-o", out)
            assert "is the folder of the photos" in message
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.jpg"]


def test_a_file_that_is_there(toys: object, photo: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "o.png", tmp_path / "r.json"
    for path in (out, report):
        path.write_bytes(b"mine")
    line = ("edit", photo, "--prompt", "a", "--steps", 1, "-o")
    told = fice(*line, out, "--report", report)
    assert told.exit_code == 0
    assert [name for name in ("o.png", "r.json") if f"{name} exists" in told.stderr]
    assert told.stderr.count("exists and will be replaced") == 2
    assert fice(*line, out, "--overwrite").stderr == ""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "photo.png").write_bytes(b"mine")
    assert "out has photo.png already" in edit_mistake(photo, folder)
    assert (folder / "photo.png").read_bytes() == b"mine"
    assert fice(*line, folder, "--overwrite").exit_code == 0
    assert Image.open(folder / "photo.png").size == (24, 24)


def test_a_report_needs_its_folder_also_beside_a_new_one(
    no_work: None, photo: Path, tmp_path: Path
) -> None:
    report = tmp_path / "none" / "r.json"
    assert "make the folder" in edit_mistake(photo, f"{tmp_path}/new/", "--report", report)


def test_a_batch_leaves_files_of_others_alone(here: None, tmp_path: Path) -> None:
    random_image(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "a.png"
    mine.write_bytes(b"mine")
    line = (tmp_path / "in", tmp_path / "out", "--prompt", "a")
    refused = batch(*line)
    assert refused.exit_code == 2
    assert "not of this batch, a.png" in refused.stderr
    assert mine.read_bytes() == b"mine"
    assert batch(*line, "--overwrite").exit_code == 0
    assert batch(*line).exit_code == 0  # finished
    assert batch(*line, "--restart").exit_code == 0  # its own results


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8(here: None, toys: object, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    random_image(tmp_path / "in" / "a.png").rename(tmp_path / "in" / name)
    for _ in range(2):
        assert batch(tmp_path / "in", tmp_path / "out", "--prompt", "a").exit_code == 0
    assert (tmp_path / "out" / name).is_file()


def test_what_is_no_image_in_a_folder_is_told(here: None, toys: object, tmp_path: Path) -> None:
    random_image(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "in" / ".hidden").touch()
    (tmp_path / "in" / ".thumbnails").mkdir()
    words = f"left out 2 files of {tmp_path / 'in'} that FICE cannot read as an image"
    for result in (
        fice("edit", tmp_path / "in", "--prompt", "a", "-o", tmp_path / "o", "--steps", 1),
        batch(tmp_path / "in", tmp_path / "out", "--prompt", "a"),
    ):
        assert result.exit_code == 0
        (line,) = result.stderr.splitlines()
        assert words in line
        assert "IMG_1.HEIC, gone.png" in line
    (tmp_path / "in" / "a.png").unlink()
    message = edit_mistake(tmp_path / "in", tmp_path / "o2")
    assert "no image in the folder" in message
    assert "IMG_1.HEIC" in message


def test_subfolders_of_a_folder_are_told(here: None, toys: object, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    random_image(folder / "a.png")
    for name in ("sub.png", "more", ".hidden", "results"):
        (folder / name).mkdir()
    for others, words in (
        ((), f"left out 2 subfolders of {folder}: more, sub.png"),
        (
            ("b.HEIC",),
            f"left out 1 file of {folder} that FICE cannot read as an image: b.HEIC; and 2 subfolders: "
            "more, sub.png",
        ),
    ):
        for name in others:
            (folder / name).touch()
        out = folder / "results" / f"o{len(others)}"
        for result in (
            fice("edit", folder, "--prompt", "a", "-o", f"{out}/", "--steps", 1),
            batch(folder, folder / "results", "--prompt", "a", "--restart", "--overwrite"),
        ):
            assert result.exit_code == 0
            assert result.stderr == f"fice: warning: {words}\n"
    for name in ("a.png", "b.HEIC"):
        (folder / name).unlink()
    message = edit_mistake(folder, tmp_path / "o2")
    assert message.startswith(f"there is no image in the folder {folder}; its subfolders")
    assert message.endswith("are not searched: more, results, sub.png")


def test_a_batch_warns_as_an_edit_does(here: None, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (40, 40, 3))
    (tmp_path / "deep.png").write_bytes(png16(levels))
    random_image(tmp_path / "a.png")
    Image.open(tmp_path / "a.png").save(tmp_path / "titled.tif", comment="x", dpi=(300, 300))
    path = table(
        tmp_path,
        "photo,prompt,output",
        "deep.png,red,deep.jpg",
        "a.png,red,a.jpg",
        "titled.tif,red,t.bmp",
    )
    for _ in range(2):  # the second time from the journal
        result = batch(path, tmp_path / "out")
        assert result.exit_code == 0
        said = result.stderr.splitlines()
        assert len(said) == 2
        deep, plain = tmp_path / "deep.png", tmp_path / "a.png"
        assert any(f"{deep}, {plain}: JPEG alters every pixel" in line for line in said)
        assert any(f"{deep}: the image has 16 bits a channel" in line for line in said)


def test_masks_with_transparency(here: None, toys: object, tmp_path: Path) -> None:
    photo = random_image(tmp_path / "a.png")
    alpha = Image.new("L", (40, 40))
    alpha.paste(255, (0, 0, 20, 40))
    white = Image.new("L", (40, 40), 255)
    Image.merge("LA", [white, alpha]).save(tmp_path / "m.png")
    cut = Image.open(photo)
    cut.putalpha(alpha)
    cut.save(tmp_path / "cut.png")
    out, out_b = tmp_path / "o.png", tmp_path / "out" / "a.png"
    edited = fice("edit", photo, "--prompt", "red", "-o", out, "--mask", tmp_path / "m.png")
    assert edited.exit_code == 0
    assert "count as black" in edited.stderr
    batch(table(tmp_path, "photo,prompt,mask", "a.png,red,m.png"), tmp_path / "out")
    for path in (out, out_b):
        same = (np.asarray(Image.open(path)) == np.asarray(Image.open(photo))).all(axis=2)
        assert same[:, 20:].all()
        assert not same.all()
    assert "cannot be told" in edit_mistake(photo, out, "--mask", tmp_path / "cut.png")
    refused = batch(table(tmp_path, "photo,prompt,mask", "a.png,red,cut.png"), tmp_path / "out2")
    assert refused.exit_code == 2
    assert "cannot be told" in refused.stderr


def test_one_result_that_cannot_be_stored_stops_no_other(here: None, tmp_path: Path) -> None:
    random_image(tmp_path / "a.png")
    random_image(tmp_path / "b.png")
    (tmp_path / "out").mkdir()
    path = table(tmp_path, "photo,prompt", "a.png,red", "b.png,red")

    def blocked(name: object, target: object) -> None:
        if str(target).endswith("a.png"):
            raise OSError(36, "File name too long")
        rename(name, target)

    rename = os.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", blocked)
        for _ in range(2):
            result = batch(path, tmp_path / "out")
            assert result.exit_code == 2
            assert "a.png was not made: it cannot be placed: File name too long" in result.stderr
            assert (tmp_path / "out" / "b.png").is_file()
    assert batch(path, tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "a.png").is_file()


def test_formats_that_cannot_hold_the_photo(no_work: None, tmp_path: Path) -> None:
    Image.new("RGB", (16_400, 4_100)).save(tmp_path / "wide.png")
    message = edit_mistake(tmp_path / "wide.png", tmp_path / "o.webp")
    assert "at most 16383 pixels a side" in message
    path = table(tmp_path, "photo,prompt,output", "wide.png,red,o.webp")
    assert "row 2: a .webp file" in mistake("batch", path, "-o", tmp_path / "out")


@pytest.mark.parametrize("name", ["/dev/zero", "/proc/self/mem"])
def test_devices_are_not_read(no_work: None, photo: Path, tmp_path: Path, name: str) -> None:
    assert "device or a pipe" in edit_mistake(name, tmp_path / "o.png")
    assert "device or a pipe" in edit_mistake(photo, tmp_path / "o.png", "--mask", name)


def test_prompts_are_told_and_checked(
    toys: object, make_photo: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "o.png"
    told = fice("edit", make_photo(), "--prompt", "(red:1.2) shirt", "-o", out, "--steps", 1)
    assert told.exit_code == 0
    assert "a weight is for a whole prompt" in told.stderr
    inputs = [make_photo("a.png"), make_photo("b.png", (24, 48))]
    line = ["edit", *inputs, "--prompt", "a", "--prompt", "red |", "-o", tmp_path / "out"]
    assert "prompt is empty" in mistake(*line, "--frame", "whole")
    assert not (tmp_path / "out").exists()


def test_boxes_of_another_scale(no_work: None, photo: Path, tmp_path: Path) -> None:
    message = edit_mistake(photo, tmp_path / "o.png", "--box", "0,0,1000000,1000000")
    assert "0,0,1000000,1000000 is more than twice as large as the image" in message
    message = edit_mistake(photo, tmp_path / "o.png", "--box", "30,0,40,10")
    assert "the box 30,0,40,10 lies outside of the image, which has 24 x 24 pixels" in message


def test_a_device_that_is_not_here(
    models: object, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    message = edit_mistake(photo, tmp_path / "o.png", "--device", "nonsense")
    assert "try auto, cpu, cuda:0, cuda:1" in message


def test_lines_that_differ_in_the_file_become_one() -> None:
    names = ["in/a: b.png", "in/c.png", "d.png", "e.png", "f.png"]
    lines = [f"{name}: its profile is left out" for name in names]
    assert merged([*lines, lines[0], "no file", "other: x"], names) == [
        "in/a: b.png, in/c.png, d.png and 2 more: its profile is left out",
        "no file",
        "other: x",
    ]


def test_a_report_of_a_name_that_is_not_utf8(toys: object, photo: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    line = ("edit", photo, "--prompt", "grün", "-o", tmp_path / "o.png", "--steps", 1)
    assert fice(*line, "--report", report).exit_code == 0
    assert json.loads(report.read_bytes())["edits"][0]["prompt"] == "grün"
    assert "grün" in report.read_text(encoding="utf-8")
