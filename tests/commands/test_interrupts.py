"""Ctrl-C in `fice edit`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command import fice

from fice_core import editing
from fice_core.images.photo import read_image

TESTS = Path(__file__).parents[1]
SIZE = 24


class BarThatInterrupts:
    """In place of the progress bar; Ctrl-C at the third step."""

    def __init__(self, *_: object) -> None:
        self.n = 0
        self.calls = 0

    def __enter__(self) -> "BarThatInterrupts":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def clear(self) -> None:
        pass

    def set_description_str(self, text: str, refresh: bool) -> None:
        pass

    def update(self) -> None:
        self.calls += 1
        if self.calls == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("keep", [False, True])
def test_interrupt(
    toys: dict[str, Any],
    make_photo: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: bool,
) -> None:
    monkeypatch.setattr("fice_core.commands.edit.bar", BarThatInterrupts)
    path, out, report = make_photo(), tmp_path / "o.png", tmp_path / "r.json"
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
    make_photo: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_models(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(editing, "load_models", load_models)
    result = fice("edit", make_photo(), "--prompt", "a", "-o", tmp_path / "o.png")
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
def test_ctrl_c_in_a_real_process(make_photo: Callable[..., Path], tmp_path: Path) -> None:
    path, out = make_photo(), tmp_path / "o.png"
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
    *warnings, last = stderr.splitlines()
    assert last == f"fice: interrupted; the best result so far is in {out}"
    assert all(line.startswith("fice: warning: ") for line in warnings)
    assert read_image(out).shape == (3, SIZE, SIZE)


def test_ctrl_c_while_the_generator_is_tuned(
    toys: dict[str, Any],
    make_photo: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fice_core.inversion.tuned.tune_generator", interrupt)
    out, report = tmp_path / "o.png", tmp_path / "r.json"
    arguments = ("edit", make_photo(), "--prompt", "a shirt", "-o", out, "--tune-steps", 2)
    result = fice(*arguments, "--report", report, "--keep-on-interrupt")
    assert result.exit_code == 130
    assert out.exists()
    assert json.loads(report.read_text())["edits"][0]["kept_step"] == -1
