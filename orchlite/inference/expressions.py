"""Expressions of polars from their JSON, whatever version of polars wrote it.

polars reads the JSON of its own version only. The platform's SDK pins 0.18, so the nodes that validations are made of are read here:
columns, constants, comparisons, arithmetic, and the functions below.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import add, and_, eq, floordiv, ge, gt, le, lt, mod, mul, ne, or_, sub, truediv, xor
from typing import Any

from orchlite.core.errors import InferenceFailed
from orchlite.inference import libraries as lib

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "And": and_,
    "Divide": truediv,
    "Eq": eq,
    "FloorDivide": floordiv,
    "Gt": gt,
    "GtEq": ge,
    "Lt": lt,
    "LtEq": le,
    "LogicalAnd": and_,
    "LogicalOr": or_,
    "Minus": sub,
    "Modulus": mod,
    "Multiply": mul,
    "NotEq": ne,
    "Or": or_,
    "Plus": add,
    "TrueDivide": truediv,
    "Xor": xor,
}

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Abs": lambda value: value.abs(),
    "Boolean.IsFinite": lambda value: value.is_finite(),
    "Boolean.IsIn": lambda value, values: value.is_in(values),
    "Boolean.IsInfinite": lambda value: value.is_infinite(),
    "Boolean.IsNan": lambda value: value.is_nan(),
    "Boolean.IsNot": lambda value: ~value,
    "Boolean.IsNotNan": lambda value: value.is_not_nan(),
    "Boolean.IsNotNull": lambda value: value.is_not_null(),
    "Boolean.IsNull": lambda value: value.is_null(),
    "Boolean.Not": lambda value: ~value,
    "ListExpr.Contains": lambda value, item: value.list.contains(item),
    "ListExpr.Get": lambda value, index: value.list.get(index, null_on_oob=True),  # as before 1.0
    "ListExpr.Length": lambda value: value.list.len(),
    "ListExpr.Max": lambda value: value.list.max(),
    "ListExpr.Mean": lambda value: value.list.mean(),
    "ListExpr.Min": lambda value: value.list.min(),
    "ListExpr.Sum": lambda value: value.list.sum(),
}


@lru_cache(maxsize=256)
def expression(text: str) -> Any:
    """Return the expression with this JSON.

    Raises:
        InferenceFailed: this version of polars cannot read it, and it has more than the nodes that are known here.
        MissingExtra: polars is not installed.
    """
    polars = lib.pl
    try:
        return polars.Expr.deserialize(io.StringIO(text), format="json")
    except Exception as error:  # polars' exceptions vary between its versions
        try:
            return _node(json.loads(text))
        except (AttributeError, LookupError, TypeError, ValueError) as unknown:
            message = f"A validation of the pipeline cannot be read by polars {polars.__version__}: {str(error).splitlines()[0]}."
            hint = "Add it again with this version of polars, and deploy."
            raise InferenceFailed(message, hint=hint, expression=text) from unknown


def _node(node: Any) -> Any:
    """Return what a node stands for.

    Raises:
        AttributeError, LookupError, TypeError, ValueError: the node is not known.
    """
    ((kind, content),) = node.items()
    match kind:
        case "Alias":
            return _node(content[0]).alias(content[1])
        case "Column":
            return lib.pl.col(content)
        case "Literal":
            return lib.pl.lit(_constant(content))
        case "BinaryExpr":
            return _OPERATORS[content["op"]](_node(content["left"]), _node(content["right"]))
        case "Cast":
            return _node(content["expr"]).cast(getattr(lib.pl, content["data_type"]))
        case "Function":
            return _FUNCTIONS[_name(content["function"])](*map(_node, content["input"]))
    raise LookupError(kind)


def _constant(content: Any) -> Any:
    """Return a number, a text, a flag or a list: `{"Int32": 1}`, `{"Dyn": {"Int": 1}}`, `{"Series": {"values": [1, 2]}}`."""
    while isinstance(content, Mapping):
        content = content["values"] if "values" in content else next(iter(content.values()))
    return content


def _name(function: Any) -> str:
    """Return `Group.Name` of a function, without its options: of `"Abs"`, `{"ListExpr": "Get"}` or `{"ListExpr": {"Get": false}}`."""
    names: list[str] = []
    while isinstance(function, Mapping):
        name, function = next(iter(function.items()))
        names.append(name)
    return ".".join([*names, function] if isinstance(function, str) else names)
