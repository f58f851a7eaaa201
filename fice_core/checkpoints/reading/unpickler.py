"""A pickle reader that cannot run code.

Python's unpickler calls what a file names, sets attributes on it, and allocates as much memory as
the file asks for. This one knows only the instructions that checkpoints use, resolves names by
`allowlist`, checks every length, and counts what grows. Long payloads stay in the file's memory map.
"""

import struct
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from ...errors import printable
from .allowlist import Constructor, key, resolve
from .budget import Budget
from .records import ArrayRecord, DamagedError, DtypeRecord, LongText, ObjectRecord, RefusedError

_LONG = 4096  # text and byte strings of at least this many bytes stay in the file
_MAX_INTEGER_BYTES = 64
_MARK, _NOTHING = object(), object()
_BYTE, _UINT16, _UINT32, _UINT64, _INT32, _DOUBLE = map(
    struct.Struct, ("<B", "<H", "<I", "<Q", "<i", ">d")
)
_COMMON_MODULES = frozenset(
    {*sys.stdlib_module_names, "__builtin__", "__torch__", "torch", "numpy"}
)


class Unpickler:
    """Reads consecutive pickles from a buffer.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.
        budget: what may be spent on it.
        torchscript: whether classes of a TorchScript archive are allowed.
        persistent_load: returns the object of a persistent id; without it, such ids are an error.
        load_storage: reads the bytes of a `torch.storage._load_from_bytes`.
    """

    def __init__(
        self,
        data: memoryview,
        name: str,
        budget: Budget,
        torchscript: bool = False,
        persistent_load: Callable[[Any], Any] | None = None,
        load_storage: Callable[[Any], Any] | None = None,
    ) -> None:
        self.position = 0
        self._data = data
        self._name = name
        self._budget = budget
        self._torchscript = torchscript
        self._persistent_load = persistent_load
        self._load_storage = load_storage
        self._stack: list[Any] = []
        self._memo: list[Any] = []

    def load(self) -> Any:
        """The next pickled object, made of plain containers and records.

        Raises:
            RefusedError: the pickle contains a name that is not on the allow-list.
            DamagedError: the pickle is malformed.
        """
        self._stack, self._memo = [], []
        budget, actions = self._budget, self._ACTIONS
        try:
            while True:
                budget.elements -= 1
                if budget.elements < 0:
                    budget.spend()  # raises
                code = self._read(1)[0]
                if code == 0x2E:  # STOP
                    return self._pop()
                action = actions.get(code)
                if action is None:
                    raise DamagedError(f"it has the unknown pickle instruction {bytes([code])!r}")
                action(self)
        # In a malformed pickle, instructions and constructors get values of the wrong type or number.
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            if isinstance(error, DamagedError | RefusedError):
                raise
            raise DamagedError("its pickle is malformed") from error

    # Reading

    def _read(self, size: int) -> memoryview:
        end = self.position + size
        if end > len(self._data):
            raise DamagedError("it ends too early")
        view = self._data[self.position : end]
        self.position = end
        return view

    def _number(self, layout: struct.Struct) -> Any:
        return layout.unpack(self._read(layout.size))[0]

    def _line(self, encoding: str = "utf-8") -> str:
        """Text up to a line feed, the form of all values in protocol 0 and of GLOBAL."""
        for longest in (64, _LONG):
            size = bytes(self._data[self.position : self.position + longest]).find(b"\n")
            if size >= 0:
                self._budget.spend(text=size)
                return str(self._read(size + 1)[:-1], encoding)
        raise DamagedError("it has a line without an end")

    def _payload(
        self, layout: struct.Struct, short: Callable[[memoryview], Any], long: Any
    ) -> None:
        """Text or bytes: `short` makes a value of it, `long` leaves it in the file."""
        view = self._read(self._number(layout))
        if len(view) < _LONG:
            self._budget.spend(text=len(view))
            self._stack.append(short(view))
        else:
            self._stack.append(long(view))

    def _text(self, layout: struct.Struct) -> None:
        self._payload(layout, _utf8, LongText)

    def _old_text(self, layout: struct.Struct) -> None:
        """A byte string of Python 2: a name if short, an array's data if long."""
        self._payload(layout, _latin1, memoryview)

    def _bytes(self, layout: struct.Struct) -> None:
        self._payload(layout, bytes, memoryview)

    def _integer(self, layout: struct.Struct) -> None:
        size = self._number(layout)
        if not 0 <= size <= _MAX_INTEGER_BYTES:
            raise DamagedError("it has an impossibly large integer")
        self._stack.append(int.from_bytes(self._read(size), "little", signed=True))

    # The stack

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise DamagedError("its pickle is malformed")
        return value

    def _pop_mark(self) -> list[Any]:
        stack = self._stack
        start = len(stack) - 1
        while stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise DamagedError("its pickle is malformed")
        items = stack[start + 1 :]
        del stack[start:]
        return items

    def _tuple(self, size: int) -> None:
        items = tuple(self._pop() for _ in range(size))
        self._stack.append(items[::-1])

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise DamagedError("its pickle is malformed")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise DamagedError("its pickle is malformed")
        for name, value in zip(items[::2], items[1::2], strict=True):
            target[key(name)] = value

    def _dict(self, items: list[Any]) -> None:
        self._stack.append({})
        self._set_items(items)

    def _set(self, name: str) -> None:
        """A set is recorded, not made: no checkpoint's tensors are in one."""
        self._stack.append(ObjectRecord(name, self._pop_mark() if name == "frozenset" else []))

    def _add_items(self) -> None:
        items = self._pop_mark()
        target = self._stack[-1]
        if not isinstance(target, ObjectRecord) or not isinstance(target.args, list):
            raise DamagedError("its pickle is malformed")
        target.args.extend(items)

    def _memoize(self, index: int) -> None:
        """Remember the top of the stack; picklers count up, so a gap in the numbers is paid for."""
        missing = max(index + 1 - len(self._memo), 0)
        self._budget.spend(missing)
        if index < 0:
            raise DamagedError("its pickle is malformed")
        self._memo.extend([_NOTHING] * missing)
        self._memo[index] = self._stack[-1]

    def _recall(self, index: int) -> None:
        value = self._memo[index] if 0 <= index < len(self._memo) else _NOTHING
        if value is _NOTHING:
            raise DamagedError("its pickle is malformed")
        self._stack.append(value)

    def _pop_key_value(self) -> list[Any]:
        value = self._pop()
        return [self._pop(), value]

    # Names and objects

    def _global(self, module: str, name: str) -> Any:
        if f"{module}.{name}" == "torch.storage._load_from_bytes" and self._load_storage:
            return Constructor(name, self._load_storage)
        self._budget.spend(elements=2, text=len(module) + len(name))  # it takes as long as three
        known = len(module) + len(name) < _LONG
        replacement = resolve(module, name, self._torchscript) if known else None
        if module.startswith("dnnlib.tflib"):
            raise RefusedError(
                f"{self._name} is a TensorFlow network of NVIDIA's first StyleGAN releases; "
                "use its PyTorch version (a .pkl of stylegan2-ada-pytorch)"
            )
        if replacement is None and _is_class_of_others(module, name):
            raise RefusedError(
                f"{self._name} holds a whole object of the class {printable(f'{module}.{name}')}, not only "
                "its tensors, and no code of a file is run; use a file with its state dict"
            )
        if replacement is None:
            raise RefusedError(
                f"{self._name} asks for {printable(f'{module}.{name}', 100)}, "
                "which a checkpoint never needs; refused"
            )
        return replacement

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise DamagedError("its pickle is malformed")
        self._stack.append(self._global(module, name))

    def _construct(self, cls: Any, args: Any) -> None:
        if not isinstance(cls, Constructor) or not isinstance(args, tuple | list):
            raise DamagedError("its pickle is malformed")
        self._charge(args)
        self._stack.append(cls.build(*args))

    def _charge(self, values: Any) -> None:
        """Spend what a constructor may copy: the memo can supply the same long value many times."""
        elements, text = len(values), 0
        for value in values:
            if isinstance(value, str | bytes):
                text += len(value)
            elif isinstance(value, tuple | list | dict):
                elements += len(value)
        self._budget.spend(elements, text)

    def _reduce(self) -> None:
        args = self._pop()
        self._construct(self._pop(), args)

    def _new_with_keywords(self) -> None:
        keywords, args = self._pop(), self._pop()
        self._construct(self._pop(), args)
        if isinstance(self._stack[-1], ObjectRecord):
            self._stack[-1].state = keywords

    def _instance(self) -> None:
        """INST of protocol 0: class by name, arguments above the mark."""
        cls = self._global(self._line(), self._line())
        self._construct(cls, self._pop_mark())

    def _object(self) -> None:
        """OBJ of protocol 1: class and arguments above the mark."""
        cls, *args = self._pop_mark()
        self._construct(cls, args)

    def _build(self) -> None:
        state = self._pop()
        target = self._stack[-1]
        if isinstance(state, tuple):
            self._charge(state)
        if isinstance(target, ObjectRecord | ArrayRecord | DtypeRecord):
            target.set_state(state)
        elif not isinstance(target, dict):  # attributes of an OrderedDict are ignored
            raise DamagedError("its pickle is malformed")

    def _persistent(self, pid: Any) -> None:
        if self._persistent_load is None:
            raise DamagedError("it refers to data outside itself")
        self._stack.append(self._persistent_load(pid))

    def _protocol(self) -> None:
        version = self._read(1)[0]
        if version > 5:
            raise DamagedError(f"it has pickle protocol {version}")

    _ACTIONS: ClassVar[dict[int, Callable[["Unpickler"], None]]] = {
        ord(code): action
        for code, action in {
            "\x80": lambda u: u._protocol(),
            "\x95": lambda u: u._number(_UINT64),  # FRAME: only a hint
            "(": lambda u: u._stack.append(_MARK),
            "0": lambda u: u._stack.pop(),
            "1": lambda u: u._pop_mark(),
            "2": lambda u: u._stack.append(u._stack[-1]),
            "N": lambda u: u._stack.append(None),
            "\x88": lambda u: u._stack.append(True),
            "\x89": lambda u: u._stack.append(False),
            "I": lambda u: u._stack.append(_integer_line(u._line())),
            "L": lambda u: u._stack.append(_integer_line(u._line())),
            "F": lambda u: u._stack.append(float(u._line())),
            "K": lambda u: u._stack.append(u._number(_BYTE)),
            "M": lambda u: u._stack.append(u._number(_UINT16)),
            "J": lambda u: u._stack.append(u._number(_INT32)),
            "G": lambda u: u._stack.append(u._number(_DOUBLE)),
            "\x8a": lambda u: u._integer(_BYTE),
            "\x8b": lambda u: u._integer(_INT32),
            "S": lambda u: u._stack.append(_quoted_line(u._line())),
            "V": lambda u: u._stack.append(u._line("raw-unicode-escape")),
            "U": lambda u: u._old_text(_BYTE),
            "T": lambda u: u._old_text(_UINT32),
            "\x8c": lambda u: u._text(_BYTE),
            "X": lambda u: u._text(_UINT32),
            "\x8d": lambda u: u._text(_UINT64),
            "C": lambda u: u._bytes(_BYTE),
            "B": lambda u: u._bytes(_UINT32),
            "\x8e": lambda u: u._bytes(_UINT64),
            "\x96": lambda u: u._bytes(_UINT64),
            ")": lambda u: u._stack.append(()),
            "\x85": lambda u: u._tuple(1),
            "\x86": lambda u: u._tuple(2),
            "\x87": lambda u: u._tuple(3),
            "t": lambda u: u._stack.append(tuple(u._pop_mark())),
            "]": lambda u: u._stack.append([]),
            "l": lambda u: u._stack.append(u._pop_mark()),
            "a": lambda u: u._append([u._pop()]),
            "e": lambda u: u._append(u._pop_mark()),
            "}": lambda u: u._stack.append({}),
            "d": lambda u: u._dict(u._pop_mark()),
            "s": lambda u: u._set_items(u._pop_key_value()),
            "u": lambda u: u._set_items(u._pop_mark()),
            "\x8f": lambda u: u._set("set"),
            "\x90": lambda u: u._add_items(),
            "\x91": lambda u: u._set("frozenset"),
            "g": lambda u: u._recall(_integer_line(u._line())),
            "h": lambda u: u._recall(u._number(_BYTE)),
            "j": lambda u: u._recall(u._number(_UINT32)),
            "p": lambda u: u._memoize(_integer_line(u._line())),
            "q": lambda u: u._memoize(u._number(_BYTE)),
            "r": lambda u: u._memoize(u._number(_UINT32)),
            "\x94": lambda u: u._memoize(len(u._memo)),
            "c": lambda u: u._stack.append(u._global(u._line(), u._line())),
            "\x93": lambda u: u._stack_global(),
            "i": lambda u: u._instance(),
            "o": lambda u: u._object(),
            "R": lambda u: u._reduce(),
            "\x81": lambda u: u._reduce(),
            "\x92": lambda u: u._new_with_keywords(),
            "b": lambda u: u._build(),
            "P": lambda u: u._persistent(u._line()),
            "Q": lambda u: u._persistent(u._pop()),
        }.items()
    }


def _utf8(view: memoryview) -> str:
    return str(view, "utf-8")


def _latin1(view: memoryview) -> str:
    return str(view, "latin-1")


def _integer_line(text: str) -> int:
    digits = text.removesuffix("L")
    if len(digits) > 2 * _MAX_INTEGER_BYTES:
        raise DamagedError("it has an impossibly large integer")
    return int(digits)


def _quoted_line(text: str) -> str:
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        raise DamagedError("its pickle is malformed")
    return text[1:-1]


def _is_class_of_others(module: str, name: str) -> bool:
    """Whether a name looks like a class of a project's own code, as whole pickled networks have."""
    return module.split(".")[0] not in _COMMON_MODULES and name.split(".")[-1][:1].isupper()
