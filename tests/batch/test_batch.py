"""Batches: tables, groups, the journal."""

import json
import os
from pathlib import Path

import pytest
from batch_files import picture, table
from filelock import FileLock

from fice_core.batch import groups
from fice_core.batch import journal as journal_module
from fice_core.batch.groups import Input, grouped
from fice_core.batch.jobs import Job, check
from fice_core.batch.journal import NAME, Entry, Journal
from fice_core.batch.table import read_table
from fice_core.errors import FiceError
from fice_core.settings import EditSettings

# Tables


def test_a_table_is_read(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "Prompt,photo,output,negative,from,mask,person",
        '"a red shirt, short",a.jpg,,,,,',
        "",
        "a blue shirt,a.jpg,,a coat,a top,m.png,1",
        "ein grünes Hemd,sub/b.jpg,green.webp,,,,0",
        encoding="utf-8-sig",
    )
    first, second, third = read_table(str(path), negative="a hat")
    place = f"{path} row"
    assert first == Job(
        str(tmp_path / "a.jpg"),
        "a red shirt, short",
        "a-1.png",
        negative="a hat",
        place=f"{place} 2",
    )
    assert second == Job(
        str(tmp_path / "a.jpg"),
        "a blue shirt",
        "a-2.png",
        negative="a coat",
        worn="a top",
        mask=str(tmp_path / "m.png"),
        person=1,
        place=f"{place} 4",
    )
    assert third.output == "green.webp"
    assert third.prompt == "ein grünes Hemd"
    assert third.person == 0


def test_an_input_is_not_overwritten(tmp_path: Path) -> None:
    photo, mask = str(picture(tmp_path / "a.png")), str(picture(tmp_path / "m.png"))
    jobs = [Job(photo, "red", "b.png", mask=mask, place="x")]
    check(jobs, tmp_path)
    for name in ("a.png", "m.png"):
        with pytest.raises(FiceError, match=r"x: the output .* would overwrite an input"):
            check([Job(photo, "red", name, mask=mask, place="x")], tmp_path)


# Groups


def jobs_of(*pairs: tuple[str, str]) -> list[Job]:
    return [Job(photo, prompt, f"{k}.png") for k, (photo, prompt) in enumerate(pairs)]


def indices(groups: list[list[Job]]) -> list[list[int]]:
    return [[int(job.output.split(".")[0]) for job in group] for group in groups]


def test_groups() -> None:
    small, large = Input("", (10, 10)), Input("", (20, 10))
    inputs = dict.fromkeys("abcde", small) | {"x": large, "y": large, "broken": Input("", None)}
    settings = EditSettings(max_batch=2)
    single = jobs_of(*((name, "red") for name in "axbyc"))
    assert indices(grouped(single, inputs, settings)) == [[0, 2], [4], [1, 3]]
    alone = EditSettings(max_batch=2, tune_steps=1)
    assert indices(grouped(single, inputs, alone)) == [[0], [1], [2], [3], [4]]
    several = jobs_of(("a", "red"), ("b", "red"), ("a", "blue"), ("c", "red"), ("a", "grey"))
    assert indices(grouped(several, inputs, settings)) == [[0, 2], [4], [1, 3]]
    apart = [Job("a", "red", "0.png"), Job("b", "red", "1.png", negative="hat")]
    assert indices(grouped([*apart, Job("broken", "red", "2.png")], inputs, settings)) == [
        [0],
        [1],
        [2],
    ]


def test_large_photos_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_PIXELS", 250)
    inputs = dict.fromkeys("abc", Input("", (10, 10))) | dict.fromkeys("xy", Input("", (20, 20)))
    jobs = jobs_of(*((name, "red") for name in "axbyc"))
    assert indices(grouped(jobs, inputs, EditSettings())) == [[0, 2], [4], [1], [3]]


# The journal


class Killed(BaseException):
    pass


class Disk:
    """Counts what is done to the disk, and dies at one of these."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.count, self.at = 0, at
        for name in ("replace", "fsync"):
            monkeypatch.setattr(journal_module.os, name, self.mortal(getattr(os, name)))

    def mortal(self, call):
        def wrapped(*arguments):
            self.count += 1
            if self.count == self.at:
                raise Killed
            return call(*arguments)

        return wrapped


RESULTS = {"a.png": b"first" * 9, "b.png": b"second"}


@pytest.mark.parametrize("at", range(1, 13))
def test_a_group_is_done_whole_or_not_at_all_wherever_a_kill_comes(tmp_path: Path, at: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, at)
        try:
            with Journal(tmp_path, {"id": "x"}) as journal:
                journal.commit(Entry(0), RESULTS)
            survived = True
        except Killed:
            survived = False
        assert survived == (disk.count < at)
        assert at < 12 or survived  # the range covers all of it
    with Journal(tmp_path, {"id": "x"}) as journal:
        found = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
        assert found == (RESULTS if 0 in journal.entries else {})
        assert list(tmp_path.glob(".*.part")) == []
        if 0 not in journal.entries:
            journal.commit(Entry(0), RESULTS)
    lines = (tmp_path / NAME).read_text().splitlines()
    assert [json.loads(line).get("group") for line in lines] == [None, 0]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.png")} == RESULTS


def test_a_line_that_was_cut_off_counts_for_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.commit(Entry(0), {"a.png": b"a"})
    path = tmp_path / NAME
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[1][:20])
    with Journal(tmp_path, {}) as journal:
        assert list(journal.entries) == [0]
        journal.commit(Entry(1), {"b.png": b"b"})
    with Journal(tmp_path, {}) as journal:
        assert list(journal.entries) == [0, 1]
    path.write_bytes(whole[:-9] + b"\n")
    with (
        pytest.raises(FiceError, match=r"damaged: begin anew with --restart"),
        Journal(tmp_path, {}),
    ):
        pass


def test_a_result_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.commit(Entry(0), {"a.png": b"a"})
        journal.commit(Entry(1), {"b.png": b"b"})
    (tmp_path / "a.png").unlink()
    with Journal(tmp_path, {}) as journal:
        assert list(journal.entries) == [1]


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".batch.lock"),
        pytest.raises(FiceError, match="another fice batch is working"),
        Journal(tmp_path, {}),
    ):
        pass


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path, {}) as journal:
        monkeypatch.setattr(journal_module.os, "fsync", full)
        with pytest.raises(FiceError, match=r"cannot write into .*: No space left"):
            journal.commit(Entry(0), RESULTS)
    monkeypatch.undo()
    with Journal(tmp_path, {}) as journal:
        assert journal.entries == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".batch.lock", NAME]
