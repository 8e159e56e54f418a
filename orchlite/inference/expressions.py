"""Expressions of polars from their JSON, whatever version of polars wrote it.

polars reads the JSON of its own version only. The platform's SDK pins 0.18, so the nodes that validations are made of are read here:
columns, constants, comparisons, arithmetic, conditions, aggregates, and the functions below.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import add, and_, attrgetter, eq, floordiv, ge, gt, le, lt, mod, mul, ne, or_, sub, truediv, xor
from typing import Any

from orchlite.core.errors import InferenceFailed
from orchlite.inference import libraries as lib

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "And": and_,
    "Divide": truediv,
    "Eq": eq,
    "EqValidity": lambda left, right: left.eq_missing(right),
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
    "NotEqValidity": lambda left, right: left.ne_missing(right),
    "Or": or_,
    "Plus": add,
    "TrueDivide": truediv,
    "Xor": xor,
}

_METHODS: Mapping[str, str] = {
    "Abs": "abs",
    "Boolean.IsFinite": "is_finite",
    "Boolean.IsIn": "is_in",
    "Boolean.IsInfinite": "is_infinite",
    "Boolean.IsNan": "is_nan",
    "Boolean.IsNot": "not_",
    "Boolean.IsNotNan": "is_not_nan",
    "Boolean.IsNotNull": "is_not_null",
    "Boolean.IsNull": "is_null",
    "Boolean.Not": "not_",
    "Ceil": "ceil",
    "Exp": "exp",
    "FillNull": "fill_null",
    "Floor": "floor",
    "ListExpr.ArgMax": "list.arg_max",
    "ListExpr.ArgMin": "list.arg_min",
    "ListExpr.Contains": "list.contains",
    "ListExpr.Length": "list.len",
    "ListExpr.Max": "list.max",
    "ListExpr.Mean": "list.mean",
    "ListExpr.Min": "list.min",
    "ListExpr.Slice": "list.slice",
    "ListExpr.Sum": "list.sum",
    "Negate": "neg",
    "Pow.Generic": "pow",
    "Pow.Sqrt": "sqrt",
    "Sign": "sign",
    "StringExpr.EndsWith": "str.ends_with",
    "StringExpr.LenBytes": "str.len_bytes",
    "StringExpr.LenChars": "str.len_chars",
    "StringExpr.Length": "str.len_bytes",
    "StringExpr.Lowercase": "str.to_lowercase",
    "StringExpr.NChars": "str.len_chars",
    "StringExpr.StartsWith": "str.starts_with",
    "StringExpr.StripChars": "str.strip_chars",
    "StringExpr.Uppercase": "str.to_uppercase",
}
"""Functions without options: the methods of the first input, with the others as arguments."""

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Boolean.All": lambda _, value: value.all(),
    "Boolean.AllHorizontal": lambda _, *values: lib.pl.all_horizontal(*values),
    "Boolean.Any": lambda _, value: value.any(),
    "Boolean.AnyHorizontal": lambda _, *values: lib.pl.any_horizontal(*values),
    "Boolean.IsBetween": lambda options, *values: lib.pl.Expr.is_between(*values, closed=options["closed"].lower()),
    "Clip": lambda options, value, *bounds: value.clip(*_bounds(options, bounds)),
    "Coalesce": lambda _, *values: lib.pl.coalesce(*values),
    "ListExpr.Get": lambda _, value, index: value.list.get(index, null_on_oob=True),  # as before 1.0
    "Log": lambda options, value: value.log(options["base"]),
    "MaxHorizontal": lambda _, *values: lib.pl.max_horizontal(*values),
    "MinHorizontal": lambda _, *values: lib.pl.min_horizontal(*values),
    "Round": lambda options, value: value.round(options["decimals"]),
    "StringExpr.Contains": lambda options, value, text: value.str.contains(text, literal=options["literal"], strict=options["strict"]),
    "StringExpr.Strip": lambda characters, value: value.str.strip_chars(characters),
    "SumHorizontal": lambda _, *values: lib.pl.sum_horizontal(*values),
}
"""The others, which take their options and their inputs."""

_AGGREGATES = {
    "Count": "count",
    "First": "first",
    "Last": "last",
    "Max": "max",
    "Mean": "mean",
    "Median": "median",
    "Min": "min",
    "NUnique": "n_unique",
    "Std": "std",
    "Sum": "sum",
    "Var": "var",
}
"""By name of the node: a method of what is aggregated."""

_CONSTANTS = frozenset({"Boolean", "Dyn", "Float", "Int", "Scalar", "Series", "Str", "String", "StringOwned", "Utf8", "value"})
_NUMBER_TYPE = r"U?Int\d+|Float\d+"


class _Unknown(LookupError):
    """A node that is not read here; the argument is its name."""


@lru_cache(maxsize=256)
def expression(text: str) -> Any:
    """Return the expression with this JSON.

    Raises:
        InferenceFailed: this version of polars cannot read it, and it has more than the nodes that are known here; or it has no name.
        MissingExtra: polars is not installed.
    """
    polars = lib.pl
    try:
        return _named(polars.Expr.deserialize(io.StringIO(text), format="json"))
    except Exception as error:  # polars' exceptions vary between its versions
        try:
            return _named(_node(json.loads(text)))
        except _Unknown as unknown:
            problem = f"it uses {unknown.args[0]}, which only the version that wrote it can read"
        except Exception:
            problem = str(error).splitlines()[0]
        message = f"A validation of the pipeline cannot be read by polars {polars.__version__}: {problem}."
        raise InferenceFailed(message, hint="Add it again with this version of polars, and deploy.", expression=text) from error


def _named(known: Any) -> Any:
    known.meta.output_name()  # raises if it has none, such as that of all columns
    return known


def _node(node: Any) -> Any:
    """Return what a node stands for.

    Raises:
        LookupError: the node is not known.
        AttributeError, RecursionError, TypeError, ValueError: it has other content than it should.
    """
    if isinstance(node, str):
        return _bare(node)
    ((kind, content),) = node.items()
    match kind:
        case "Alias":
            return _node(content[0]).alias(content[1])
        case "Column":
            return lib.pl.col(content)
        case "Literal":
            return lib.pl.lit(_constant(content))
        case "BinaryExpr":
            return _found(_OPERATORS, content["op"])(_node(content["left"]), _node(content["right"]))
        case "Cast":
            return _node(content["expr"]).cast(getattr(lib.pl, content["data_type"]))
        case "Ternary":
            truthy, falsy = _node(content["truthy"]), _node(content["falsy"])
            return lib.pl.when(_node(content["predicate"])).then(truthy).otherwise(falsy)
        case "Agg":
            return _aggregate(content)
        case "Filter":
            return _node(content["input"]).filter(_node(content["by"]))
        case "Function":
            return _function(content["function"], list(map(_node, content["input"])))
    raise _Unknown(kind)


def _bare(name: str) -> Any:
    if name not in ("Count", "Len"):
        raise _Unknown(name)
    return lib.pl.len()


def _aggregate(content: Any) -> Any:
    """Return what `{"Mean": node}`, `{"Max": {"input": node, …}}`, `{"Std": [node, ddof]}` or `{"Count": [node, nulls]}` stands for."""
    ((name, content),) = content.items()
    method = _found(_AGGREGATES, name)
    option: list[Any] = []
    if isinstance(content, list):
        content, *option = content
    elif "input" in content:
        content = content["input"]
    if name == "Count":
        return _node(content).len() if option == [True] else _node(content).count()
    return getattr(_node(content), method)(*option)


def _function(function: Any, inputs: list[Any]) -> Any:
    name, options = _name(function)
    if name in _METHODS:
        return attrgetter(_METHODS[name])(inputs[0])(*inputs[1:])
    return _found(_FUNCTIONS, name)(options, *inputs)


def _found(table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise _Unknown(name)
    return table[name]


def _bounds(options: Any, bounds: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the lower and the upper bound of a `Clip`, None for none; before 1.0 they are among the options."""
    given = iter(bounds)
    for bound in ("min", "max"):
        if bound in options:
            yield None if options[bound] is None else _constant(options[bound])
        else:
            yield next(given) if options[f"has_{bound}"] else None


def _constant(content: Any) -> Any:
    """Return a number, a text, a flag or a list: `{"Int32": 1}`, `{"Dyn": {"Int": 1}}`, `{"Series": {"values": [1, 2]}}`."""
    if content == "Null":
        return None
    while isinstance(content, Mapping):
        if "values" in content:
            return content["values"]
        ((kind, content),) = content.items()
        if kind not in _CONSTANTS and not re.fullmatch(_NUMBER_TYPE, kind):
            raise _Unknown(f"a constant of type {kind}")
    return content


def _name(function: Any) -> tuple[str, Any]:
    """Return `Group.Name` of a function, and its options: of `"Abs"`, `{"ListExpr": "Get"}` or `{"Round": {"decimals": 2}}`.

    The keys of options have no capital letters.
    """
    names: list[str] = []
    while isinstance(function, Mapping) and next(iter(function), "")[:1].isupper():
        ((name, function),) = function.items()
        names.append(name)
    is_name = isinstance(function, str) and function[:1].isupper()
    return ".".join([*names, function] if is_name else names), None if is_name else function
