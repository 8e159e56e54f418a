"""Validations: expressions of polars over the columns `in.*` and `out.*`, each of which marks a row as an anomaly or not."""

from __future__ import annotations

from typing import Any

from orchlite.core.errors import InferenceFailed
from orchlite.core.hints import PythonOnly
from orchlite.inference import libraries as lib
from orchlite.inference import tensor_checks
from orchlite.inference.expressions import expression
from orchlite.inference.tensor_checks import Tensors


def evaluate(expressions: tuple[str, ...], table: Any, tensors: Tensors) -> dict[str, Any]:
    """Return a boolean array for each expression, by its name. Null counts as False.

    Raises:
        InferenceFailed: an expression cannot be read by this version of polars, or fails on these columns.
        MissingExtra: polars is not installed.
    """
    frame = lib.pl.from_arrow(table)
    known = [_expression(text, frame, tensors) for text in expressions]
    return {each.meta.output_name(): _marks(frame, each) for each in known}


def _expression(text: str, frame: Any, tensors: Tensors) -> Any:
    older = tensor_checks.read(text)
    return expression(text) if older is None else tensor_checks.marks(older, frame, tensors).alias(older.name)


def _marks(frame: Any, known: Any) -> Any:
    name = known.meta.output_name()
    try:
        marks = frame.select(known).to_series().fill_null(False)
    except (Exception, lib.pl.exceptions.PanicException) as error:  # polars' exceptions vary between its versions
        message = f"The validation {name!r} failed: {str(error).splitlines()[0]}."
        raise InferenceFailed(message, hint=f"Its columns are {', '.join(frame.columns)}.", validation=name) from error
    if str(marks.dtype) != "Boolean" or len(marks) not in (1, frame.height):
        message = f"The validation {name!r} is not true or false for each row: it is of type {marks.dtype}."
        hint = "Compare something" + PythonOnly(': polars.col("out.x").list.get(0) > 0.9') + "."
        raise InferenceFailed(message, hint=hint, validation=name)
    return lib.np.broadcast_to(lib.np.asarray(marks.to_list(), dtype=bool), (frame.height,))
