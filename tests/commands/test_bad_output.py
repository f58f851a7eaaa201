"""Outputs that cannot be written are found before the work, and nothing is left behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import edit_mistake, mistake

from fice_core import editing

ROOT = Path(__file__).parents[2]


def test_missing_output_folder(models: object, photo: Path, tmp_path: Path) -> None:
    assert "make the folder" in edit_mistake(photo, tmp_path / "none" / "o.png")
    assert "make the folder" in edit_mistake(
        photo, tmp_path / "o.png", "--report", tmp_path / "none" / "r.json"
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["photo.png"]


def test_output_below_a_file(models: object, photo: Path) -> None:
    assert "cannot write" in edit_mistake(photo, photo / "o.png")
    assert "cannot make the folder" in edit_mistake(photo, f"{photo}/folder/")


def test_unwritable_output_is_found_before_the_work(
    models: object, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(editing, "load_models", work)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", denied)
    assert "Permission denied" in edit_mistake(photo, tmp_path / "o.png")
    assert "Permission denied" in mistake("demo", "-o", tmp_path / "demo")


def test_output_of_unknown_format(models: object, photo: Path, tmp_path: Path) -> None:
    assert ".png" in edit_mistake(photo, tmp_path / "o.xyz")


def test_several_edits_into_one_file(models: object, photo: Path, tmp_path: Path) -> None:
    assert "folder" in edit_mistake(photo, tmp_path / "o.png", "--prompt", "a top")


def test_output_over_an_input(models: object, photo: Path, tmp_path: Path) -> None:
    before = photo.read_bytes()
    assert "overwrite" in edit_mistake(photo, photo)
    assert "overwrite" in edit_mistake(photo, tmp_path)
    assert photo.read_bytes() == before


def test_two_outputs_of_one_name(models: object, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "photo.png"
    twin.write_bytes(photo.read_bytes())
    assert "is also that of" in edit_mistake(photo, tmp_path / "out", twin)


def test_full_disk_at_the_end(models: object, photo: Path, tmp_path: Path) -> None:
    """A write beyond the limit of the process fails as on a full disk, in the middle of the file."""
    out = tmp_path / "o.png"
    out.write_bytes(b"an older image")
    script = (
        "import resource, sys\n"
        "from fice_core import editing, images\n"
        "from fice_core.cli import main\n"
        "from toys import toy_models\n"
        "def load_models(*a, **k):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "    return toy_models()\n"
        "editing.load_models = load_models\n"
        "main(prog_name='fice')\n"
    )
    line = ["edit", str(photo), "--prompt", "a", "-o", str(out), "--steps", "2"]
    line += ["--frame", "whole", "--overwrite"]
    run = subprocess.run(
        [sys.executable, "-c", script, *line],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2, run.stderr
    *earlier, last = run.stderr.splitlines()
    assert last.startswith(f"fice: cannot write {out}: ")
    assert all(line.startswith("fice: warning: ") for line in earlier)
    assert out.read_bytes() == b"an older image"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["o.png", "photo.png"]
