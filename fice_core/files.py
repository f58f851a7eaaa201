"""Names of files, checked before the work; output files that appear whole or not at all.

Imports no torch until a tensor is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from .errors import FiceError

if TYPE_CHECKING:
    from torch import Tensor

FileName = str | os.PathLike[str]

#: metadata key under which a safetensors file of this project says what it holds
KIND_KEY = "fice.kind"
#: Larger images and tables are not read. It is more than 100 megapixels take in any format.
MAX_BYTES = 2**30

_MAX_NAME, _MAX_PATH = 255, 4096  # bytes, on nearly every file system
_NO_FILES = ("/dev", "/proc", "/sys")  # what is there is no file, though some of it looks like one
_ORDINARY = "/dev/shm"  # a file system in memory
_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


class Output(NamedTuple):
    """A file that a command will write.

    Attributes:
        path: its name.
        place: how a message about it begins: an option, or the row of a table.
    """

    path: FileName
    place: str


def check_name(path: FileName) -> None:
    """Check that the file system can hold a file or folder of this name, which need not exist.

    Raises:
        FiceError: the name is empty, too long, or one that the file system refuses.
    """
    text = os.fspath(path)
    if not text.strip():
        raise FiceError("the name of a file is empty: give one, or leave the option out")
    if "\0" in text:
        raise FiceError(
            f"the name {_short(text)} has a null character, which no file name can have"
        )
    try:
        sizes = [len(part.encode("utf-8", "surrogateescape")) for part in Path(text).parts]
        if max(sizes, default=0) > _MAX_NAME or sum(sizes) + len(sizes) > _MAX_PATH:
            raise FiceError(
                f"the name {_short(text)} is too long: a name has at most {_MAX_NAME} bytes, with all "
                f"its folders {_MAX_PATH}"
            )
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # whether it has to exist is for others to say
    except FiceError:
        raise
    except (OSError, ValueError) as error:  # ValueError: it cannot be encoded
        raise FiceError(f"the name {_short(text)} cannot be used: {_reason(error)}") from error


def check_paths(
    outputs: Iterable[Output], inputs: Iterable[FileName] = (), makes: FileName | None = None
) -> list[Path]:
    """Check all files of a command before its work.

    Args:
        outputs: files to be written.
        inputs: files to be kept.
        makes: a folder that the command makes if it is missing; others must be there.

    Returns:
        Outputs that exist already. They would be replaced.

    Raises:
        FiceError: an output has a name that cannot be used, cannot be written, is an input, or is the
            same file as another output.
    """
    kept: dict[object, FileName] = {}
    for name in inputs:
        kept |= dict.fromkeys(_identities(name), name)
    taken: dict[str, Output] = {}
    folders: set[Path] = set()
    made = None if makes is None else Path(os.path.realpath(makes))
    existing = []
    for output in outputs:
        name = os.path.basename(output.path)
        try:
            target = _target(output.path)
            folder = target.parent
            if folder not in folders and (folder != made or os.path.lexists(folder)):
                check_writable(output.path)
                folders.add(folder)
        except FiceError as error:
            raise FiceError(f"{output.place}: {error}") from error
        same = next((kept[key] for key in _identities(output.path) if key in kept), None)
        if same is not None:
            raise FiceError(f"{output.place}: the output {name} would overwrite an input, {same}")
        before = taken.setdefault(_caseless(str(target)), output)
        if before is not output:
            raise FiceError(
                f"{output.place}: the output {name} is also that of {before.place}: give one of them "
                "another name"
            )
        if os.path.lexists(target):
            existing.append(Path(output.path))
    return existing


def check_writable(path: FileName) -> None:
    """Check that `path` can be written before any work is done.

    Raises:
        FiceError: the folder is missing or not writable, or `path` is no ordinary file.
    """
    with replacing(path):
        raise _Discard


@contextlib.contextmanager
def replacing(path: FileName) -> Iterator[Path]:
    """Yield a temporary file beside `path` that replaces it when the block ends without an exception.

    After any exception, Ctrl-C included, the temporary file is gone and `path` is as it was. A file that
    is replaced keeps its permissions.

    Raises:
        FiceError: the file cannot be written: no such folder, no permission, disk full...
    """
    target = _target(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(".part", ".fice-", target.parent)
        os.close(handle)
        yield Path(temporary)
        move_over(temporary, target)
    except _Discard:
        pass
    except OSError as error:
        hint = "" if os.path.isdir(target.parent) else f" (make the folder {target.parent} first)"
        raise FiceError(f"cannot write {path}: {_reason(error)}{hint}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def move_over(temporary: FileName, target: FileName) -> None:
    """Give a finished file its name. It gets the permissions of the file that it replaces.

    Raises:
        OSError: it cannot be moved, or the old file is read-only.
    """
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        mode = _ordinary_mode()
    else:
        if not mode & 0o222:
            raise PermissionError("the file is read-only")
    os.chmod(temporary, mode)
    os.replace(temporary, target)


def read_bytes(path: FileName, expected: str = "a file") -> bytes:
    """The content of an ordinary file of at most `MAX_BYTES`.

    Args:
        path: a name that a user gave.
        expected: what the file should be, for messages.

    Raises:
        FiceError: there is no such file, it is a folder, a device, a pipe or too large, or it cannot be
            read.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise FiceError(f"{path} is a folder; {expected} was expected")
        if not stat.S_ISREG(status.st_mode) or _is_no_place_for_files(path):
            raise FiceError(f"{path} is a device or a pipe; {expected} was expected")
        if status.st_size > MAX_BYTES:
            raise FiceError(
                f"{path} has {status.st_size >> 20} MiB; at most {MAX_BYTES >> 20} are read"
            )
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FiceError(f"there is no file {path}") from error
    except FiceError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FiceError(f"cannot read {_short(os.fspath(path))}: {_reason(error)}") from error


def write_bytes(path: FileName, data: bytes) -> None:
    """Write a file whole or not at all; raises what `replacing` raises."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: FileName, report: dict[str, Any]) -> None:
    """Write a report whole or not at all; raises what `replacing` raises."""
    write_bytes(path, json_bytes(report, indent=1) + b"\n")


def json_bytes(value: Any, indent: int | None = None) -> bytes:
    """A value as JSON in UTF-8. Bytes of file names that are not UTF-8 are escaped, as JSON can."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def write_safetensors(
    path: FileName, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata whole or not at all; raises what `replacing` raises."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, dict(metadata))
        except SafetensorError as error:
            raise OSError(str(error).splitlines()[0]) from error


def make_folder(path: FileName) -> Path:
    """Return the folder `path`; make it if it is missing.

    Raises:
        FiceError: it cannot be made.
    """
    check_name(path)
    if _is_no_place_for_files(path):
        raise FiceError(f"cannot make the folder {path}: there are no ordinary files in it")
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise FiceError(f"cannot make the folder {path}: {_reason(error)}") from error
    return Path(path)


@contextlib.contextmanager
def alone_in(folder: FileName) -> Iterator[None]:
    """A block that only one process at a time is in, for each folder.

    Raises:
        FiceError: another process is in it, or the folder cannot be written.
    """
    path = Path(folder) / ".fice.lock"
    check_writable(path)  # the lock takes a folder that it cannot write for a locked one
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise FiceError(
            f"another run is working in {folder}: wait until it ends, or give another folder"
        ) from None
    except OSError as error:
        raise FiceError(f"cannot lock the folder {folder}: {_reason(error)}") from error
    try:
        yield
    finally:
        lock.release()


def cache_folder(name: str, variable: str) -> Path:
    """The folder for files that can be made again; it need not exist.

    Args:
        name: of the folder, below `fice` in the user's cache (`XDG_CACHE_HOME`, else `~/.cache`).
        variable: of the environment; if it is set, it names the folder.
    """
    if given := os.environ.get(variable):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fice" / name


def is_same_folder(first: FileName, second: FileName) -> bool:
    """Whether two names are those of one existing folder."""
    return os.path.isdir(first) and not _identities(first).isdisjoint(_identities(second))


def some_of(names: Sequence[FileName], most: int = 3) -> str:
    """Names for a message: the first ones, and how many there are beside them."""
    shown = ", ".join(str(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class _Discard(Exception):
    """Ends `replacing` without a result."""


def _target(path: FileName) -> Path:
    """The file behind `path`: a link stays a link.

    Raises:
        FiceError: the name cannot be used, or what is there is not to be replaced.
    """
    check_name(path)
    target = Path(os.path.realpath(path))
    if os.path.isdir(target) or os.fspath(path).endswith(_SEPARATORS):
        raise FiceError(f"cannot write {path}: it is a folder; give the name of a file")
    if _is_no_place_for_files(path) or (os.path.exists(target) and not os.path.isfile(target)):
        raise FiceError(f"cannot write {path}: it is a device or a pipe, not a file")
    if os.path.isfile(target) and not os.stat(target).st_mode & 0o222:
        raise FiceError(f"cannot write {path}: the file is read-only")
    return target


def _is_no_place_for_files(path: FileName) -> bool:
    return any(
        Path(place).is_relative_to(root) and not Path(place).is_relative_to(_ORDINARY)
        for place in (os.path.abspath(path), os.path.realpath(path))
        for root in _NO_FILES
    )


def _identities(path: FileName) -> set[object]:
    """What two names of one file have in common, also where case makes no difference."""
    found: set[object] = set()
    with contextlib.suppress(OSError, ValueError):
        found.add(os.path.realpath(path))
        status = os.stat(path)
        if status.st_ino:  # some file systems have none
            found.add((status.st_dev, status.st_ino))
    return found


def _caseless(text: str) -> str:
    """A text that is equal for names that are one file on some file systems."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _short(text: str) -> str:
    """A name, cut if it is long, for a message about it."""
    return repr(text if len(text) <= 60 else f"{text[:45]}...{text[-12:]}")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _ordinary_mode() -> int:
    """Permissions of an ordinary new file; those of mkstemp are private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
