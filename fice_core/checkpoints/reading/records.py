"""Inert records of the tensors, arrays and objects in a checkpoint.

The readers build only these records. A file can thus be inspected without running its code and
without reading its weights. `to_tensor` makes a tensor of a record and checks it against the bytes
in the file.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...errors import FiceError


class DamagedError(FiceError):
    """The bytes do not follow their format."""


class RefusedError(FiceError):
    """The file asks for something that a checkpoint never needs."""


@dataclass(frozen=True)
class LongText:
    """A long string of the file, as a view of its UTF-8 bytes; it is decoded when it is used."""

    view: memoryview


Raw = bytes | bytearray | memoryview | str | LongText


def raw_bytes(raw: Raw) -> bytes | bytearray | memoryview:
    """The bytes of a payload; text stands for its Latin-1 bytes, as in old pickles.

    Raises:
        DamagedError: `raw` is not a payload.
    """
    try:
        if isinstance(raw, LongText):
            return bytearray(str(raw.view, "utf-8").encode("latin-1"))
        if isinstance(raw, str):
            return raw.encode("latin-1")
    except UnicodeError as error:
        raise DamagedError("a byte string is not encoded as Latin-1") from error
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise DamagedError("bytes were expected for an array")
    return raw


def from_bytes(raw: Raw, dtype: torch.dtype, numel: int) -> Tensor:
    """A tensor (numel,) over the bytes, without a copy where possible.

    Args:
        raw: at least numel elements.
        dtype: type of the elements.
        numel: number of elements.

    Raises:
        DamagedError: there are too few bytes, or a text of far more bytes would have to be decoded.
    """
    size = numel * dtype.itemsize
    if isinstance(raw, LongText) and len(raw.view) > 2 * size:  # as UTF-8 a byte takes two at most
        raise DamagedError(
            f"an array of {size} bytes is declared where the file has {len(raw.view)}"
        )
    data = raw_bytes(raw)
    if size > len(data):
        raise DamagedError(f"an array of {size} bytes is declared where the file has {len(data)}")
    if numel == 0:
        return torch.empty(0, dtype=dtype)
    if isinstance(data, bytes) or memoryview(data).readonly:
        data = bytearray(data[:size])
    return torch.frombuffer(data, dtype=dtype, count=numel)


def _swapped(tensor: Tensor) -> Tensor:
    """A copy of the tensor with the bytes of each element in the opposite order."""
    copy = tensor.clone(memory_format=torch.contiguous_format)
    if tensor.dtype.itemsize > 1:
        copy.untyped_storage().byteswap(tensor.dtype)
    return copy


@dataclass(frozen=True)
class StorageType:
    """A storage class such as `torch.FloatStorage`; the elements of `UntypedStorage` are bytes."""

    dtype: torch.dtype


@dataclass
class Storage:
    """Consecutive elements in the file; `data` may be set after unpickling.

    `swap` says whether their byte order differs from this machine's.
    """

    dtype: torch.dtype
    numel: int
    data: Raw | None = None
    swap: bool = False

    def to_tensor(self) -> Tensor:
        """All elements in the file's byte order, (numel,), over the file's memory.

        Raises:
            DamagedError: the data is missing or too short.
        """
        if self.data is None:
            raise DamagedError("a tensor's data is missing")
        return from_bytes(self.data, self.dtype, self.numel)


_MAX_COUNT = 1 << 48  # more than any file has, and far from overflow
_MAX_DIMS = 32


def counts(values: Any) -> tuple[int, ...]:
    """`values` as a tuple of non-negative integers, such as strides and offsets.

    Raises:
        DamagedError: they are something else, or far too large or too many.
    """
    if not isinstance(values, tuple | list):
        raise DamagedError("a tensor's shape is not a list of non-negative integers")
    if len(values) > _MAX_DIMS:
        raise DamagedError("a tensor's shape is impossibly large")
    if not all(isinstance(value, int) and 0 <= value < _MAX_COUNT for value in values):
        raise DamagedError("a tensor's shape is not a list of non-negative integers")
    return tuple(values)


def extents(values: Any) -> tuple[int, ...]:
    """`values` as the shape of a tensor.

    Raises:
        DamagedError: no tensor in a file could have this shape.
    """
    shape = counts(values)
    if math.prod(max(n, 1) for n in shape) >= _MAX_COUNT:
        raise DamagedError("a tensor's shape is impossibly large")
    return shape


@dataclass
class TensorRecord:
    """A view into a storage, as `torch` pickles a tensor."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Element type."""
        return self.storage.dtype

    def to_tensor(self) -> Tensor:
        """The tensor, sharing the file's memory where it can.

        Raises:
            DamagedError: the view exceeds its storage or repeats elements of it.
        """
        numel, available = math.prod(self.shape), self.storage.numel
        last = self.offset + sum(
            (n - 1) * s for n, s in zip(self.shape, self.stride, strict=True) if n
        )
        if numel > available or (numel and last >= available):
            raise DamagedError(
                f"a tensor of shape {self.shape} is declared over {available} stored elements"
            )
        if numel == 0:
            return torch.empty(self.shape, dtype=self.dtype)
        tensor = self.storage.to_tensor().as_strided(self.shape, self.stride, self.offset)
        return _swapped(tensor) if self.storage.swap else tensor


_NUMPY_TYPES = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}


@dataclass
class DtypeRecord:
    """A numpy dtype: its code, and the byte order, which its state may set."""

    code: str
    order: str = "="

    def set_state(self, state: Any) -> None:
        """Read numpy's dtype state; only the byte order matters here."""
        if isinstance(state, tuple) and len(state) > 1 and isinstance(state[1], str):
            self.order = state[1]

    @property
    def dtype(self) -> torch.dtype | None:
        """The torch type, or None for strings, objects and structures."""
        return _NUMPY_TYPES.get(self.code.lstrip("<>=|"))

    @property
    def swap(self) -> bool:
        """Whether the byte order differs from this machine's."""
        order = self.code[0] if self.code[:1] in "<>" else self.order
        return order == ("<" if sys.byteorder == "big" else ">")


@dataclass
class ArrayRecord:
    """A numpy array."""

    shape: tuple[int, ...] = ()
    element: DtypeRecord = field(default_factory=lambda: DtypeRecord("O"))
    fortran: bool = False
    raw: Any = b""

    def set_state(self, state: Any) -> None:
        """Read numpy's array state: (version, shape, dtype, Fortran order, data).

        Raises:
            DamagedError: it has another form.
        """
        if not isinstance(state, tuple) or len(state) < 4 or len(state) > 5:
            raise DamagedError("a numpy array's state has an unknown form")
        shape, element, fortran, self.raw = state[-4:]
        if not isinstance(element, DtypeRecord):
            raise DamagedError("a numpy array has no element type")
        self.shape, self.element, self.fortran = extents(shape), element, bool(fortran)

    @property
    def dtype(self) -> torch.dtype | None:
        """Element type; None if torch does not have it."""
        return self.element.dtype

    def to_tensor(self) -> Tensor:
        """The array as a tensor, sharing the file's memory where it can.

        Raises:
            DamagedError: there are too few bytes for the shape, or the elements are not numbers.
        """
        if self.dtype is None:
            raise DamagedError("a numpy array that does not contain numbers is used as a tensor")
        flat = from_bytes(self.raw, self.dtype, math.prod(self.shape))
        if self.element.swap:
            flat = _swapped(flat)
        if self.fortran and len(self.shape) > 1:
            return flat.reshape(self.shape[::-1]).permute(*reversed(range(len(self.shape))))
        return flat.reshape(self.shape)


@dataclass
class ObjectRecord:
    """An object of the file: the name of its class, its arguments and its state. Never an instance."""

    name: str
    args: Sequence[Any] = ()
    state: Any = None

    def set_state(self, state: Any) -> None:
        """Store the state."""
        self.state = state


@dataclass(frozen=True)
class DerivedRecord:
    """A tensor that is computed from stored ones when it is used, for example in another layout.

    `compute` may raise DamagedError only. Shapes are checked where the record is made.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype | None
    compute: Callable[[], Tensor]

    def to_tensor(self) -> Tensor:
        """The tensor.

        Raises:
            DamagedError: bytes of a stored tensor are missing.
        """
        return self.compute()


Stored = Tensor | TensorRecord | ArrayRecord | DerivedRecord


def tensor_of(stored: Stored) -> Tensor:
    """The stored tensor, sharing the file's memory where it can.

    Raises:
        DamagedError: some of its bytes are missing.
    """
    return stored if isinstance(stored, Tensor) else stored.to_tensor()


def read_tensor(stored: Stored, source: str) -> Tensor:
    """The stored tensor, as `tensor_of`; messages name the file `source`.

    Raises:
        FiceError: some of its bytes are missing.
    """
    with damage_named(source):
        return tensor_of(stored)


@contextmanager
def damage_named(source: str) -> Iterator[None]:
    """A block in which damage of the file `source` ends in one line that names it.

    Raises:
        FiceError: instead of DamagedError, RecursionError and MemoryError.
    """
    try:
        yield
    except DamagedError as error:
        reason = f"{error} (damaged, or an incomplete download?)"
        raise FiceError(f"{source} is not a readable checkpoint: {reason}") from error
    except RecursionError as error:
        raise FiceError(
            f"{source} is not a readable checkpoint: it nests its contents far too deeply"
        ) from error
    except MemoryError as error:
        raise FiceError(f"{source} needs more memory than this machine has") from error


def look_up(tree: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of names through dictionaries and states of objects, or None."""
    for name in path:
        node = tree.state if isinstance(tree, ObjectRecord) else tree
        if not isinstance(node, dict):
            return None
        tree = node.get(name)
    return tree
