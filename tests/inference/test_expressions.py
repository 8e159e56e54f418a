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


def _plain(function: Any, *inputs: Any) -> dict[str, Any]:
    return {"Function": {"input": list(inputs), "function": function, "options": {"fmt_str": ""}}}


def _function(group: str, name: Any, *inputs: Any) -> dict[str, Any]:
    return _plain({group: name}, *inputs)


_N = {"Column": "n"}
_F = {"Column": "f"}
_T = {"Column": "t"}
_A = {"Literal": {"Utf8": "a"}}
_ONE = {"Literal": {"Int32": 1}}
_FIVE = {"Literal": {"Int32": 5}}
_TRUE = {"Literal": {"Boolean": True}}


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
        ({"Ternary": {"predicate": _binary(_N, "Gt", _ONE), "truthy": _binary(_N, "Gt", _FIVE), "falsy": _TRUE}}, [True, False, True]),
        (_binary(_N, "Gt", {"Agg": {"Mean": _N}}), [False, False, True]),
        (_binary(_N, "GtEq", {"Agg": {"Max": {"input": _N, "propagate_nans": False}}}), [False, False, True]),
        (_binary(_N, "Gt", {"Agg": {"Std": [_N, 1]}}), [False, True, True]),
        (_binary(_N, "Gt", {"Agg": {"Count": _N}}), [False, True, True]),
        (_binary(_N, "GtEq", {"Agg": {"Count": {"Filter": {"input": _N, "by": _binary(_N, "Gt", _ONE)}}}}), [False, True, True]),
        (_binary(_N, "Gt", "Count"), [False, True, True]),
        (_binary(_plain({"Round": {"decimals": 1}}, _F), "Eq", {"Literal": {"Float64": 1.0}}), [True, False, None]),
        (_binary(_plain("Floor", _F), "Eq", _ONE), [True, False, None]),
        (_binary(_plain({"Clip": {"min": {"Int64": 2}, "max": None}}, _N), "Eq", {"Literal": {"Int32": 2}}), [True, False, False]),
        (_binary(_plain({"Log": {"base": 3.0}}, _N), "Gt", {"Literal": {"Float64": 1.9}}), [False, False, True]),
        (_binary(_plain({"Pow": "Generic"}, _N, {"Literal": {"Int32": 2}}), "Gt", {"Literal": {"Int32": 25}}), [False, False, True]),
        (_binary(_plain({"FillNull": {"super_type": "Unknown"}}, _F, _ONE), "Eq", _ONE), [True, False, True]),
        (_binary(_plain("Coalesce", _F, _N), "Eq", {"Literal": {"Int32": 9}}), [False, False, True]),
        (_function("Boolean", {"Any": {"drop_nulls": True}}, _binary(_N, "Gt", _ONE)), [True]),
        (_function("Boolean", "AllHorizontal", _binary(_N, "Gt", _ONE), _binary(_T, "Eq", _A)), [False, False, False]),
        (_function("StringExpr", {"Contains": {"literal": False, "strict": True}}, _T, {"Literal": {"Utf8": "[ab]"}}), [True, True, False]),
        (_function("StringExpr", "StartsWith", _T, _A), [True, False, False]),
        (_binary(_function("StringExpr", "Uppercase", _T), "Eq", {"Literal": {"Utf8": "A"}}), [True, False, False]),
        (_binary(_function("StringExpr", {"Strip": None}, _T), "Eq", _A), [True, False, False]),
        (_binary(_N, "EqValidity", _ONE), [True, False, False]),
    ],
)
def test_what_polars_of_2023_wrote_is_read(node: dict[str, Any], marks: list[bool | None]) -> None:
    known = expression(json.dumps({"Alias": [node, "check"]}))
    assert _FRAME.select(known)["check"].to_list() == marks


@pytest.mark.parametrize(
    ("node", "marks"),
    [
        (_function("Boolean", {"IsBetween": {"closed": "Left"}}, _N, _ONE, {"Literal": {"Int": 9}}), [True, True, False]),
        (_binary(_plain({"Clip": {"has_min": False, "has_max": True}}, _N, {"Literal": {"Int": 5}}), "Eq", _FIVE), [False, True, True]),
        (_binary(_plain("Negate", _N), "Lt", {"Literal": {"Int": -4}}), [False, True, True]),
        (_binary(_plain("MaxHorizontal", _N, _F), "Gt", _ONE), [False, True, True]),
        (_binary(_function("StringExpr", "StripChars", _T, {"Literal": "Null"}), "Eq", _A), [True, False, False]),
        (_binary(_N, "Gt", {"Alias": ["Len", "count"]}), [False, True, True]),
        (_binary(_N, "Gt", {"Agg": {"Count": [_F, True]}}), [False, True, True]),
    ],
)
def test_what_polars_1_0_wrote_is_read(node: dict[str, Any], marks: list[bool | None]) -> None:
    known = expression(json.dumps({"Alias": [node, "check"]}))
    assert _FRAME.select(known)["check"].to_list() == marks


def test_what_this_polars_wrote_is_read_by_polars_itself() -> None:
    written = (pl.col("t").str.contains("a") & (pl.col("n") < 3)).alias("check").meta.serialize(format="json")
    assert _FRAME.select(expression(written))["check"].to_list() == [True, False, False]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "no JSON",
        "[1]",
        '{"Alias": [{"Window": {}}, "check"]}',
        '{"Alias": [{"Function": {}}, "check"]}',
        '{"Function": {"function": {}, "input": [{"Column": "n"}]}}',
        '{"Function": {"function": "Abs", "input": []}}',
        pl.all().meta.serialize(format="json"),
        '{"Alias": [' * 30_000,
    ],
)
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(InferenceFailed, match=r"A validation of the pipeline cannot be read by polars .*\. Add it again with this version"):
        expression(text)


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ({"Window": {"function": _N, "partition_by": [_T], "order_by": None, "options": {"mapping": "GroupsToRows"}}}, "Window"),
        (_plain({"Diff": [1, "Ignore"]}, _N), "Diff"),
        (_function("TemporalExpr", "Year", _T), r"TemporalExpr\.Year"),
        ({"Agg": {"Quantile": {"expr": _N, "quantile": _ONE, "interpol": "Nearest"}}}, "Quantile"),
        (_function("Boolean", "IsNull", "Wildcard"), "Wildcard"),
        (_binary(_N, "Gt", {"Literal": {"Date": 19000}}), "a constant of type Date"),
    ],
)
def test_what_no_other_version_reads_is_named(node: dict[str, Any], name: str) -> None:
    with pytest.raises(InferenceFailed, match=f"it uses {name}, which only the version that wrote it can read"):
        expression(json.dumps({"Alias": [_binary(node, "Gt", _ONE), "check"]}))
