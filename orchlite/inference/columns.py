"""What a pipeline is given: columns of equal length, and what is known about how they were sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from orchlite.core.errors import BadData
from orchlite.inference import libraries as lib

Form = Literal["frame", "table", "json"]

Columns = dict[str, Any]
"""Arrays of numpy by name, of equal first dimension."""


class Inputs(NamedTuple):
    """The columns of one inference."""

    columns: Columns
    row_count: int
    echo: Mapping[str, Any]
    """The columns as they were sent: of pyarrow, for an Arrow table. For everything else, empty: `columns` is the echo."""
    form: Form
    """The form in which they came; a result is returned in the same one."""
    holes: Mapping[str, int]
    """By name of a column: a row in which it has no value. NaN counts as none where the data came as JSON, which has no NaN."""


def filled(columns: Columns, form: Form, row_count: int | None = None) -> Inputs:
    """Return columns that came as JSON or as a DataFrame.

    Raises:
        BadData: there is no row, or the columns differ in length.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if row_count is None:
        row_count = checked_length(lengths)
    holes = {name: row for name, column in columns.items() if (row := _hole(column)) is not None}
    return Inputs(columns, row_count, {}, form, holes)


def check_distinct(names: Sequence[str], source: str) -> None:
    """Check that the names of columns differ. The message has `source`, where they are.

    Raises:
        BadData: two are the same.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadData(f"The {source} has several columns {twice[0]!r}.", hint="Rename them.", column=twice[0])


def checked_length(lengths: Mapping[str, int]) -> int:
    """Return the one length that all columns have.

    Raises:
        BadData: there is no row, or the columns differ in length.
    """
    if not lengths:
        raise BadData("The data has no columns.", hint="Give a column for each input of the pipeline's first model.")
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r}: {length}" for name, length in lengths.items())
        raise BadData(f"The columns differ in length: {shown}.", hint="Every column has one value a row.", lengths=dict(lengths))
    length = next(iter(lengths.values()))
    if length == 0:
        raise BadData("The data has no rows.", hint="Give at least one row.")
    return length


def _hole(column: Any) -> int | None:
    np = lib.np
    if column.dtype.kind == "f":
        # The sum is NaN if one number is, or if infinities cancel out: then each is looked at.
        if np.isnan(column.sum()) and (missing := np.isnan(column)).any():
            return int(np.argwhere(missing)[0][0])
    elif column.dtype == object:
        places = (place for place, cell in enumerate(column.flat) if _is_nothing(cell))
        return next((place * len(column) // column.size for place in places), None)
    return None


def _is_nothing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)
