"""GraphQL about models, pipelines and deployments: what both versions of the SDK ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query, parse, validate

import orchlite
from tests.onnx_models import weighing

_QUERIES = {
    "version of a model": """query ModelById { model_by_pk(id: 1) {
        id created_on_version model_id model_version models_pk_id sha status error_summary file_name image_path updated_at visibility
        model_tags { tag { id tag } } arch: conversion(path: "arch") accel: conversion(path: "accel") model { workspace { id name } }
    } }""",
    "configuration": """query ModelConfigById($id: bigint!) { model_config_by_pk(id: $id) {
        id filter_threshold model { id } runtime tensor_fields dynamic_batching_config continuous_batching_config openai
        input_schema output_schema
    } }""",
    "models": """query ModelByName($model_id: String!, $model_version: String!) {
        model(where: {_and: [{model_id: {_eq: $model_id}}, {model_version: {_eq: $model_version}}]}) { id model_id model_version }
    }""",
    "models of a workspace": """query ModelByName($name: String!, $id: bigint!, $workspace_name: String!) {
        model(where: {_and: [
            {model_id: {_eq: $name}}, {model: {workspace: {_and: [{id: {_eq: $id}}, {name: {_eq: $workspace_name}}]}}}
        ]}) { id }
    }""",
    "pipeline": """query PipelineById($id: bigint!) { pipeline_by_pk(id: $id) {
        id pipeline_id created_at updated_at visibility owner_id
        pipeline_versions(order_by: {id: desc}) { id pipeline_publishes {
            created_on_version chart_url engine_url engine_config id pipeline_url pipeline_version_id status updated_at created_by
            created_at user_images
        } }
        pipeline_tags { tag { id tag } } workspace { id name }
    } }""",
    "models of a pipeline": """query PipelineModels($id: bigint!) { pipeline_by_pk(id: $id) { id deployment {
        deployment_model_configs_aggregate(distinct_on: deployment_id) { nodes { model_config { model { model { name } } } } }
    } } }""",
    "deployment of a pipeline": """query GetDeploymentForPipeline($id: bigint!) {
        pipeline_by_pk(id: $id) { deployment { id deploy_id deployed engine_config } }
    }""",
    "pipelines": """query PipelineByName($name: String!, $workspace_id: bigint!, $workspace_name: String!) {
        pipeline(where: {_and: [
            {pipeline_id: {_eq: $name}}, {workspace_id: {_eq: $workspace_id}}, {workspace: {name: {_eq: $workspace_name}}}
        ]}, order_by: {created_at: desc}) { id workspace { id name } }
    }""",
    "every pipeline": "query ListPipelines { pipeline(order_by: {id: desc}) { id pipeline_tags { tag { id tag } } } }",
    "version of a pipeline": """query PipelineVariantById($id: bigint!) { pipeline_version_by_pk(id: $id) {
        id created_on_version created_at updated_at version definition pipeline { id }
        deployment_pipeline_versions { created_at updated_at deployment { id } }
        deployment_model_configs { model_config { id model { id model { id name } } } }
        pipeline_publishes { id status }
    } }""",
    "deployment": """query DeploymentById($id: bigint!) { deployment_by_pk(id: $id) {
        id deploy_id deployed deployment_model_configs { model_config { id } }
        deployment_pipeline_versions(order_by: {pipeline_version: {id: desc}}) { pipeline_version { id } }
        pipeline { pipeline_id } engine_config
    } }""",
    "deployments": """query ListDeployments {
        deployment { id deploy_id deployed deployment_model_configs { model_config { id } } }
    }""",
    "deployment by name": "query DeploymentByName($name: String!) { deployment(where: {deploy_id: {_eq: $name}}) { id } }",
    "limit of a deployment": "query QueryLimitStatus($id: bigint!) { deployment(where: {id: {_eq: $id}}) { id deployed limit_status } }",
    "workspace": """query WorkspaceById($id: bigint!) { workspace_by_pk(id: $id) {
        models(order_by: {updated_at: desc}) { id name models { id } } pipelines { id pipeline_id }
    } }""",
    "tags": """query ListTags { tag(order_by: {id: desc}) {
        id tag model_tags { model { id model_id models_pk_id model_version } }
        pipeline_tags { pipeline { id pipeline_id pipeline_versions { id version } } }
    } }""",
}


def _data(api: Any, query: str, /, **variables: Any) -> Any:
    response = api.request("POST", "/v1/graphql", json={"query": _QUERIES.get(query, query), "variables": variables})
    found = response.json()
    assert "errors" not in found, found
    data = found["data"]
    return next(iter(data.values())) if len(data) == 1 else data


@pytest.fixture
def model(api: Any, tmp_path: Path) -> dict[str, Any]:
    """The version of a model, deployed in the pipeline `houses`."""
    found: dict[str, Any] = api.model(
        weighing(tmp_path / "house.onnx", [1.0]), conversion={"framework": "onnx", "arch": "arm", "accel": "none"}
    )
    api.deployed(found)
    return found


@pytest.mark.parametrize("name", _QUERIES)
def test_the_queries_of_the_sdk_are_valid_by_the_introspected_schema(shared_api: Any, name: str) -> None:
    found = shared_api.request("POST", "/v1/graphql", json={"query": get_introspection_query()}).json()["data"]
    assert validate(build_client_schema(found), parse(_QUERIES[name])) == []


def test_a_version_of_a_model_is_as_over_rest(api: Any, model: dict[str, Any]) -> None:
    found = _data(api, "version of a model")
    assert found.pop("model") == {"workspace": {"id": 1, "name": "default"}}
    shared = found.keys() & model.keys()
    assert {name: found[name] for name in shared} == {name: model[name] for name in shared}
    assert {"id", "model_id", "model_version", "sha", "updated_at"} <= shared
    assert (found["arch"], found["accel"], found["model_tags"], found["status"]) == ("arm", "none", [], "ready")


def test_its_configuration_is_that_of_the_moment(api: Any, model: dict[str, Any]) -> None:
    api.call("models/insert_model_config", model_version_id=model["id"], tensor_fields=["x"])
    found = _data(api, "configuration", id=model["id"])
    assert (found["tensor_fields"], found["model"], found["runtime"]) == (["x"], {"id": model["id"]}, "onnx")


def test_models_are_selected_by_name_version_and_workspace(api: Any, model: dict[str, Any]) -> None:
    named = {"model_id": "house", "model_version": model["model_version"]}
    assert _data(api, "models", **named) == [{"id": 1, **named}]
    assert _data(api, "models", **{**named, "model_id": "other"}) == []
    assert _data(api, "models of a workspace", name="house", id=1, workspace_name="default") == [{"id": 1}]
    assert _data(api, "models of a workspace", name="house", id=1, workspace_name="other") == []


def test_a_pipeline_has_its_versions_newest_first_and_its_deployment(api: Any, model: dict[str, Any]) -> None:
    api.call("pipelines/create", pipeline_id="houses", workspace_id=1)
    found = _data(api, "pipeline", id=1)
    assert (found["pipeline_id"], found["workspace"], found["pipeline_tags"]) == ("houses", {"id": 1, "name": "default"}, [])
    assert found["pipeline_versions"] == [{"id": 2, "pipeline_publishes": []}, {"id": 1, "pipeline_publishes": []}]
    assert _data(api, "models of a pipeline", id=1)["deployment"]["deployment_model_configs_aggregate"]["nodes"] == [
        {"model_config": {"model": {"model": {"name": "house"}}}}
    ]
    expected = {"id": 1, "deploy_id": "houses", "deployed": True, "engine_config": {}}
    assert _data(api, "deployment of a pipeline", id=1) == {"deployment": expected}


def test_a_version_of_a_pipeline_names_its_models_and_where_it_is_deployed(api: Any, model: dict[str, Any]) -> None:
    found = _data(api, "version of a pipeline", id=1)
    assert found["definition"]["steps"][0]["ModelInference"]["models"][0]["name"] == "house"
    assert found["deployment_model_configs"] == [{"model_config": {"id": 1, "model": {"id": 1, "model": {"id": 1, "name": "house"}}}}]
    assert [each["deployment"] for each in found["deployment_pipeline_versions"]] == [{"id": 1}]
    api.call("pipelines/create", pipeline_id="houses", workspace_id=1)
    newer = _data(api, "version of a pipeline", id=2)
    assert (newer["definition"], newer["deployment_model_configs"], newer["deployment_pipeline_versions"]) == ({}, [], [])


def test_pipelines_are_selected_and_ordered(api: Any, client: orchlite.Client, model: dict[str, Any]) -> None:
    other = client.create_workspace("other").id()
    api.call("pipelines/create", pipeline_id="houses", workspace_id=other)
    assert [each["id"] for each in _data(api, "every pipeline")] == [2, 1]
    assert [each["id"] for each in _data(api, "{ pipeline(order_by: {id: asc}) { id } }")] == [1, 2]
    assert _data(api, "pipelines", name="houses", workspace_id=other, workspace_name="other") == [
        {"id": 2, "workspace": {"id": other, "name": "other"}}
    ]


def test_a_deployment_is_found_by_id_and_name(api: Any, model: dict[str, Any]) -> None:
    found = _data(api, "deployment", id=1)
    assert (found["deployment_model_configs"], found["pipeline"]) == ([{"model_config": {"id": 1}}], {"pipeline_id": "houses"})
    assert found["deployment_pipeline_versions"] == [{"pipeline_version": {"id": 1}}]
    assert _data(api, "deployment by name", name="houses") == [{"id": 1}]
    assert _data(api, "deployment by name", name="others") == []
    assert _data(api, "limit of a deployment", id=1) == [{"id": 1, "deployed": True, "limit_status": None}]
    api.call("pipelines/undeploy", pipeline_id=1)
    assert [each["deployed"] for each in _data(api, "deployments")] == [False]


def test_a_workspace_lists_its_models_and_pipelines(api: Any, model: dict[str, Any], tmp_path: Path) -> None:
    api.model(weighing(tmp_path / "twin.onnx", [2.0]), "twin")
    api.model(weighing(tmp_path / "house.onnx", [3.0]))
    found = _data(api, "workspace", id=1)
    assert [(each["name"], [version["id"] for version in each["models"]]) for each in found["models"]] == [("house", [3, 1]), ("twin", [2])]
    assert found["pipelines"] == [{"id": 1, "pipeline_id": "houses"}]


def test_the_model_of_a_step_may_have_been_deleted(api: Any, client: orchlite.Client, model: dict[str, Any]) -> None:
    client.get_pipeline("houses").undeploy()
    client.list_models()[0].delete()
    assert _data(api, "version of a pipeline", id=1)["deployment_model_configs"] == []
    assert _data(api, "deployments") == [{"id": 1, "deploy_id": "houses", "deployed": False, "deployment_model_configs": []}]


@pytest.mark.parametrize("name", ["configuration", "pipeline", "version of a pipeline", "deployment"])
def test_a_missing_thing_is_null(shared_api: Any, name: str) -> None:
    assert _data(shared_api, name, id=999) is None


def test_there_are_no_tags(shared_api: Any) -> None:
    assert _data(shared_api, "tags") == []
