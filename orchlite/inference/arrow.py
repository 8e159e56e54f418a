"""From Arrow tables to columns, and from columns to Arrow: `list<inner: float not null> not null`, as the platform's engine writes them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from orchlite.core.errors import BadData, InferenceFailed
from orchlite.inference import libraries as lib
from orchlite.inference.columns import Inputs, check_distinct, checked_length
from orchlite.inference.frames import objects

_SHAPE = b"tensor_type"
"""Key of a field's metadata: JSON of an object whose `shape` is that of one row, whose list is flat."""


def from_table(table: Any) -> Inputs:
    """Return the columns of an Arrow table; numbers keep their types, and the echo is the table's own columns.

    Raises:
        BadData: it has no rows or no columns, two columns of one name, or a type that is no tensor.
    """
    names = list(table.column_names)
    check_distinct(names, "table")
    count = checked_length(dict.fromkeys(names, table.num_rows))
    holes: dict[str, int] = {}
    columns = {name: _values(table.column(name), table.schema.field(name), holes) for name in names}
    return Inputs(columns, count, {name: table.column(name) for name in names}, "table", holes)


def times(at_ms: int, row_count: int) -> Any:
    """Return an Arrow array of one time, milliseconds since 1970."""
    return lib.pa.array(lib.np.full(row_count, at_ms, dtype=lib.np.int64)).cast(lib.pa.timestamp("ms"))


def metadata_array(name: str, value: Any, row_count: int) -> Any:
    """Return an Arrow array of one value of `InferenceResult.metadata`."""
    return lib.pa.array([value] * row_count, type=lib.pa.list_(lib.pa.string()) if name == "dropped" else None)  # an empty list


def is_list(kind: Any) -> bool:
    """Return whether values of this Arrow type are lists."""
    types = lib.pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def to_array(column: Any, name: str, *, is_output: bool = True) -> Any:
    """Return an Arrow array of a column of numpy: nested lists for more than one dimension.

    name: the full name of the column, `in.x` or `out.x`, for messages.
    is_output: whether lists are of the type `list<inner: … not null>`, as the platform's outputs are, or Arrow's usual `list<item: …>`.

    Raises:
        BadData: an input has values that no type of Arrow holds together.
        InferenceFailed: an output has such values.
    """
    try:
        return _to_array(column, is_output=is_output)
    except (lib.pa.ArrowException, OverflowError) as error:  # pyarrow raises the latter for a whole number of more than 64 bits
        raise _unfit(name, error) from error


def _unfit(name: str, error: Exception) -> BadData | InferenceFailed:
    group, _, column = name.partition(".")
    message = f"{'Column' if group == 'in' else 'Output'} {column!r} has values that no type of Arrow holds together: {error}"
    if group == "in":
        return BadData(
            f"{message}.", hint="Give values of one type: numbers, texts, or lists of them; or leave the column out.", column=column
        )
    return InferenceFailed(f"{message}.", hint="Return values of one type: numbers, texts, or lists of them.", output=column)


def _to_array(column: Any, *, is_output: bool) -> Any:
    pa = lib.pa
    if column.dtype == object:
        return pa.array([cell.tolist() if isinstance(cell, lib.np.ndarray) else cell for cell in column])
    values = pa.array(column.reshape(-1))
    kind = values.type
    for width in reversed(column.shape[1:]):
        count = len(values) // width if width else int(lib.np.prod(column.shape[: column.ndim - 1]))
        kind = _list_of(kind) if is_output else pa.list_(kind)
        offsets = pa.array(lib.np.arange(count + 1, dtype=lib.np.int32) * width)
        values = pa.ListArray.from_arrays(offsets, values, type=kind)
    return values


@lru_cache(maxsize=64)
def _list_of(kind: Any) -> Any:
    return lib.pa.list_(lib.pa.field("inner", kind, nullable=False))


def _values(column: Any, field: Any, holes: dict[str, int]) -> Any:
    np = lib.np
    whole = column.combine_chunks()
    if isinstance(whole, lib.pa.ChunkedArray):  # pyarrow returns several chunks where one would overflow its offsets
        whole = lib.pa.concat_arrays(whole.chunks)
    if whole.null_count:
        holes[field.name] = int(np.argmax(np.asarray(whole.is_null())))
    found = _nested(whole, field.name, holes)
    shape = _shape(field)
    if shape and found.dtype != object and found.ndim == 2 and found.shape[1] == np.prod(shape):
        return found.reshape(len(found), *shape)
    return found


def _nested(values: Any, name: str, holes: dict[str, int]) -> Any:
    """Return an array of as many dimensions as the lists are deep; of dtype `object` if lists differ in length."""
    pa, np = lib.pa, lib.np
    types = pa.types
    if isinstance(values, pa.ExtensionArray):
        shape = tuple(getattr(values.type, "shape", ()))
        flat = _nested(values.storage, name, holes)
        return flat.reshape(len(flat), *shape) if shape and flat.dtype != object else flat
    if is_list(values.type):
        if values.null_count:
            return objects(values.to_pylist())
        inner = values.flatten()
        width = len(inner) // len(values) if len(values) else 0
        if not types.is_fixed_size_list(values.type) and not _is_even(values, width):
            return objects(values.to_pylist())
        if inner.null_count:
            holes.setdefault(name, int(np.argmax(np.asarray(inner.is_null()))) // max(width, 1))
        below = _nested(inner, name, holes)
        is_ragged = below.dtype == object and below.ndim == 1 and types.is_nested(inner.type)
        return objects(values.to_pylist()) if is_ragged else below.reshape(len(values), width, *below.shape[1:])
    if types.is_struct(values.type) or types.is_map(values.type) or types.is_union(values.type):
        message = f"Column {name!r} has the Arrow type {values.type}, which is no tensor."
        raise BadData(message, hint="Give numbers, texts, or lists of them.", column=name)
    if types.is_dictionary(values.type):
        return _nested(values.dictionary_decode(), name, holes)
    return values.to_numpy(zero_copy_only=False)


def _is_even(values: Any, width: int) -> bool:
    lengths = lib.np.asarray(values.value_lengths())
    return bool((lengths == width).all())


def _shape(field: Any) -> tuple[int, ...]:
    try:
        known = json.loads((field.metadata or {})[_SHAPE])
        return tuple(int(size) for size in known["shape"])
    except (LookupError, ValueError, TypeError):
        return ()
