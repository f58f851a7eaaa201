"""Output files that appear whole or not at all. Imports no torch until a tensor is written."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import FiceError

if TYPE_CHECKING:
    from torch import Tensor

#: metadata key under which a safetensors file of this project says what it holds
KIND_KEY = "fice.kind"


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that `path` can be written before any work is done.

    Raises:
        FiceError: the folder is missing or not writable, or `path` is no ordinary file.
    """
    with replacing(path):
        raise _Discard


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file beside `path` that replaces it when the block ends without an exception.

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


def write_json(path: str | os.PathLike[str], report: dict[str, Any]) -> None:
    """Write a report whole or not at all; raises what `replacing` raises."""
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata whole or not at all; raises what `replacing` raises."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, dict(metadata))
        except SafetensorError as error:
            raise OSError(str(error).splitlines()[0]) from error


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder `path`; make it if it is missing.

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
    """Permissions of an ordinary new file; those of mkstemp are private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
