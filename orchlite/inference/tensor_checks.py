"""Validations of the platform's SDK until 2023.3, such as `model.outputs[0][0] < 0.9`: what a row must meet.

They are JSON of `{"values": {NAME: {"root": node, …}}, "validations": [NAME], "gauges": []}`. A row that does not meet one is marked; those
of polars, which came later, mark a row that meets them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import add, eq, ge, gt, le, lt, sub
from typing import Any, NamedTuple

from orchlite.core.errors import InferenceFailed
from orchlite.inference import libraries as lib

Tensors = Mapping[tuple[str, str], tuple[str, ...]]
"""By name of a model, and `input` or `output`: the columns that are its inputs or outputs, in the model's order."""

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {"+": add, "-": sub, "<": lt, "<=": le, "==": eq, ">": gt, ">=": ge}
_HINT = "Write it as an expression of polars, with add_validations, and deploy."


class TensorCheck(NamedTuple):
    """One validation."""

    name: str
    root: Mapping[str, Any]

    def tensors(self) -> Iterator[tuple[str, str]]:
        """Yield the name of a model, and `input` or `output`, for each tensor that it is about."""
        return (_tensor(node) for node in _nodes(self.root) if node["node"] == "variable")


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
        check = TensorCheck(name, value["root"])
        _check_nodes(check)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # polars says what is wrong with it
    return check


def marks(check: TensorCheck, frame: Any, tensors: Tensors) -> Any:
    """Return the expression of polars that is true for rows of a frame that do not meet it.

    Raises:
        InferenceFailed: it is about a tensor or a value that there is not.
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
                return self.expression(node["left"]).is_in([_literal(each) for each in node["right"]["list"]])
            case "binop":
                return _OPERATORS[node["op"]](self.expression(node["left"]), self.expression(node["right"]))
            case "fn":
                return self.expression(node["arguments"][0]).abs()
            case "variable":
                return self._variable(node)
        return lib.pl.lit(_literal(node))

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


def _check_nodes(check: TensorCheck) -> None:
    for node in _nodes(check.root):
        match node["node"]:
            case "binop" if node["op"] not in _OPERATORS and node["op"] != "in":
                raise _refused(check.name, f"has the operator {node['op']!r}")
            case "fn" if node["fn"] != "abs":
                raise _refused(check.name, f"has the function {node['fn']!r}")
            case "literal" if not {"integer", "float", "list"} & set(node):
                raise _refused(check.name, "has a duration")


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in (*filter(None, [node.get("left"), node.get("right")]), *node.get("arguments", ()), *node.get("list", ())):
        yield from _nodes(child)


def _literal(node: Mapping[str, Any]) -> Any:
    return node["integer"] if "integer" in node else node["float"]


def _tensor(node: Mapping[str, Any]) -> tuple[str, str]:
    return node["variant_id"]["name"], node["position"]


def _shown(node: Mapping[str, Any]) -> str:
    model, position = _tensor(node)
    return f"{position}s{''.join(f'[{index}]' for index in node['key'])} of model {model!r}"


def _refused(name: str, problem: str) -> InferenceFailed:
    return InferenceFailed(f"The validation {name!r} {problem}, which orchlite does not run.", hint=_HINT, validation=name)
