"""A deployed pipeline infers DataFrames, Arrow tables, JSON and files; its logs are read by any client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from orchlite import BadArgument, BadData, Client, Conflict, Pipeline, WaitTimeout
from tests.onnx_models import summing

_FRAME = pd.DataFrame({"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]})
_TABLE = pa.table({"x": _FRAME["x"].tolist()})
_SUMS = [[6.0], [15.0], [24.0]]
Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def pipeline(client: Client, tmp_path: Path) -> Pipeline:
    model = client.upload_model("model", summing(tmp_path / "model.onnx"), "onnx")
    return client.build_pipeline("pipe").add_model_step(model).deploy()


def _waiting_step(folder: Path, gate: Path) -> Path:
    path = folder / "step.py"
    wait = f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.01)\n"
    path.write_text(f"import os, time\n\n\ndef process_data(input_data):\n{wait}    return {{'sum': input_data['x']}}\n")
    return path


def test_the_result_has_the_form_of_the_data(pipeline: Pipeline) -> None:
    assert pipeline.infer(_FRAME)["out.sum"].tolist() == _SUMS
    assert pipeline.infer(_TABLE).column("out.sum").to_pylist() == _SUMS
    assert pipeline.infer({"x": _FRAME["x"].tolist()}) == [{"sum": each} for each in _SUMS]
    assert pipeline.infer([{"x": [1, 2, 3]}]) == [{"sum": [6.0]}]


def test_columns_are_selected_by_group_and_name(pipeline: Pipeline) -> None:
    assert list(pipeline.infer(_FRAME, dataset=["out", "metadata"], dataset_exclude=["metadata.elapsed"]).columns) == [
        "out.sum",
        "metadata.dropped",
        "metadata.last_model",
        "metadata.partition",
        "metadata.pipeline_version",
    ]
    assert pipeline.infer(_TABLE, dataset="out", dataset_separator="_").column_names == ["out_sum"]


@pytest.mark.parametrize(
    "arguments",
    [{"dataset": 1}, {"dataset": [1]}, {"dataset_exclude": {"out": 1}}, {"dataset_separator": 1}, {"timeout": "1"}, {"timeout": -1}],
)
def test_other_arguments_are_refused_by_name(pipeline: Pipeline, arguments: dict[str, Any]) -> None:
    with pytest.raises(BadArgument) as caught:
        pipeline.infer(_FRAME, **arguments)
    assert caught.value.details["argument"] in arguments


def test_files_are_read_by_their_suffix(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps([{"x": row} for row in _FRAME["x"]]))
    assert pipeline.infer_from_file(tmp_path / "data.json")["out.sum"].tolist() == _SUMS
    (tmp_path / "other.json").write_text(json.dumps({"x": _FRAME["x"].tolist()}))
    assert pipeline.infer_from_file(tmp_path / "other.json", "custom-json") == [{"sum": each} for each in _SUMS]
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as sink, pa.ipc.new_file(sink, _TABLE.schema) as writer:
        writer.write_table(_TABLE)
    assert pipeline.infer_from_file(str(tmp_path / "data.arrow"), dataset=["out"]).column("out.sum").to_pylist() == _SUMS


def test_a_model_that_is_late_is_left_and_logged_when_it_ends(client: Client, tmp_path: Path, gate: Path, until: Until) -> None:
    model = client.upload_model("slow", _waiting_step(tmp_path, gate), "python")
    pipeline = client.build_pipeline("slow").add_model_step(model).deploy()
    with pytest.raises(WaitTimeout, match=r"Inference did not return within 0\.01 s"):
        pipeline.infer(_FRAME, timeout=0.01)
    assert len(pipeline.logs()) == 0
    gate.touch()
    until(lambda: len(pipeline.logs()) == 3)
    assert pipeline.infer(_FRAME, timeout=60)["out.sum"].tolist() == _FRAME["x"].tolist()


class TestParallel:
    @pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
    def test_all_rows_are_returned_in_their_order(self, pipeline: Pipeline, batch_size: int) -> None:
        frame = asyncio.run(pipeline.parallel_infer(_FRAME, batch_size, num_parallel=4))
        assert frame["out.sum"].tolist() == _SUMS
        assert list(frame.index) == [0, 1, 2]
        table = asyncio.run(pipeline.parallel_infer(_TABLE, batch_size, num_parallel=4))
        assert table.column("out.sum").to_pylist() == _SUMS
        assert "error" not in table.column_names

    def test_a_batch_that_fails_has_its_error_beside_the_others(self, pipeline: Pipeline) -> None:
        rows = [[1.0, 2.0, 3.0], [1.0, None, 3.0]]
        frame = asyncio.run(pipeline.parallel_infer(pd.DataFrame({"x": rows})))
        assert frame["out.sum"].tolist() == [[6.0], ""]
        assert frame["error"].tolist() == ["", frame.loc[1, "error"]]
        assert "Column 'x' has no number in row 0" in frame.loc[1, "error"]
        table = asyncio.run(pipeline.parallel_infer(pa.table({"x": rows})))
        assert table.column("out.sum").to_pylist() == [[6.0], None]
        assert table.column("error").to_pylist() == frame["error"].tolist()

    @pytest.mark.parametrize("data", [_FRAME.rename(columns={"x": "y"}), _TABLE.rename_columns(["y"])])
    def test_errors_alone_are_a_column(self, pipeline: Pipeline, data: Any) -> None:
        found = asyncio.run(pipeline.parallel_infer(data, batch_size=2))
        texts = found["error"].tolist() if isinstance(found, pd.DataFrame) else found.column("error").to_pylist()
        assert len(texts) == 3
        assert all("needs the column 'x'" in text for text in texts)

    @pytest.mark.parametrize("arguments", [{"tensor": {"x": [[1]]}}, {"batch_size": 0}, {"num_parallel": 0}, {"num_parallel": 65}])
    def test_other_arguments_are_refused_by_name(self, pipeline: Pipeline, arguments: dict[str, Any]) -> None:
        with pytest.raises(BadArgument) as caught:
            asyncio.run(pipeline.parallel_infer(**{"tensor": _FRAME} | arguments))
        assert caught.value.details["argument"] in arguments


class TestLogs:
    def test_another_client_reads_them(self, pipeline: Pipeline, client: Client) -> None:
        pipeline.infer(_FRAME)
        with Client(client.path()) as other:
            logs = other.get_pipeline("pipe").logs()
        assert [cell.tolist() for cell in logs["out.sum"]] == _SUMS[::-1]
        assert list(logs.columns) == ["time", "in.x", "out.sum", "anomaly.count"]

    def test_they_are_a_table_if_that_is_asked_for(self, pipeline: Pipeline) -> None:
        pipeline.infer(_FRAME)
        table = pipeline.logs(limit=2, dataset=["out"], arrow=True)
        assert table.column("out.sum").to_pylist() == [[24.0], [15.0]]

    def test_none_are_a_frame_without_columns(self, pipeline: Pipeline) -> None:
        assert pipeline.logs().columns.empty
        assert pipeline.logs(arrow=True).num_columns == 0

    def test_dates_without_a_zone_are_local(self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        try:
            pipeline.infer(_FRAME)
            now, minute = datetime.now(), timedelta(minutes=1)
            assert [cell.tolist() for cell in pipeline.logs(start_datetime=now - minute, end_datetime=now + minute)["out.sum"]] == _SUMS
            assert len(pipeline.logs(start_datetime=datetime.now(UTC) - minute, end_datetime=datetime.now(UTC) + minute)) == 3
        finally:
            monkeypatch.delenv("TZ")
            time.tzset()

    @pytest.mark.parametrize(
        "arguments", [{"limit": 0}, {"limit": "1"}, {"start_datetime": "now"}, {"start_datetime": datetime.now(UTC)}, {"arrow": 1}]
    )
    def test_other_arguments_are_refused(self, pipeline: Pipeline, arguments: dict[str, Any]) -> None:
        with pytest.raises(BadArgument):
            pipeline.logs(**arguments)


def test_a_pipeline_that_is_undeployed_infers_nothing_and_keeps_its_logs(pipeline: Pipeline) -> None:
    pipeline.infer(_FRAME)
    pipeline.undeploy()
    with pytest.raises(Conflict, match="Pipeline 'pipe' is not deployed"):
        pipeline.infer(_FRAME)
    assert len(pipeline.logs()) == 3


def test_data_that_does_not_fit_is_refused_with_the_column(pipeline: Pipeline) -> None:
    with pytest.raises(BadData) as caught:
        pipeline.infer(pd.DataFrame({"x": [["a"]]}))
    assert caught.value.details["column"] == "x"
