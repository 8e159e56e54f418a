"""Validations of the platform's SDK until 2023.3, such as `model.outputs[0][0] < 0.9`: what a row must meet.

They are JSON of `{"values": {NAME: {"root": node, …}}, "validations": [NAME], "gauges": []}`. A row that does not meet one is marked; those
of polars, which came later, mark a row that meets them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import add, eq, ge, gt, le, lt, sub
from typing import Any, NamedTuple

from orchlite.core.errors import InferenceFailed
from orchlite.inference import libraries as lib

Tensors = Mapping[tuple[str, str], tuple[str, ...]]
"""By name of a model, and `input` or `output`: the columns that are its inputs or outputs, in the model's order."""

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {"+": add, "-": sub, "<": lt, "<=": le, "==": eq, ">": gt, ">=": ge}
_DEPTH = 100
_HINT = "Write it as an expression of polars, with add_validations, and deploy."


class TensorCheck(NamedTuple):
    """One validation."""

    name: str
    root: Mapping[str, Any]

    def tensors(self) -> Iterator[tuple[str, str]]:
        """Yield the name of a model, and `input` or `output`, for each tensor that it is about."""
        return (_tensor(node) for node in _nodes(self.name, self.root) if node["node"] == "variable")


@lru_cache(maxsize=256)
def read(text: str) -> TensorCheck | None:
    """Return the validation with this JSON; None if it is an expression of polars.

    Raises:
        InferenceFailed: it is an alert, or has something else that does not run here.
    """
    try:
        content = json.loads(text)
        if "values" not in content:
            return None
        ((name, value),) = content["values"].items()
        if content["validations"] != [name]:
            raise _refused(name, "is an alert")
        root = value["root"]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None  # polars says what is wrong with it
    check = TensorCheck(name, root)
    list(check.tensors())  # raises if it has what does not run
    return check


def marks(check: TensorCheck, frame: Any, tensors: Tensors) -> Any:
    """Return the expression of polars that is true for rows of a frame that do not meet it.

    Raises:
        InferenceFailed: it is about a tensor or a value that does not exist.
    """
    return ~_Translation(check.name, frame, tensors).expression(check.root)


class _Translation:
    def __init__(self, name: str, frame: Any, tensors: Tensors) -> None:
        self._name = name
        self._schema = frame.schema
        self._tensors = tensors

    def expression(self, node: Mapping[str, Any]) -> Any:
        match node["node"]:
            case "binop" if node["op"] == "in":
                left = self.expression(node["left"])  # is_in refuses integers for floats
                return lib.pl.any_horizontal([left == self.expression(each) for each in node["right"]["list"]])
            case "binop":
                return _OPERATORS[node["op"]](self.expression(node["left"]), self.expression(node["right"]))
            case "fn":
                return self.expression(node["arguments"][0]).abs()
            case "variable":
                return self._variable(node)
        return lib.pl.lit(node["integer"] if "integer" in node else node["float"])

    def _variable(self, node: Mapping[str, Any]) -> Any:
        columns, (place, *indexes) = self._tensors.get(_tensor(node), ()), node["key"]
        if place >= len(columns) or columns[place] not in self._schema:
            raise _refused(self._name, f"is about {_shown(node)}, of which there are {len(columns)}")
        kind, found = self._schema[columns[place]], lib.pl.col(columns[place])
        for index in indexes:
            if hasattr(kind, "inner"):
                kind, found = kind.inner, found.list.get(index, null_on_oob=True)
            elif index:
                raise _refused(self._name, f"is about {_shown(node)}, but {columns[place]} has one value a row")
        return found


def _nodes(name: str, node: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield a node and those below it.

    Raises:
        InferenceFailed: `_Translation` does not know one of them.
    """
    if depth > _DEPTH:
        raise _refused(name, f"has more than {_DEPTH} operators inside each other")
    below = _operands(name, node)
    yield node
    for each in below:
        yield from _nodes(name, each, depth + 1)


def _operands(name: str, node: Any) -> Sequence[Any]:
    match node:
        case {"node": "binop", "op": "in", "left": left, "right": {"list": [_, *_] as values}}:
            return [left, *values]
        case {"node": "binop", "op": str(operator), "left": left, "right": right} if operator in _OPERATORS:
            return [left, right]
        case {"node": "fn", "fn": "abs", "arguments": [argument]}:
            return [argument]
        case {"node": "variable", "variant_id": {"name": str()}, "position": "input" | "output", "key": list(key)} if _is_key(key):
            return []
        case {"node": "literal", "integer": value} | {"node": "literal", "float": value} if _is_number(value):
            return []
    raise _refused(name, _problem(node))


def _is_key(key: Sequence[Any]) -> bool:
    return bool(key) and all(isinstance(index, int) and abs(index) < 2**31 for index in key) and key[0] >= 0


def _is_number(value: object) -> bool:
    """Return whether polars has a type for it: any float, and integers of 64 bits."""
    return isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _problem(node: Any) -> str:
    match node:
        case {"node": "binop", "op": operator} if operator not in [*_OPERATORS, "in"]:
            return f"has the operator {operator!r:.80}"
        case {"node": "fn", "fn": function} if function != "abs":
            return f"has the function {function!r:.80}"
        case {"node": "literal", "timedelta": _}:
            return "has a duration"
    return f"has {node!r:.80}"


def _tensor(node: Mapping[str, Any]) -> tuple[str, str]:
    return node["variant_id"]["name"], node["position"]


def _shown(node: Mapping[str, Any]) -> str:
    model, position = _tensor(node)
    return f"{position}s{''.join(f'[{index}]' for index in node['key'])} of model {model!r}"


def _refused(name: str, problem: str) -> InferenceFailed:
    return InferenceFailed(f"The validation {name!r} {problem}, which orchlite does not run.", hint=_HINT, validation=name)
