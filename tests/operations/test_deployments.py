"""Building, deploying and undeploying pipelines: each deployment is a new version; what cannot run is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, Client, Conflict, NotFound
from orchlite.core.model_records import ModelVersionRow
from orchlite.operations import deployments
from orchlite.operations.context import Context
from orchlite.operations.model_upload import ModelUpload, receive

_ONNX = b"\x08\x09\x3a\x05graph"
Models = Callable[..., dict[str, str]]


@pytest.fixture
def context(client: Client) -> Context:
    return client._engine.context


@pytest.fixture
def model(context: Context) -> Callable[[str], dict[str, str]]:
    """Upload a model of this name, and return how a step names it."""

    def upload(name: str) -> dict[str, str]:
        row: ModelVersionRow = receive(context, ModelUpload(_ONNX, 1, name, "model.onnx", "onnx"))
        return {"name": row.name, "version": row.version, "sha": row.sha}

    return upload


def _step(*models: dict[str, str]) -> dict[str, Any]:
    return {"ModelInference": {"models": list(models)}}


def test_building_a_pipeline_stores_a_version_without_steps_each_time(context: Context) -> None:
    first, second = (deployments.build(context, 1, "fraud") for _ in range(2))
    assert first.pipeline_id == second.pipeline_id
    assert context.store.pipelines.versions(first.pipeline_id) == [second, first]
    assert second.definition == {}


def test_each_deployment_stores_a_version(context: Context, model: Models) -> None:
    pipeline_id = deployments.build(context, 1, "fraud").pipeline_id
    steps = [_step(model("a"))]
    first, second = (deployments.deploy(context, pipeline_id, steps, config={"engine": {"cpu": 1}}) for _ in range(2))
    assert (first.deployment_id, first.name, first.is_deployed) == (second.deployment_id, "fraud", True)
    newest = context.store.pipelines.newest_version(pipeline_id)
    assert newest is not None
    assert (newest.pipeline_version_id, newest.definition) == (second.pipeline_version_id, {"id": "fraud", "steps": steps})
    assert second.config == {"engine": {"cpu": 1}}


def test_a_stored_version_is_deployed_as_it_is(context: Context, model: Models) -> None:
    version = deployments.build(context, 1, "fraud", {"id": "fraud", "steps": [_step(model("a"))]})
    deployed = deployments.deploy_version(context, version.pipeline_version_id, name="other")
    assert (deployed.pipeline_version_id, deployed.name) == (version.pipeline_version_id, "other")
    assert context.store.pipelines.versions(version.pipeline_id) == [version]


def test_undeploying_is_idempotent(context: Context, model: Models) -> None:
    pipeline_id = deployments.build(context, 1, "fraud").pipeline_id
    assert not deployments.undeploy(context, pipeline_id)
    deployments.deploy(context, pipeline_id, [_step(model("a"))])
    assert deployments.undeploy(context, pipeline_id)
    assert not deployments.undeploy(context, pipeline_id)
    assert deployments.status(context, pipeline_id) is None


def test_the_status_of_a_deployed_pipeline_names_its_models(context: Context, model: Models) -> None:
    pipeline_id = deployments.build(context, 1, "fraud").pipeline_id
    assert deployments.status(context, pipeline_id) is None
    champion, challenger = model("a"), model("b")
    split = {"RandomSplit": {"hash_key": None, "weights": [{"weight": 1.0, "model": champion}]}}
    deployments.deploy(context, pipeline_id, [_step(champion, challenger), {"AuditResults": {"from": 1, "to": None}}, split])
    status = deployments.status(context, pipeline_id)
    version = context.store.pipelines.newest_version(pipeline_id)
    assert status is not None
    assert version is not None
    [engine], [balancer] = status["engines"], status["engine_lbs"]
    assert {status["status"], engine["status"], balancer["status"]} == {"Running"}
    assert engine["pipeline_statuses"] == {"pipelines": [{"id": "fraud", "status": "Running", "version": version.version}]}
    assert engine["model_statuses"]["models"] == [
        {"model_version_id": 1, **champion, "status": "Running"},
        {"model_version_id": 2, **challenger, "status": "Running"},
    ]


def test_a_pipeline_without_steps_is_not_deployed(context: Context) -> None:
    version = deployments.build(context, 1, "fraud")
    uses: list[Callable[[], object]] = [
        lambda: deployments.deploy(context, version.pipeline_id, []),
        lambda: deployments.deploy_version(context, version.pipeline_version_id),
    ]
    for use in uses:
        with pytest.raises(Conflict, match=r"'fraud' has no steps to deploy\. Add a step"):
            use()
    assert context.store.pipelines.versions(version.pipeline_id) == [version]
    assert context.store.deployments.of_pipeline(version.pipeline_id) is None


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"Average": {}}, "a step 'Average', which orchlite does not run"),
        ({"ColumnsSelect": {"columns": [0]}}, "a step 'ColumnsSelect'"),
        ({"Check": {"tree": ['{"Alias": [{"Window": {}}, "c"]}']}}, "it uses Window"),
        ({"ModelInference": 1}, "The steps of the pipeline are malformed"),
    ],
)
def test_steps_that_cannot_run_are_refused_when_they_are_built_or_deployed(
    context: Context, model: Models, step: dict[str, Any], message: str
) -> None:
    version = deployments.build(context, 1, "fraud")
    steps = [_step(model("a")), step]
    stored = context.store.pipelines.versions(version.pipeline_id)
    with context.store.transaction() as transaction:  # as an earlier version of orchlite stored it
        older = context.store.pipelines.add_version(transaction, version.pipeline_id, {"id": "fraud", "steps": steps}, context.clock.now())
    uses: list[Callable[[], object]] = [
        lambda: deployments.build(context, 1, "fraud", {"id": "fraud", "steps": steps}),
        lambda: deployments.deploy(context, version.pipeline_id, steps),
        lambda: deployments.deploy_version(context, older.pipeline_version_id),
    ]
    for use in uses:
        with pytest.raises(BadArgument, match=message):
            use()
    assert context.store.pipelines.versions(version.pipeline_id) == [older, *stored]
    assert context.store.deployments.of_pipeline(version.pipeline_id) is None


@pytest.mark.parametrize("kind", ["ModelInference", "RandomSplit", "MetaValueSplit"])
def test_steps_that_name_a_deleted_model_are_not_deployed(context: Context, model: Models, kind: str) -> None:
    pipeline_id = deployments.build(context, 1, "fraud").pipeline_id
    kept, gone = model("kept"), {"name": "gone", "version": "0" * 36, "sha": "0" * 64}
    step = {
        "ModelInference": {"models": [kept, gone]},
        "RandomSplit": {"weights": [{"weight": 1, "model": gone}]},
        "MetaValueSplit": {"split_key": "k", "control": kept, "routes": {"x": gone}},
    }[kind]
    with pytest.raises(Conflict, match=r"'fraud' has a step with model 'gone', version 0+, which was deleted\. Upload"):
        deployments.deploy(context, pipeline_id, [{kind: step}])
    assert len(context.store.pipelines.versions(pipeline_id)) == 1
    assert deployments.status(context, pipeline_id) is None


def test_what_does_not_exist_is_not_found(context: Context) -> None:
    uses: list[Callable[[], object]] = [
        lambda: deployments.deploy(context, 7, [{}]),
        lambda: deployments.deploy_version(context, 7),
        lambda: deployments.status(context, 7),
    ]
    for use in uses:
        with pytest.raises(NotFound):
            use()


def test_another_process_sees_what_is_deployed(context: Context, client: Client, model: Models, tmp_path: Path) -> None:
    pipeline_id = deployments.build(context, 1, "fraud").pipeline_id
    deployments.deploy(context, pipeline_id, [_step(model("a"))])
    with Client(client.path()) as other:
        assert deployments.status(other._engine.context, pipeline_id) == deployments.status(context, pipeline_id)
        assert deployments.undeploy(other._engine.context, pipeline_id)
    assert deployments.status(context, pipeline_id) is None
