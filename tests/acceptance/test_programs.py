"""Programs in the styles of public ones, written from the SDK's documentation, run as a user would: a driver prepares, a task infers.

They are in `programs/*.txt`, so that their style stays theirs. The driver is `orchlite.Client`'s process; each program is a run of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.sdk.wallaroo import Client, _store
from tests.acceptance import program_scene as scene
from tests.acceptance.program_scene import ARGUMENTS
from tests.onnx_models import weighing


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The platform's SDK in a notebook: it has uploaded a model and deployed a pipeline of it once."""
    monkeypatch.setenv("ORCHLITE_STORE", str(tmp_path / "store"))
    wl: Any = Client()
    scene.prepare(wl, tmp_path)
    yield wl
    _store.close()


@pytest.fixture
def run(driver: Any, tmp_path: Path) -> Any:
    """Run a program to its end, and return the lines that it has printed."""

    def run(name: str, **files: bytes) -> list[str]:
        bundle = tmp_path / name
        bundle.mkdir()
        (bundle / "main.py").write_text(scene.program(name), encoding="utf-8")
        for path, content in files.items():
            (bundle / path.replace("_", ".")).write_bytes(content)
        with orchlite.Client(os.environ["ORCHLITE_STORE"], workers=1) as client:
            ended = client.run(bundle, ARGUMENTS, timeout=120)
            assert ended.status() == "success", str(ended.logs())
            return [line.text for line in ended.logs() if line.stream == "stdout"]

    return run


def test_a_pipeline_is_looked_up_or_built_and_infers_a_frame(driver: Any, run: Any) -> None:
    driver.create_connection(ARGUMENTS["connection_name"], "HOUSES", {"houses": {"tensor": scene.ROWS}})
    lines = run("lookup_with_fallback")
    assert lines[0] == "Getting the workspace houses"
    assert lines[1].startswith("{'name': 'houses', 'id': 2, 'archived': False, 'created_by': ")
    assert lines[3].endswith("tzinfo=tzutc()), 'definition': '[]'}")
    assert "ModelInference" in lines[4]
    assert lines[5] == "['time', 'in.tensor', 'out.variable', 'anomaly.count']"
    assert lines[7:] == ["[[14.0], [32.0]]", "Pipeline not found: {'pipeline_name': 'no-such-pipeline'}"]
    assert driver.get_pipeline(ARGUMENTS["pipeline_name"]).logs()["out.variable"].str[0].to_list() == [32, 14]


@pytest.mark.slow
def test_a_pipeline_is_deployed_without_waiting_and_infers_a_table_from_http(driver: Any, run: Any) -> None:
    with scene.serving_a_table() as url:
        driver.create_connection(ARGUMENTS["connection_name"], "HTTP", {"host": url})
        lines = run("deploy_without_waiting")
    assert lines == [
        "Deployment initiated for house-prices. Please check pipeline status.",
        "0 ['status', 'details', 'engines', 'engine_lbs', 'sidekicks']",
        "house-model house-prices",
        "<class 'pyarrow.lib.Table'>",
        "list<inner: float not null> uint32 timestamp[ms]",
        "[[14.0], [32.0]]",
        "EntityNotFoundError Deployment not found not found: {'name': 'house-prices'}",
    ]


@pytest.mark.slow
def test_a_pipeline_of_the_workspace_infers_from_files(run: Any) -> None:
    assert run("from_files") == [
        "deployed: True",
        "[[14.0], [32.0]]",
        "[[14.0], [32.0]]",
        "[{'variable': [14.0]}, {'variable': [32.0]}]",
        "['time', 'out.variable']",
        "TypeError  File is of type .csv, but only '.arrow' or '.json' are accepted",
        "TypeError Not an accepted data_format, it can only be 'pandas-record', 'custom-json' or 'arrow'.",
        "deployed: False",
    ]


@pytest.mark.slow
def test_logs_are_read_by_number_and_by_dates(driver: Any, run: Any) -> None:
    assert run("logs_by_dates") == [
        "house-prices house-model True True",
        "[array([9.], dtype=float32), array([4.], dtype=float32), array([2.], dtype=float32)]",
        "6 ['time', 'in.tensor', 'out.variable', 'anomaly.count']",
        "[array([0.], dtype=float32), array([2.], dtype=float32), array([1.], dtype=float32), "
        "array([3.], dtype=float32), array([2.], dtype=float32), array([4.], dtype=float32)]",
        "Table ['metadata.dropped', 'metadata.elapsed', 'metadata.last_model', 'metadata.partition', 'metadata.pipeline_version']",
        "Exception Please provide both start datetime and end datetime together.",
    ]
    assert len(driver.get_pipeline(ARGUMENTS["pipeline_name"]).logs()) == 7


@pytest.mark.slow
def test_names_of_2023_are_still_taken(run: Any) -> None:
    assert run("names_of_2023") == [
        "True True",
        "house-model ['house-model']",
        "list [{'variable': [14.0]}, {'variable': [32.0]}]",
        "list [[[0.0]], [[1.0]], [[2.0]]]",
        "DataFrame [[0.0], [1.0], [2.0]]",
    ]


@pytest.mark.slow
def test_a_new_version_of_a_model_replaces_the_old_one(driver: Any, run: Any, tmp_path: Path) -> None:
    lines = run("new_version", new_onnx=weighing(tmp_path / "n.onnx", [3.0, 2.0, 1.0]).read_bytes())
    assert lines == [
        "True True ready",
        "[[10.0]]",
        "[[14.0]]",
        "[] 4",
        "IndexError list assignment index out of range",
        "Exception Pipeline absent not found in this workspace.",
    ]
    assert len(driver.list_models()[0].versions()) == 2


@pytest.mark.slow
def test_a_shadow_is_reported_into_a_database(driver: Any, run: Any, tmp_path: Path) -> None:
    scene.prepare_shadow(driver, tmp_path)
    driver.create_connection(ARGUMENTS["connection_name"], "SQLITE", {"file": str(tmp_path / "report.db")})
    assert run("shadow_report") == ["['time', 'out.variable', 'anomaly.count']", "['out_rival.variable']", "(2, 46.0, 38.0)"]


@pytest.mark.slow
def test_a_step_in_python_follows_a_model(run: Any) -> None:
    assert run("python_step") == [
        "Waiting for model loading - this will take up to 10min.",
        "Ready",
        "['time', 'in.id', 'in.tensor', 'out.is_dear', 'out.price', 'anomaly.count']",
        "[[10.0], [30.0]] [[0], [1]] [7, 8]",
        "list<inner: float not null> [[0]]",
        "['house-model', 'rounding']",
    ]


@pytest.mark.slow
def test_several_pipelines_are_used_by_threads_and_processes(run: Any) -> None:
    assert run("several_pipelines") == [
        "[14.0, 14.0, 14.0]",
        "[('zone-a', 14.0), ('zone-b', 14.0), ('zone-c', 14.0)]",
        "[14.0, 14.0, 14.0]",
        "[14.0]",
        "[4, 3, 3] ['zone-c', 'zone-b', 'zone-a', 'house-prices']",
    ]


@pytest.mark.slow
def test_what_is_not_emulated_and_what_does_not_fit_say_so(run: Any) -> None:
    assert run("beyond_the_surface") == [
        "no registry is configured",
        "Client.build_assay is not emulated by orchlite; only the platform's SDK (wallaroo 2026.1.3) has it.",
        "'Pipeline' object has no attribute 'no_such_method'",
        "TypeError True",
        "404",
        "400 Inference failed: [400] Column 'tensor' has 2 numbers a row,",
        "400 Inference failed: [400] Model 'house-model' needs the column",
        "400 Inference failed: [400] Column 'tensor' has str in row 0, an",
        "400 Inference failed: [400] Column 'tensor' has no number in row",
        "400 Inference failed: [400] The data has no rows. Give at least ",
        "400 Inference failed: [400] The data has no columns. Give a colu",
    ]


@pytest.mark.slow
def test_an_experiment_splits_by_a_key_and_cannot_be_fetched_again(run: Any, tmp_path: Path) -> None:
    lines = run("random_split", new_onnx=weighing(tmp_path / "n.onnx", [3.0, 2.0, 1.0]).read_bytes())
    assert lines[:3] == ["house-model [14.0] 1 True", "challenger [10.0] 0 False", "2 challenger"]
    assert lines[3].startswith("WaitForDeployError Pipeline 'experiment' has no steps to deploy.")
