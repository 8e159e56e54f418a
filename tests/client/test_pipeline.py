"""Pipelines through the client: their steps, deployments and versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchlite import BadArgument, Client, Conflict, ModelVersion, NotFound, Pipeline

_ONNX = b"\x08\x09\x3a\x05graph"


class _Expression:
    """What is used of an expression of polars."""

    def __init__(self, name: str = "") -> None:
        self.meta, self.name = self, name

    def alias(self, name: str) -> _Expression:
        return _Expression(name)

    def serialize(self, *, format: str) -> str:  # noqa: A002 - polars' name
        return f"{format} of {self.name}"


@pytest.fixture
def model(client: Client, tmp_path: Path) -> Callable[[str], ModelVersion]:
    """Upload a version of the model of this name."""
    (tmp_path / "model.onnx").write_bytes(_ONNX)
    return lambda name: client.upload_model(name, tmp_path / "model.onnx")


def _named(model: ModelVersion) -> dict[str, str]:
    return {"name": model.name(), "version": model.version(), "sha": model.sha()}


def _step(*models: ModelVersion) -> dict[str, Any]:
    return {"ModelInference": {"models": [_named(model) for model in models]}}


def test_a_pipeline_is_built_deployed_found_and_undeployed(client: Client, model: Callable[[str], ModelVersion]) -> None:
    ccfraud = model("ccfraud")
    built = client.build_pipeline("fraud")
    assert (built.name(), built.workspace_id(), built.steps()) == ("fraud", 1, [])
    assert built.status() == {"status": "Pipeline fraud is not deployed"}
    assert built.add_model_step(ccfraud).deploy(deployment_config={"engine": {"cpu": 1}}) is built
    with Client(client.path()) as other:
        found = other.get_pipeline("fraud")
        assert (found.id(), found.created_at(), found.steps()) == (built.id(), built.created_at(), [_step(ccfraud)])
        assert found.status()["engines"][0]["model_statuses"]["models"][0]["name"] == "ccfraud"
        assert found.undeploy() is found
    assert built.status() == {"status": "Pipeline fraud is not deployed"}
    assert built.undeploy() is built


def test_each_deployment_is_a_version_and_an_earlier_one_can_be_deployed_again(
    client: Client, model: Callable[[str], ModelVersion]
) -> None:
    first, second = model("first"), model("second")
    pipeline = client.build_pipeline("fraud").add_model_step(first).deploy()
    pipeline.clear().add_model_step(second).deploy()
    newest, earlier, built = pipeline.versions()
    assert [version.definition() for version in (newest, earlier)] == [{"id": "fraud", "steps": [_step(each)]} for each in (second, first)]
    assert built.definition() == {}
    assert client.get_pipeline("fraud").steps() == [_step(second)]
    assert client.get_pipeline("fraud", version=earlier.name()).deploy().steps() == [_step(first)]
    assert len(pipeline.versions()) == 4
    assert pipeline.updated_at() == pipeline.versions()[0].created_at()


def test_a_pipeline_that_was_looked_up_keeps_everything_when_it_is_deployed_again(
    client: Client, model: Callable[[str], ModelVersion]
) -> None:
    champion, challenger, high = model("champion"), model("challenger"), pl.col("out.y") > 5
    built = client.build_pipeline("fraud").add_shadow_deploy(champion, [challenger]).add_validations(high=high)
    steps = built.deploy().steps()
    assert client.get_pipeline("fraud").deploy().steps() == steps
    assert client.get_pipeline("fraud").versions()[0].definition()["steps"] == steps


def test_the_first_step_that_is_added_to_a_looked_up_pipeline_replaces_what_is_stored(
    client: Client, model: Callable[[str], ModelVersion]
) -> None:
    first, second = model("first"), model("second")
    client.build_pipeline("fraud").add_model_step(first).deploy()
    assert client.get_pipeline("fraud").add_model_step(second).add_model_step(first).steps() == [_step(second), _step(first)]


def test_building_a_pipeline_again_leaves_nothing_to_deploy(client: Client, model: Callable[[str], ModelVersion]) -> None:
    client.build_pipeline("fraud").add_model_step(model("ccfraud")).deploy()
    again = client.build_pipeline("fraud")
    for pipeline in (again, client.get_pipeline("fraud"), client.get_pipeline("fraud").clear()):
        with pytest.raises(Conflict, match=r"no steps to deploy.*get_pipeline\(name, version=\.\.\.\)\. Building a pipeline again"):
            pipeline.deploy()
    assert again.status()["status"] == "Running"


def test_steps_have_the_platforms_form(client: Client, model: Callable[[str], ModelVersion]) -> None:
    first, second = model("first"), model("second")
    pipeline = client.build_pipeline("fraud")
    assert pipeline.add_shadow_deploy(first, [second]).steps() == [
        _step(first, second),
        {"AuditResults": {"from": 1, "to": None}},
        {"MultiOut": {}},
    ]
    assert pipeline.clear().add_random_split([(2, first), (1.5, second)], "key").steps() == [
        {"RandomSplit": {"hash_key": "key", "weights": [{"model": _named(first), "weight": 2}, {"model": _named(second), "weight": 1.5}]}}
    ]
    assert pipeline.clear().add_key_split(first, "card", {"gold": second}).steps() == [
        {"MetaValueSplit": {"split_key": "card", "control": _named(first), "routes": {"gold": _named(second)}}}
    ]
    assert pipeline.clear().add_validations(high=_Expression(), low=_Expression()).steps() == [
        {"Check": {"tree": ["json of high", "json of low"]}}
    ]


def test_steps_are_replaced_and_removed_by_their_index(client: Client, model: Callable[[str], ModelVersion]) -> None:
    first, second = model("first"), model("second")
    client.build_pipeline("fraud").add_model_step(first).add_model_step(first).deploy()
    pipeline = client.get_pipeline("fraud")
    assert pipeline.replace_with_model_step(1, second).steps() == [_step(first), _step(second)]
    assert pipeline.remove_step(0).steps() == [_step(second)]
    uses: list[Callable[[], object]] = [
        lambda: pipeline.remove_step(1),
        lambda: pipeline.replace_with_model_step(-1, first),
        lambda: pipeline.clear().remove_step(0),
    ]
    for use in uses:
        with pytest.raises(BadArgument) as refusal:
            use()
        assert refusal.value.details["argument"] == "index"


@pytest.mark.parametrize(
    ("add", "message"),
    [
        pytest.param(
            lambda on, model: on.add_model_step("ccfraud"), "model_version is of type str. It takes a version of a model", id="step"
        ),
        pytest.param(lambda on, model: on.add_shadow_deploy(model, [None]), "challengers is of type NoneType", id="challenger"),
        pytest.param(lambda on, model: on.add_shadow_deploy(model, [model]), "one name: ccfraud, ccfraud", id="one name"),
        pytest.param(lambda on, model: on.add_random_split([]), "weighted is empty", id="no weights"),
        pytest.param(lambda on, model: on.add_random_split([(0, model)]), "the weight 0", id="a weight of 0"),
        pytest.param(lambda on, model: on.add_random_split([("1", model)]), "the weight '1'", id="a text as weight"),
        pytest.param(lambda on, model: on.add_key_split(model, "key", {"a": 1}), "options is of type int", id="no model of a key"),
        pytest.param(lambda on, model: on.add_key_split(model, "key", [1]), "options is of type list", id="a list of keys"),
        pytest.param(lambda on, model: on.add_key_split(model, 1, {}), "meta_key is of type int", id="a number as key"),
        pytest.param(lambda on, model: on.add_validations(count=_Expression()), "named 'count'", id="count"),
        pytest.param(
            lambda on, model: on.add_validations(high=1), "high is of type int. It takes an expression of polars", id="no expression"
        ),
        pytest.param(lambda on, model: on.add_validations(), "There is no validation", id="no validation"),
        pytest.param(lambda on, model: on.deploy("a_b"), "'a_b' is not a valid name", id="name"),
        pytest.param(lambda on, model: on.deploy(wait_for_status=1), "wait_for_status is of type int", id="flag"),
    ],
)
def test_a_bad_argument_changes_nothing(
    client: Client, model: Callable[[str], ModelVersion], add: Callable[[Pipeline, ModelVersion], object], message: str
) -> None:
    pipeline = client.build_pipeline("fraud")
    with pytest.raises(BadArgument, match=message):
        add(pipeline, model("ccfraud"))
    assert pipeline.steps() == []


@pytest.mark.parametrize("config", [3, "cpu", {"cpu": float("nan")}, {1: 2}])
def test_settings_of_a_deployment_that_are_no_json_object_are_refused(
    client: Client, model: Callable[[str], ModelVersion], config: Any
) -> None:
    pipeline = client.build_pipeline("fraud").add_model_step(model("first"))
    with pytest.raises(BadArgument) as refusal:
        pipeline.deploy(deployment_config=config)
    assert refusal.value.details["argument"] == "deployment_config"
    assert len(pipeline.versions()) == 1


@pytest.mark.parametrize("name", ["Fraud", "a_b", "1a", "a-", "", "x" * 64])
def test_names_that_the_platform_refuses_are_refused(client: Client, name: str) -> None:
    for use in (client.build_pipeline, client.get_pipeline, client.pipelines_by_name):
        with pytest.raises(BadArgument, match="It takes a lower-case letter"):
            use(name)


def test_pipelines_are_found_in_their_workspace_and_by_name_in_all(client: Client) -> None:
    first = client.build_pipeline("fraud")
    client.set_current_workspace(client.create_workspace("other"))
    assert client.list_pipelines() == []
    with pytest.raises(NotFound, match=r"no pipeline named 'fraud' in workspace 'other'\. list_pipelines\(\) shows"):
        client.get_pipeline("fraud")
    second = client.build_pipeline("fraud")
    assert client.list_pipelines() == [second]
    assert client.pipelines_by_name("fraud") == [second, first]
    assert client.pipelines_by_name("absent") == []
    with pytest.raises(NotFound, match="'fraud' has no version"):
        client.get_pipeline("fraud", version=first.versions()[0].name())


def test_a_deployed_pipeline_is_not_deleted(client: Client, model: Callable[[str], ModelVersion]) -> None:
    pipeline = client.build_pipeline("fraud").add_model_step(model("ccfraud")).deploy()
    with pytest.raises(Conflict, match=r"'fraud' is deployed\. Undeploy it first"):
        pipeline.delete()
    pipeline.undeploy().delete()
    assert (client.list_pipelines(), pipeline.versions()) == ([], [])
    for use in (pipeline.delete, pipeline.status, pipeline.updated_at, pipeline.deploy):
        with pytest.raises(NotFound, match="no pipeline 1 in this store"):
            use()
    assert client.build_pipeline("fraud").id() == 2


def test_pipelines_display_as_tables(client: Client, model: Callable[[str], ModelVersion]) -> None:
    pipeline = client.build_pipeline("fraud").add_model_step(model("ccfraud"))
    assert "<td>fraud</td><td>False</td><td>ccfraud</td>" in pipeline._repr_html_()
    pipeline.deploy()
    assert "<td>fraud</td><td>True</td><td>ccfraud</td>" in client.list_pipelines()._repr_html_()
    assert repr(pipeline) == "Pipeline(id=1, name='fraud', models=['ccfraud'])"
    [newest, _] = pipeline.versions()
    assert repr(newest) == f"PipelineVersion(name='{newest.name()}', models=['ccfraud'])"
    assert f"<td>2</td><td>{newest.name()}</td><td>ccfraud</td>" in pipeline.versions()._repr_html_()
    assert len({newest, *pipeline.versions()}) == 2
    assert len({pipeline, client.get_pipeline("fraud")}) == 1
