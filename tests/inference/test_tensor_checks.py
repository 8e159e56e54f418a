"""Validations of the SDK of 2023, over tensors by number, are evaluated as there: a row that does not meet one is marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchlite.core.errors import InferenceFailed
from orchlite.inference import runnable
from orchlite.inference.python_step import PythonStep
from tests.inference.conftest import Run, serialized, step
from tests.onnx_models import doubling, summing, two_inputs

_FRAME = pd.DataFrame({"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})


def check(name: str, root: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The step of one validation, as the SDK 2023.2.1 writes it."""
    content = {"values": {name: {"root": root, "required_data": []}}, "gauges": [], "validations": [name]}
    return {"Check": {"tree": [json.dumps(content | other)]}}


def variable(model: str, position: str, *key: int) -> dict[str, Any]:
    """`model.outputs[0][1]`."""
    return {"node": "variable", "variant_id": {"name": model}, "position": position, "key": list(key)}


def operator(left: dict[str, Any], op: str, right: dict[str, Any]) -> dict[str, Any]:
    """An operator with two operands."""
    return {"node": "binop", "op": op, "left": left, "right": right}


def number(value: float) -> dict[str, Any]:
    """A literal."""
    return {"node": "literal", "integer" if isinstance(value, int) else "float": value}


_OUT = variable("m", "output", 0, 0)


def _nested(depth: int) -> dict[str, Any]:
    return number(1) if depth == 0 else operator(_nested(depth - 1), "+", number(1))


@pytest.mark.parametrize(
    ("root", "marks"),
    [
        (operator(_OUT, "<", number(5.0)), [False, True]),
        (operator(_OUT, ">=", number(8)), [True, False]),
        (operator(operator(_OUT, "+", variable("m", "output", 0, 2)), "==", number(8)), [False, True]),
        (operator(operator(_OUT, "-", number(3)), "<=", number(0)), [False, True]),
        (operator({"node": "fn", "fn": "abs", "arguments": [operator(_OUT, "-", number(8))]}, ">", number(1)), [False, True]),
        (operator(_OUT, "in", {"node": "literal", "list": [number(2.0), number(3.0)]}), [False, True]),
        (operator(_OUT, "in", {"node": "literal", "list": [number(2), number(3.5)]}), [False, True]),
        (operator(variable("m", "input", 0, 1), "<", number(3)), [False, True]),
        (operator(variable("m", "output", 0, 9), "<", number(3)), [False, False]),
    ],
)
def test_a_row_that_does_not_meet_it_is_marked(run: Run, tmp_path: Path, root: dict[str, Any], marks: list[bool]) -> None:
    steps = ["m", check("too high", root)]
    runnable.check({"steps": [step("m"), steps[1]]})
    frame = run(_FRAME, *steps, models={"m": doubling(tmp_path / "a")}).to_frame()
    assert frame["anomaly.too high"].tolist() == marks
    assert frame["anomaly.count"].tolist() == [int(each) for each in marks]


def test_tensors_have_the_models_order(run: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"b": [[1.0, 2.0]], "a": [[5.0, 6.0]]})
    wanted = {("input", 0, 0): 5, ("input", 1, 1): 2, ("output", 0, 0): 6, ("output", 1, 1): 4}
    checks = [
        check(f"check{place}", operator(variable("m", *tensor), "==", number(value)))
        for place, (tensor, value) in enumerate(wanted.items())
    ]
    result = run(frame, "m", *checks, models={"m": two_inputs(tmp_path / "a")}).to_frame()
    assert result["anomaly.count"].tolist() == [0]
    assert [name for name in result.columns if name.startswith("anomaly.check")] == [f"anomaly.check{place}" for place in range(4)]


def test_those_of_challengers_are_checked_too(run: Run, tmp_path: Path) -> None:
    models = {"m": doubling(tmp_path / "a"), "other": summing(tmp_path / "b")}
    other = check("sum", operator(variable("other", "output", 0, 0), "<", number(10)))
    runnable.check({"steps": [step("m", "other"), other]})
    assert run(_FRAME, step("m", "other"), other, models=models).to_frame()["anomaly.sum"].tolist() == [False, True]


def test_they_stand_beside_those_of_polars(run: Run, tmp_path: Path) -> None:
    import polars as pl

    step_of_both = check("a", operator(_OUT, "<", number(5)))
    step_of_both["Check"]["tree"].append(serialized("b", pl.col("out.y").list.get(0) > 5))
    frame = run(_FRAME, "m", step_of_both, models={"m": doubling(tmp_path / "a")}).to_frame()
    assert frame["anomaly.count"].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (check("c", operator(_OUT, ">", number(1)), gauges=["c"], validations=[]), "The validation 'c' is an alert"),
        (check("c", operator(_OUT, "*", number(1))), r"has the operator '\*'"),
        (check("c", {"node": "fn", "fn": "count", "arguments": [_OUT]}), "has the function 'count'"),
        (check("c", operator(_OUT, "<", {"node": "literal", "timedelta": "3s"})), "has a duration"),
        (check("c", operator(variable("n", "output", 0, 0), "<", number(1))), "about the outputs of model 'n', which no step before it"),
        (check("c", operator(variable("other", "input", 0, 0), "<", number(1))), "about the inputs of model 'other'"),
        (check("c", operator(_OUT, "<", {"node": "literal", "list": [number(1)]})), "has {'node': 'literal', 'list'"),
        (check("c", operator(_OUT, "<", {"node": "literal", "integer": 10**30})), "has {'node': 'literal', 'integer': 10"),
        (check("c", operator(_OUT, "in", {"node": "literal", "list": []})), "has {'node': 'binop', 'op': 'in'"),
        (check("c", {"node": "binop", "op": "<", "left": _OUT}), "has {'node': 'binop', 'op': '<'"),
        (check("c", {"node": "fn", "fn": "abs", "arguments": []}), "has {'node': 'fn', 'fn': 'abs'"),
        (check("c", variable("m", "output")), "has {'node': 'variable'"),
        (check("c", variable("m", "output", -1)), "has {'node': 'variable'"),
        (check("c", {"node": "word"}), "has {'node': 'word'}"),
        (check("c", _nested(101)), "more than 100 operators inside each other"),
        ({"Check": {"tree": ['{"values": {}}']}}, "A validation of the pipeline cannot be read by polars"),
    ],
)
def test_what_cannot_run_is_named_before_the_deployment(validation: dict[str, Any], message: str) -> None:
    with pytest.raises(InferenceFailed, match=message):
        runnable.check({"steps": [step("m", "other"), validation]})


@pytest.mark.parametrize(
    ("key", "message"), [((1, 0), r"outputs\[1\]\[0\] of model 'm', of which there are 1"), ((0, 0, 1), "has one value")]
)
def test_a_tensor_that_is_not_there_is_named(run: Run, tmp_path: Path, key: tuple[int, ...], message: str) -> None:
    with pytest.raises(InferenceFailed, match=message):
        run(_FRAME, "m", check("c", operator(variable("m", "output", *key), "<", number(1))), models={"m": doubling(tmp_path / "a")})


def test_the_outputs_of_an_earlier_step_are_gone(run: Run, tmp_path: Path) -> None:
    models = {"m": doubling(tmp_path / "a"), "next": PythonStep(lambda columns: columns, "next")}
    with pytest.raises(InferenceFailed, match="of model 'm', of which there are 0"):
        run(_FRAME, "m", "next", check("c", operator(_OUT, "<", number(1))), models=models)


@pytest.mark.parametrize(
    "steps",
    [
        "x",
        [{}],
        [1],
        [{"ModelInference": {}}],
        [{"Nth": {"index": 3}}],
        [{"Check": {"tree": 1}}],
        [{"Check": {"tree": [{}]}}],
        [{"RandomSplit": {"weights": []}}],
    ],
)
def test_malformed_steps_are_refused(steps: Any) -> None:
    with pytest.raises(InferenceFailed):
        runnable.check({"steps": steps})


def test_a_validation_of_another_version_is_named_before_the_deployment() -> None:
    with pytest.raises(InferenceFailed, match="it uses Window"):
        runnable.check({"steps": [step("m"), {"Check": {"tree": ['{"Alias": [{"Window": {}}, "c"]}']}}]})
