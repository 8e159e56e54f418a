"""The platform's public tutorials print these numbers. Their models and data are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from orchlite.inference import data_files
from tests.inference.conftest import Run, serialized, step

_GIVEN = os.environ.get("ORCHLITE_TUTORIALS")
_FOLDER = Path(_GIVEN or "absent")
pytestmark = pytest.mark.skipif(_GIVEN is None, reason="ORCHLITE_TUTORIALS does not name the folder of the tutorials' models and inputs")

_FIRST = [4, 2.5, 2900, 5505, 2, 0, 0, 3, 8, 2900, 0, 47.6063, -122.02, 2970, 5251, 12, 0, 0]
_SECOND = [4, 3, 3710, 20000, 2, 0, 2, 5, 10, 2760, 950, 47.6696, -122.261, 3970, 20000, 79, 0, 0]
_FIELDS = ("tensor",)


def _models(*names: str) -> dict[str, Path]:
    return {name: _FOLDER / "models" / f"{name}.onnx" for name in names}


def _near(found: Any, published: list[float]) -> None:
    np.testing.assert_allclose([row[0] for row in found], published, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "prices"),
    [("rf_model", [718013.7, 1514079.4]), ("gbr_model", [704901.9, 1981238.0]), ("xgb_model", [659806.0, 2176827.0])],
)
def test_house_prices_of_one_row(run: Run, name: str, prices: list[float]) -> None:
    for row, price in zip((_FIRST, _SECOND), prices, strict=True):
        frame = run(pd.DataFrame({"tensor": [row]}), name, models=_models(name), fields=_FIELDS).to_frame()
        assert frame["out.variable"].tolist() == [[price]]


def test_house_prices_of_an_arrow_table(run: Run) -> None:
    data = data_files.read(_FOLDER / "inputs" / "xtest-1k.arrow")
    table = run(data, "rf_model", models=_models("rf_model"), fields=_FIELDS).to_table()
    assert table.num_rows == 1000
    _near(table.column("out.variable").to_pylist()[:5], [718013.75, 615094.56, 448627.72, 758714.2, 513264.7])


def test_house_prices_of_a_file_of_records(run: Run) -> None:
    data = data_files.read(_FOLDER / "inputs" / "zonea.df.json")
    frame = run(data, "gbr_model", models=_models("gbr_model"), fields=_FIELDS).to_frame()
    _near(frame["out.variable"][:5], [704901.9, 695994.44, 416164.8, 655277.2, 426854.66])


def test_a_shadow_deployment(run: Run) -> None:
    data = data_files.read(_FOLDER / "inputs" / "smoke_test.df.json")
    names = ("keras_ccfraud", "xgboost_ccfraud", "modelA")
    frame = run(data, step(*names), models=_models(*names), fields=_FIELDS).to_frame()
    row = frame.iloc[0]
    assert (row["out.dense_1"], row["out_xgboost_ccfraud.variable"], row["out_modelA.variable"]) == ([0.0014974177], [0.0005066991], [1.0])


def test_a_validation(run: Run) -> None:
    data = data_files.read(_FOLDER / "inputs" / "smoke_test.df.json")
    check = {"Check": {"tree": [serialized("fraud", pl.col("out.dense_1").list.get(0) > 0.9)]}}
    frame = run(data, "keras_ccfraud", check, models=_models("keras_ccfraud"), fields=_FIELDS).to_frame()
    assert frame["anomaly.fraud"].tolist() == [False]
    assert frame["anomaly.count"].tolist() == [0]


def test_several_inputs_and_outputs(run: Run) -> None:
    random = np.random.RandomState(1)
    data = pd.DataFrame({"input_1": random.rand(10, 10).tolist(), "input_2": random.rand(10, 5).tolist()})
    row = run(data, "multi_io", models=_models("multi_io")).to_frame().iloc[0]
    assert row["out.output_1"] == [-0.16188532, -0.2735075, -0.10427341]
    assert row["out.output_2"] == [-0.18745898, -0.035904408]
