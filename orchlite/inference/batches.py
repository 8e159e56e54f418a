"""Batches of a DataFrame or an Arrow table, and their results as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchlite.core.errors import BadArgument
from orchlite.inference import libraries as lib

_ERROR = "error"


def split(data: Any, row_count: int) -> list[Any]:
    """Return the data in parts of at most this many rows.

    Raises:
        BadArgument: the data is neither a DataFrame nor an Arrow table.
    """
    if lib.is_frame(data):
        return [data.iloc[first : first + row_count] for first in range(0, len(data), row_count)]
    if lib.is_table(data):
        return [data.slice(first, row_count) for first in range(0, data.num_rows, row_count)]
    raise BadArgument(f"The data is of type {type(data).__name__}.", hint="It takes a DataFrame or an Arrow table.", argument="tensor")


def joined(parts: Sequence[Any], results: Sequence[Any]) -> Any:
    """Return the results of all parts in order. Where one is an exception, its rows are empty but for the column `error`."""
    errors = [str(result) if isinstance(result, BaseException) else "" for result in results]
    rows = [len(part) for part in parts]
    texts = [error for error, count in zip(errors, rows, strict=True) for _ in range(count)]
    sample = next((result for result in results if not isinstance(result, BaseException)), None)
    if sample is None:
        return lib.pd.DataFrame({_ERROR: texts}) if not parts or lib.is_frame(parts[0]) else lib.pa.table({_ERROR: texts})
    filled = [_empty(sample, count) if error else result for result, error, count in zip(results, errors, rows, strict=True)]
    if lib.is_frame(sample):
        frame = lib.pd.concat(filled, ignore_index=True)
        return frame.assign(**{_ERROR: texts}) if any(errors) else frame
    table = lib.pa.concat_tables(filled)
    return table.append_column(_ERROR, lib.pa.array(texts)) if any(errors) else table


def _empty(sample: Any, row_count: int) -> Any:
    if lib.is_frame(sample):
        return lib.pd.DataFrame("", index=range(row_count), columns=sample.columns, dtype=object)
    pa = lib.pa
    return pa.Table.from_arrays([pa.nulls(row_count, field.type) for field in sample.schema], schema=sample.schema)
