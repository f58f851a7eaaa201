"""The journal of a batch: what a kill at any moment leaves."""

import hashlib
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


def test_a_result_that_cannot_be_placed_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").mkdir()
    (tmp_path / "a.png" / "something").touch()
    for again in (False, True):
        with Journal(tmp_path, {"id": "x"}) as journal:
            if not again:
                journal.commit(Entry(0), RESULTS)
            assert list(journal.entries) == ([0, 1] if again else [0])  # the work is not done again
            assert list(journal.unplaced) == ["a.png"]
            assert "cannot be placed" in journal.unplaced["a.png"]
            if not again:
                journal.commit(Entry(1), {"c.png": b"third"})
        assert (tmp_path / "b.png").read_bytes() == RESULTS["b.png"]
        assert (tmp_path / "c.png").read_bytes() == b"third"
    (tmp_path / "a.png" / "something").unlink()
    (tmp_path / "a.png").rmdir()
    with Journal(tmp_path, {"id": "x"}) as journal:
        assert journal.unplaced == {}
        assert list(journal.entries) == [0, 1]
    assert (tmp_path / "a.png").read_bytes() == RESULTS["a.png"]
    assert list(tmp_path.glob(".*.part")) == []


def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        (tmp_path / "a.png").write_bytes(b"mine")
        (tmp_path / "a.png").chmod(0o444)
        journal.commit(Entry(0), {"a.png": b"a"})
        assert "read-only" in journal.unplaced["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"mine"


@pytest.mark.parametrize("text", ["a list of mine\n", "[]\n", '{"batch": 1}\n', '{"group": 0}\n'])
def test_another_file_of_that_name_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    for restart in (False, True):
        with (
            pytest.raises(FiceError, match="is not the journal of a batch: move it away"),
            Journal(tmp_path, {}, restart),
        ):
            pass
    assert (tmp_path / NAME).read_text() == text


def test_files_of_others_are_not_replaced_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    (tmp_path / "a.png").chmod(0o600)
    with (
        pytest.raises(FiceError, match=r"not of this batch, a\.png: .*--overwrite"),
        Journal(tmp_path, {}, outputs=["a.png", "b.png"]),
    ):
        pass
    assert not (tmp_path / NAME).exists()
    with Journal(tmp_path, {}, outputs=["a.png", "b.png"], overwrite=True):
        pass
    # What was allowed at the start is allowed to the end.
    with Journal(tmp_path, {}, outputs=["a.png", "b.png"]) as journal:
        journal.commit(Entry(0), {"a.png": b"a"})
    assert (tmp_path / "a.png").read_bytes() == b"a"
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o600
    with Journal(tmp_path, {}, outputs=["a.png", "b.png"]) as journal:
        assert list(journal.entries) == [0]


def test_results_of_the_batch_before_may_be_replaced_also_after_a_kill(tmp_path: Path) -> None:
    names = ["a.png", "b.png"]
    with Journal(tmp_path, {"id": "x"}, outputs=names) as journal:
        journal.commit(Entry(0), RESULTS)
    with Journal(tmp_path, {"id": "y"}, restart=True, outputs=names) as journal:
        journal.commit(Entry(0), {"a.png": b"new"})
    with Journal(tmp_path, {"id": "y"}, outputs=names) as journal:
        assert list(journal.entries) == [0]
    (tmp_path / "c.png").touch()
    with (
        pytest.raises(FiceError, match=r"not of this batch, c\.png"),
        Journal(tmp_path, {"id": "z"}, restart=True, outputs=[*names, "c.png"]),
    ):
        pass
    with Journal(tmp_path, {"id": "y"}, outputs=names) as journal:
        assert list(journal.entries) == [0]  # the refused run has changed nothing


def test_an_ordinary_journal_is_as_ever(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    with Journal(tmp_path, {"id": "x"}, outputs=["ü.png", name]) as journal:
        journal.commit(Entry(0, warnings=["Grün"]), {"ü.png": b"a"})
        journal.commit(Entry(1), {name: b"b"})
    first, second, third = (tmp_path / NAME).read_bytes().splitlines()
    assert first == b'{"batch": {"id": "x"}}'
    assert second.decode() == (
        '{"group": 0, "parts": {"ü.png": ".batch-0-0.part"}, "failed": {}, "warnings": ["Grün"], '
        f'"digests": {{"ü.png": "{hashlib.sha256(b"a").hexdigest()}"}}}}'
    )
    assert json.loads(third)["parts"] == {name: ".batch-1-0.part"}
    with Journal(tmp_path, {"id": "x"}) as journal:
        assert list(journal.entries) == [0, 1]


def without_digests(path: Path) -> None:
    """Make a journal one of an earlier version."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line in lines:
        line.pop("digests", None)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_journal_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path, {"id": "x"}, outputs=RESULTS) as journal:
        journal.commit(Entry(0), RESULTS)
    without_digests(tmp_path / NAME)
    (tmp_path / "a.png").write_bytes(b"other")  # nothing is known of its content
    with Journal(tmp_path, {"id": "x"}, outputs=RESULTS) as journal:
        assert list(journal.entries) == [0]
        assert journal.altered == []
        assert journal.unplaced == {}


@pytest.mark.parametrize("content", [b"other", b"tsrif" * 9, b""])
def test_a_result_that_is_another_file_now_is_told_and_kept(tmp_path: Path, content: bytes) -> None:
    with Journal(tmp_path, {"id": "x"}, outputs=RESULTS) as journal:
        journal.commit(Entry(0), RESULTS)
    (tmp_path / "a.png").write_bytes(content)
    for _ in range(2):
        with Journal(tmp_path, {"id": "x"}, outputs=RESULTS) as journal:
            assert list(journal.entries) == [0]
            assert list(journal.unplaced) == ["a.png"]
            assert "another file of this name" in journal.unplaced["a.png"]
    # Where the rest of its group is made again, it stays, too, and is still told.
    (tmp_path / "b.png").unlink()
    with Journal(tmp_path, {"id": "x"}, outputs=RESULTS) as journal:
        assert journal.entries == {}
        journal.commit(Entry(0), RESULTS)
        assert list(journal.unplaced) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == content
    assert (tmp_path / "b.png").read_bytes() == RESULTS["b.png"]
    assert list(tmp_path.glob(".*.part")) == []
    with Journal(tmp_path, {"id": "x"}, outputs=RESULTS) as journal:
        assert list(journal.entries) == [0]
        assert list(journal.unplaced) == ["a.png"]
    with Journal(tmp_path, {"id": "x"}, outputs=RESULTS, overwrite=True) as journal:
        assert journal.altered == ["a.png"]
        assert journal.entries == {}
        journal.commit(Entry(0), RESULTS)
        assert journal.unplaced == {}
    assert (tmp_path / "a.png").read_bytes() == RESULTS["a.png"]
    with Journal(tmp_path, {"id": "x"}, outputs=RESULTS) as journal:
        assert (list(journal.entries), journal.altered) == ([0], [])


def test_a_part_that_a_kill_cut_as_it_was_made_again_is_not_placed(tmp_path: Path) -> None:
    with Journal(tmp_path, {"id": "x"}) as journal:
        journal.commit(Entry(0), RESULTS)
    (tmp_path / "b.png").unlink()
    (tmp_path / ".batch-0-0.part").write_bytes(b"fir")
    with Journal(tmp_path, {"id": "x"}) as journal:
        assert journal.entries == {}
        assert (tmp_path / "a.png").read_bytes() == RESULTS["a.png"]
        journal.commit(Entry(0), {"a.png": b"new", "b.png": b"new"})  # the last line counts
    with Journal(tmp_path, {"id": "x"}) as journal:
        assert (list(journal.entries), journal.altered) == ([0], [])


def test_a_refused_batch_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    (tmp_path / "kept").mkdir()
    with pytest.raises(FiceError), Journal(tmp_path, {}, outputs=["a.png"]):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "kept"]
    with Journal(tmp_path / "kept", {"id": "x"}):
        pass
    with pytest.raises(FiceError), Journal(tmp_path / "kept", {"id": "y"}):
        pass
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [".batch.lock", NAME]


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
