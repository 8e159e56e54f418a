"""Validations: expressions of polars over the columns `in.*` and `out.*`, each of which marks a row as an anomaly or not."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from orchlite.core.errors import InferenceFailed
from orchlite.core.hints import PythonOnly
from orchlite.inference import libraries as lib


def evaluate(expressions: tuple[str, ...], table: Any) -> dict[str, Any]:
    """Return a boolean array for each expression, by its name. Null counts as False.

    Raises:
        InferenceFailed: an expression cannot be read by this version of polars, or fails on these columns.
        MissingExtra: polars is not installed.
    """
    pl = lib.pl
    frame = pl.from_arrow(table)
    return {(known := _expression(text)).meta.output_name(): _marks(frame, known) for text in expressions}


def serialized(name: str, expression: Any) -> str:
    """Return an expression of polars under this name, as JSON."""
    text: str = expression.alias(name).meta.serialize(format="json")
    return text


def _marks(frame: Any, expression: Any) -> Any:
    name = expression.meta.output_name()
    try:
        marks = frame.select(expression).to_series().fill_null(False)
    except Exception as error:  # polars' exceptions vary between its versions
        message = f"The validation {name!r} failed: {str(error).splitlines()[0]}"
        raise InferenceFailed(message, hint=f"Its columns are {', '.join(frame.columns)}.", validation=name) from error
    if str(marks.dtype) != "Boolean" or len(marks) not in (1, frame.height):
        message = f"The validation {name!r} is not true or false for each row: it is of type {marks.dtype}."
        hint = "Compare something" + PythonOnly(': polars.col("out.x").list.get(0) > 0.9') + "."
        raise InferenceFailed(message, hint=hint, validation=name)
    return lib.np.broadcast_to(lib.np.asarray(marks.to_list(), dtype=bool), (frame.height,))


@lru_cache(maxsize=256)
def _expression(text: str) -> Any:
    try:
        return lib.pl.Expr.deserialize(io.StringIO(text), format="json")
    except Exception as error:  # polars' exceptions vary between its versions
        message = f"A validation of the pipeline cannot be read by polars {lib.pl.__version__}: {str(error).splitlines()[0]}"
        hint = "Add it again with this version of polars, and deploy."
        raise InferenceFailed(message, hint=hint, expression=text) from error
