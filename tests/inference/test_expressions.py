"""Validations that another version of polars has written are read, or refused with both versions' word for it."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from orchlite.core.errors import InferenceFailed
from orchlite.inference.expressions import expression

_FRAME = pl.DataFrame({"out.y": [[0.95, 2.0], [0.5, 3.0], []], "n": [1, 5, 9], "t": ["a", "b", "c"], "f": [1.0, float("nan"), None]})


def _get(column: str, index: int) -> dict[str, Any]:
    """`col(column).list.get(index)`, as polars 0.18 writes it."""
    options = {"collect_groups": "ApplyFlat", "fmt_str": "", "auto_explode": True}
    return {"Function": {"input": [{"Column": column}, {"Literal": {"Int32": index}}], "function": {"ListExpr": "Get"}, "options": options}}


def _binary(left: Any, operator: str, right: Any) -> dict[str, Any]:
    return {"BinaryExpr": {"left": left, "op": operator, "right": right}}


def _function(group: str, name: str, *inputs: Any) -> dict[str, Any]:
    return {"Function": {"input": list(inputs), "function": {group: name}, "options": {"fmt_str": ""}}}


_N = {"Column": "n"}


@pytest.mark.parametrize(
    ("node", "marks"),
    [
        (_binary(_get("out.y", 0), "Gt", {"Literal": {"Float64": 0.9}}), [True, False, None]),
        (
            _binary(_binary(_N, "GtEq", {"Literal": {"Int32": 1}}), "And", _binary(_N, "LtEq", {"Literal": {"Int32": 5}})),
            [True, True, False],
        ),
        (_binary({"Column": "t"}, "Eq", {"Literal": {"Utf8": "b"}}), [False, True, False]),
        (_binary(_binary(_N, "Multiply", {"Literal": {"Int32": 2}}), "Gt", {"Literal": {"Int32": 9}}), [False, True, True]),
        (_function("Boolean", "IsNot", _binary(_N, "Eq", {"Literal": {"Int32": 5}})), [True, False, True]),
        (_function("Boolean", "IsNan", {"Column": "f"}), [False, True, None]),
        (_function("Boolean", "IsNull", {"Column": "f"}), [False, False, True]),
        (
            _function("Boolean", "IsIn", _N, {"Literal": {"Series": {"name": "", "datatype": "Int64", "values": [1, 9]}}}),
            [True, False, True],
        ),
        (_function("ListExpr", "Contains", {"Column": "out.y"}, {"Literal": {"Float64": 3.0}}), [False, True, False]),
        (
            _binary({"Cast": {"expr": _function("ListExpr", "Sum", {"Column": "out.y"}), "data_type": "Int64", "strict": True}}, "Gt", _N),
            [True, False, False],
        ),
    ],
)
def test_what_polars_of_2023_wrote_is_read(node: dict[str, Any], marks: list[bool | None]) -> None:
    known = expression(json.dumps({"Alias": [node, "check"]}))
    assert _FRAME.select(known)["check"].to_list() == marks


def test_what_this_polars_wrote_is_read_by_polars_itself() -> None:
    written = (pl.col("t").str.contains("a") & (pl.col("n") < 3)).alias("check").meta.serialize(format="json")
    assert _FRAME.select(expression(written))["check"].to_list() == [True, False, False]


@pytest.mark.parametrize("text", ["{}", "no JSON", "[1]", '{"Alias": [{"Window": {}}, "check"]}', '{"Alias": [{"Function": {}}, "check"]}'])
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(InferenceFailed, match=r"A validation of the pipeline cannot be read by polars .*\. Add it again with this version"):
        expression(text)
