"""From DataFrames, records and dictionaries to columns, as they would arrive at the platform's engine after their journey as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchlite.core.errors import BadData
from orchlite.inference import libraries as lib
from orchlite.inference.columns import Inputs, check_distinct, filled
from orchlite.inference.numbers import as_sent


def from_frame(frame: Any) -> Inputs:
    """Return the columns of a DataFrame. Floats have 10 decimals, as `to_json` writes them.

    Raises:
        BadData: it has no rows or no columns, or two columns of one name.
    """
    names = [str(name) for name in frame.columns]
    check_distinct(names, "DataFrame")
    columns = {name: _from_series(frame[label]) for name, label in zip(names, frame.columns, strict=True)}
    return filled(columns, "frame", len(frame) if names and len(frame) else None)


def from_json(data: Mapping[str, Any] | Sequence[Any]) -> Inputs:
    """Return the columns of parsed JSON: a list of records, or a dictionary of columns.

    A column is a list, a dictionary of values by row (`DataFrame.to_dict()`), or one value, for a single row.

    Raises:
        BadData: it is neither, the records differ in their keys, or there are no rows.
    """
    if isinstance(data, Mapping):
        return filled({str(name): as_sent(array(_values(column))) for name, column in data.items()}, "json")
    return filled({str(name): as_sent(array(values)) for name, values in _by_name(data).items()}, "json")


def array(cells: Sequence[Any]) -> Any:
    """Return an array of these cells, each a number, a text or a nested list. Beside numbers, None becomes NaN.

    Cells that differ in shape stay as they are, in an array of dtype `object` and one dimension.
    """
    np = lib.np
    try:
        found = np.array(cells)
    except ValueError:  # nested lists of different lengths
        return objects(cells)
    if found.dtype.kind in "SU":  # numpy writes numbers that stand beside texts as texts
        return np.array(cells, dtype=object)
    if found.dtype == object and all(cell is None or isinstance(cell, int | float) for cell in found.flat):
        return found.astype(np.float64)
    return found


def objects(cells: Iterable[Any]) -> Any:
    """Return an array of one dimension that holds the cells themselves."""
    return lib.np.fromiter(cells, dtype=object)


def _from_series(series: Any) -> Any:
    np = lib.np
    values = series.to_numpy()
    if values.dtype.kind == "M":
        return values.astype("datetime64[ms]").astype(np.int64)
    if values.dtype != object:
        return as_sent(values)
    return as_sent(array([cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in values]))


def _values(column: Any) -> Sequence[Any]:
    if isinstance(column, Mapping):
        return list(column.values())
    return column if isinstance(column, Sequence) and not isinstance(column, str) else [column]


def _by_name(records: Sequence[Any]) -> dict[str, list[Any]]:
    if not records:
        raise BadData("The data has no rows.", hint="Give at least one row.")
    if not all(isinstance(record, Mapping) for record in records):
        hint = 'Give records, [{"tensor": [...]}, ...], or columns, {"tensor": [[...], ...]}.'
        raise BadData("The data is a list, but not of one or more dictionaries.", hint=hint)
    names = list(records[0])
    for row, record in enumerate(records):
        if set(record) != set(names):
            odd = sorted(map(str, set(record) ^ set(names)))
            message = f"Record {row} and record 0 differ in their keys: {', '.join(odd)}."
            raise BadData(message, hint="All records need the same keys.", row=row)
    return {name: [record[name] for record in records] for name in names}
