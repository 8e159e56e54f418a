"""Pipelines, their versions and their deployments in the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from orchlite.core.errors import NotFound
from orchlite.core.model_records import ModelVersionRow, PipelineRow, PipelineVersionRow
from orchlite.store.database import Transaction
from orchlite.store.store import Store

AddPipeline = Callable[..., PipelineRow]


@pytest.fixture
def add_version(store: Store, now: datetime) -> Callable[..., PipelineVersionRow]:
    """Insert a version of a pipeline: one step with the models of these versions."""

    def add(pipeline: PipelineRow, *versions: ModelVersionRow) -> PipelineVersionRow:
        models = [{"name": row.name, "version": row.version, "sha": row.sha} for row in versions]
        definition = {"id": pipeline.name, "steps": [{"ModelInference": {"models": models}}]}
        with store.transaction() as transaction:
            return store.pipelines.add_version(transaction, pipeline.pipeline_id, definition, now + timedelta(seconds=1))

    return add


def test_versions_are_read_as_they_were_written(
    store: Store, add_pipeline: AddPipeline, add_version: Callable[..., PipelineVersionRow]
) -> None:
    pipeline = add_pipeline("fraud")
    first, second = add_version(pipeline), add_version(pipeline)
    assert first.version != second.version
    assert store.pipelines.version(first.pipeline_version_id) == store.pipelines.find_version(first.version) == first
    assert store.pipelines.versions(pipeline.pipeline_id) == [second, first]
    assert store.pipelines.newest_version(pipeline.pipeline_id) == second
    assert store.pipelines.get(pipeline.pipeline_id) == pipeline._replace(updated_at=first.created_at)


def test_building_a_name_again_returns_the_same_pipeline(store: Store, add_pipeline: AddPipeline) -> None:
    assert add_pipeline("fraud") == add_pipeline("fraud")
    assert [event.became for event in store.events.after(0)] == ["created"]


def test_pipelines_are_found_by_name_in_all_workspaces_newest_first(store: Store, add_pipeline: AddPipeline, now: datetime) -> None:
    other = store.workspaces.create("other", now)
    first, second = add_pipeline("fraud"), add_pipeline("fraud", workspace_id=other.workspace_id)
    assert store.pipelines.named("fraud") == [second, first]
    assert store.pipelines.of_workspace(1) == [first]
    assert store.pipelines.find(1, "fraud") == first
    assert store.pipelines.all() == [first, second]
    assert store.pipelines.find(1, "absent") is None


def test_a_pipeline_has_one_deployment_that_stays_when_it_is_undeployed(
    store: Store, add_pipeline: AddPipeline, add_version: Callable[..., PipelineVersionRow], now: datetime
) -> None:
    pipeline, later = add_pipeline("fraud"), now + timedelta(seconds=9)
    assert store.deployments.of_pipeline(pipeline.pipeline_id) is None
    versions = add_version(pipeline), add_version(pipeline)
    with store.transaction() as transaction:
        first = store.deployments.deploy(transaction, versions[0], "fraud", {"cpus": 1}, now)
        second = store.deployments.deploy(transaction, versions[1], "other", {}, later)
    assert second == first._replace(pipeline_version_id=2, name="other", config={}, updated_at=later)
    with store.transaction() as transaction:
        assert store.deployments.undeploy(transaction, pipeline.pipeline_id, later)
        assert not store.deployments.undeploy(transaction, pipeline.pipeline_id, later)
    gone = second._replace(is_deployed=False)
    assert store.deployments.of_pipeline(pipeline.pipeline_id) == store.deployments.get(first.deployment_id) == gone
    assert store.deployments.named("other") == [gone]
    assert [event.became for event in store.events.after(0)] == ["created", "deployed", "deployed", "undeployed"]


def test_deployed_pipelines_are_found_by_the_model_versions_of_their_deployed_steps(
    store: Store,
    add_pipeline: AddPipeline,
    add_version: Callable[..., PipelineVersionRow],
    add_model_version: Callable[..., ModelVersionRow],
    now: datetime,
) -> None:
    pipeline, used, unused = add_pipeline("fraud"), add_model_version("used"), add_model_version("unused")
    deployed = add_version(pipeline, used)
    add_version(pipeline, unused)
    with store.transaction() as transaction:
        store.deployments.deploy(transaction, deployed, "fraud", {}, now)
        assert [found.name for found in store.deployments.using(transaction, [unused.version, used.version])] == ["fraud"]
        assert store.deployments.using(transaction, [unused.version]) == []
        store.deployments.undeploy(transaction, pipeline.pipeline_id, now)
        assert store.deployments.using(transaction, [used.version]) == []


def test_deleting_a_pipeline_deletes_everything_of_it(
    store: Store, add_pipeline: AddPipeline, add_version: Callable[..., PipelineVersionRow], now: datetime
) -> None:
    pipeline = add_pipeline("fraud")
    version = add_version(pipeline)
    with store.transaction() as transaction:
        deployment = store.deployments.deploy(transaction, version, "fraud", {}, now)
        store.pipelines.delete(transaction, pipeline.pipeline_id, now)
    assert store.pipelines.find_version(version.version) is None
    with pytest.raises(NotFound, match="no deployment 1 "):
        store.deployments.get(deployment.deployment_id)
    assert add_pipeline("fraud").pipeline_id == pipeline.pipeline_id + 1


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store, inside, now: store.pipelines.get(7), id="get"),
        pytest.param(lambda store, inside, now: store.pipelines.version(7), id="version"),
        pytest.param(lambda store, inside, now: store.pipelines.add_version(inside, 7, {}, now), id="add a version"),
        pytest.param(lambda store, inside, now: store.pipelines.delete(inside, 7, now), id="delete"),
        pytest.param(lambda store, inside, now: store.deployments.get(7), id="deployment"),
    ],
)
def test_a_missing_one_is_not_found(store: Store, now: datetime, use: Callable[[Store, Transaction, datetime], object]) -> None:
    with store.transaction() as transaction, pytest.raises(NotFound, match=r" 7 in this store\. list_pipelines\(\)"):
        use(store, transaction, now)
