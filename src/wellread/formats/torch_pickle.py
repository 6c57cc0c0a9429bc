"""The pickle inside a torch file, read by an interpreter that can describe tensors and do nothing else.

Each call stands for the function of that name in torch (torch/_utils.py), which is never imported: it checks the
arguments and describes what torch would build.

Pickle is a program for a stack machine; `pickle` and torch run it, and it may call any function it names. Here every
opcode is a row of a table, a global is a name that is looked up in another table and never imported, and whatever
stands in neither is refused. The interpreter does not recurse; its time and memory are bounded by the bytes it reads.
https://github.com/python/cpython/blob/3.11/Lib/pickletools.py documents the opcodes.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError

_MAX_DIMENSIONS = 64  # checked first: a long tuple may be named again and again at no cost to the file

STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A flat run of numbers in the file; tensors are views of it."""

    key: str
    dtype: str  # a key of `arrays.LAYOUTS`
    length: int  # numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A tensor as the pickle describes it; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def are_counts(*values: Any) -> bool:
    """Say whether all values are whole numbers of at least 0; True and False are not.

    >>> are_counts(0, 7), are_counts(-1), are_counts(True)
    (True, False, False)
    """
    return all(type(value) is int and value >= 0 for value in values)


def _empty(value: Any) -> bool:
    return value is None or (type(value) is dict and not value)


def _tensor(arguments: tuple[Any, ...]) -> View | None:
    """Storage, offset, shape, strides."""
    if len(arguments) != 4:
        return None
    storage, offset, shape, strides = arguments
    tuples = type(shape) is type(strides) is tuple and len(shape) == len(strides) <= _MAX_DIMENSIONS
    if type(storage) is not Storage or not tuples or not are_counts(offset, *shape, *strides):
        return None
    return View(storage=storage, offset=offset, shape=shape, strides=strides)


def _tensor_v2(arguments: tuple[Any, ...]) -> View | None:
    """The same, then whether it wants gradients, hooks (none), and, of late, conjugate or negative bits (none)."""
    valid = len(arguments) in (6, 7) and type(arguments[4]) is bool and all(map(_empty, arguments[5:]))
    return _tensor(arguments[:4]) if valid else None


def _parameter(arguments: tuple[Any, ...]) -> View | None:
    """A tensor, whether it wants gradients, and hooks (none)."""
    valid = len(arguments) == 3 and type(arguments[0]) is View and type(arguments[1]) is bool and _empty(arguments[2])
    return arguments[0] if valid else None


# what REDUCE may call; each returns None for arguments that torch does not write
CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": lambda arguments: None if arguments else {},
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_parameter": _parameter,
}


_MAX_STEPS = 1_000_000  # opcodes; a tensor takes about 30, so BERT-large's checkpoint takes 12,000
_MAX_TEXT = 4_096  # bytes of one string; names of tensors have fewer than 200
_MAX_NAME = 256  # bytes of a module's or a global's name


class _Global(str):
    """The name of a class or function, never the thing itself."""

    __slots__ = ()


def read_pickle(stream: BinaryIO, *, source: str) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle from `stream`, up to and including its STOP; `source` names the file in errors.

    Returns its value (of dict, list, tuple, str, int, float, bool, None, Storage and View), and by key every storage
    that it mentions.

    Raises:
        CheckpointError: the pickle is damaged, or holds an opcode or a global that a checkpoint does not need.

    >>> import io
    >>> read_pickle(io.BytesIO(b"\\x80\\x02}X\\x01\\x00\\x00\\x00aK\\x07s."), source="a.bin")[0]
    {'a': 7}
    >>> read_pickle(io.BytesIO(b"cposix\\nsystem\\n"), source="a.bin")
    Traceback (most recent call last):
    wellread.errors.CheckpointError: a.bin was to be read as a torch checkpoint; found the global 'posix.system'; \
a file of tensors needs no such thing: do not open it with torch, ask for safetensors
    """
    return _Machine(stream, source).run()


def damaged(source: object, found: str) -> CheckpointError:
    """Make the error for a torch file that was cut, altered or never whole."""
    return CheckpointError(f"{source} was to be read as a torch checkpoint; found {found}; fetch the file again")


class _Machine:
    """The stack machine: a stack, the heights at which marks stand on it, and a memo."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self.stream = stream
        self.source = source
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def run(self) -> tuple[Any, dict[str, Storage]]:
        for _ in range(_MAX_STEPS):
            opcode = _OPCODES.get(self.take(1)[0], "")
            if opcode == "STOP":
                value = self.pop()
                if self.stack or self.marks:
                    raise self.fault(f"{len(self.stack)} values left over")
                return value, self.storages
            if opcode not in _ACTIONS:
                raise self.refused(f"the opcode {opcode}") if opcode else self.fault("a byte that is no opcode")
            _ACTIONS[opcode](self)
        raise self.fault(f"a pickle of more than {_MAX_STEPS} steps")

    def fault(self, found: str) -> CheckpointError:
        return damaged(self.source, f"{found} before byte {self.stream.tell()} of a pickle")

    def refused(self, found: str) -> CheckpointError:
        return CheckpointError(
            f"{self.source} was to be read as a torch checkpoint; found {found}; "
            "a file of tensors needs no such thing: do not open it with torch, ask for safetensors"
        )

    def take(self, count: int) -> bytes:
        raw = self.stream.read(count)
        if len(raw) != count:
            raise self.fault(f"the end after {len(raw)} of {count} bytes")
        return raw

    def number(self, width: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), "little", signed=signed)

    def text(self, length: int) -> str:
        if length > _MAX_TEXT:
            raise self.fault(f"a string of {length} bytes (at most {_MAX_TEXT} are read)")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault("a string that is not UTF-8") from None

    def line(self) -> str:
        raw = self.stream.readline(_MAX_NAME)
        if not raw.endswith(b"\n"):
            raise self.fault(f"a global whose name does not end within {_MAX_NAME} bytes")
        return raw[:-1].decode("utf-8", errors="backslashreplace")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.pop_many(1)[0]

    def pop_many(self, count: int) -> list[Any]:
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise self.fault("a step that takes more values than there are")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise self.fault("a step that wants a mark where none stands")
        values = self.pop_many(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values

    def top(self, kind: type) -> Any:
        """Return the value on top without taking it; it must be a `kind`."""
        value = self.pop()
        if type(value) is not kind:
            raise self.fault(f"a {type(value).__name__} where a {kind.__name__} must be filled")
        self.push(value)
        return value

    def remember(self, index: int) -> None:
        value = self.pop()
        self.push(value)
        self.memo[index] = value

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise self.fault(f"a step that recalls value {index}, which was never kept")
        self.push(self.memo[index])

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict)
        if len(items) % 2:
            raise self.fault("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # only these: the hash of a tuple of tuples may take for ever
            if type(key) not in (str, int):
                raise self.fault(f"a key that is a {type(key).__name__}")
            if key in target:
                raise self.fault(f"the key {key!r} twice")
            target[key] = value

    def look_up(self, module: Any, name: Any) -> None:
        if not (type(module) is str and type(name) is str):
            raise self.fault("a global whose name is no text")
        full = f"{module}.{name}"
        if full not in STORAGES and full not in CALLS:
            raise self.refused(f"the global {full!r}")
        self.push(_Global(full))

    def call(self) -> None:
        function, arguments = self.pop_many(2)
        if not (type(function) is _Global and function in CALLS and type(arguments) is tuple):
            called = function if type(function) is _Global else f"a {type(function).__name__}"
            raise self.refused(f"a call of {called} with a {type(arguments).__name__}")
        result = CALLS[function](arguments)
        if result is None:
            raise self.fault(f"a call of {function} that torch does not write")
        self.push(result)

    def persistent(self) -> None:
        """Take a persistent id: ("storage", class, key, device, length), in the older form with a None at the end."""
        id = self.pop()
        if not (type(id) is tuple and len(id) in (5, 6) and id[5:] in ((), (None,))):
            raise self.refused("a persistent id that is no storage")
        word, kind, key, device, length = id[:5]
        readable = type(kind) is _Global and kind in STORAGES
        # the device is where the tensors once lay; here all are read into memory
        if word != "storage" or not readable or not type(key) is type(device) is str or not are_counts(length):
            raise self.refused("a persistent id that is no storage")
        storage = Storage(key=key, dtype=STORAGES[kind], length=length)
        if self.storages.setdefault(key, storage) != storage:
            raise self.fault(f"the storage {key!r} with two types or lengths")
        self.push(storage)

    def build(self) -> None:
        """Read over the `_metadata` of a state dict: layer versions, for upgrades that no layer of BERT has had."""
        state = self.pop()
        self.top(dict)
        if type(state) is not dict or state.keys() != {"_metadata"}:
            raise self.refused("a BUILD of something else than a state dict's _metadata")


_OPCODES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_ACTIONS: dict[str, Callable[[_Machine], Any]] = {
    "PROTO": lambda m: m.take(1),
    "FRAME": lambda m: m.take(8),
    "MARK": lambda m: m.marks.append(len(m.stack)),
    "NONE": lambda m: m.push(None),
    "NEWTRUE": lambda m: m.push(True),
    "NEWFALSE": lambda m: m.push(False),
    "BININT": lambda m: m.push(m.number(4, signed=True)),
    "BININT1": lambda m: m.push(m.number(1)),
    "BININT2": lambda m: m.push(m.number(2)),
    "LONG1": lambda m: m.push(m.number(m.number(1), signed=True)),
    "BINFLOAT": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    "BINUNICODE": lambda m: m.push(m.text(m.number(4))),
    "SHORT_BINUNICODE": lambda m: m.push(m.text(m.number(1))),
    "EMPTY_TUPLE": lambda m: m.push(()),
    "TUPLE1": lambda m: m.push(tuple(m.pop_many(1))),
    "TUPLE2": lambda m: m.push(tuple(m.pop_many(2))),
    "TUPLE3": lambda m: m.push(tuple(m.pop_many(3))),
    "TUPLE": lambda m: m.push(tuple(m.pop_to_mark())),
    "EMPTY_LIST": lambda m: m.push([]),
    "APPEND": lambda m: m.extend(m.pop_many(1)),
    "APPENDS": lambda m: m.extend(m.pop_to_mark()),
    "EMPTY_DICT": lambda m: m.push({}),
    "SETITEM": lambda m: m.set_items(m.pop_many(2)),
    "SETITEMS": lambda m: m.set_items(m.pop_to_mark()),
    "BINPUT": lambda m: m.remember(m.number(1)),
    "LONG_BINPUT": lambda m: m.remember(m.number(4)),
    "MEMOIZE": lambda m: m.remember(len(m.memo)),
    "BINGET": lambda m: m.recall(m.number(1)),
    "LONG_BINGET": lambda m: m.recall(m.number(4)),
    "GLOBAL": lambda m: m.look_up(m.line(), m.line()),
    "STACK_GLOBAL": lambda m: m.look_up(*m.pop_many(2)),
    "BINPERSID": lambda m: m.persistent(),
    "REDUCE": lambda m: m.call(),
    "BUILD": lambda m: m.build(),
}
