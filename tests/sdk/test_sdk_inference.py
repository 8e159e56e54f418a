"""Inference as the SDK shows it: what goes in, what comes out, what is raised, and the logs. The engine has tests of its numbers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import orchlite.sdk.wallaroo as wallaroo
from orchlite.sdk.wallaroo import Client
from tests.onnx_models import weighing

ONNX = wallaroo.framework.Framework.ONNX
ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
SUMS = [[3.0], [7.0], [11.0]]
FRAME = pd.DataFrame({"tensor": ROWS})
TABLE = pa.table({"tensor": ROWS})
TOO_LONG = pd.DataFrame({"tensor": [[1.0, 2.0, 3.0]]})
DEPLOYED = {"ONE": [1.0, 1.0], "TWO": [2.0, 2.0]}


@pytest.fixture
def models(wl: Any, tmp_path: Path) -> list[Any]:
    files = [weighing(tmp_path / f"{name}.onnx", weights) for name, weights in DEPLOYED.items()]
    return [wl.upload_model(file.stem.lower(), file, framework=ONNX) for file in files]


@pytest.fixture
def pipeline(wl: Any, models: list[Any]) -> Any:
    return wl.build_pipeline("sums").add_model_step(models[0]).deploy()


class TestInferring:
    def test_a_frame_gives_a_frame(self, pipeline: Any) -> None:
        found = pipeline.infer(FRAME)
        assert list(found.columns) == ["time", "in.tensor", "out.variable", "anomaly.count"]
        assert found["out.variable"].to_list() == SUMS
        assert str(found["time"].dtype) == "datetime64[ns]"

    def test_a_table_gives_a_table(self, pipeline: Any) -> None:
        found = pipeline.infer(TABLE)
        assert found.column_names == ["time", "in.tensor", "out.variable", "anomaly.count"]
        assert found["out.variable"].to_pylist() == SUMS

    @pytest.mark.parametrize("data", [{"tensor": ROWS}, [{"tensor": row} for row in ROWS]], ids=["columns", "records"])
    def test_json_gives_the_outputs_alone(self, pipeline: Any, data: Any) -> None:
        assert pipeline.infer(data) == [{"variable": value} for value in SUMS]

    def test_columns_are_selected_by_position_or_by_name(self, pipeline: Any) -> None:
        assert list(pipeline.infer(FRAME, 15, ["*"], ["in"]).columns) == ["time", "out.variable", "anomaly.count"]
        assert list(pipeline.infer(FRAME, dataset="out").columns) == ["out.variable"]
        found = pipeline.infer(tensor=FRAME, dataset=["out", "metadata"], dataset_exclude=["metadata.elapsed"], dataset_separator="-")
        assert {"out-variable", "metadata-last_model"} <= set(found.columns)

    def test_another_process_sees_a_pipeline_that_was_undeployed(self, wl: Any, pipeline: Any) -> None:
        other: Any = Client()
        other.get_pipeline("sums").undeploy()
        with pytest.raises(
            wallaroo.exceptions.InferenceError, match=r"^Inference failed: \[404\] .*source: engine, status: Error\)$"
        ) as caught:
            pipeline.infer(FRAME)
        assert (caught.value.code, caught.value.status, caught.value.source) == (404, "Error", "engine")

    def test_what_was_never_deployed_is_said_in_the_sdks_words(self, wl: Any) -> None:
        never = wl.build_pipeline("never")
        for call, argument in ((never.infer, FRAME), (never.infer_from_file, "absent.json")):
            with pytest.raises(RuntimeError) as caught:
                call(argument)
            assert str(caught.value) == "Pipeline {self.name} is not deployed"
        with pytest.raises(RuntimeError, match="is not deployed"):
            asyncio.run(never.parallel_infer(FRAME))

    @pytest.mark.parametrize("data", [None, "rows", 3, {1}, FRAME["tensor"]], ids=["None", "text", "number", "set", "series"])
    def test_other_data_is_a_type_error(self, pipeline: Any, data: object) -> None:
        with pytest.raises(TypeError, match="dict or list is required"):
            pipeline.infer(data)

    def test_a_time_limit_is_a_number(self, pipeline: Any) -> None:
        assert len(pipeline.infer(FRAME, timeout=60)) == 3
        with pytest.raises(TypeError, match=r"timeout is <class 'str'> but 'int' or 'float' is required"):
            pipeline.infer(FRAME, timeout="15")

    @pytest.mark.parametrize(
        "data", [TOO_LONG, FRAME.rename(columns={"tensor": "other"}), FRAME.iloc[:0], TABLE.rename_columns(["other"])],
        ids=["shape", "name", "empty", "table"],
    )  # fmt: skip
    def test_data_that_does_not_fit_is_refused_as_by_the_engine(self, pipeline: Any, data: Any) -> None:
        with pytest.raises(wallaroo.exceptions.InferenceError, match=r"^Inference failed: \[400\]"):
            pipeline.infer(data)
        assert len(pipeline.logs()) == 0

    def test_a_model_that_fails_has_the_code_of_rest(self, wl: Any, tmp_path: Path) -> None:
        (tmp_path / "step.py").write_text("def process_data(data):\n    return 1 / 0\n")
        schema = pa.schema([pa.field("x", pa.float64())])
        step = wl.upload_model(
            "step", str(tmp_path / "step.py"), wallaroo.framework.Framework.PYTHON, input_schema=schema, output_schema=schema
        )
        pipeline = wl.build_pipeline("failing").add_model_step(step).deploy()
        with pytest.raises(wallaroo.exceptions.InferenceError, match=r"^Inference failed: \[400\] .*ZeroDivisionError: division by zero\."):
            pipeline.infer(pd.DataFrame({"x": [1.0]}))

    def test_a_shadow_returns_the_challengers_beside_the_champion(self, wl: Any, models: list[Any]) -> None:
        shadow = wl.build_pipeline("shadow").add_shadow_deploy(models[0], [models[1]]).deploy()
        found = shadow.infer(FRAME)
        assert found["out.variable"].to_list() == SUMS
        assert found["out_two.variable"].to_list() == [[6.0], [14.0], [22.0]]

    def test_validations_mark_rows(self, pipeline: Any) -> None:
        import polars as pl

        pipeline.add_validations(much=pl.col("out.variable").list.get(0) > 5).deploy()
        found = pipeline.infer(FRAME)
        assert found["anomaly.much"].to_list() == [False, True, True]
        assert found["anomaly.count"].to_list() == [0, 1, 1]

    def test_validations_of_2023_mark_rows_that_do_not_meet_them(self, pipeline: Any, models: list[Any]) -> None:
        model = models[0]
        pipeline.add_validation("low", model.outputs[0][0] < 5).add_validation("known", model.outputs[0][0].one_of(3.0, 7))
        pipeline.add_validation("grows", model.outputs[0][0] - model.inputs[0][0] >= 2).deploy()
        found = pipeline.infer(FRAME)
        assert found["anomaly.low"].to_list() == [False, True, True]
        assert found["anomaly.known"].to_list() == [False, False, True]
        assert found["anomaly.grows"].to_list() == [False, False, False]
        with pytest.raises(RuntimeError, match="invalid expression for bounds checking"):
            _ = model.outputs[0][0] > "5"

    def test_a_validation_about_another_model_is_not_deployed(self, pipeline: Any, models: list[Any]) -> None:
        pipeline.add_validation("low", models[1].outputs[0][0] < 5)
        with pytest.raises(wallaroo.deployment.WaitForDeployError, match="about the outputs of model 'two', which no step"):
            pipeline.deploy()

    def test_a_deployment_infers_as_its_pipeline(self, wl: Any, pipeline: Any, tmp_path: Path) -> None:
        deployment = wl.deployment_by_name("sums")
        (tmp_path / "rows.json").write_text(FRAME.to_json(orient="records"))
        assert deployment.infer(FRAME)["out.variable"].to_list() == SUMS
        assert deployment.infer_from_file(tmp_path / "rows.json")["out.variable"].to_list() == SUMS


class TestFiles:
    @pytest.fixture
    def records(self, tmp_path: Path) -> Path:
        path = tmp_path / "rows.df.json"
        path.write_text(json.dumps([{"tensor": row} for row in ROWS]))
        return path

    @pytest.fixture
    def arrow(self, tmp_path: Path) -> Path:
        path = tmp_path / "rows.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
            writer.write(TABLE)
        return path

    def test_are_read_by_their_suffix_or_as_told(self, pipeline: Any, records: Path, arrow: Path) -> None:
        assert pipeline.infer_from_file(str(records))["out.variable"].to_list() == SUMS
        assert pipeline.infer_from_file(arrow)["out.variable"].to_pylist() == SUMS
        assert pipeline.infer_from_file(records, data_format="pandas-records", dataset=["out"]).columns.to_list() == ["out.variable"]
        assert pipeline.infer_from_file(records, "custom-json") == [{"variable": value} for value in SUMS]
        assert pipeline.infer_from_file(filename=arrow.rename(arrow.with_suffix(".bin")), data_format="arrow").num_rows == 3

    @pytest.mark.parametrize(
        ("named", "error", "text"),
        [
            ({"filename": "rows.csv"}, TypeError, r"^ File is of type \.csv, but only '\.arrow' or '\.json' are accepted$"),
            ({"filename": "rows.json", "data_format": "csv"}, TypeError, "^Not an accepted data_format"),
            ({"filename": "absent.json"}, FileNotFoundError, "absent"),
            ({"filename": "odd.json"}, ValueError, "same keys"),
            ({"filename": "broken.json"}, ValueError, "broken"),
            ({"filename": "broken.json", "data_format": "arrow"}, ValueError, "broken"),
        ],
        ids=["suffix", "format", "absent", "keys", "json", "arrow"],
    )
    def test_that_are_none_say_so(
        self, pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: dict[str, str], error: type[Exception], text: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "odd.json").write_text('[{"tensor": [1, 2]}, {"other": [1, 2]}]')
        (tmp_path / "broken.json").write_text("[{")
        with pytest.raises(error, match=text):
            pipeline.infer_from_file(**named)


class TestInParallel:
    def test_batches_become_one_result_in_order(self, pipeline: Any) -> None:
        found = asyncio.run(pipeline.parallel_infer(FRAME, batch_size=2, num_parallel=4, retries=2, timeout=60))
        assert (found["out.variable"].to_list(), found.index.to_list()) == (SUMS, [0, 1, 2])
        found = asyncio.run(pipeline.parallel_infer(tensor=TABLE))
        assert (found["out.variable"].to_pylist(), "error" in found.column_names) == (SUMS, False)
        assert len(pipeline.logs(limit=10)) == 6

    def test_a_list_gives_a_list_with_the_exceptions_in_it(self, pipeline: Any) -> None:
        first, second, third = asyncio.run(pipeline.parallel_infer(tensor_list=[FRAME, TOO_LONG, {"tensor": ROWS}]))
        assert first["out.variable"].to_list() == SUMS
        assert isinstance(second, wallaroo.exceptions.InferenceError)
        assert third == [{"variable": value} for value in SUMS]

    def test_what_failed_is_named_beside_the_rest(self, pipeline: Any) -> None:
        mixed = pd.DataFrame({"tensor": [[1.0, 2.0], [1.0, 2.0, 3.0], [5.0, 6.0]]})
        found = asyncio.run(pipeline.parallel_infer(mixed))
        assert found["out.variable"].to_list() == [[3.0], "", [11.0]]
        assert [text[:18] for text in found["error"]] == ["", "Inference failed: ", ""]
        table = asyncio.run(pipeline.parallel_infer(pa.table({"tensor": mixed["tensor"].to_list()})))
        assert table["out.variable"].to_pylist() == [[3.0], None, [11.0]]
        assert table["error"].to_pylist()[0] == ""

    def test_if_everything_failed_only_that_is_returned(self, pipeline: Any) -> None:
        found = asyncio.run(pipeline.parallel_infer(TOO_LONG))
        assert list(found.columns) == ["error"]
        assert found["error"][0].startswith("Inference failed: [400]")

    @pytest.mark.parametrize(
        ("named", "text"),
        [
            ({"tensor": {"tensor": ROWS}}, "tensor must be a pandas DataFrame or a pyarrow Table"),
            ({}, "tensor must be a pandas DataFrame or a pyarrow Table"),
            ({"tensor": FRAME, "batch_size": 0}, "batch_size must be a positive integer"),
            ({"tensor": FRAME, "batch_size": None}, "batch_size must be a positive integer"),
        ],
    )
    def test_other_arguments_are_a_value_error(self, pipeline: Any, named: dict[str, Any], text: str) -> None:
        with pytest.raises(ValueError, match=text):
            asyncio.run(pipeline.parallel_infer(**named))


class TestLogs:
    def test_without_dates_are_the_newest_first(self, pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
        for row in ROWS:
            pipeline.infer(pd.DataFrame({"tensor": [row, [0.0, 0.0]]}))
        assert pipeline.logs()["out.variable"].str[0].to_list() == [0, 11, 0, 7, 0, 3]
        assert capsys.readouterr().err == ""
        assert pipeline.logs(limit=3)["out.variable"].str[0].to_list() == [0, 11, 0]
        notice = "Warning: There are more logs available. Please set a larger limit or request a file using export_logs."
        assert capsys.readouterr().err == notice

    def test_with_dates_are_the_oldest_first(self, pipeline: Any) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)
        for row in ROWS:
            pipeline.infer(pd.DataFrame({"tensor": [row]}))
        after = datetime.now(UTC) + timedelta(seconds=1)
        assert pipeline.logs(start_datetime=before, end_datetime=after)["out.variable"].str[0].to_list() == [3, 7, 11]
        local = {"start_datetime": before.astimezone().replace(tzinfo=None), "end_datetime": after.astimezone().replace(tzinfo=None)}
        assert len(pipeline.logs(**local)) == 3
        assert len(pipeline.logs(2, before, after)) == 2
        assert len(pipeline.logs(start_datetime=before - timedelta(days=1), end_datetime=before)) == 0

    def test_of_one_date_are_refused(self, pipeline: Any) -> None:
        with pytest.raises(Exception, match=r"^Please provide both start datetime and end datetime together\.$") as caught:
            pipeline.logs(end_datetime=datetime.now(UTC))
        assert type(caught.value) is Exception

    def test_are_tables_too_and_select_columns(self, pipeline: Any) -> None:
        pipeline.infer(FRAME)
        table = pipeline.logs(arrow=True, dataset=["out", "metadata"])
        assert table.num_rows == 3
        assert {"out.variable", "metadata.last_model", "metadata.elapsed"} <= set(table.column_names)
        assert list(pipeline.logs(dataset=["time", "out.variable"]).columns) == ["time", "out.variable"]

    def test_end_where_the_columns_change(self, pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
        pipeline.infer(FRAME)
        pipeline.infer(FRAME.assign(index=[1, 2, 3]))
        found = pipeline.logs()
        assert (len(found), "in.index" in found) == (3, True)
        assert "schema has changed over the logs requested 3 newest records retrieved successfully" in capsys.readouterr().err

    def test_of_a_pipeline_that_was_never_used_have_no_columns(self, wl: Any) -> None:
        found = wl.build_pipeline("never").logs()
        assert (len(found), list(found.columns)) == (0, [])

    def test_of_failures_are_empty(self, pipeline: Any) -> None:
        pipeline.infer(FRAME)
        assert len(pipeline.logs(valid=False)) == 0
        assert len(pipeline.logs(valid=True)) == 3
