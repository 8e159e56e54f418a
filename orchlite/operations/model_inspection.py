"""Recognizes what is no model at upload, without loading it: neither onnxruntime nor the model's own code runs here."""

from __future__ import annotations

import ast
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchlite.core.errors import BadModel
from orchlite.core.settings import MEBIBYTE
from orchlite.inference.models import ONNX
from orchlite.operations import step_requirements

_SOURCE_BYTES = 16 * MEBIBYTE
_STEP_HINT = "Upload a .py with process_data, or a ZIP that has one."
_MAX_FIELDS = 100_000
"""A model has a few; each of them takes some microseconds, and a file has room for a billion."""
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}
"""Types of fields in the encoding of protocol buffers, and the lengths of two (protobuf.dev/programming-guides/encoding)."""
_GRAPH = 7
_ONNX_FIELDS = {
    1: _VARINT,
    2: _BYTES,
    3: _BYTES,
    4: _BYTES,
    5: _VARINT,
    6: _BYTES,
    7: _BYTES,
    8: _BYTES,
    14: _BYTES,
    20: _BYTES,
    25: _BYTES,
}
"""The fields of `ModelProto` (onnx.proto) and their types. A file may have others, which are passed over."""


def check(path: Path, name: str, framework: str) -> None:
    """Check that a file can be a model of this framework, one of `inference.models.FRAMEWORKS`.

    An ONNX file of any size costs a few reads: the lengths in it must add up to its size, so that a truncated one is found. Of a Python
    step only the source of a `.py` is read and parsed, and of a ZIP the requirements.txt.

    Raises:
        BadModel: it cannot be one.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise _bad(name, "is empty", "Upload the file of a model.")
        if framework == ONNX:
            _check_onnx(file, name)
        elif zipfile.is_zipfile(file):
            step_requirements.read(file, name)
        else:
            _check_source(file, name)


def _check_onnx(file: BinaryIO, name: str) -> None:
    hint = "Upload the file that was exported, unchanged and as a whole."
    try:
        fields = set(_fields(file))
    except EOFError as error:
        raise _bad(name, "is truncated, or no ONNX model", hint) from error
    except ValueError as error:
        raise _bad(name, "is no ONNX model", hint) from error
    if _GRAPH not in fields:
        raise _bad(name, "is no ONNX model: it has no graph", hint)


def _fields(file: BinaryIO) -> Iterator[int]:
    """Yield the number of each field of a `ModelProto`, without reading its content.

    Raises:
        EOFError: a field is longer than the file.
        ValueError: it is no such message.
    """
    file.seek(0, os.SEEK_END)
    end = file.tell()
    file.seek(0)
    for _ in range(_MAX_FIELDS):
        if file.tell() == end:
            return
        number, kind = divmod(_varint(file), 8)
        length = _length(file, kind)
        if length > end - file.tell():
            raise EOFError
        if number == 0 or _ONNX_FIELDS.get(number, kind) != kind:
            raise ValueError("a field has another type")
        file.seek(length, os.SEEK_CUR)
        yield number
    raise ValueError("it has too many fields")


def _length(file: BinaryIO, kind: int) -> int:
    """Return how many bytes of a field follow, after its length or its number was read."""
    if kind == _VARINT:
        _varint(file)
        return 0
    if kind == _BYTES:
        return _varint(file)
    if kind in _FIXED:
        return _FIXED[kind]
    raise ValueError("a field has an unknown type")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is too long")


def _bad(name: str, problem: str, hint: str) -> BadModel:
    return BadModel(f"The file of model {name!r} {problem}.", hint=hint, model=name)


def _check_source(file: BinaryIO, name: str) -> None:
    file.seek(0)
    source = file.read(_SOURCE_BYTES + 1)
    if len(source) > _SOURCE_BYTES or b"\0" in source:
        raise _bad(name, "is neither a ZIP nor Python source", _STEP_HINT)
    if b"process_data" not in source:
        hint = "Define a function process_data, which takes a dictionary of arrays and returns one."
        raise _bad(name, "defines no function 'process_data'", hint)
    try:
        ast.parse(source, name)
    except (SyntaxError, ValueError) as error:  # ValueError: an encoding that Python does not have
        raise _bad(name, f"is neither a ZIP nor Python source: {error}", _STEP_HINT) from error
    except (RecursionError, MemoryError):
        return  # nested too deeply for the parser; importing it says more
