"""Output files that appear whole or not at all."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import FiceError


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before the work whether its result can be written to `path`.

    Raises:
        FiceError: the folder is missing or not writable, or `path` is no ordinary file.
    """
    with replacing(path):
        raise _Discard


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well.

    After any exception, Ctrl-C included, the temporary file is gone and `path` is as it was.

    Raises:
        FiceError: the file cannot be written: no such folder, no permission, disk full...
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.is_dir():
        raise FiceError(f"cannot write {path}: it is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        raise FiceError(f"cannot write {path}: it is a device or a pipe, not a file")
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(".part", f".{target.name[:100]}.", target.parent)
        os.close(handle)
        yield Path(temporary)
        os.chmod(temporary, _ordinary_mode())
        os.replace(temporary, target)
    except _Discard:
        pass
    except OSError as error:
        hint = "" if target.parent.is_dir() else f" (make the folder {target.parent} first)"
        raise FiceError(f"cannot write {path}: {error.strerror or error}{hint}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all; raises what `replacing` raises."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder `path`, made if it is missing.

    Raises:
        FiceError: it cannot be made.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise FiceError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return Path(path)


class _Discard(Exception):
    """Ends `replacing` without a result."""


def _ordinary_mode() -> int:
    """Permissions of an ordinary new file; mkstemp's are private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def write_json(path: str | os.PathLike[str], report: dict[str, Any]) -> None:
    """Write a report whole or not at all.

    Raises:
        FiceError: the file cannot be written.
    """
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
