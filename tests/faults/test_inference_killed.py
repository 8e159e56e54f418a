"""Runs that are killed in the middle of an inference, and runs that deploy and undeploy one pipeline while others infer with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite import Client
from tests.onnx_models import summing

Until = Callable[[Callable[[], object]], None]

_INFERS = """
import wallaroo

wl = wallaroo.Client()
pipeline = wl.get_pipeline("pipe")
print(pipeline.infer({"x": [[1, 2, 3]]}), flush=True)
"""

_CONTENDS = """
import wallaroo

wl = wallaroo.Client()
pipeline = wl.get_pipeline("pipe")
for _ in range(15):
    pipeline.deploy()
    try:
        assert pipeline.infer({"x": [[1, 2, 3]]}) == [{"sum": [6.0]}]
    except wallaroo.exceptions.InferenceError as error:
        assert "not deployed" in str(error), error
    pipeline.undeploy()
print("done")
"""


def _step(folder: Path, gate: Path) -> Path:
    path = folder / "step.py"
    begun = folder / "begun"
    wait = f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.01)\n"
    body = f"    pathlib.Path({str(begun)!r}).touch()\n{wait}    return input_data\n"
    code = f"import os, pathlib, time\n\n\ndef process_data(input_data):\n{body}"
    path.write_text(code)
    return path


def test_a_run_killed_in_the_middle_of_an_inference_leaves_no_half_of_it(
    client: Client, folder: Callable[..., Path], tmp_path: Path, gate: Path, until: Until
) -> None:
    model = client.upload_model("slow", _step(tmp_path, gate), "python")
    pipeline = client.build_pipeline("pipe").add_model_step(model).deploy()
    task = client.upload_orchestration(path=folder(_INFERS)).run_once()
    until((tmp_path / "begun").exists)
    task.kill()
    assert task.wait().status() == "killed"
    assert client.check() == []
    assert len(pipeline.logs()) == 0
    gate.touch()
    assert pipeline.infer({"x": [[1, 2, 3]]}) == [{"x": [1, 2, 3]}]
    assert len(pipeline.logs()) == 1


@pytest.mark.slow
def test_runs_that_deploy_and_undeploy_one_pipeline_get_a_result_or_hear_that_it_is_not_deployed(
    client: Client, folder: Callable[..., Path], tmp_path: Path
) -> None:
    client.build_pipeline("pipe").add_model_step(client.upload_model("model", summing(tmp_path / "m.onnx"))).deploy()
    orchestration = client.upload_orchestration(path=folder(_CONTENDS)).wait()
    tasks = [orchestration.run_once() for _ in range(2)]
    for task in tasks:
        assert str(task.wait().raise_for_failure().logs()) == "done\n"
    assert client.check() == []
    assert "not deployed" in client.get_pipeline("pipe").status()["status"]
