"""Files that are there already: those that are named are replaced after a warning, others never."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
from checkpoint_writers import tiny_generator
from command import fice, mistake

from fice_core import checkpoints, editing
from fice_core.errors import FiceError
from fice_core.profiling import report as reports

TOLD = "exists and will be replaced (--overwrite: without a word)"


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command ends where its work would begin."""

    def stop(*arguments: Any, **more: Any) -> NoReturn:
        raise FiceError("work begins")

    monkeypatch.setattr(editing, "load_models", stop)
    monkeypatch.setattr(reports, "measure", stop)


def lines(*arguments: object) -> list[str]:
    """What a command says before its work begins."""
    result = fice(*arguments)
    assert result.exit_code == 2
    *said, last = result.stderr.splitlines()
    assert last == "fice: work begins"
    return said


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        (("demo",), "-o", ("edits.png", "losses.png")),
        (("evaluate", "--variant", "no pose term"), "--images", ("no-pose-term.png",)),
        (("evaluate",), "--images", ("default.png", "paper.png")),
    ],
)
def test_a_folder(
    no_work: None, tmp_path: Path, command: tuple[str, ...], option: str, names: tuple[str, ...]
) -> None:
    line = (*command, option, tmp_path / "out")
    assert lines(*line) == []
    for name in names:
        (tmp_path / "out" / name).write_bytes(b"mine")
    message = mistake(*line)
    assert message.startswith(f"{tmp_path / 'out'} has {', '.join(names)} already: ")
    assert message.endswith(f"give another folder with {option}")
    assert (tmp_path / "out" / names[0]).read_bytes() == b"mine"
    assert lines(*line, "--overwrite") == []


def test_another_variant_and_other_files_are_not_in_the_way(no_work: None, tmp_path: Path) -> None:
    for name in ("paper.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"mine")
    assert lines("evaluate", "--variant", "default", "--images", tmp_path) == []


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("evaluate",), "--report"),
        (("evaluate", "--masks"), "--report"),
        (("bench", "--device", "cpu"), "--report"),
        (("bench", "--device", "cpu"), "--plot"),
    ],
)
def test_a_named_file(no_work: None, tmp_path: Path, command: tuple[str, ...], option: str) -> None:
    path = tmp_path / "r.png"
    line = (*command, option, path)
    assert lines(*line) == []
    path.write_bytes(b"mine")
    assert lines(*line) == [f"fice: warning: {path} {TOLD}"]
    assert lines(*line, "--overwrite") == []
    assert path.read_bytes() == b"mine"  # until the work is done


def test_convert(tmp_path: Path) -> None:
    first, second = tmp_path / "g.safetensors", tmp_path / "h.safetensors"
    checkpoints.save(tiny_generator(), first)
    assert fice("convert", first, second).stderr == ""
    assert fice("convert", first, second).stderr == f"fice: warning: {second} {TOLD}\n"
    assert fice("convert", first, second, "--overwrite").stderr == ""


def test_a_report_may_lie_among_the_images(no_work: None, tmp_path: Path) -> None:
    report = tmp_path / "out" / "r.json"
    line = ("evaluate", "--images", tmp_path / "out", "--report", report)
    assert lines(*line) == []  # the command makes this folder
    report.write_bytes(b"mine")
    assert lines(*line) == [f"fice: warning: {report} {TOLD}"]
