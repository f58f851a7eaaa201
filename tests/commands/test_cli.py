"""The `fice` command, and its subcommands that edit nothing of the user's."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_writers import tiny_generator
from command import fice
from PIL import Image

import fice_core.demo
from fice_core import checkpoints
from fice_core.commands import console
from fice_core.reporting import plots

TESTS = Path(__file__).parents[1]
SIZE = 24


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
