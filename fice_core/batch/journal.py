"""What of a batch is done, in a file that survives a kill at any moment.

A group is committed in two phases. Its results are written to temporary files; when these are on the disk, a
line of the journal names them; then they take their places. A group whose line is there is done, and if a
kill came before the last file was in its place, that is made up for. A group without a line is not done, and
its temporary files mean nothing.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import FiceError

NAME = "batch.jsonl"
_LOCK, _PART = ".batch.lock", ".batch-{}.part"


@dataclass(frozen=True)
class Entry:
    """A group that is done.

    Attributes:
        group: its number.
        parts: the temporary file of each result, by the result's name.
        failed: why there is no result, by its name.
        warnings: one line each.
    """

    group: int
    parts: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Journal:
    """The journal of the batch in one folder; use it in a `with`, which keeps other processes out.

    Attributes:
        entries: by the number of the group.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], restart: bool = False) -> None:
        self.folder, self.path = folder, folder / NAME
        self.entries: dict[int, Entry] = {}
        self._identity, self._restart = dict(identity), restart
        self._lock = FileLock(folder / _LOCK)

    def __enter__(self) -> "Journal":
        """Take the folder, and bring it into order after a kill.

        Raises:
            FiceError: another process works there; the journal is that of another batch, or damaged; the
                folder cannot be written.
        """
        with self._told():
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise FiceError(f"another fice batch is working in {self.folder}") from None
            try:
                self._open()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def commit(self, entry: Entry, results: Mapping[str, bytes]) -> None:
        """Put the results of a group into their places, all of them or none.

        Args:
            entry: `parts` is filled in here.
            results: by name.

        Raises:
            FiceError: they cannot be written: disk full...
        """
        with self._told():
            for index, (name, data) in enumerate(results.items()):
                entry.parts[name] = _PART.format(f"{entry.group}-{index}")
                with open(self.folder / entry.parts[name], "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            self._sync_folder()
            self._append(asdict(entry))
            self._place(entry)
            self.entries[entry.group] = entry

    def _open(self) -> None:
        if self._restart:
            self.path.unlink(missing_ok=True)
        head, entries = self._read()
        if head:
            self._compare(head)
        else:
            self._append({"batch": self._identity})
        for entry in entries:
            self._place(entry)
            if all((self.folder / name).is_file() for name in entry.parts):
                self.entries[entry.group] = entry  # else somebody has deleted a result: made again
        for leftover in self.folder.glob(_PART.format("*")):
            leftover.unlink()

    def _read(self) -> tuple[Any, list[Entry]]:
        """The first line of the journal and the others; one whose writing was cut off is removed."""
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
                f"the journal {self.path} is damaged: begin anew with --restart"
            ) from error

    def _compare(self, head: Any) -> None:
        found = head.get("batch") if isinstance(head, dict) else None
        if not isinstance(found, dict):
            raise FiceError(f"{self.path} is no journal of a batch: move it away")
        if found != self._identity:
            names = [name for name, value in self._identity.items() if found.get(name) != value]
            raise FiceError(
                f"{self.folder} holds a batch with other {' and other '.join(names)}: give another "
                "folder with -o, or --restart to make all edits anew"
            )

    def _append(self, line: Mapping[str, object]) -> None:
        with open(self.path, "ab") as file:
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._sync_folder()

    def _place(self, entry: Entry) -> None:
        for name, part in entry.parts.items():
            with contextlib.suppress(FileNotFoundError):  # it is in its place
                os.replace(self.folder / part, self.folder / name)

    def _sync_folder(self) -> None:
        """That a file has a name is on the disk only when its folder is."""
        with contextlib.suppress(OSError):  # Windows opens no folders, and needs it not
            handle = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise FiceError(f"cannot write into {self.folder}: {reason}") from error


def failures(entries: Iterable[Entry]) -> dict[str, str]:
    """Why results are missing, by their names."""
    return {name: reason for entry in entries for name, reason in entry.failed.items()}
