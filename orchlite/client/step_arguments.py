"""Checks the arguments of methods that add steps to pipelines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from orchlite.client.model import ModelVersion
from orchlite.core.arguments import checked_count
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.model_records import ModelVersionRow


def row_of(model_version: object, argument: str) -> ModelVersionRow:
    """Return the row of a model version.

    Raises:
        BadArgument: it is something else.
    """
    if not isinstance(model_version, ModelVersion):
        raise BadArgument(
            Argument(argument) + f" is of type {type(model_version).__name__}.",
            hint="It takes a version of a model" + PythonOnly(", as upload_model(...) and get_model(name) return it") + ".",
            argument=argument,
        )
    return model_version._known


def checked_index(index: int, steps: Sequence[object]) -> int:
    """Return the index of one of the steps.

    Raises:
        BadArgument: there is no such step.
    """
    if not steps:
        raise BadArgument("The pipeline has no steps.", hint="Add a step first.", argument="index")
    return checked_count(index, "index", 0, len(steps) - 1)


def checked_weight(weight: object) -> float:
    """Return a weight: a positive, finite number.

    Raises:
        BadArgument: it is something else.
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise BadArgument(Argument("weighted") + f" has the weight {weight!r:.80}.", hint="It takes positive numbers.", argument="weighted")
    return float(weight)


def serialized(name: str, expression: Any) -> str:
    """Return an expression of polars under this name, as JSON. polars is not imported.

    Raises:
        BadArgument: it is no expression, or is named `count`, which is the column of the sum.
    """
    if name == "count":
        raise BadArgument("A validation is named 'count'.", hint="Give it another name: anomaly.count is the sum.", argument=name)
    try:
        text = expression.alias(name).meta.serialize(format="json")
    except AttributeError as error:
        hint = "It takes an expression of polars" + PythonOnly(': polars.col("out.variable").list.get(0) > 0.9') + "."
        raise BadArgument(Argument(name) + f" is of type {type(expression).__name__}.", hint=hint, argument=name) from error
    return str(text)
