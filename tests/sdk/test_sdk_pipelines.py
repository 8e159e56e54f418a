"""Pipelines as the SDK shows them: steps, deployment, look-ups, prints, and the traps that programs know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite.sdk.wallaroo as wallaroo
from orchlite.sdk.wallaroo import Client
from tests.onnx_models import weighing

ONNX = wallaroo.framework.Framework.ONNX


@pytest.fixture
def models(wl: Any, tmp_path: Path) -> list[Any]:
    """Three models: `house-1` to `house-3`."""
    files = {number: weighing(tmp_path / f"{number}.onnx", [number, 0.0]) for number in (1, 2, 3)}
    return [wl.upload_model(f"house-{number}", file, framework=ONNX) for number, file in files.items()]


@pytest.fixture
def pipeline(wl: Any, models: list[Any]) -> Any:
    return wl.build_pipeline("houses").add_model_step(models[0])


def named(model: Any) -> dict[str, str]:
    return {"name": model.name(), "version": model.version(), "sha": model.sha()}


def step(*models: Any) -> dict[str, Any]:
    return {"ModelInference": {"models": [named(model) for model in models]}}


class TestBuilding:
    def test_a_new_one_has_a_version_without_steps(self, wl: Any) -> None:
        pipeline = wl.build_pipeline("houses")
        assert type(pipeline) is wallaroo.pipeline.Pipeline
        assert (pipeline.name(), pipeline.steps(), pipeline.definition(), type(pipeline.id())) == ("houses", [], "[]", int)
        assert [version.definition() for version in pipeline.versions()] == [{}]
        assert pipeline.workspace() == wl.get_current_workspace()

    def test_an_existing_one_is_the_same_with_a_further_version_and_no_steps_in_hand(self, wl: Any, pipeline: Any) -> None:
        pipeline.deploy()
        again = wl.build_pipeline("houses")
        assert (again, again.steps(), len(again.versions())) == (pipeline, [], 3)
        assert again.status()["status"] == "Running"

    def test_steps_are_in_the_handle_until_it_is_deployed(self, wl: Any, pipeline: Any, models: list[Any]) -> None:
        assert pipeline.definition() == str([step(models[0])])
        assert [each.to_json() for each in pipeline.steps()] == [step(models[0])]
        assert [version.definition() for version in pipeline.versions()] == [{}]
        pipeline.deploy()
        assert pipeline.versions()[0].definition() == {"id": "houses", "steps": [step(models[0])]}

    def test_steps_are_replaced_removed_and_cleared(self, pipeline: Any, models: list[Any]) -> None:
        one, two, three = models
        assert pipeline.add_model_step(two).replace_with_model_step(0, three) is pipeline
        assert pipeline.definition() == str([step(three), step(two)])
        assert pipeline.remove_step(1).definition() == str([step(three)])
        assert pipeline.replace_with_model_step(index=0, model_version=one).definition() == str([step(one)])
        assert pipeline.clear().definition() == "[]"

    def test_old_names_of_arguments_are_taken(self, pipeline: Any, models: list[Any]) -> None:
        assert pipeline.clear().add_model_step(model=models[1]).definition() == str([step(models[1])])
        assert pipeline.replace_with_model_step(0, model=models[2]).definition() == str([step(models[2])])

    def test_a_shadow_deployment_is_three_steps(self, pipeline: Any, models: list[Any]) -> None:
        made = pipeline.clear().add_shadow_deploy(models[0], challengers=models[1:])
        assert made.definition() == str([step(*models), {"AuditResults": {"from": 1, "to": None}}, {"MultiOut": {}}])

    def test_a_random_split_has_weights(self, pipeline: Any, models: list[Any]) -> None:
        made = pipeline.clear().add_random_split([(2, models[0]), (1, models[1])], "key")
        weights = [{"model": named(models[0]), "weight": 2}, {"model": named(models[1]), "weight": 1}]
        assert made.definition() == str([{"RandomSplit": {"hash_key": "key", "weights": weights}}])

    def test_a_key_split_has_routes(self, pipeline: Any, models: list[Any]) -> None:
        one, two, _ = models
        made = pipeline.clear().add_key_split(one, "card_type", {"gold": two})
        split = {"MetaValueSplit": {"split_key": "card_type", "control": named(one), "routes": {"gold": named(two)}}}
        assert made.definition() == str([split])
        assert made.steps()[0].shortname() == "Key Split [card_type]"
        assert made.steps()[0].is_inference_step()
        assert made.replace_with_key_split(0, two, "card_type", {}).definition() != str([split])
        made.replace_with_key_split(0, one, "card_type", {"gold": two}).deploy()

    def test_validations_are_expressions_with_names(self, pipeline: Any) -> None:
        import polars as pl

        made = pipeline.add_validations(too_much=pl.col("out.variable").list.get(0) > 5)
        [text] = made.steps()[1].to_json()["Check"]["tree"]
        assert "too_much" in text

    def test_one_validation_is_added_as_until_2023(self, pipeline: Any) -> None:
        import polars as pl

        expression = pl.col("out.variable").list.get(0) > 5
        assert pipeline.add_validation("too_much", expression) is pipeline
        pipeline.add_validations(too_much=expression)
        [_, old, new] = pipeline.steps()
        assert old.to_json() == new.to_json()

    def test_outputs_are_not_iterated(self, models: list[Any]) -> None:
        with pytest.raises(TypeError):
            list(models[0].outputs)

    def test_a_validation_cannot_be_called_count(self, pipeline: Any) -> None:
        import polars as pl

        with pytest.warns(UserWarning, match="'count' is not a valid name"):
            pipeline.add_validations(count=pl.col("out.variable").list.get(0) > 5)

    @pytest.mark.parametrize("name", ["with_underscore", "1st", "end-", "a" * 64, ""])
    def test_a_bad_name_is_the_sdks_error(self, wl: Any, name: str) -> None:
        with pytest.raises(wallaroo.object.InvalidNameError, match="DNS-compatible"):
            wl.build_pipeline(name)

    @pytest.mark.parametrize(
        "call",
        [lambda p, m: p.replace_with_model_step(2, m), lambda p, m: p.remove_step(1), lambda p, m: p.remove_step(index=7)],
        ids=["replace", "remove", "far"],
    )
    def test_a_step_that_is_not_there_is_an_index_error(self, pipeline: Any, models: list[Any], call: Callable[..., object]) -> None:
        with pytest.raises(IndexError):
            call(pipeline, models[0])


class TestDeploying:
    def test_one_runs_at_once_and_says_nothing(self, pipeline: Any, models: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
        assert pipeline.deploy() is pipeline
        status = pipeline.status()
        assert list(status) == ["status", "details", "engines", "engine_lbs", "sidekicks"]
        assert (status["status"], status["details"], status["sidekicks"]) == ("Running", [], [])
        [engine] = status["engines"]
        assert list(engine) == ["ip", "name", "status", "reason", "details", "pipeline_statuses", "model_statuses"]
        version = pipeline.versions()[0].name()
        assert engine["pipeline_statuses"] == {"pipelines": [{"id": "houses", "status": "Running", "version": version}]}
        [model] = engine["model_statuses"]["models"]
        assert {**named(models[0]), "status": "Running", "model_version_id": models[0].id()} == model
        assert capsys.readouterr().out == ""

    def test_without_waiting_it_says_so(self, pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
        assert pipeline.deploy(wait_for_status=False) is pipeline
        assert capsys.readouterr().out == "Deployment initiated for houses. Please check pipeline status.\n"

    def test_its_settings_are_kept(self, wl: Any, pipeline: Any) -> None:
        config = wallaroo.DeploymentConfigBuilder().cpus(1).memory("1Gi").build()
        pipeline.deploy("houses-deployed", deployment_config=config)
        deployment = wl.deployment_by_name("houses-deployed")
        assert isinstance(deployment, wallaroo.deployment.Deployment)
        assert (deployment.name(), deployment.pipeline_name(), deployment.deployed()) == ("houses-deployed", "houses", True)
        assert deployment.engine_config() == config
        assert config["workspace_id"] == wl.get_current_workspace().id()
        assert (config["engine"]["arch"], config["engine"]["accel"]) == ("x86", "none")

    def test_each_deployment_stores_a_version(self, pipeline: Any) -> None:
        first = pipeline.deploy().versions()[0].name()
        assert pipeline.deploy().versions()[0].name() != first
        assert len(pipeline.versions()) == 3

    def test_one_is_undeployed_for_every_process(self, wl: Any, pipeline: Any) -> None:
        pipeline.deploy()
        other: Any = Client()
        assert other.get_pipeline("houses").undeploy().name() == "houses"
        assert pipeline.undeploy() is pipeline
        assert wl.deployment_by_name("houses").deployed() is False
        with pytest.raises(wallaroo.object.EntityNotFoundError) as caught:
            pipeline.status()
        assert str(caught.value) == "Deployment not found not found: {'name': 'houses'}"

    def test_what_was_never_deployed_is_not_undeployed(self, pipeline: Any) -> None:
        assert pipeline.undeploy() is pipeline
        assert pipeline.status() == {"status": "Pipeline houses is not deployed"}

    def test_its_address_is_that_of_the_server_that_was_named(self, pipeline: Any) -> None:
        with pytest.raises(RuntimeError, match="has no url"):
            pipeline.url()
        pipeline.deploy()
        named: Any = Client(api_endpoint="http://127.0.0.1:8080")
        assert named.get_pipeline("houses").url() == "http://127.0.0.1:8080/v1/api/pipelines/infer/houses-1/houses"
        with pytest.raises(NotImplementedError, match="it needs a server of this store"):
            pipeline.url()

    def test_one_without_steps_says_so(self, wl: Any) -> None:
        wl.build_pipeline("houses")
        with pytest.raises(wallaroo.deployment.WaitForDeployError, match=r"houses.*has no steps"):
            wl.get_pipeline("houses").deploy()

    def test_one_whose_model_was_deleted_says_so(self, wl: Any, pipeline: Any, models: list[Any]) -> None:
        pipeline.deploy().undeploy()
        engine = wl._engine()
        with engine.store.transaction() as transaction:
            engine.store.models.delete(transaction, models[0].models_pk_id(), engine.context.clock.now())
        with pytest.raises(wallaroo.object.EntityNotFoundError, match="ModelVersion not found"):
            wl.get_pipeline("houses").deploy()

    def test_it_goes_into_the_current_workspace(self, wl: Any, pipeline: Any) -> None:
        pipeline.deploy()
        other = wl.set_current_workspace(wl.create_workspace("other"))
        [found] = wl.pipelines_by_name("houses")
        assert found.deploy().workspace() == other
        assert [one.workspace().name() for one in wl.pipelines_by_name("houses")] == ["other", "default"]


class TestFetching:
    """The traps: what a handle of an existing pipeline knows."""

    def test_a_fetched_one_shows_no_steps_and_deploys_those_of_its_newest_version(self, wl: Any, pipeline: Any, models: list[Any]) -> None:
        pipeline.add_model_step(models[1]).deploy()
        fetched = wl.get_pipeline("houses")
        assert (fetched, fetched.definition(), fetched.steps()) == (pipeline, "[]", [])
        fetched.deploy()
        assert fetched.definition() == str([step(models[0]), step(models[1])])
        assert fetched.versions()[0].definition()["steps"] == [step(models[0]), step(models[1])]

    def test_a_fetched_version_is_deployed_once(self, wl: Any, pipeline: Any, models: list[Any]) -> None:
        old = pipeline.deploy().versions()[0].name()
        pipeline.replace_with_model_step(0, models[1]).deploy()
        fetched = wl.get_pipeline("houses", version=old)
        fetched.deploy()
        assert fetched.versions()[0].definition()["steps"] == [step(models[0])]
        assert fetched._version_to_deploy is None

    def test_a_redeployed_shadow_loses_its_challengers_and_checks(self, wl: Any, pipeline: Any, models: list[Any]) -> None:
        import polars as pl

        pipeline.clear().add_shadow_deploy(models[0], models[1:]).add_validations(much=pl.col("out.variable").list.get(0) > 5).deploy()
        fetched = wl.get_pipeline("houses").deploy()
        assert fetched.versions()[0].definition()["steps"] == [step(models[0])]

    def test_a_step_of_a_fetched_one_cannot_be_replaced(self, wl: Any, pipeline: Any, models: list[Any]) -> None:
        pipeline.deploy()
        with pytest.raises(IndexError):
            wl.get_pipeline("houses").replace_with_model_step(0, models[1])

    def test_one_is_looked_up_in_the_current_workspace_or_in_all(self, wl: Any, pipeline: Any) -> None:
        first = wl.get_current_workspace()
        wl.set_current_workspace(wl.create_workspace("other"))
        with pytest.raises(Exception, match=r"^Pipeline houses not found in this workspace\.$") as caught:
            wl.get_pipeline("houses")
        assert type(caught.value) is Exception
        assert wl.pipelines_by_name("houses") == [pipeline]
        again = wl.build_pipeline("houses")
        assert wl.pipelines_by_name(pipeline_name="houses") == [again, pipeline]
        assert wl.pipelines_by_name("houses", workspace_id=first.id()) == [pipeline]
        assert wl.pipelines_by_name("houses", workspace_name="other") == [again]
        assert wl.list_pipelines() == [again, pipeline]
        assert wl.list_pipelines(workspace_name="default") == first.pipelines() == [pipeline]

    @pytest.mark.parametrize("named", [{}, {"workspace_id": 77}, {"workspace_name": "absent"}], ids=["all", "id", "name"])
    def test_none_of_that_name_is_not_found(self, wl: Any, pipeline: Any, named: dict[str, Any]) -> None:
        with pytest.raises(wallaroo.object.EntityNotFoundError) as caught:
            wl.pipelines_by_name("absent", **named)
        assert str(caught.value) == "Pipeline not found: {'pipeline_name': 'absent'}"

    def test_a_version_that_is_none_is_a_plain_exception(self, wl: Any, pipeline: Any) -> None:
        with pytest.raises(Exception, match=r"^Pipeline version 7 not found in this workspace\.$"):
            wl.get_pipeline("houses", version="7")

    def test_a_deployment_that_is_none_is_not_found(self, wl: Any, pipeline: Any) -> None:
        with pytest.raises(wallaroo.object.EntityNotFoundError, match=r"Deployment not found: \{'deployment_name': 'houses'\}"):
            wl.deployment_by_name("houses")

    def test_its_configuration_names_the_models(self, pipeline: Any, models: list[Any]) -> None:
        pipeline.deploy()
        found = pipeline.get_pipeline_configuration()
        assert found == {
            "pipeline_id": "houses",
            "version": pipeline.versions()[0].name(),
            "definition": {"id": "houses", "steps": [step(models[0])]},
        }
        oldest = pipeline.variants()[-1]
        assert pipeline.get_pipeline_configuration(version=oldest.name())["definition"] == oldest.definition() == {}
        with pytest.raises(Exception, match="Failed to get pipeline version"):
            pipeline.get_pipeline_configuration("7")


class TestPrints:
    def test_one_prints_as_the_sdks(self, pipeline: Any, models: list[Any]) -> None:
        assert str(pipeline).startswith("{'name': 'houses', 'create_time': datetime.datetime(20")
        assert str(pipeline).endswith(f"tzinfo=tzutc()), 'definition': \"{[step(models[0])]}\"}}")

    def test_a_workspace_prints_what_is_in_it(self, wl: Any, pipeline: Any) -> None:
        workspace = wl.get_current_workspace()
        shown = str(workspace)
        assert shown == str(workspace.to_json())
        keys = ["name", "id", "archived", "created_by", "created_at", "models", "pipelines"]
        assert list(workspace.to_json()) == keys
        assert f"'created_by': '{wl.auth.user_id()}'" in shown
        assert shown.count("'versions': 1, 'owner_id': ") == 3
        assert "'pipelines': [{'name': 'houses', 'create_time': datetime.datetime(" in shown

    def test_lists_are_tables_in_a_notebook(self, wl: Any, pipeline: Any) -> None:
        pipeline.deploy()
        assert "<th>deployed</th>" in wl.list_pipelines()._repr_html_()
        assert "<td>True</td>" in wl.list_pipelines()._repr_html_()
        assert "<td>house-1</td>" in pipeline._repr_html_()
        assert pipeline.versions()[0].name() in pipeline.versions()._repr_html_()
        assert wallaroo.pipeline.Pipelines()._repr_html_() == "(no pipelines)"
