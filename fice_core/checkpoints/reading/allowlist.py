"""The allow-list: every global name that a checkpoint may contain, and what replaces it.

A name resolves to a function of this package that makes inert records, never to what it names.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from .records import (
    ArrayRecord,
    DamagedError,
    DtypeRecord,
    LongText,
    ObjectRecord,
    Storage,
    StorageType,
    TensorRecord,
    counts,
    extents,
    raw_bytes,
)

_SCALARS = (str, int, float, bool, bytes, torch.dtype, type(None))
_MAX_PARTS, _MAX_PART = 8, 100  # of a key that is not a text, and of a text within it
_MAX_CODE = 16  # characters of the code of a numpy type; those of structures are not needed


@dataclass(frozen=True)
class Constructor:
    """An entry of the allow-list; `build` is called with the arguments in the file."""

    name: str
    build: Callable[..., Any]


def key(value: Any) -> str:
    """`value` as a key of a dictionary: its text, if it is a scalar, a type or a short tuple of these.

    Nothing of the file is hashed but text. Numbers can be chosen so that a table of them takes hours
    to fill, and hashing a deeply nested tuple overflows the interpreter's stack.

    Raises:
        DamagedError: it is anything else.
    """
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, tuple) and len(value) <= _MAX_PARTS else (value,)
    for part in parts:
        if not isinstance(part, _SCALARS):
            raise DamagedError(f"a dictionary key is a {type(part).__name__}")
        if isinstance(part, str | bytes) and len(part) > _MAX_PART:
            raise DamagedError("a dictionary key is impossibly long")
    return ", ".join(str(p, "latin-1") if isinstance(p, bytes) else str(p) for p in parts)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> TensorRecord:
    if not isinstance(storage, Storage):
        raise DamagedError("a tensor has no storage")
    (start,) = counts((offset,))
    shape, steps = extents(size), counts(stride)
    if len(shape) != len(steps):
        raise DamagedError("a tensor's shape and stride do not match")
    return TensorRecord(storage, start, shape, steps)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> TensorRecord:
    """A tensor whose type differs from its storage's (unsigned 16 bits and wider, 8-bit floats)."""
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
        raise DamagedError("a tensor has no storage or no type")
    bytes_ = storage.numel * storage.dtype.itemsize
    typed = Storage(dtype, bytes_ // dtype.itemsize, storage.data, storage.swap)
    return _tensor(typed, offset, size, stride)


def _tensor_subclass(make: Any, _type: Any, args: Any, *_: Any) -> Any:
    """A tensor with a class or attributes of its own, such as a `Parameter` with a name."""
    if not isinstance(make, Constructor) or make.build not in (_tensor, _tensor_v3, _same):
        raise DamagedError("a tensor is made in an unknown way")
    return make.build(*args)


def _ordered_dict(items: Iterable[Any] = ()) -> OrderedDict[str, Any]:
    result: OrderedDict[str, Any] = OrderedDict()
    for pair in items:
        name, value = pair
        result[key(name)] = value
    return result


def _same(value: Any = (), *_: Any) -> Any:
    """The value itself, for copies and changes of type that make no difference here."""
    return value


def _dtype(code: Any, *_: Any) -> DtypeRecord:
    return DtypeRecord(code if isinstance(code, str) and len(code) <= _MAX_CODE else "O")


def _array(*_: Any) -> ArrayRecord:
    return ArrayRecord()


def _array_from_buffer(raw: Any, element: Any, shape: Any, order: Any, *_: Any) -> ArrayRecord:
    array = ArrayRecord()
    array.set_state((shape, element, order == "F", raw))
    return array


def _numpy_scalar(element: Any, raw: Any = b"") -> Any:
    array = ArrayRecord((), element, False, raw)
    if not isinstance(element, DtypeRecord):
        raise DamagedError("a numpy number has no type")
    return array.to_tensor().item() if array.dtype is not None else None


def _encode(text: Any, *_: Any) -> Any:
    """Bytes of `_codecs.encode(text, "latin1")`, the form in which protocol 2 stores them."""
    return text if isinstance(text, LongText) else raw_bytes(text)


def _reconstructor(cls: Any, *_: Any) -> Any:
    """An object of `copyreg._reconstructor(cls, base, state)`, which protocols 0 and 1 use."""
    if not isinstance(cls, Constructor):
        raise DamagedError("an object has no class")
    return cls.build()


def _path(*parts: str) -> str:
    return "/".join(parts)


def _device(kind: Any, index: Any = None) -> str:
    if not isinstance(kind, str) or not isinstance(index, int | None):
        raise DamagedError("a device has no name")
    return kind if index is None else f"{kind}:{index}"


def _persistent_object(meta: Any) -> ObjectRecord:
    """An object of NVIDIA's persistence, given as a dictionary of class name, source code and state.

    The source code is ignored.
    """
    if not isinstance(meta, dict):
        raise DamagedError("a persistent object has no description")
    name = meta.get("class_name")
    if not isinstance(name, str):
        raise DamagedError("a persistent object has no class name")
    return ObjectRecord(name, (), meta.get("state"))


_NUMPY = {
    "multiarray._reconstruct": _array,
    "multiarray.scalar": _numpy_scalar,
    "numeric._frombuffer": _array_from_buffer,
}
_BUILTINS: dict[str, Callable[..., Any]] = {
    "list": _same,
    "tuple": _same,
    "dict": _ordered_dict,
    "set": lambda *args: ObjectRecord("set", args),
    "frozenset": lambda *args: ObjectRecord("frozenset", args),
    "slice": lambda *args: ObjectRecord("slice", args),
    "complex": lambda *args: ObjectRecord("complex", args),
    "object": lambda: ObjectRecord("object"),
    "bytes": lambda text=b"", *_: _encode(text),
    "bytearray": lambda text=b"", *_: _encode(text),
}
_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": lambda *_: {},
    "copyreg._reconstructor": _reconstructor,
    "copy_reg._reconstructor": _reconstructor,
    "_codecs.encode": _encode,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _same,
    "torch._utils._rebuild_parameter_with_state": _same,
    "torch._tensor._rebuild_from_type_v2": _tensor_subclass,
    "torch.Size": _same,
    "torch.device": _device,
    "torch.serialization._get_layout": _same,
    "numpy.dtype": _dtype,
    "numpy.ndarray": _array,
    "dnnlib.util.EasyDict": _ordered_dict,
    "dnnlib.EasyDict": _ordered_dict,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    **{f"numpy.core.{name}": build for name, build in _NUMPY.items()},
    **{f"numpy._core.{name}": build for name, build in _NUMPY.items()},
    **{f"builtins.{name}": build for name, build in _BUILTINS.items()},
    **{f"__builtin__.{name}": build for name, build in _BUILTINS.items()},
    **{
        f"torch.jit._pickle.{name}": _same
        for name in (
            "build_intlist",
            "build_doublelist",
            "build_boollist",
            "build_tensorlist",
            "restore_type_tag",
        )
    },
    **{
        f"{module}.{name}": _path
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath")
    },
}
_INERT_CLASSES = frozenset({"argparse.Namespace", "types.SimpleNamespace"})
_INERT_PACKAGES = ("torch.nn.modules.", "torch.nn.backends.")
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
# Looked up here and not in `torch`, which imports some of its modules when they are asked for.
_DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}


@functools.lru_cache(maxsize=1024)  # a file names the same few things thousands of times
def resolve(module: str, name: str, torchscript: bool = False) -> Any | None:
    """The replacement of `module.name`; None if the list does not have it.

    Args:
        module, name: as written in the pickle.
        torchscript: whether classes that the file defines (`__torch__.*`) are allowed.
    """
    full = f"{module}.{name}"
    if full in _CONSTRUCTORS:
        return Constructor(full, _CONSTRUCTORS[full])
    if module in ("torch", "torch.cuda", "torch.storage") and name in _STORAGES:
        return StorageType(_STORAGES[name])
    if module == "torch" and name in _DTYPES:
        return _DTYPES[name]
    if (
        full in _INERT_CLASSES
        or full.startswith(_INERT_PACKAGES)
        or (torchscript and module.split(".")[0] == "__torch__")
    ):
        return Constructor(full, lambda *args: ObjectRecord(full, args))
    return None
