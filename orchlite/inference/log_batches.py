"""Inference logs: the columns of one inference as bytes, and several of them as a table or a DataFrame again."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC
from typing import Any, NamedTuple

from orchlite.core.errors import InferenceFailed
from orchlite.core.sizes import over_text
from orchlite.inference import libraries as lib
from orchlite.inference.arrow import is_list, metadata_array, times, to_array
from orchlite.inference.numbers import as_written
from orchlite.inference.results import COUNT, TIME, InferenceResult
from orchlite.inference.selection import DEFAULT, Selection

_SAME_FOR_ALL_ROWS = b"orchlite"
"""Key of the schema's metadata: JSON of what is the same for all rows, which is written once: time and `metadata.*`."""


class LogBatch(NamedTuple):
    """The columns of one inference, as they are kept."""

    row_count: int
    schema_key: str
    """Differs if names or kinds of columns differ; float32 and float64 are one kind."""
    data: bytes
    """An Arrow IPC stream."""


def encode(result: InferenceResult, *, size_limit_bytes: float = math.inf, record_limit_bytes: float = math.inf) -> LogBatch:
    """Return the columns of a result as bytes. Numbers that a model was fed have its type.

    size_limit_bytes: only the last records are in it, as many as fit, but one at least.
    record_limit_bytes: a limit that one record must not exceed.

    Raises:
        BadData: an input has values that no type of Arrow holds together.
        InferenceFailed: an output has such values, or a record is too large.
    """
    pa = lib.pa
    columns = {f"in.{name}": _logged(result, name) for name in result.inputs.columns}
    columns |= {name: to_array(column, name) for name, column in result.outputs.items()}
    columns |= {f"anomaly.{name}": pa.array(marks) for name, marks in result.anomalies.items()}
    known = json.dumps({TIME: result.at_ms, "metadata": dict(result.metadata)})
    schema = pa.schema([(name, column.type) for name, column in columns.items()], metadata={_SAME_FOR_ALL_ROWS: known})
    head, batch = schema.serialize().to_pybytes(), pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
    batch, size_bytes = _fitting(batch, size_limit_bytes - len(head))
    if len(head) + size_bytes > record_limit_bytes:
        message = f"A record of the result has {over_text(len(head) + size_bytes, record_limit_bytes)}."
        raise InferenceFailed(message, hint="Let the models return less for each row.", limit_bytes=record_limit_bytes)
    # The two messages of a stream, without the cost of a writer.
    return LogBatch(batch.num_rows, _key(schema), head + batch.serialize().to_pybytes())


def decode(data: bytes) -> Any:
    """Return the table of all columns, those of metadata among them."""
    pa = lib.pa
    with pa.ipc.open_stream(data) as reader:
        table = reader.read_all()
    known = json.loads(table.schema.metadata[_SAME_FOR_ALL_ROWS])
    time = times(known[TIME], table.num_rows)
    fields = [(pa.field(TIME, time.type), time)]
    fields += [(field.with_nullable(field.name.startswith("in.")), table.column(field.name)) for field in table.schema]
    fields.append((pa.field(COUNT, pa.uint32(), nullable=False), _count(table)))
    for name, value in known["metadata"].items():
        repeated = metadata_array(name, value, table.num_rows)
        fields.append((pa.field(f"metadata.{name}", repeated.type, nullable=False), repeated))
    return pa.Table.from_arrays([column for _, column in fields], schema=pa.schema([field for field, _ in fields]))


def joined(
    batches: Sequence[bytes], *, is_reversed: bool, skipped: int = 0, limit: int | None = None, selection: Selection = DEFAULT
) -> Any:
    """Return the rows of several batches with one schema key as a table; an empty one without columns if there are none.

    is_reversed: whether each batch is read from its last row to its first, as logs without dates are: newest first.
    skipped: number of rows to leave out at the beginning. limit: number of rows at most.
    """
    pa = lib.pa
    tables = [decode(data) for data in batches]
    if not tables:
        return pa.table({})
    if is_reversed:
        tables = [table.take(pa.array(range(table.num_rows - 1, -1, -1))) for table in tables]
    schema = tables[0].schema
    table = pa.concat_tables([table.select(schema.names).cast(schema) for table in tables]).slice(skipped, limit)
    chosen = selection.columns(table.column_names)
    return table.select(list(chosen)).rename_columns(list(chosen.values()))


def to_frame(table: Any) -> Any:
    """Return a table of logs as a DataFrame. Its cells are arrays of numpy."""
    return lib.pd.DataFrame({name: table.column(name).to_pandas() for name in table.column_names})


def to_records(table: Any) -> list[dict[str, Any]]:
    """Return a dictionary for each row of a table of logs, as JSON takes it but for the times, which are aware, UTC.

    Floats have the shortest text of their float32; those that are not finite, which JSON lacks, are None.
    """
    columns = {field.name: _plain(table.column(field.name).to_pylist(), field.type) for field in table.schema}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _plain(cells: list[Any], kind: Any) -> list[Any]:
    types = lib.pa.types
    if is_list(kind):
        return [None if cell is None else _plain(cell, kind.value_type) for cell in cells]
    if types.is_floating(kind):
        written = as_written(lib.np.array(cells, dtype=kind.to_pandas_dtype())).tolist()
        return [number if math.isfinite(number) else None for number in written]
    return [cell.replace(tzinfo=UTC) for cell in cells] if types.is_timestamp(kind) and kind.tz is None else cells


def _fitting(batch: Any, limit_bytes: float) -> tuple[Any, int]:
    """Return the last records of a batch, as many as fit, but one at least; and their size in bytes."""
    size_of, count = lib.pa.ipc.get_record_batch_size, batch.num_rows
    if size_of(batch) > limit_bytes:
        kept = bisect_right(range(1, count), limit_bytes, key=lambda kept: size_of(batch.slice(count - kept)))
        batch = batch.slice(count - max(kept, 1))
    return batch, size_of(batch)


def _logged(result: InferenceResult, name: str) -> Any:
    column, fed = result.inputs.columns[name], result.fed.get(name)
    if result.row_count != result.inputs.row_count:  # one row for all of them: so they are one value of it
        return to_array(column[None], f"in.{name}", is_output=False)
    # Of the same type, whatever the data came as, so that the logs of several inferences are one table.
    kept = column if fed is None or fed.size != column.size else fed.reshape(column.shape)
    return to_array(kept, f"in.{name}", is_output=False)


def _count(table: Any) -> Any:
    np = lib.np
    marks = [table.column(name).to_numpy() for name in table.column_names if name.startswith("anomaly.")]
    return lib.pa.array(sum((each.astype(np.uint32) for each in marks), np.zeros(table.num_rows, dtype=np.uint32)))


def _key(schema: Any) -> str:
    return ";".join(f"{field.name}:{_kind(field.type)}" for field in schema)


def _kind(kind: Any) -> str:
    types = lib.pa.types
    if is_list(kind):
        return f"[{_kind(kind.value_type)}]"
    return "float" if types.is_floating(kind) else "int" if types.is_integer(kind) else str(kind)
