"""`fice evaluate --photos` with tiny networks: what it writes, that it continues, and what it refuses."""

import csv
import json
from pathlib import Path

import pytest
import torch
from command import fice, mistake
from tiny_models import SIZE, write_models

from fice_core.editing import prepare
from fice_core.framing import Frame
from fice_core.images import write_image


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_image_is_unknown: None) -> Path:
    """A folder with models, photos and texts; random networks see no person in a photo."""
    (tmp_path / "models").mkdir()
    write_models(tmp_path / "models")
    monkeypatch.setattr(
        prepare, "choose_frame", lambda g, s, photo, f: Frame.around((SIZE, SIZE), g.resolution)
    )
    (tmp_path / "photos").mkdir()
    rng = torch.Generator().manual_seed(0)
    for name in ("a", "b", "c"):
        write_image(tmp_path / "photos" / f"{name}.png", torch.rand(3, SIZE, SIZE, generator=rng))
    (tmp_path / "texts.txt").write_text("a red shirt\na blue shirt\na striped shirt\n")
    return tmp_path


def arguments(given: Path, *more: object) -> list[object]:
    line = ["evaluate", "--models", given / "models", "--photos", given / "photos", "--count", 3]
    line += ["--texts", given / "texts.txt", "-o", given / "out", "--steps", 2, "--device", "cpu"]
    return [*line, *more]


SHORT = ("--variant", "copy", "--variant", "ours")


def test_a_comparison(given: Path) -> None:
    result = fice(*arguments(given, *SHORT))
    assert result.exit_code == 0, result.output
    table = (given / "out" / "table.md").read_text()
    assert table.strip() in result.stdout
    assert table.count("\n| copy | ") == 2
    with (given / "out" / "edits.csv").open() as file:
        edits = list(csv.DictReader(file))
    assert len(edits) == 4 * 3
    copies = [edit for edit in edits if edit["method"] == "copy" and edit["stitch"] == "none"]
    assert {edit["equal"] for edit in copies} == {"1.0"}
    ours = [edit for edit in edits if edit["method"] == "ours"]
    assert {edit["steps"] for edit in ours} == {"2.0"}
    report = json.loads((given / "out" / "report.json").read_text())
    assert report["pairs"] == 3
    assert (given / "out" / "page.html").stat().st_size > 10_000

    # The same command makes no edit again, one with other variants only theirs.
    made = {path: path.stat().st_mtime_ns for path in (given / "out" / "edits").rglob("*.png")}
    fice(*arguments(given, *SHORT, "--variant", "reconstruction", "--layout", "mgd"))
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert "CLIP-S | PD" in (given / "out" / "table.md").read_text()
    assert (given / "out" / "edits" / "reconstruction" / "0002-none.png").exists()

    # Others edit the same pairs: by the list, and by the images.
    line = ["evaluate", "--models", given / "models", "--photos", given / "photos", "--count", 3]
    line += ["--pairs", given / "out" / "pairs.csv", "-o", given / "again", "--steps", 2]
    result = fice(*line, "--variant", "copy", "--results", f"mine={given / 'out' / 'photos'}")
    assert (given / "again" / "pairs.csv").read_bytes() == (
        given / "out" / "pairs.csv"
    ).read_bytes()
    assert result.stdout.count("\n| mine | ") == 2
    assert mistake(*arguments(given, *SHORT, "--seed", 1)).startswith(f"{given / 'out'} holds")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--variant", "nobody"], "there is no variant 'nobody': choose from copy"),
        (["--masks"], "--photos makes a comparison: leave out --masks"),
        (["--only-seconds"], "--only-seconds leaves nothing out without --seconds"),
        (["--results", "mine"], "--results is 'mine', but must be NAME=DIR"),
        (["--results", "..=."], "--results is '..=.', but must be NAME=DIR"),
        (["--results", "COPY=."], "--results names 'COPY' twice, or as a method is named"),
        (["--results", "my a=.", "--results", "my-a=."], "--results names 'my-a' twice"),
        (["--results", "mine=nowhere"], "there is no folder of results nowhere for mine"),
        (["--results", "ours=."], "--results names 'ours' twice, or as a method is named"),
        (["--vgg", "texts.txt"], "texts.txt"),
        (["--rival-clip", "texts.txt"], "texts.txt"),
        (["--judge", "texts.txt"], "texts.txt"),
        (["--lpips", "texts.txt"], "texts.txt"),
        (["--inception", "texts.txt"], "texts.txt"),
        (["--mapper-steps", 0], "--mapper-steps is 0, but must be at least 1"),
        (["--count", 0], "the number of pairs is 0"),
        (["--split", "test"], "test"),
    ],
)
def test_what_is_refused(
    given: Path, more: list[object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(given)
    assert said in mistake(*arguments(given, *more))
    assert not (given / "out" / "photos").exists()  # nothing was done


def test_no_texts_and_no_folder(given: Path) -> None:
    line = ["evaluate", "--models", given / "models", "--photos", given / "photos"]
    assert mistake(*line) == "--photos makes a comparison: give the folder for it with -o"
    assert "--texts" in mistake(*line, "-o", given / "out")
    assert "--photos" in mistake("evaluate", "--texts", given / "texts.txt")


def test_reports_of_something_else_are_not_replaced(given: Path) -> None:
    (given / "out").mkdir()
    (given / "out" / "report.json").write_text("{}")
    assert "--overwrite" in mistake(*arguments(given, *SHORT))
    assert (given / "out" / "report.json").read_text() == "{}"


def test_votes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("voter,pair,text,question,a,b,choice,time\nx,0,t,realism,ours,fice,a,0\n")
    assert "| realism | ours | 1 (100 %) | 0 | 0 |" in fice("evaluate", "--votes", path).stdout
    path.write_text("nothing\n")
    assert "has no votes" in mistake("evaluate", "--votes", path)
    assert "--votes" not in mistake("evaluate", "--votes", tmp_path / "none.csv")
