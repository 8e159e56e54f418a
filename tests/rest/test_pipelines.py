"""The endpoints about pipelines and deployments."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

import orchlite
from tests.onnx_models import weighing


@pytest.fixture
def model(api: Any, tmp_path: Path) -> dict[str, Any]:
    """A version of a model."""
    found: dict[str, Any] = api.model(weighing(tmp_path / "house.onnx", [1.0, 2.0, 3.0]))
    return found


def test_a_pipeline_is_created_once_and_gets_a_version_each_time(api: Any, client: orchlite.Client) -> None:
    first = api.call("pipelines/create", pipeline_id="houses", workspace_id=1, definition={})
    second = api.call("pipelines/create", pipeline_id="houses", workspace_id=1)
    assert (first["pipeline_pk_id"], second["pipeline_pk_id"]) == (1, 1)
    version = api.call("pipelines/get_version", version=first["pipeline_variant_version"])
    assert version == {"pipeline_id": "houses", "version": first["pipeline_variant_version"], "definition": {}}
    assert len(client.get_pipeline("houses").versions()) == 2


def test_a_pipeline_is_found_by_its_name_and_listed_with_its_topic(api: Any, client: orchlite.Client) -> None:
    other = client.create_workspace("other").id()
    for workspace_id in (1, other):
        api.call("pipelines/create", pipeline_id="houses", workspace_id=workspace_id)
    found = api.call("pipelines/get_pipeline_by_name", pipeline_name="houses", workspace_id=other)
    assert (found["pipeline"]["id"], found["workspace"]["name"], found["plateau_topic"]) == (
        2,
        "other",
        f"workspace-{other}-pipeline-houses-inference",
    )
    assert [each["pipeline"]["id"] for each in api.call("pipelines/list_pipelines")["pipelines"]] == [2, 1]
    assert api.call("pipelines/list_pipelines", workspace_name="other")["pipelines"] == [found]
    assert api.call("plateau/get_topic_name", pipeline_pk_id=2)["topic_name"] == found["plateau_topic"]
    assert api.call("plateau/get_topic_name", pipeline_name="houses")["topic_name"] == found["plateau_topic"]
    by_name = api.call("plateau/get_pipeline_topic_name", pipeline_name="houses", workspace_id=1)
    assert by_name == {"topic_name": "workspace-1-pipeline-houses-inference"}


def test_a_deployment_runs_until_it_is_undeployed(api: Any, client: orchlite.Client, model: dict[str, Any]) -> None:
    name = api.deployed(model).split("/")[-2]
    status = api.call("status/get_deployment", name=name)
    assert (status["status"], status["engines"][0]["model_statuses"]["models"][0]["name"]) == ("Running", "house")
    assert client.get_pipeline("houses").status()["status"] == "Running"
    assert api.call("pipelines/undeploy", deployment_id=1) == {}
    assert api.refusal(404, "status/get_deployment", name=name)["msg"].startswith("'houses-1' is not deployed.")
    assert api.call("pipelines/undeploy", pipeline_id=1) == {}, "idempotent"


@pytest.mark.parametrize("by", ["id", "UUID", "pipeline"])
def test_a_version_is_deployed_however_it_is_named(api: Any, model: dict[str, Any], by: str) -> None:
    steps = [{"ModelInference": {"models": [{"name": "house", "version": model["model_version"], "sha": model["sha"]}]}}]
    made = api.call("pipelines/create", pipeline_id="houses", workspace_id=1, definition={"id": "houses", "steps": steps})
    named = {
        "id": {"pipeline_version_pk_id": made["pipeline_variant_pk_id"]},
        "UUID": {"pipeline_version": made["pipeline_variant_version"]},
        "pipeline": {"pipeline_id": made["pipeline_pk_id"]},
    }
    assert api.call("pipelines/deploy", deploy_id="houses", engine_config={"engine": {"cpu": 1}}, **named[by]) == {"id": 1}


def test_what_cannot_be_deployed_says_why(api: Any) -> None:
    api.call("pipelines/create", pipeline_id="houses", workspace_id=1)
    assert "has no steps" in api.refusal(409, "pipelines/deploy", deploy_id="houses", pipeline_id=1)["error"]
    old = api.call_as_2023("pipelines/deploy", deploy_id="houses", pipeline_id=1)
    assert (old["code"], "has no steps" in old["msg"]) == (500, True), "the only status whose message a client of 2023 shows"
    assert api.refusal(400, "pipelines/deploy", deploy_id="ho_uses", pipeline_id=1)["details"]["argument"] == "deploy_id"
    assert api.refusal(400, "pipelines/deploy", deploy_id="houses")["details"]["argument"] == "pipeline_version_pk_id"


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("pipelines/get_pipeline_by_name", {"pipeline_name": "nothing", "workspace_id": 1}),
        ("pipelines/get_version", {"version": str(uuid.uuid4())}),
        ("pipelines/deploy", {"deploy_id": "x", "pipeline_version_pk_id": 9}),
        ("pipelines/deploy", {"deploy_id": "x", "pipeline_id": 9}),
        ("pipelines/undeploy", {"deployment_id": 9}),
        ("pipelines/undeploy", {"pipeline_id": 9}),
        ("pipelines/create", {"pipeline_id": "x", "workspace_id": 9}),
        ("status/get_deployment", {"name": "houses-9"}),
        ("status/get_deployment", {"name": "houses"}),
        ("plateau/get_topic_name", {"pipeline_pk_id": 9}),
        ("plateau/get_topic_name", {"pipeline_name": "nothing"}),
    ],
)
def test_a_missing_one_is_not_found(shared_api: Any, endpoint: str, fields: dict[str, Any]) -> None:
    assert shared_api.refusal(404, endpoint, **fields)["kind"] == "NotFound"
