"""Reads a checkpoint file of any format into plain containers and inert records.

No code of a file is ever run; see `unpickler` and `allowlist`.
"""

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ...errors import FiceError, printable
from .archives import LEGACY_MAGIC, nested_storage, read_legacy, read_zip
from .budget import MAX_TENSORS, Budget
from .records import DamagedError, damage_named
from .unpickler import Unpickler

_MAX_HEADER = 1 << 24  # bytes of a safetensors header; a tensor takes about 100
PathLike = str | os.PathLike[str]
_LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
_NOT_CHECKPOINTS = {  # first bytes of files that are often mistaken for checkpoints
    b"version https://git-lfs": "a Git LFS pointer, not the file; fetch the file with git lfs pull",
    b"<!DOCTYPE": "a web page, not a checkpoint; the download went wrong",
    b"<!doctype": "a web page, not a checkpoint; the download went wrong",
    b"<html": "a web page, not a checkpoint; the download went wrong",
    b"\x89PNG": "a PNG image, not a checkpoint",
    b"\xff\xd8\xff": "a JPEG image, not a checkpoint",
    b"\x89HDF": "an HDF5 file (Keras?); a PyTorch checkpoint was expected",
    b"GGUF": "a GGUF language model, not a checkpoint of an image network",
}


@dataclass(frozen=True)
class Contents:
    """The contents of a file.

    Attributes:
        path: the file.
        format: "safetensors", "PyTorch", "TorchScript", "legacy PyTorch" or "pickle".
        tree: containers, tensors and records as stored.
        metadata: text beside the weights; only safetensors files have any.
        size: size of the file in bytes.
    """

    path: Path
    format: str
    tree: Any
    metadata: Mapping[str, str]
    size: int

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name


def read(path: PathLike) -> Contents:
    """Contents of a `.pt`, `.pth`, `.pkl` or `.safetensors` file.

    The format is detected from the first bytes, not from the suffix.

    Raises:
        FiceError: the file is missing, damaged, not a checkpoint, or asks for code.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "not a regular file"
            raise FiceError(f"{path} is {what}; a checkpoint file was expected")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise FiceError(f"{path.name} is empty (0 bytes); copy or download it again")
            # Copy on write: tensors may be views of the map, and the file is never written.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError as error:
        raise FiceError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, FiceError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FiceError(f"cannot read {path}: {reason}") from error
    with damage_named(path.name):
        kind, tree, metadata = _parse(path, mapped)
    return Contents(path, kind, tree, metadata, size)


def _parse(path: Path, mapped: mmap.mmap) -> tuple[str, Any, Mapping[str, str]]:
    """Format, tree and metadata of a mapped file."""
    name, data, budget = path.name, memoryview(mapped), Budget.of_file(len(mapped))
    start = bytes(data[:32])
    for beginning, what in _NOT_CHECKPOINTS.items():
        if start.startswith(beginning):
            raise FiceError(f"{name} is {what}")
    if path.suffix.lower() == ".onnx" or (start[:1] == b"\x08" and start[2:3] == b"\x12"):
        raise FiceError(
            f"{name} is an ONNX program; the PyTorch file of the same network was expected"
        )
    if start.startswith(b"PK\x03\x04"):
        kind, tree = read_zip(data, name, budget)
        return kind, tree, {}
    if start.startswith(_LEGACY_START):
        return "legacy PyTorch", read_legacy(data, name, budget), {}
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < len(data):
        return "safetensors", *_read_safetensors(path, int.from_bytes(start[:8], "little"))
    unpickler = Unpickler(data, name, budget, load_storage=nested_storage(name, budget))
    try:
        return "pickle", unpickler.load(), {}
    except DamagedError as error:
        if start.startswith(b"\x80"):  # how every pickle of protocol 2 or later begins
            raise
        raise DamagedError("it is neither PyTorch, TorchScript, pickle nor safetensors") from error


def _read_safetensors(path: Path, header: int) -> tuple[Any, Mapping[str, str]]:
    """Tensors (memory-mapped) and metadata of a safetensors file with a header of that many bytes."""
    if header > _MAX_HEADER:
        raise DamagedError("its header is far longer than that of any checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            keys = file.keys()
            if len(keys) > MAX_TENSORS:
                raise DamagedError("it has far more tensors than any checkpoint")
            return {key: file.get_tensor(key) for key in keys}, file.metadata() or {}
    except (SafetensorError, OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
        if isinstance(error, DamagedError | RecursionError):
            raise
        raise DamagedError(printable(str(error).partition("\n")[0], 200)) from error
