"""The `fice` command doing its work, on toy networks where a network is needed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_writers import tiny_generator
from command import fice
from PIL import Image
from toys import toy_models

import fice_core.demo
from fice_core import checkpoints, editing
from fice_core.commands import console
from fice_core.images.photo import read_image
from fice_core.reporting import plots
from fice_core.settings import EditSettings

TESTS = Path(__file__).parents[1]
SIZE = 24


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Toy networks in place of the real ones; holds what `load_models` was asked for."""
    asked: dict[str, Any] = {}

    def load_models(source: str, device: str, clip: str | None) -> editing.Models:
        asked.update(source=source, device=device, clip=clip)
        return toy_models()

    monkeypatch.setattr(editing, "load_models", load_models)
    return asked


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """Makes image files of random pixels."""

    def make(name: str = "photo.png", size: tuple[int, int] = (SIZE, SIZE), seed: int = 0) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return make


def test_edit_writes_what_the_library_computes(
    toys: dict[str, Any], photo: Callable[..., Path], tmp_path: Path
) -> None:
    path, out = photo(), tmp_path / "out.png"
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
    photo: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda function: asked.append(function) or function)
    out = tmp_path / "out.png"
    line = ("edit", photo(), "--prompt", "a shirt", "-o", out, "--steps", 2, "--device", "cpu")
    assert fice(*line).exit_code == 0
    assert not asked
    assert fice(*line, "--execution", "compile").exit_code == 0
    assert asked
    result = fice(*line, "--execution", "graph")
    assert result.exit_code == 2
    assert "needs a CUDA device" in result.stderr
    assert result.stderr.count("\n") == 1


def test_edit_many_images_and_prompts_into_a_folder(
    toys: dict[str, Any], photo: Callable[..., Path], tmp_path: Path
) -> None:
    inputs = [photo("a.png"), photo("b.jpg", (SIZE, 2 * SIZE)), photo("c.png", seed=1)]
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


def test_edit_report(toys: dict[str, Any], photo: Callable[..., Path], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = fice(
        *(
            "edit",
            photo(),
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
    toys: dict[str, Any], photo: Callable[..., Path], tmp_path: Path
) -> None:
    path = photo()
    for name in ("one.png", "two.png"):
        fice("edit", path, "--prompt", "a shirt", "-o", tmp_path / name, "--steps", 3)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_jpeg_output_warns(
    toys: dict[str, Any], photo: Callable[..., Path], tmp_path: Path
) -> None:
    result = fice("edit", photo(), "--prompt", "a", "-o", tmp_path / "o.jpg", "--steps", 1)
    assert result.exit_code == 0
    assert "JPEG" in result.stderr
    assert read_image(tmp_path / "o.jpg").shape == (3, SIZE, SIZE)


class BarThatInterrupts:
    """In place of the progress bar; Ctrl-C at the third step."""

    def __init__(self, *_: object) -> None:
        self.n = 0
        self.calls = 0

    def __enter__(self) -> "BarThatInterrupts":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self) -> None:
        self.calls += 1
        if self.calls == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("keep", [False, True])
def test_interrupt(
    toys: dict[str, Any],
    photo: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: bool,
) -> None:
    monkeypatch.setattr("fice_core.commands.edit.bar", BarThatInterrupts)
    path, out, report = photo(), tmp_path / "o.png", tmp_path / "r.json"
    flag = ["--keep-on-interrupt"] if keep else []
    result = fice("edit", path, "--prompt", "a shirt", "-o", out, "--report", report, *flag)
    assert result.exit_code == 130
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert out.exists() == report.exists() == keep
    if keep:
        assert str(out) in result.stderr
        assert len(json.loads(report.read_text())["edits"][0]["trace"]["total"]) == 3
        assert not torch.equal(read_image(out), read_image(path))


def test_interrupt_while_loading(
    photo: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_models(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(editing, "load_models", load_models)
    result = fice("edit", photo(), "--prompt", "a", "-o", tmp_path / "o.png")
    assert result.exit_code == 130
    assert result.stderr == "fice: interrupted\n"


# Runs the command on toy networks; makes the file STARTED at the first step.
TOY_COMMAND = """
import sys
from pathlib import Path
from fice_core import editing, inversion
from fice_core.cli import main
from toys import toy_models
editing.load_models = lambda *a, **k: toy_models()
real = editing.edit
def edit(models, images, prompts, settings, on_step, **others):
    def step(state):
        Path("STARTED").touch()
        on_step(state)
    return real(models, images, prompts, settings, step, **others)
editing.edit = edit
main(prog_name="fice")
"""


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing on Windows")
def test_ctrl_c_in_a_real_process(photo: Callable[..., Path], tmp_path: Path) -> None:
    path, out = photo(), tmp_path / "o.png"
    arguments = ["edit", str(path), "--prompt", "a", "-o", str(out), "--keep-on-interrupt"]
    arguments += ["--preset", "paper", "--steps", "200000"]
    process = subprocess.Popen(
        [sys.executable, "-c", TOY_COMMAND, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has Ctrl-C ignored; undo that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "STARTED").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.splitlines() == [f"fice: interrupted; the best result so far is in {out}"]
    assert read_image(out).shape == (3, SIZE, SIZE)


def test_demo_writes_two_images(
    toys: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    prompts = ["a shirt", "a top", "a tank top", "a sweater"]
    sample = SimpleNamespace(images=images, prompts=prompts)
    monkeypatch.setattr(fice_core.demo, "figures", lambda: sample, raising=False)
    folder = tmp_path / "demo"
    result = fice("demo", "-o", folder, "--steps", 3)
    assert result.exit_code == 0
    for name in ("edits.png", "losses.png"):
        assert str(folder / name) in result.stdout
    sheet = Image.open(folder / "edits.png")
    expected = plots.comparison(
        list("abcd"), [plots.Row(prompt, [images[0]] * 4) for prompt in prompts], blocks=2
    )
    assert sheet.size == expected.size
    assert min(Image.open(folder / "losses.png").size) > 400


def test_demo_with_the_bundled_models(tmp_path: Path) -> None:
    result = fice("demo", "-o", tmp_path, "--steps", 2)
    assert result.exit_code == 0
    assert result.stderr == ""  # no word of the prompts is unknown, no loss went bad
    sheet = np.asarray(Image.open(tmp_path / "edits.png"))
    assert (sheet < 100).mean() > 0.05  # figures, not blank paper


def test_evaluate_with_the_bundled_models(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = fice(
        *("evaluate", "--count", 2, "--steps", 2, "--variant", "default", "--report", report),
        *("--pictures", tmp_path / "sheets"),
    )
    assert result.exit_code == 0
    assert "| default |" in result.stdout
    (row,) = json.loads(report.read_text())["rows"]
    assert row["outside_equal"] == 1
    assert row["steps"] == 2
    assert [file.name for file in (tmp_path / "sheets").iterdir()] == ["default.png"]


def test_inspect_and_convert(tmp_path: Path) -> None:
    network, first, second = (
        tiny_generator(),
        tmp_path / "g.safetensors",
        tmp_path / "h.safetensors",
    )
    checkpoints.save(network, first)
    result = fice("inspect", first)
    assert result.exit_code == 0
    summary, *details = result.stdout.splitlines()
    assert summary == checkpoints.describe(first).summary
    assert any(line.split()[:1] == ["num_ws"] for line in details)

    result = fice("convert", first, second, "--half")
    assert result.exit_code == 0
    again = checkpoints.load_generator(second)
    assert again.config == network.config
    w_plus = torch.randn(
        1, network.num_ws, network.w_dim, generator=torch.Generator().manual_seed(1)
    )
    difference = again.synthesize(w_plus) - network.synthesize(w_plus)
    assert 0 < difference.abs().max() < 0.05
    assert second.stat().st_size < first.stat().st_size


def test_version_and_bare_command() -> None:
    bare, asked = fice(), fice("--help")
    assert bare.exit_code == asked.exit_code == 0
    assert bare.output == asked.output
    for name in ("demo", "edit", "inspect", "convert", "evaluate", "train"):
        assert f"\n  {name} " in asked.output
        assert fice(name, "--help").exit_code == 0


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from fice_core.cli import main\n"
        "try:\n    main(['edit', '--help'], prog_name='fice')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'PIL', 'matplotlib', 'open_clip'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=TESTS.parent, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_python_dash_m() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "fice_core", "nonsense"],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("fice: ")


def test_progress_bar_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with console.bar("working", 3) as progress:
        progress.update()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("fits", [("--refine-steps", 3), ("--tune-steps", 4), ()])
def test_fits_to_the_photo_are_reported(
    toys: dict[str, Any], photo: Callable[..., Path], tmp_path: Path, fits: tuple[Any, ...]
) -> None:
    report, out = tmp_path / "report.json", tmp_path / "out"
    inputs = [photo("a.png", seed=1), photo("b.png", seed=2)]
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


def test_ctrl_c_while_the_generator_is_tuned(
    toys: dict[str, Any],
    photo: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fice_core.inversion.tuned.tune_generator", interrupt)
    out, report = tmp_path / "o.png", tmp_path / "r.json"
    arguments = ("edit", photo(), "--prompt", "a shirt", "-o", out, "--tune-steps", 2)
    result = fice(*arguments, "--report", report, "--keep-on-interrupt")
    assert result.exit_code == 130
    assert out.exists()
    assert json.loads(report.read_text())["edits"][0]["kept_step"] == -1
