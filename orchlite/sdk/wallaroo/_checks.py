"""`wallaroo.checks`: the expressions of the SDK until 2023.3 for `Pipeline.add_validation`, such as `model.outputs[0][0] < 0.9`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


class Expression:
    """What a validation compares, or a validation. Operators make others of it; nothing is evaluated."""

    __module__ = "wallaroo.checks"

    def __init__(self, node: Mapping[str, Any]) -> None:
        self._node = node

    def as_json(self) -> dict[str, Any]:
        """The expression in a pipeline's definition."""
        return dict(self._node)

    def model_names(self) -> list[str]:
        """The models that it is about, each as often as it is named."""
        return list(_models(self._node))

    def one_of(self, *values: Any) -> Expression:
        """Whether it is one of the values."""
        return self._with("in", list(values))

    def __getitem__(self, index: int) -> Expression:
        return Expression({**self._node, "key": [*self._node["key"], index]})

    def __gt__(self, other: Any) -> Expression:
        return self._with(">", other)

    def __ge__(self, other: Any) -> Expression:
        return self._with(">=", other)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("==", other)

    def __lt__(self, other: Any) -> Expression:
        return self._with("<", other)

    def __le__(self, other: Any) -> Expression:
        return self._with("<=", other)

    def __add__(self, other: Any) -> Expression:
        return self._with("+", other)

    def __sub__(self, other: Any) -> Expression:
        return self._with("-", other)

    __hash__ = None  # type: ignore[assignment]
    __iter__ = None  # otherwise `list(model.outputs)` and `x in model.outputs` index it without end

    def _with(self, operator: str, other: Any) -> Expression:
        return Expression({"node": "binop", "op": operator, "left": self.as_json(), "right": _node(other)})


def tensors(model: str, position: str) -> Expression:
    """Return the inputs or the outputs of a model: `[0]` is the first, `[0][1]` the second number of it in each row."""
    return Expression({"node": "variable", "variant_id": {"name": model}, "position": position, "key": []})


def serialized(name: str, expression: Expression) -> str:
    """Return a validation as a pipeline's definition has it."""
    value = {"root": expression.as_json(), "required_data": [{"name": model} for model in expression.model_names()]}
    return json.dumps({"values": {name: value}, "gauges": [], "validations": [name]})


def _node(value: Any) -> dict[str, Any]:
    match value:
        case Expression():
            return value.as_json()
        case int():
            return {"node": "literal", "integer": value}
        case float():
            return {"node": "literal", "float": value}
        case list():
            return {"node": "literal", "list": [_node(each) for each in value]}
    raise RuntimeError("invalid expression for bounds checking", value)


def _models(node: Mapping[str, Any]) -> Iterator[str]:
    if node["node"] == "variable":
        yield node["variant_id"]["name"]
    for side in ("left", "right"):
        if side in node:
            yield from _models(node[side])
