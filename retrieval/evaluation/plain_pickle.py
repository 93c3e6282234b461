"""Plain data from pickle files, read without running them.

Unpickling runs whatever code a file names, and benchmarks are downloaded from anywhere. This reader
steps through the opcodes and knows only those that make dicts, lists, tuples, texts and numbers;
none of them can import or call anything. All others are refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indexer.errors import InvalidLabelsError

VALUES = frozenset(
    (
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    )
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
IGNORED = frozenset(("PROTO", "FRAME", "STOP"))
REMEDY = "Convert it to JSON with the same keys, which is read too."


def read_plain_pickle(path: Path) -> Any:
    """Return the dicts, lists, tuples, texts and numbers of a pickle file.

    Raises `InvalidLabelsError` for any other opcode, naming it, and for a damaged file.
    """
    machine = _Machine()
    try:
        for opcode, argument, place in pickletools.genops(path.read_bytes()):
            if not machine.run(opcode.name, argument):
                raise InvalidLabelsError(
                    f"{path} is not plain data: the opcode {opcode.name} at byte {place} wants to "
                    f"run code or makes objects, which is refused. {REMEDY}"
                )
        [value] = machine.stack
    except OSError as error:
        raise InvalidLabelsError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InvalidLabelsError(f"{path} is not a valid pickle file: {error}.") from error
    return value


class _Machine:
    """The stack, the marks in it and the memo, as `pickletools` describes them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> bool:
        """Carry out an opcode; return whether it is a known one."""
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name in TUPLES:
            self.stack.append(tuple(self._pop(TUPLES[name])))
        elif name in PUTS:
            self.memo[argument] = self.stack[-1]
        elif name in GETS:
            self.stack.append(self.memo[argument])
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name == "MARK":
            self.marks.append(len(self.stack))
        else:
            return self._collect(name) or name in IGNORED
        return True

    def _collect(self, name: str) -> bool:
        """Carry out an opcode that puts values into a collection."""
        if name == "LIST":
            self.stack.append(self._pop_marked())
        elif name == "TUPLE":
            self.stack.append(tuple(self._pop_marked()))
        elif name == "DICT":
            self.stack.append(_as_dict(self._pop_marked()))
        elif name in ("APPEND", "APPENDS"):
            added = self._pop(1) if name == "APPEND" else self._pop_marked()
            self._last(list).extend(added)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._pop(2) if name == "SETITEM" else self._pop_marked()
            self._last(dict).update(_as_dict(pairs))
        else:
            return False
        return True

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("a value is missing")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _pop_marked(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def _last(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"a {kind.__name__} is missing")
        return self.stack[-1]


def _as_dict(values: list[Any]) -> dict[str, Any]:
    """Return the dict of keys and values in turn; only texts are keys."""
    keys = values[::2]
    if len(values) % 2 or any(type(key) is not str for key in keys):
        raise ValueError("a key is missing or is not a text")
    return dict(zip(keys, values[1::2], strict=True))
