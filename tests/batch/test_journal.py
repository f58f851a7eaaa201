"""The journal of a batch: what a kill at any moment leaves."""

import json
import os
from pathlib import Path

import pytest
from filelock import FileLock

from fice_core.batch import journal as journal_module
from fice_core.batch.journal import NAME, Entry, Journal
from fice_core.errors import FiceError


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
        pytest.raises(FiceError, match=r"damaged: start again with --restart"),
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
