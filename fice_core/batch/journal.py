"""A record of the finished groups of a batch, in a file that a kill at any moment leaves intact.

A group is committed in two phases. First its results are written to temporary files. When these are on the
disk, a line with their names is added to the journal, and then the files are renamed. A group with a line is
finished; renames that a kill prevented are done at the next start. A group without a line is not finished,
and its temporary files are removed. If a group is made again, its last line counts.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import FiceError
from ..files import json_bytes, move_over, some_of

NAME = "batch.jsonl"
_REPLACED = "replaced"  # in the first line: files that were there before
_LOCK, _PART = ".batch.lock", ".batch-{}.part"


@dataclass(frozen=True)
class Entry:
    """A finished group.

    Attributes:
        group: its number.
        parts: the temporary file of each result, by output.
        failed: the reason for each missing result, by output.
        warnings: one line each.
        digests: SHA-256 of each result, by output; journals of earlier versions have none.
    """

    group: int
    parts: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)


class Journal:
    """The journal of the batch in a folder; a `with` block locks the folder for other processes.

    Args:
        folder: where the results go.
        identity: see `groups.identity`.
        restart: forget an earlier batch.
        outputs: the names of all results.
        overwrite: results may replace files that no batch in this folder has made.

    Attributes:
        entries: the finished groups by number.
        unplaced: why a result of a finished group does not have its name, by output. If it could not get it,
            its temporary file stays, and the next run tries again.
        altered: results whose files have another content than this batch has given them. With `overwrite`
            they are made again; without it they stay as they are, and `unplaced` says so.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, str],
        restart: bool = False,
        outputs: Collection[str] = (),
        overwrite: bool = False,
    ) -> None:
        self.folder, self.path = folder, folder / NAME
        self.entries: dict[int, Entry] = {}
        self.unplaced: dict[str, str] = {}
        self.altered: list[str] = []
        self._identity, self._restart = dict(identity), restart
        self._outputs, self._overwrite = outputs, overwrite
        self._lock = FileLock(folder / _LOCK)

    def __enter__(self) -> "Journal":
        """Lock the folder, read the journal, and complete what a kill interrupted.

        Raises:
            FiceError: another process works in the folder; the journal is damaged or belongs to another
                batch; the folder has files of others with the names of results; it cannot be written.
        """
        lock = self.folder / _LOCK
        with self._named_errors():
            fresh = not os.path.lexists(lock)
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise FiceError(f"another fice batch is working in {self.folder}") from None
            try:
                self._open()
            except BaseException:
                if fresh and not os.path.lexists(self.path):
                    with contextlib.suppress(OSError):  # Windows: it goes when it is released
                        lock.unlink()
                self._lock.release()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def commit(self, entry: Entry, results: Mapping[str, bytes]) -> None:
        """Write the results of a group, all of them or none.

        Args:
            entry: its `parts` and `digests` are filled in here.
            results: the bytes of each file, by output. One whose name an altered file keeps is not written.

        Raises:
            FiceError: they cannot be written, as on a full disk.
        """
        with self._named_errors():
            for index, (name, data) in enumerate(results.items()):
                entry.parts[name] = _PART.format(f"{entry.group}-{index}")
                entry.digests[name] = hashlib.sha256(data).hexdigest()
                if name in self.altered and name in self.unplaced:
                    continue
                with open(self.folder / entry.parts[name], "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            self._sync_folder()
            self._append(asdict(entry))
            self._place(entry)
            self.entries[entry.group] = entry

    def _open(self) -> None:
        self._check_kind()
        if self._restart:
            replaced = self._check_foreign(self._names())
            self.path.unlink(missing_ok=True)
        head, entries = self._read()
        if head:
            self._compare(head)
        if not self._restart:
            replaced = self._check_foreign(self._names())
        if not head:
            self._append({"batch": self._identity, **({_REPLACED: replaced} if replaced else {})})
        for entry in {entry.group: entry for entry in entries}.values():
            for name, part in entry.parts.items():
                # Another part than the line tells of: a kill cut it as the group was made again.
                if not self._is(part, entry.digests.get(name)):
                    (self.folder / part).unlink()
            self._place(entry)
            self._compare_results(entry)
            if all(name in self.unplaced or self._has(name) for name in entry.parts):
                self.entries[entry.group] = entry  # else a result was deleted: it is made again
        waiting = {
            entry.parts[name]
            for entry in self.entries.values()
            for name in self.unplaced.keys() & entry.parts.keys()
        }
        for leftover in self.folder.glob(_PART.format("*")):
            if leftover.name not in waiting:
                leftover.unlink()

    def _compare_results(self, entry: Entry) -> None:
        """Find the results of a finished group that are other files now."""
        for name, digest in entry.digests.items():
            if name in self.unplaced or self._is(name, digest):
                continue
            self.altered.append(name)
            if not self._overwrite:
                self.unplaced[name] = (
                    f"{self.folder} has another file of this name than the one that was made: delete it, "
                    "or make all again with --restart"
                )

    def _has(self, name: str) -> bool:
        return os.path.isfile(self.folder / name) and name not in self.altered

    def _is(self, name: str, digest: str | None) -> bool:
        """Whether a file has the content of a digest, as far as there are both."""
        if digest is None or not os.path.isfile(self.folder / name):
            return True
        try:
            return hashlib.sha256((self.folder / name).read_bytes()).hexdigest() == digest
        except OSError:  # it was readable when it was made
            return False

    def _names(self) -> set[str]:
        """All results that the journal speaks of, also one that is damaged."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return set()
        names: set[str] = set()
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                entry = json.loads(line)
                names.update(entry.get("parts", {}), entry.get(_REPLACED, []))
        return names

    def _check_foreign(self, own: Collection[str]) -> list[str]:
        """Return the results that will replace a file.

        Args:
            own: files that a batch in this folder has made or was allowed to replace.

        Raises:
            FiceError: one would replace a file of someone else.
        """
        there = [name for name in self._outputs if os.path.lexists(self.folder / name)]
        foreign = [name for name in there if name not in own]
        if foreign and not self._overwrite:
            raise FiceError(
                f"{self.folder} has files that are not of this batch, {some_of(foreign)}: give another "
                "folder with -o, or replace them with --overwrite"
            )
        return there

    def _read(self) -> tuple[Any, list[Entry]]:
        """Return the first line and the entries; an incomplete last line is removed from the file."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}, []
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self.path, len(whole))
        try:
            head, *lines = map(json.loads, whole.splitlines()) if whole else ({},)
            return head, [Entry(**line) for line in lines]
        except (ValueError, TypeError) as error:
            raise FiceError(
                f"the journal {self.path} is damaged: start again with --restart"
            ) from error

    def _check_kind(self) -> None:
        """Check that the file of the journal, if there is one, is no other file of that name.

        Raises:
            FiceError: it is.
        """
        try:
            first, ended, _ = self.path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return
        try:
            sound = isinstance(json.loads(first)["batch"], dict)
        except (ValueError, TypeError, KeyError):
            sound = not ended  # a kill cut the first line
        if not sound:
            raise FiceError(f"{self.path} is not the journal of a batch: move it away")

    def _compare(self, head: Any) -> None:
        found = head["batch"]
        if found != self._identity:
            names = [name for name, value in self._identity.items() if found.get(name) != value]
            raise FiceError(
                f"{self.folder} holds a batch with other {' and other '.join(names)}: give another "
                "folder with -o, or --restart to make all edits again"
            )

    def _append(self, line: Mapping[str, object]) -> None:
        with open(self.path, "ab") as file:
            file.write(json_bytes(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._sync_folder()

    def _place(self, entry: Entry) -> None:
        """Give results their names; one that cannot have it does not stop the others."""
        for name, part in entry.parts.items():
            if not os.path.lexists(self.folder / part):  # it has been renamed before
                continue
            try:
                move_over(self.folder / part, self.folder / name)
            except OSError as error:
                self.unplaced[name] = f"it cannot be placed: {error.strerror or error}"
            else:
                self.unplaced.pop(name, None)

    def _sync_folder(self) -> None:
        """Write the folder to the disk, and with it the names of new files."""
        with contextlib.suppress(OSError):  # not possible on Windows, and not needed
            handle = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Raise an `OSError` as a `FiceError` that names the folder."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise FiceError(f"cannot write into {self.folder}: {reason}") from error


def failures(entries: Iterable[Entry]) -> dict[str, str]:
    """The reasons for missing results, by output."""
    return {name: reason for entry in entries for name, reason in entry.failed.items()}
