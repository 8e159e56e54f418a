"""Infers with what is deployed, logs it, and reads the logs; what cannot be done is said, and logs nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pyarrow as pa
import pytest

from orchlite import BadArgument, BadData, BadModel, Client, Conflict, InferenceFailed, Limits, NotFound, WaitTimeout
from orchlite.operations import deployments, inference
from orchlite.operations.context import Context
from orchlite.operations.model_upload import ModelUpload, receive
from orchlite.testing import ManualClock, StubProcess
from tests.onnx_models import doubling, summing, two_inputs

_FRAME = pd.DataFrame({"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})
Deploy = Callable[..., int]


@pytest.fixture
def context(client: Client) -> Context:
    return client._engine.context


def _deployed(context: Context, file: Path, *, name: str = "pipe", framework: str = "onnx", **config: Any) -> int:
    """Upload a model, deploy a pipeline of it, and return the pipeline's id."""
    row = receive(context, ModelUpload(file, 1, "model", file.name, framework, config=config))
    pipeline_id = deployments.build(context, 1, name).pipeline_id
    steps = [{"ModelInference": {"models": [{"name": row.name, "version": row.version, "sha": row.sha}]}}]
    deployments.deploy(context, pipeline_id, steps)
    return pipeline_id


def _sums(context: Context, pipeline_id: int, **more: Any) -> list[Any]:
    table = inference.read_logs(context, pipeline_id, **more).table
    return [] if not table.num_columns else [row[0] for row in table.column("out.sum").to_pylist()]


class TestInferring:
    def test_frames_tables_and_json_are_inferred_with_what_is_deployed(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        assert inference.infer(context, pipeline_id, _FRAME).to_frame()["out.sum"].tolist() == [[6.0], [15.0]]
        table = pa.table({"x": _FRAME["x"].tolist()})
        assert inference.infer(context, pipeline_id, table).to_table().column("out.sum").to_pylist() == [[6.0], [15.0]]
        assert inference.infer(context, pipeline_id, {"x": [[1, 2, 3]]}).to_outputs() == [{"sum": [6.0]}]

    def test_the_configuration_names_the_columns(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"), tensor_fields=["tensor"])
        assert inference.infer(context, pipeline_id, {"tensor": [[1, 2, 3]]}).to_outputs() == [{"sum": [6.0]}]

    def test_the_version_deployed_last_is_used_also_by_another_process(self, context: Context, client: Client, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, doubling(tmp_path / "a"))
        inference.infer(context, pipeline_id, _FRAME)
        with Client(client.path()) as other:
            assert _deployed(other._engine.context, summing(tmp_path / "b")) == pipeline_id
        assert list(inference.infer(context, pipeline_id, _FRAME).outputs) == ["out.sum"]

    def test_a_python_step_runs(self, context: Context, tmp_path: Path) -> None:
        (tmp_path / "step.py").write_text("def process_data(input_data):\n    return {'y': input_data['x'] + 1}\n")
        pipeline_id = _deployed(context, tmp_path / "step.py", framework="python")
        assert inference.infer(context, pipeline_id, {"x": [1]}).to_outputs() == [{"y": 2}]

    def test_a_python_step_that_requires_what_is_not_installed_is_refused_before_it_is_imported(
        self, context: Context, tmp_path: Path
    ) -> None:
        with ZipFile(tmp_path / "step.zip", "w") as archive:
            archive.writestr("step.py", "1 / 0\n\n\ndef process_data(input_data):\n    return input_data\n")
            archive.writestr("requirements.txt", "absent-package==1.0\n")
        pipeline_id = _deployed(context, tmp_path / "step.zip", framework="python")
        with pytest.raises(BadModel, match=r"The Python step 'model' requires absent-package==1\.0, which is not"):
            inference.infer(context, pipeline_id, {"x": [1]})

    def test_the_metadata_has_the_pipelines_version(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        version = context.store.pipelines.newest_version(pipeline_id)
        assert version is not None
        assert inference.infer(context, pipeline_id, _FRAME).metadata["pipeline_version"] == version.version


class TestRefusals:
    @pytest.mark.parametrize("values", [["a", 1], [object(), object()], [{"a": 2**70}, {"a": 1}]], ids=["mixed", "objects", "large"])
    def test_columns_that_cannot_be_logged_are_named(self, context: Context, tmp_path: Path, values: list[object]) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        odd = _FRAME.assign(odd=pd.Series(values, dtype=object))
        with pytest.raises(BadData, match=r"Column 'odd' has values that no type of Arrow holds together.*leave the column out"):
            inference.infer(context, pipeline_id, odd)
        assert _sums(context, pipeline_id) == []

    def test_outputs_that_cannot_be_logged_are_named(self, context: Context, tmp_path: Path) -> None:
        source = "import numpy as np\n\ndef process_data(data):\n    return {'odd': np.array(['a', 1], dtype=object)}\n"
        (tmp_path / "step.py").write_text(source)
        pipeline_id = _deployed(context, tmp_path / "step.py", framework="python")
        with pytest.raises(InferenceFailed, match=r"Output 'odd' has values that no type of Arrow holds together"):
            inference.infer(context, pipeline_id, _FRAME)

    def test_a_pipeline_that_is_not_deployed_says_so(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        deployments.undeploy(context, pipeline_id)
        with pytest.raises(Conflict, match=r"Pipeline 'pipe' is not deployed. Deploy it first: pipeline\.deploy\(\)"):
            inference.infer(context, pipeline_id, _FRAME)
        with pytest.raises(Conflict, match="'new' is not deployed"):
            inference.infer(context, deployments.build(context, 1, "new").pipeline_id, _FRAME)
        with pytest.raises(NotFound):
            inference.infer(context, 99, _FRAME)

    @pytest.mark.parametrize("data", [None, 1, "text", b"bytes", object()])
    def test_data_of_another_type_is_refused(self, context: Context, tmp_path: Path, data: object) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        with pytest.raises(BadArgument, match=f"The data is of type {type(data).__name__}"):
            inference.infer(context, pipeline_id, data)

    @pytest.mark.parametrize("data", [{"y": [[1, 2, 3]]}, {"x": [[1, 2]]}, {"x": [["a", "b", "c"]]}, {"x": []}, {"x": [[1, 2, None]]}])
    def test_data_that_does_not_fit_is_not_logged(self, context: Context, tmp_path: Path, data: Any) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        with pytest.raises(BadData):
            inference.infer(context, pipeline_id, data)
        assert inference.read_logs(context, pipeline_id).table.num_rows == 0

    def test_a_file_that_was_changed_or_is_gone_is_refused(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m", source="of no other test"))
        version = context.store.models.newest_version(1)
        assert version is not None
        path = context.model_files.path(version.sha)
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(BadModel, match="The file of model 'model' in the store was changed after its upload"):
            inference.infer(context, pipeline_id, _FRAME)
        path.unlink()
        with pytest.raises(BadModel, match="The file of model 'model' cannot be read: No such file"):
            inference.infer(context, pipeline_id, _FRAME)

    def test_a_deleted_model_is_named(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        with context.store.transaction() as transaction:
            context.store.models.delete(transaction, 1, datetime.now(UTC))
        with pytest.raises(Conflict, match=r"Model 'model', version .*, of this pipeline was deleted"):
            inference.infer(context, pipeline_id, _FRAME)

    def test_a_step_that_takes_too_long_is_left(self, context: Context, tmp_path: Path) -> None:
        go_on = tmp_path / "go_on"
        wait = f"    while not os.path.exists({str(go_on)!r}):\n        time.sleep(0.01)\n"
        (tmp_path / "step.py").write_text(
            f"import os, time\n\n\ndef process_data(input_data):\n{wait}    return {{'sum': input_data['x']}}\n"
        )
        pipeline_id = _deployed(context, tmp_path / "step.py", framework="python")
        with pytest.raises(WaitTimeout, match=r"Inference did not return within 0\.1 s"):
            inference.infer(context, pipeline_id, {"x": [[1]]}, timeout_seconds=0.1)
        go_on.touch()
        for thread in threading.enumerate():
            if thread.name == "orchlite-inference":
                thread.join()
        assert _sums(context, pipeline_id) == [1]

    def test_within_the_time_limit_the_result_or_the_error_is_that_of_the_call(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        assert inference.infer(context, pipeline_id, {"x": [[1, 2, 3]]}, timeout_seconds=60).to_outputs() == [{"sum": [6.0]}]
        with pytest.raises(BadData):
            inference.infer(context, pipeline_id, {"y": [[1, 2, 3]]}, timeout_seconds=60)


class TestLogs:
    def _infer(self, context: Context, pipeline_id: int, *firsts: int) -> None:
        inference.infer(context, pipeline_id, {"x": [[first, 0, 0] for first in firsts]})

    def test_the_newest_come_first_and_a_hundred_by_default(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        self._infer(context, pipeline_id, *range(60))
        self._infer(context, pipeline_id, *range(60, 120))
        found = inference.read_logs(context, pipeline_id)
        assert [row[0] for row in found.table.column("out.sum").to_pylist()] == list(range(119, 19, -1))
        assert found.stopped_by == "rows"
        assert _sums(context, pipeline_id, limit=3) == [119, 118, 117]
        assert inference.read_logs(context, pipeline_id, limit=120).stopped_by is None

    def test_dates_select_the_oldest_first_and_are_inclusive(self, clock: ManualClock, tmp_path: Path) -> None:
        with Client.temporary(clock=clock, process=StubProcess()) as client:
            context = client._engine.context
            pipeline_id = _deployed(context, summing(tmp_path / "m"))
            times = []
            for first in range(4):
                times.append(clock.now())
                self._infer(context, pipeline_id, first, first + 10)
                clock.advance(minutes=1)
            assert _sums(context, pipeline_id, since=times[1], until=times[2]) == [1, 11, 2, 12]
            assert _sums(context, pipeline_id, since=times[1], until=times[2], limit=3) == [1, 11, 2]
            assert _sums(context, pipeline_id, since=times[3] + timedelta(seconds=1), until=times[3] + timedelta(hours=1)) == []

    def test_only_one_date_is_refused(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        with pytest.raises(BadArgument, match=r"Only one of the dates was given\. Give both start_datetime and end_datetime, or none"):
            inference.read_logs(context, pipeline_id, since=datetime.now(UTC))

    def test_a_change_of_columns_ends_the_result(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "a"))
        self._infer(context, pipeline_id, 1)
        _deployed(context, two_inputs(tmp_path / "b"))
        inference.infer(context, pipeline_id, {"a": [[1, 2]], "b": [[3, 4]]})
        found = inference.read_logs(context, pipeline_id)
        assert found.table.column_names == ["time", "in.a", "in.b", "out.difference", "out.total", "anomaly.count"]
        assert (found.table.num_rows, found.stopped_by) == (1, "schema")

    def test_a_result_beyond_the_size_of_the_log_is_logged_in_part(self, open_client: Callable[..., Client], tmp_path: Path) -> None:
        context = open_client(limits=Limits(inference_log_bytes=4096))._engine.context
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        frame = pd.DataFrame({"x": [[float(row), 0.0, 0.0] for row in range(1000)]})
        assert inference.infer(context, pipeline_id, frame).row_count == 1000
        found = _sums(context, pipeline_id, limit=1000)
        assert found == [float(row) for row in range(999, 999 - len(found), -1)]
        assert 50 < len(found) < 500

    def test_no_records_have_no_columns(self, context: Context, tmp_path: Path) -> None:
        assert inference.read_logs(context, _deployed(context, summing(tmp_path / "m"))).table.num_columns == 0

    def test_threads_log_every_inference(self, context: Context, tmp_path: Path) -> None:
        pipeline_id = _deployed(context, summing(tmp_path / "m"))
        threads = [threading.Thread(target=self._infer, args=(context, pipeline_id, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(_sums(context, pipeline_id)) == list(range(8))
