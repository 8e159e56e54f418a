"""The result of one inference, and the forms in which it is returned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from orchlite.inference import libraries as lib
from orchlite.inference.arrow import metadata_array, times, to_array
from orchlite.inference.columns import Columns, Inputs
from orchlite.inference.frames import objects
from orchlite.inference.numbers import as_written
from orchlite.inference.selection import DEFAULT, Selection

TIME = "time"
COUNT = "anomaly.count"


class InferenceResult(NamedTuple):
    """What a pipeline returned."""

    at_ms: int
    """When: milliseconds since 1970."""
    inputs: Inputs
    fed: Columns
    """Those of the inputs that the first model was fed, with its types."""
    outputs: Columns
    """By full name: `out.x`, `out_challenger.x`. Each has one entry a row."""
    row_count: int
    anomalies: Columns
    """By name of the validation: whether it marks the row."""
    metadata: Mapping[str, Any]
    """`last_model`, `pipeline_version`, `elapsed` (nanoseconds), `dropped`, `partition`: the same for each row."""

    def names(self) -> list[str]:
        """Return the names of all columns."""
        checks = [f"anomaly.{name}" for name in self.anomalies]
        echoed = [f"in.{name}" for name in self.inputs.columns]
        return [TIME, *echoed, *self.outputs, COUNT, *checks, *(f"metadata.{name}" for name in self.metadata)]

    def returned(self, selection: Selection = DEFAULT) -> Any:
        """Return the result in the form of the data: a DataFrame, an Arrow table; for JSON, all outputs in a list of dictionaries."""
        match self.inputs.form:
            case "frame":
                return self.to_frame(selection)
            case "table":
                return self.to_table(selection)
            case "json":
                return self.to_outputs()

    def to_frame(self, selection: Selection = DEFAULT) -> Any:
        """Return a DataFrame: lists in the cells, floats with the shortest text of their float32, time as naive UTC."""
        chosen = selection.columns(self.names())
        # Numbers for names, and no copy of what is new and belongs to nothing else: otherwise a row takes twice the time.
        frame = lib.pd.DataFrame({place: self._frame_column(name) for place, name in enumerate(chosen)}, copy=False)
        frame.columns = _labels(tuple(chosen.values())).view()
        return frame

    def to_table(self, selection: Selection = DEFAULT) -> Any:
        """Return an Arrow table: the inputs as they were sent, the outputs with the model's types."""
        pa = lib.pa
        chosen = selection.columns(self.names())
        arrays = {name: self._arrow_column(name) for name in chosen}
        fields = [pa.field(chosen[name], array.type, nullable=name == TIME or name.startswith("in.")) for name, array in arrays.items()]
        return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))

    def to_records(self, selection: Selection = DEFAULT) -> list[dict[str, Any]]:
        """Return a dictionary for each row, as JSON takes it; time as milliseconds since 1970."""
        chosen = selection.columns(self.names())
        columns = {shown: self._cells(name) for name, shown in chosen.items()}
        return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]

    def to_outputs(self) -> list[dict[str, Any]]:
        """Return the outputs alone, a dictionary for each row: the platform's response to a dictionary or a list."""
        names = [name.partition(".")[2] if name.startswith("out.") else name for name in self.outputs]
        return [dict(zip(names, cells, strict=True)) for cells in zip(*map(self._cells, self.outputs), strict=True)]

    def _frame_column(self, name: str) -> Any:
        np = lib.np
        if name == TIME:
            return np.full(self.row_count, self.at_ms * 1_000_000, dtype="datetime64[ns]")
        if name.startswith("metadata."):
            return objects(self._cells(name))
        column = self._column(name)
        return as_written(column).copy() if column.ndim == 1 else objects(as_written(column).tolist())

    def _arrow_column(self, name: str) -> Any:
        if name == TIME:
            return times(self.at_ms, self.row_count)
        if name.startswith("metadata."):
            key = name.partition(".")[2]
            return metadata_array(key, self.metadata[key], self.row_count)
        if name.startswith("in.") and self.inputs.echo:
            return self.inputs.echo[name[3:]]
        return to_array(self._column(name).astype(lib.np.uint32) if name == COUNT else self._column(name), name)

    def _cells(self, name: str) -> list[Any]:
        if name == TIME:
            return [self.at_ms] * self.row_count
        if name.startswith("metadata."):
            return [self.metadata[name.partition(".")[2]]] * self.row_count
        cells: list[Any] = as_written(self._column(name)).tolist()
        return cells

    def _column(self, name: str) -> Any:
        if name in self.outputs:
            return self.outputs[name]
        if name == COUNT:
            np = lib.np
            return sum((marks.astype(np.int64) for marks in self.anomalies.values()), np.zeros(self.row_count, dtype=np.int64))
        if name.startswith("in."):
            return self._echo(name[3:])
        return self.anomalies[name.partition(".")[2]]

    def _echo(self, name: str) -> Any:
        """Return an input with its numbers in the kind of the model's: the platform converts 4 to 4.0 before it echoes it."""
        np = lib.np
        column, fed = self.inputs.columns[name], self.fed.get(name)
        if fed is None or self.inputs.echo or column.dtype.kind not in "biuf" or fed.dtype.kind == column.dtype.kind:
            return column
        return column.astype({"f": np.float64, "i": np.int64}.get(fed.dtype.kind, fed.dtype))


@lru_cache(maxsize=64)
def _labels(names: tuple[str, ...]) -> Any:
    return lib.pd.Index(list(names))
