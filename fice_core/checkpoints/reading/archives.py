"""Readers of the two archive formats of `torch.save` and `torch.jit.save`."""

import io
import struct
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from .budget import Budget
from .records import DamagedError, LongText, Raw, RefusedError, Storage, StorageType, raw_bytes
from .unpickler import Unpickler

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip member, up to its name
_ENCRYPTED = 0x1
_MAX_DIRECTORY = 1 << 22  # bytes of a zip directory; a member of PyTorch takes about 80
_MAX_NESTING = 2  # a legacy file inside a pickle contains one storage, not further files


def storage_of(pid: Any) -> tuple[StorageType, str, int]:
    """Type, key and element count of a persistent id ("storage", type, key, device, count, ...).

    The device is ignored: everything is read into main memory.

    Raises:
        DamagedError: it is not such an id.
    """
    if not isinstance(pid, tuple | list) or len(pid) < 5 or pid[0] != "storage":
        raise DamagedError("it refers to data in an unknown way")
    kind, key, numel = pid[1], pid[2], pid[4]
    if not isinstance(kind, StorageType) or not isinstance(key, str):
        raise DamagedError("it refers to data in an unknown way")
    if not isinstance(numel, int) or numel < 0:
        raise DamagedError("a storage has no size")
    return kind, key, numel


class _View(io.RawIOBase):
    """A file object over a buffer, without the copy that `io.BytesIO` makes.

    `zipfile` reads a directory in one piece, so a limit of a piece is a limit of the directory.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._position, len(self._data))[whence]
        if base + offset < 0:
            raise OSError("seek before the start")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._position + size
        chunk = self._data[self._position : end]
        if len(chunk) > _MAX_DIRECTORY:
            raise ValueError("a zip directory of impossible size")
        self._position += len(chunk)
        return bytes(chunk)


class ZipReader:
    """A zip file in a memory map; its members are views of the map.

    PyTorch stores members without compression, so a compressed member is refused when it is read.
    Thus no member can be larger than the file.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.

    Raises:
        DamagedError: the zip directory is broken or truncated.
    """

    def __init__(self, data: memoryview, name: str) -> None:
        self._data = data
        self._name = name
        try:
            members = zipfile.ZipFile(_View(data)).infolist()
        except (
            zipfile.BadZipFile,
            ArithmeticError,
            EOFError,
            LookupError,
            OSError,
            RuntimeError,
            ValueError,
            struct.error,
        ) as error:
            raise DamagedError("its zip directory is broken or truncated") from error
        self._members = {member.filename: member for member in members}
        roots = [PurePosixPath(m).parts for m in self._members if m.endswith("/data.pkl")]
        self.root = next((parts[0] for parts in roots if len(parts) == 2), None)

    def __contains__(self, path: str) -> bool:
        return f"{self.root}/{path}" in self._members

    def any_below(self, folder: str) -> bool:
        """Whether there is a member in `folder`."""
        return any(name.startswith(f"{self.root}/{folder}/") for name in self._members)

    def read(self, path: str) -> memoryview:
        """The bytes of a member below the archive's root folder.

        Raises:
            DamagedError: the member is missing or truncated.
            RefusedError: the member is compressed or encrypted.
        """
        member = self._members.get(f"{self.root}/{path}")
        if member is None:
            raise DamagedError(f"its member {path} is missing")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
            raise RefusedError(
                f"{self._name} compresses or encrypts its member {path}, which PyTorch never does; "
                "refused"
            )
        start = member.header_offset
        header = self._data[start : start + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size:
            raise DamagedError(f"its member {path} is truncated")
        signature, *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start += _LOCAL_HEADER.size + name_length + extra_length
        if signature != b"PK\x03\x04" or start + member.file_size > len(self._data):
            raise DamagedError(f"its member {path} is truncated")
        return self._data[start : start + member.file_size]


def read_zip(data: memoryview, name: str, budget: Budget) -> tuple[str, Any]:
    """Contents of a zip written by `torch.save` or `torch.jit.save`.

    Returns:
        ("PyTorch" or "TorchScript", the object: containers and records).

    Raises:
        RefusedError, DamagedError: see `Unpickler`.
    """
    archive = ZipReader(data, name)
    if archive.root is None:
        raise DamagedError("it is a zip archive that contains no PyTorch checkpoint")
    order = bytes(archive.read("byteorder")[:8]) if "byteorder" in archive else b"little"
    if order not in (b"little", b"big"):
        raise DamagedError("its byte order is neither little nor big")
    swap = order.decode() != sys.byteorder
    torchscript = "constants.pkl" in archive or archive.any_below("code")
    storages: dict[str, Storage] = {}

    def persistent_load(pid: Any) -> Storage:
        kind, key, numel = storage_of(pid)
        if key not in storages:
            payload = archive.read(f"data/{key}")
            if numel * kind.dtype.itemsize > len(payload):
                raise DamagedError(
                    f"a tensor of {numel * kind.dtype.itemsize} bytes is declared where the file "
                    f"has {len(payload)}"
                )
            storages[key] = Storage(kind.dtype, numel, payload, swap)
        return storages[key]

    unpickler = Unpickler(
        archive.read("data.pkl"),
        name,
        budget,
        torchscript,
        persistent_load,
        nested_storage(name, budget),
    )
    return ("TorchScript" if torchscript else "PyTorch"), unpickler.load()


@dataclass
class _LegacyStorages:
    """Storages of a legacy file; the pickle declares them and the data after it fills them."""

    by_key: dict[str, Storage] = field(default_factory=dict)

    def __call__(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and pid[:1] == ("module",) and len(pid) > 1:
            return pid[1]  # a whole network was saved with its source code, which is ignored
        kind, key, numel = storage_of(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise DamagedError(
                "it was written by a very old PyTorch; load it there and save it again"
            )
        return self.by_key.setdefault(key, Storage(kind.dtype, numel))


def read_legacy(data: memoryview, name: str, budget: Budget, depth: int = 0) -> Any:
    """Contents of a file that `torch.save` of PyTorch 1.5 or older wrote, before zip archives.

    The file has one pickle each for magic number, version, system record, the object, and the list
    of storage keys. Then come the element count (8 bytes) and the elements of each storage.

    Raises:
        RefusedError, DamagedError: see `Unpickler`.
    """
    storages = _LegacyStorages()
    unpickler = Unpickler(data, name, budget, False, storages, nested_storage(name, budget, depth))
    magic, _version, system = unpickler.load(), unpickler.load(), unpickler.load()
    if magic != LEGACY_MAGIC or not isinstance(system, dict):
        raise DamagedError("it is not a legacy PyTorch file")
    little = bool(system.get("little_endian", True))
    swap = little != (sys.byteorder == "little")
    result = unpickler.load()
    keys = unpickler.load()
    if not isinstance(keys, list):
        raise DamagedError("its list of storages is missing")
    position = unpickler.position
    for key in keys:
        storage = storages.by_key.get(key) if isinstance(key, str) else None
        if storage is None:
            raise DamagedError("it stores a tensor that it does not describe")
        numel = int.from_bytes(data[position : position + 8], "little" if little else "big")
        end = position + 8 + storage.numel * storage.dtype.itemsize
        if numel != storage.numel or end > len(data):
            raise DamagedError("it ends too early")
        storage.data, storage.swap = data[position + 8 : end], swap
        position = end
    return result


def nested_storage(name: str, budget: Budget, depth: int = 0) -> Any:
    """Function that replaces `torch.storage._load_from_bytes`: it reads a storage from a legacy file
    inside a pickle."""

    def load(payload: Raw) -> Storage:
        if depth >= _MAX_NESTING:
            raise DamagedError("it nests files in files")
        if isinstance(payload, LongText):
            budget.spend(copies=len(payload.view))
        raw = raw_bytes(payload)
        if isinstance(raw, bytes):
            raw = bytearray(raw)  # tensors can be views of it without further copies
        storage = read_legacy(memoryview(raw), name, budget, depth + 1)
        if not isinstance(storage, Storage):
            raise DamagedError("a storage was expected inside its pickle")
        return storage

    return load
