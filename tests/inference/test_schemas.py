"""Schemas from the names of types, and their comparison."""

from __future__ import annotations

import pyarrow as pa
import pytest

from orchlite.core.errors import BadArgument
from orchlite.inference.schemas import are_equal, serialized


def test_lists_may_be_nested() -> None:
    message = serialized({"image": "list<list<uint8>>"}, "input_schema")
    assert pa.ipc.read_schema(pa.py_buffer(message)) == pa.schema([("image", pa.list_(pa.list_(pa.uint8())))])


@pytest.mark.parametrize("kind", ["list<" * 500 + "int8" + ">" * 500, "list<>", "list<text>", "decimal"])
def test_an_unknown_type_is_refused(kind: str) -> None:
    with pytest.raises(BadArgument, match="input_schema has the type"):
        serialized({"x": kind}, "input_schema")


def test_schemas_are_compared_by_what_they_say() -> None:
    one = serialized({"x": "int8"}, "input_schema")
    other = pa.schema([("x", pa.int8())], metadata={"written by": "another version"}).serialize().to_pybytes()
    assert one != other
    assert are_equal(one, other)
    assert are_equal(None, None)
    assert not are_equal(one, None)
    assert not are_equal(one, serialized({"x": "int16"}, "input_schema"))
    assert not are_equal(one, b"damaged")
