"""Schemas of Arrow from the names of types, as a scene has them: `{ x = "float64", tensor = "list<float>" }`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.inference import libraries as lib

_DEPTH = 16
_HINT = "It takes columns with the names of Arrow types: { n = 'int64', x = 'float', text = 'string', tensor = 'list<float>' }."


def serialized(types: object, argument: str) -> bytes:
    """Return the schema of columns with these types, as `pyarrow.Schema.serialize` does.

    Raises:
        BadArgument: it is not a mapping of texts, is empty, or has a type that Arrow does not know.
        MissingExtra: pyarrow is not installed.
    """
    if not isinstance(types, Mapping) or not types:
        raise BadArgument(Argument(argument) + f" is {types!r:.80}.", hint=_HINT, argument=argument)
    fields = [(name, _type(kind, argument)) for name, kind in types.items()]
    message: bytes = lib.pa.schema(fields).serialize().to_pybytes()
    return message


def read(message: bytes) -> Any:
    """Return the schema that `pyarrow.Schema.serialize` made this message of.

    Raises:
        ValueError: it is not such a message.
        MissingExtra: pyarrow is not installed.
    """
    try:
        return lib.pa.ipc.read_schema(lib.pa.py_buffer(message))
    except (OSError, lib.pa.ArrowException) as error:
        raise ValueError("it is no schema of Arrow") from error


def are_equal(first: bytes | None, second: bytes | None) -> bool:
    """Return whether two schemas are the same, whatever version of pyarrow serialized them. None is none; a damaged one equals no other.

    Raises:
        MissingExtra: pyarrow is not installed, and they are not equal to the byte.
    """
    if first == second or first is None or second is None:
        return first == second
    try:
        return bool(read(first).equals(read(second)))
    except ValueError:
        return False


def _type(text: object, argument: str, depth: int = 0) -> Any:
    inner = re.fullmatch(r"list<(.+)>", text) if isinstance(text, str) and depth < _DEPTH else None
    if inner:
        return lib.pa.list_(_type(inner[1], argument, depth + 1))
    try:
        return lib.pa.type_for_alias(text)
    except (AttributeError, TypeError, ValueError) as error:
        raise BadArgument(Argument(argument) + f" has the type {text!r:.80}.", hint=_HINT, argument=argument) from error
