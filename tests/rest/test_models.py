"""The endpoints about models."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import orchlite
from orchlite.core.settings import Limits
from tests.onnx_models import weighing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a model."""
    return weighing(tmp_path / "house.onnx", [1.0, 2.0, 3.0])


@pytest.mark.parametrize("endpoint", ["upload", "upload_and_convert"])
def test_an_upload_is_a_version_that_is_ready(api: Any, client: orchlite.Client, file: Path, endpoint: str) -> None:
    uploaded = api.upload_model(file, endpoint=endpoint, conversion={"framework": "onnx", "arch": "x86", "accel": {"qaic": {}}})
    assert uploaded.json() == {"insert_models": {"returning": [{"models": [{"id": 1}]}]}}
    found, known = api.call("models/get_version_by_id", model_version_id=1)["model_version"], client.get_model("house")
    version = found["model_version"]
    assert (version["model_id"], version["model_version"], version["sha"]) == ("house", known.version(), known.sha())
    assert (version["status"], version["file_name"], version["conversion"]["accel"]) == ("ready", "house.onnx", "qaic")
    assert (found["config"]["id"], found["config"]["runtime"], found["config"]["tensor_fields"]) == (1, "onnx", None)


def test_the_file_is_stored_for_its_owner_only(api: Any, client: orchlite.Client, file: Path) -> None:
    stored = client.path() / "models" / api.model(file)["sha"]
    assert (stored.read_bytes(), stored.stat().st_mode & 0o777, stored.stat().st_nlink) == (file.read_bytes(), 0o600, 1)


def test_the_same_name_is_another_version_of_the_model(api: Any, file: Path) -> None:
    first, second = api.model(file), api.model(file)
    found = api.call("models/get", id=first["models_pk_id"])
    assert [version["model_version"] for version in found["models"]] == [second["model_version"], first["model_version"]]
    assert (found["name"], found["workspace"]) == ("house", {"id": 1, "name": "default"})


def test_schemas_come_back_as_they_were_sent(api: Any, tmp_path: Path) -> None:
    step = tmp_path / "step.py"
    step.write_text("def process_data(columns):\n    return columns\n")
    schema = b64encode(pa.schema([("x", pa.float32())]).serialize()).decode()
    version = api.model(step, "step", conversion={"framework": "python"}, input_schema=schema, output_schema=schema)
    config = api.call("models/get_config_by_id", model_id=version["id"])["model_config"]
    assert (config["input_schema"], config["output_schema"], config["runtime"]) == (schema, schema, "flight")


@pytest.mark.parametrize(
    ("metadata", "kind", "argument"),
    [
        ({"name": "a_b"}, "BadArgument", "name"),
        ({"conversion": {"framework": "xgboost"}}, "BadArgument", "framework"),
        ({"input_schema": "!"}, "BadArgument", "input_schema"),
        ({"workspace_id": "1"}, "BadArgument", "workspace_id"),
    ],
    ids=["name", "framework", "schema", "workspace"],
)
def test_what_is_wrong_is_named(
    api: Any, refused: Callable[..., Any], file: Path, metadata: dict[str, Any], kind: str, argument: str
) -> None:
    found = refused(api.upload_model(file, **{"name": "house", **metadata}), 400)
    assert (found["kind"], found["details"]["argument"], found["error"]) == (kind, argument, found["msg"])


def test_what_is_no_model_is_refused_and_leaves_nothing(
    api: Any, client: orchlite.Client, refused: Callable[..., Any], tmp_path: Path
) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    assert refused(api.upload_model(text), 400)["kind"] == "BadModel"
    assert refused(api.upload_model(text, workspace_id=99), 404)["kind"] == "NotFound"
    assert (client.list_models(), list((client.path() / "models").iterdir())) == ([], [])


def test_a_model_over_the_limit_is_refused_while_it_arrives(
    api_of: Callable[..., Any], refused: Callable[..., Any], tmp_path: Path, file: Path
) -> None:
    with orchlite.Client(tmp_path / "store", limits=Limits(model_bytes=100)) as client:
        found = refused(api_of(client).upload_model(file), 413)
        assert (found["kind"], found["details"]) == ("BadModel", {"limit_bytes": 100})
        assert list((client.path() / "models").iterdir()) == []


def test_a_configuration_replaces_the_one_before(api: Any, client: orchlite.Client, file: Path) -> None:
    version = api.model(file)
    first = api.call("models/insert_model_config", model_version_id=version["id"], tensor_fields=["x"], filter_threshold=0.5)[
        "model_config"
    ]
    assert (first["tensor_fields"], first["filter_threshold"], first["model"]) == (["x"], 0.5, {"id": version["id"]})
    assert client.get_model("house").tensor_fields() == ["x"]
    api.refusal(400, "models/insert_model_config", model_version_id=version["id"], tensor_fields=["x", "x"])
    second = api.call("models/insert_model_config", model_version_id=version["id"], dynamic_batching_config={"batch_size_target": 2})
    config = api.call("models/get_config_by_id", model_id=version["id"])
    assert config == second
    assert (config["model_config"]["tensor_fields"], config["model_config"]["dynamic_batching_config"]) == (None, {"batch_size_target": 2})


def test_models_are_listed_for_both_versions_of_the_sdk(api: Any, client: orchlite.Client, file: Path) -> None:
    other = client.create_workspace("other").id()
    api.model(file)
    api.model(file, "twin", workspace_id=other)
    every = api.call("models/list")["models"]
    assert [model["name"] for model in every] == ["twin", "house"]
    assert [model["name"] for model in api.call("models/list", workspace_id=1)["models"]] == ["house"]
    (twin,) = api.call("models/list", workspace_name="other")["models"]
    assert (twin["model"]["workspace_id"], twin["workspace"]["name"], len(twin["model_versions"])) == (other, "other", 1)
    listed = {workspace["name"]: workspace["models"] for workspace in api.call("workspaces/list")["workspaces"]}
    assert listed == {"default": [1], "other": [2]}
    api.refusal(404, "models/list", workspace_name="nowhere")


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("models/get", {"id": 9}),
        ("models/get_version_by_id", {"model_version_id": 9}),
        ("models/get_config_by_id", {"model_id": 9}),
        ("models/insert_model_config", {"model_version_id": 9}),
    ],
)
def test_a_missing_one_is_not_found(api: Any, endpoint: str, fields: dict[str, int]) -> None:
    assert api.refusal(404, endpoint, **fields)["kind"] == "NotFound"
