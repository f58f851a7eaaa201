"""`fice edit` on toy networks: files, report, options."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import fice
from PIL import Image
from toys import toy_models

from fice_core import editing
from fice_core.images.photo import read_image
from fice_core.settings import EditSettings

TESTS = Path(__file__).parents[1]
SIZE = 24


def test_edit_writes_what_the_library_computes(
    toys: dict[str, Any], make_photo: Callable[..., Path], tmp_path: Path
) -> None:
    path, out = make_photo(), tmp_path / "out.png"
    result = fice("edit", path, "--prompt", "a shirt", "-o", out, "--steps", 5, "--seed", 3)
    assert result.exit_code == 0
    assert result.stdout == f"{out}: a shirt\n"
    assert result.stderr == ""
    assert toys == {"source": "demo", "device": "auto", "clip": None}

    settings = EditSettings(steps=5, seed=3, framing="whole")
    expected = editing.edit(toy_models(), read_image(path)[None], "a shirt", settings)
    levels = (expected.images[0].clamp(0, 1) * 255).round() / 255
    assert torch.allclose(read_image(out), levels, atol=1e-6)
    # What lies outside of the edit has the very levels of the photo.
    before, after = np.asarray(Image.open(path)), np.asarray(Image.open(out))
    untouched = (expected.edit_mask[0, 0] == 0).numpy()
    assert untouched.any()
    assert not untouched.all()
    assert (before[untouched] == after[untouched]).all()
    assert (before[~untouched] != after[~untouched]).any()


def test_edit_is_carried_out_as_asked(
    toys: dict[str, Any],
    make_photo: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda function: asked.append(function) or function)
    out = tmp_path / "out.png"
    line = ("edit", make_photo(), "--prompt", "a shirt", "-o", out, "--steps", 2, "--device", "cpu")
    assert fice(*line).exit_code == 0
    assert not asked
    again = fice(*line, "--execution", "compile")
    assert again.exit_code == 0
    assert "exists and will be replaced" in again.stderr
    assert asked
    result = fice(*line, "--execution", "graph", "--overwrite")
    assert result.exit_code == 2
    assert "needs a CUDA device" in result.stderr
    assert result.stderr.count("\n") == 1


def test_edit_many_images_and_prompts_into_a_folder(
    toys: dict[str, Any], make_photo: Callable[..., Path], tmp_path: Path
) -> None:
    inputs = [
        make_photo("a.png"),
        make_photo("b.jpg", (SIZE, 2 * SIZE)),
        make_photo("c.png", seed=1),
    ]
    out = tmp_path / "edits"
    result = fice(
        *("edit", *inputs, "--prompt", "a shirt", "--prompt", "a top", "-o", out, "--steps", 2)
    )
    assert result.exit_code == 0
    names = [f"{stem}-{k}.png" for stem in "abc" for k in (1, 2)]
    assert sorted(file.name for file in out.iterdir()) == names
    assert read_image(out / "b-1.png").shape == (3, 2 * SIZE, SIZE)
    assert len(result.stdout.splitlines()) == 6

    alone = tmp_path / "alone.png"
    fice("edit", inputs[2], "--prompt", "a top", "-o", alone, "--steps", 2)
    assert alone.read_bytes() == (out / "c-2.png").read_bytes()


def test_edit_report(toys: dict[str, Any], make_photo: Callable[..., Path], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = fice(
        *(
            "edit",
            make_photo(),
            "--prompt",
            "xyzzy shirt",
            "-o",
            tmp_path / "o.png",
            "--preset",
            "paper",
        ),
        *("--steps", 4, "--report", report),
    )
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fice: warning: ")
    assert "xyzzy" in lines[0]
    found = json.loads(report.read_text())
    assert found["settings"]["steps"] == 4
    assert found["settings"]["stitch"] == "head"
    assert found["models"] == "demo"
    assert found["device"] == "cpu"
    assert len(found["warnings"]) == 1
    (edit,) = found["edits"]
    assert edit["prompt"] == "xyzzy shirt"
    assert edit["output"] == str(tmp_path / "o.png")
    assert len(edit["trace"]["total"]) == len(edit["seconds"]) == 4
    assert edit["start"]["total"] == edit["trace"]["total"][0]
    assert edit["kept"]["clip"] == edit["trace"]["clip"][edit["kept_step"]]
    weights = found["settings"]["weights"]
    total = sum(weights[term] * edit["start"][term] for term in edit["start"] if term != "total")
    assert total == pytest.approx(edit["start"]["total"], rel=1e-4)


def test_repeated_seed_repeats_the_file(
    toys: dict[str, Any], make_photo: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_photo()
    for name in ("one.png", "two.png"):
        fice("edit", path, "--prompt", "a shirt", "-o", tmp_path / name, "--steps", 3)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_jpeg_output_warns(
    toys: dict[str, Any], make_photo: Callable[..., Path], tmp_path: Path
) -> None:
    result = fice("edit", make_photo(), "--prompt", "a", "-o", tmp_path / "o.jpg", "--steps", 1)
    assert result.exit_code == 0
    assert "JPEG" in result.stderr
    assert read_image(tmp_path / "o.jpg").shape == (3, SIZE, SIZE)


@pytest.mark.parametrize("fits", [("--refine-steps", 3), ("--tune-steps", 4), ()])
def test_fits_to_the_photo_are_reported(
    toys: dict[str, Any], make_photo: Callable[..., Path], tmp_path: Path, fits: tuple[Any, ...]
) -> None:
    report, out = tmp_path / "report.json", tmp_path / "out"
    inputs = [make_photo("a.png", seed=1), make_photo("b.png", seed=2)]
    prompts = ("--prompt", "a shirt", "--prompt", "a top")
    options = ("--steps", 2, "--report", report, *fits)
    assert fice("edit", *inputs, *prompts, "-o", out, *options).exit_code == 0
    found = json.loads(report.read_text())
    wanted = {"refinement": 3} if "--refine-steps" in fits else {}
    wanted |= {"tuning": 4} if "--tune-steps" in fits else {}
    for entry in found["edits"]:
        steps = {name: entry[name]["steps"] for name in ("refinement", "tuning") if name in entry}
        assert steps == wanted
    # What is done to a photo does not depend on what else is edited.
    alone = tmp_path / "alone.png"
    fice("edit", inputs[1], "--prompt", "a top", "-o", alone, "--steps", 2, *fits)
    assert alone.read_bytes() == (out / "b-2.png").read_bytes()
