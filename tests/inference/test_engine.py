"""Steps run one after the other, side by side, or one of several."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from orchlite.core.errors import BadData, InferenceFailed
from orchlite.inference.selection import Selection
from tests.inference.conftest import Run, model, serialized, step
from tests.onnx_models import doubling, summing, two_inputs

_FRAME = pd.DataFrame({"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})


def test_a_chain_feeds_outputs_to_the_next_model_by_name(run: Run, tmp_path: Path) -> None:
    models = {"first": doubling(tmp_path / "a"), "last": summing(tmp_path / "b", source="y")}
    frame = run(_FRAME, "first", "last", models=models).to_frame()
    assert list(frame.columns) == ["time", "in.x", "out.sum", "anomaly.count"]
    assert frame["out.sum"].tolist() == [[12.0], [30.0]]


def test_several_inputs_and_outputs_go_by_name(run: Run, tmp_path: Path) -> None:
    data = pd.DataFrame({"b": [[1.0, 1.0]], "a": [[3.0, 5.0]]})
    frame = run(data, "both", models={"both": two_inputs(tmp_path / "a")}).to_frame()
    assert list(frame.columns) == ["time", "in.a", "in.b", "out.difference", "out.total", "anomaly.count"]
    assert frame.loc[0, "out.difference"] == [2.0, 4.0]
    assert frame.loc[0, "out.total"] == [4.0, 6.0]


def test_columns_that_no_model_wants_are_echoed(run: Run, tmp_path: Path) -> None:
    frame = run(_FRAME.assign(index=[7, 8], label="a"), "m", models={"m": doubling(tmp_path / "a")}).to_frame()
    assert frame["in.index"].tolist() == [7, 8]
    assert frame["in.label"].tolist() == ["a", "a"]
    assert list(frame.columns) == ["time", "in.index", "in.label", "in.x", "out.y", "anomaly.count"]


def test_challengers_run_beside_the_champion_in_alphabetical_order(run: Run, tmp_path: Path) -> None:
    models = {"champion": doubling(tmp_path / "a"), "b": summing(tmp_path / "b"), "a": summing(tmp_path / "c")}
    shadow = [step("champion", "b", "a"), {"AuditResults": {"from": 1, "to": None}}, {"MultiOut": {}}]
    frame = run(_FRAME, *shadow, models=models).to_frame()
    assert list(frame.columns) == ["time", "in.x", "out.y", "anomaly.count", "out_a.sum", "out_b.sum"]
    assert frame["out_b.sum"].tolist() == [[6.0], [15.0]]


def test_challengers_do_not_change_what_the_next_step_gets(run: Run, tmp_path: Path) -> None:
    models = {
        "champion": doubling(tmp_path / "a"),
        "other": summing(tmp_path / "b", target="y"),
        "last": summing(tmp_path / "c", source="y"),
    }
    frame = run(_FRAME, step("champion", "other"), "last", models=models).to_frame()
    assert frame["out.sum"].tolist() == [[12.0], [30.0]]


def test_a_split_says_which_model_it_chose(run: Run, tmp_path: Path) -> None:
    models = {"a": doubling(tmp_path / "a"), "b": doubling(tmp_path / "b")}
    weights = [{"model": model("a"), "weight": 0}, {"model": model("b"), "weight": 2}]
    frame = run(_FRAME, {"RandomSplit": {"hash_key": None, "weights": weights}}, models=models).to_frame()
    assert list(frame.columns) == ["time", "in.x", "out._model_split", "out.y", "anomaly.count"]
    (text,) = frame.loc[1, "out._model_split"]
    assert json.loads(text) == model("b")


@pytest.mark.parametrize(("point", "chosen"), [(0.0, "a"), (0.32, "a"), (0.34, "b"), (1.0, "b")])
def test_a_split_with_a_key_follows_its_column(run: Run, tmp_path: Path, point: float, chosen: str) -> None:
    models = {"a": doubling(tmp_path / "a"), "b": doubling(tmp_path / "b")}
    weights = [{"model": model("a"), "weight": 1}, {"model": model("b"), "weight": 2}]
    split = {"RandomSplit": {"hash_key": "key", "weights": weights}}
    frame = run(_FRAME.assign(key=point), split, models=models).to_frame()
    assert json.loads(frame.loc[0, "out._model_split"][0])["name"] == chosen
    with pytest.raises(BadData, match="'key', which chooses the model"):
        run(_FRAME.assign(key=1.5), split, models=models)
    with pytest.raises(BadData, match="has None in its first row"):
        run({**_FRAME.to_dict("list"), "key": [[]] * len(_FRAME)}, split, models=models)


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [({"card": "gold"}, "b"), ({"card": "tin"}, "a"), ({}, "a"), ({"card": 1}, "c"), ({"card": [["gold"], ["gold"]]}, "b")],
)
def test_a_key_split_runs_the_model_that_a_value_chooses(run: Run, tmp_path: Path, columns: dict[str, Any], chosen: str) -> None:
    models = {name: doubling(tmp_path / name) for name in "abc"}
    split = {"MetaValueSplit": {"split_key": "card", "control": model("a"), "routes": {"gold": model("b"), "1": model("c")}}}
    frame = run(_FRAME.assign(**columns), split, models=models).to_frame()
    assert json.loads(frame.loc[0, "out._model_split"][0])["name"] == chosen


def test_a_key_split_takes_one_value_an_inference(run: Run, tmp_path: Path) -> None:
    split = {"MetaValueSplit": {"split_key": "card", "control": model("a"), "routes": {"gold": model("a")}}}
    with pytest.raises(BadData, match=r"'card', which chooses .* has several values: 'gold', 'tin'\. Infer with the rows of each value"):
        run(_FRAME.assign(card=["gold", "tin"]), split, models={"a": doubling(tmp_path / "a")})


def test_validations_mark_and_count_anomalies(run: Run, tmp_path: Path) -> None:
    first = pl.col("out.sum").list.get(0)
    check = {"Check": {"tree": [serialized("large", first > 10), serialized("odd", first % 2 == 1)]}}
    frame = run(_FRAME, "m", check, models={"m": summing(tmp_path / "a")}).to_frame()
    assert list(frame.columns) == ["time", "in.x", "out.sum", "anomaly.count", "anomaly.large", "anomaly.odd"]
    assert frame["anomaly.count"].tolist() == [0, 2]
    assert frame["anomaly.count"].dtype == np.int64
    assert frame["anomaly.odd"].tolist() == [False, True]
    assert frame["anomaly.odd"].dtype == bool


def test_validations_may_use_the_inputs(run: Run, tmp_path: Path) -> None:
    check = {"Check": {"tree": [serialized("first", pl.col("in.x").list.get(0) == 1)]}}
    assert run(_FRAME, "m", check, models={"m": summing(tmp_path / "a")}).to_frame()["anomaly.first"].tolist() == [True, False]


def test_a_validation_of_an_absent_column_names_those_there(run: Run, tmp_path: Path) -> None:
    check = {"Check": {"tree": [serialized("bad", pl.col("out.other") > 1)]}}
    with pytest.raises(InferenceFailed, match=r"The validation 'bad' failed: .*other.* Its columns are in\.x, out\.sum\."):
        run(_FRAME, "m", check, models={"m": summing(tmp_path / "a")})


def test_a_validation_that_is_no_condition_is_refused(run: Run, tmp_path: Path) -> None:
    check = {"Check": {"tree": [serialized("bad", pl.col("out.sum").list.get(0) + 1)]}}
    with pytest.raises(InferenceFailed, match="'bad' is not true or false for each row"):
        run(_FRAME, "m", check, models={"m": summing(tmp_path / "a")})


def test_metadata_is_returned_if_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    result = run(_FRAME, "m", models={"m": doubling(tmp_path / "a")}, pipeline_version="some-version")
    frame = result.to_frame(Selection(["time", "metadata"]))
    assert [name for name in frame.columns if not name.startswith("metadata.")] == ["time"]
    assert json.loads(frame.loc[0, "metadata.last_model"]) == {"model_name": "m", "model_sha": "sha of m"}
    assert frame.loc[1, "metadata.pipeline_version"] == "some-version"
    assert frame.loc[0, "metadata.dropped"] == []
    assert len(frame.loc[0, "metadata.elapsed"]) == 2


def test_a_pipeline_without_a_model_is_refused(run: Run) -> None:
    with pytest.raises(InferenceFailed, match="The pipeline has no model"):
        run(_FRAME, models={})


def test_a_step_that_does_not_run_here_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InferenceFailed, match="a step 'Average', which orchlite does not run"):
        run(_FRAME, "m", {"Average": {}}, models={"m": doubling(tmp_path / "a")})


def test_threads_share_a_session(run: Run, tmp_path: Path) -> None:
    models = {"m": summing(tmp_path / "a")}
    found: list[tuple[float, list[float]]] = []

    def infer(start: float) -> None:
        frame = pd.DataFrame({"x": [[start, start, start]]})
        found.extend((start, run(frame, "m", models=models).to_frame().loc[0, "out.sum"]) for _ in range(20))

    threads = [threading.Thread(target=infer, args=(float(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(total == [3 * start] for start, total in found)


def test_an_output_with_another_number_of_rows_is_refused(run: Run, python_file: Callable[[str], Path]) -> None:
    path = python_file('return {"y": np.zeros(3)}')
    with pytest.raises(InferenceFailed, match="Model 'm' returned 'y': 3 rows for 2"):
        run(_FRAME, "m", models={"m": path})


def test_a_forecast_of_one_row_may_be_made_from_json(run: Run, python_file: Callable[[str], Path]) -> None:
    path = python_file('return {"forecast": np.array([[input_data["count"].sum()]])}')
    result = run({"count": {0: 1, 1: 2, 2: 3}}, "m", models={"m": path})
    assert result.to_outputs() == [{"forecast": [6]}]
