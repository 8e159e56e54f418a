"""The settings of deployments: dictionaries in the platform's form, since programs print them and pass them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import orchlite.sdk.wallaroo as wallaroo
from orchlite.sdk.wallaroo._deployment_config import DeploymentConfig, DeploymentConfigBuilder
from orchlite.sdk.wallaroo._engine_config import Acceleration, Architecture, InvalidAccelerationError

Builder = Callable[[DeploymentConfigBuilder], object]


class OfAModel:
    """Stands for a model's version: all that the builder reads of one."""

    def uid(self) -> str:
        return "embedder-7"

    def accel(self) -> str:
        return "openvino"


def built(build: Builder) -> dict[str, Any]:
    builder = DeploymentConfigBuilder()
    assert build(builder) is builder
    return builder.build()


def equal(value: object, name: str) -> dict[str, Any]:
    return {"limits": {name: value}, "requests": {name: value}}


def test_a_new_one_is_empty_and_a_dictionary() -> None:
    config = wallaroo.DeploymentConfigBuilder().build()
    assert isinstance(config, dict)
    assert type(config) is DeploymentConfig
    assert str(config) == "{'engine': {}, 'enginelb': {}, 'engineAux': {'images': {}}}"
    assert DeploymentConfigBuilder(workspace_id=3).build()["workspace_id"] == 3


@pytest.mark.parametrize(
    ("build", "engine"),
    [
        (lambda b: b.cpus(0.5), {"cpu": 0.5, "resources": equal(0.5, "cpu")}),
        (lambda b: b.memory("1Gi"), {"resources": equal("1Gi", "memory")}),
        (lambda b: b.gpus(1), {"gpu": 1, "resources": equal(1, "nvidia.com/gpu")}),
        (lambda b: b.replica_count(2), {"replicas": 2}),
        (lambda b: b.deployment_label("l"), {"node_selector": "l"}),
        (lambda b: b.image("i"), {"image": "i"}),
        (lambda b: b.arch(Architecture.ARM).accel(Acceleration.CUDA), {"arch": "arm", "accel": "cuda"}),
        (lambda b: b.arch(Architecture.ARM).arch().accel(Acceleration.CUDA).accel(None), {}),
        (lambda b: b.python_load_timeout_secs(30), {"python": {"load_timeout_millis": 30_000}}),
        (lambda b: b.replica_autoscale_min_max(5), {"autoscale": {"replica_min": 0, "replica_max": 5, "type": "cpu"}}),
        (lambda b: b.replica_autoscale_min_max(minimum=1, maximum=5).disable_autoscale(), {}),
        (lambda b: b.scale_up_queue_depth(5), {"autoscale": {"scale_up_queue_depth": 5, "type": "queue", "scale_down_queue_depth": 1}}),
        (
            lambda b: b.scale_up_queue_depth(queue_depth=5).scale_down_queue_depth(2).autoscaling_window(),
            {"autoscale": {"scale_up_queue_depth": 5, "type": "queue", "scale_down_queue_depth": 2, "autoscaling_window": 300}},
        ),
    ],
)
def test_the_engine_is_described_as_on_the_platform(build: Builder, engine: dict[str, Any]) -> None:
    assert built(build) == {"engine": engine, "enginelb": {}, "engineAux": {"images": {}}}


def test_a_change_of_the_accelerator_keeps_the_number_of_gpus() -> None:
    config = built(lambda b: b.gpus(2).accel(Acceleration.OpenVINO))
    assert config["engine"] == {"gpu": 2, "accel": "openvino", "resources": equal(2, "gpu.intel.com/i915")}


def test_the_load_balancer_has_resources_of_its_own() -> None:
    config = built(lambda b: b.lb_cpus(1).lb_memory("2Gi"))
    assert config["enginelb"]["resources"]["requests"] == {"cpu": 1, "memory": "2Gi"}
    assert config["engine"] == {}


@pytest.mark.parametrize("keyword", [None, "model_version", "model"])
def test_a_models_container_is_named_after_it_whatever_the_argument_is_called(keyword: str | None) -> None:
    def build(builder: Any) -> object:
        model, named = ([OfAModel()], {}) if keyword is None else ([], {keyword: OfAModel()})
        builder.sidekick_cpus(*model, core_count=1, **named).sidekick_memory(*model, memory_spec="1Gi", **named)
        builder.sidekick_gpus(*model, gpu_count=3, **named).sidekick_env(*model, environment={"A": "b"}, **named)
        return builder.sidekick_arch(*model, arch=Architecture.ARM, **named).deployment_label("l")

    resources = {"cpu": 1, "memory": "1Gi", "gpu.intel.com/i915": 3}
    assert built(build)["engineAux"]["images"] == {
        "embedder-7": {
            "resources": {"limits": resources, "requests": resources},
            "env": [{"name": "A", "value": "b"}],
            "arch": "arm",
            "node_selector": "l",
        }
    }


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda b: b.replica_autoscale_min_max(1, 2), RuntimeError, "Minimum must be less than or equal to maximum"),
        (lambda b: b.replica_autoscale_min_max(1, -1), RuntimeError, "Minimum must be at least 0"),
        (lambda b: b.replica_count(3).replica_autoscale_min_max(2), RuntimeError, "Maximum must be greater than"),
        (lambda b: b.replica_autoscale_min_max(2).replica_count(3), RuntimeError, "Use replica_autoscale_min_max to adjust this"),
        (lambda b: b.autoscaling_window(3), ValueError, "only applicable when scale_up_queue_depth"),
        (lambda b: b.scale_down_queue_depth(), ValueError, "only applicable when scale_up_queue_depth"),
        (lambda b: b.sidekick_cpus(OfAModel()), TypeError, "core_count"),
        (lambda b: b.sidekick_cpus(core_count=3), TypeError, "model_version"),
        (lambda b: b.cpus(cores=3), TypeError, "cores"),
    ],
)
def test_what_contradicts_itself_is_refused_in_the_sdks_words(build: Builder, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        build(DeploymentConfigBuilder())


def test_a_load_without_bounds_is_warned_of_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert built(lambda b: b.autoscale_cpu_utilization(75))["engine"] == {"autoscale": {"cpu_utilization": 75}}
    assert capsys.readouterr().out.startswith("Warn: min and max not set for autoscaling.")


def test_a_deployment_adds_what_was_not_chosen() -> None:
    config = DeploymentConfigBuilder().sidekick_cpus(OfAModel(), 1).build()
    assert config.complete(4) is config
    assert (config["workspace_id"], config["engine"]) == (4, {"arch": "x86", "accel": "none"})
    assert config["engineAux"]["images"]["embedder-7"]["arch"] == "x86"


def test_an_accelerator_that_the_architecture_lacks_is_refused() -> None:
    config = DeploymentConfigBuilder().arch(Architecture.X86).accel(Acceleration.Jetson).build()
    with pytest.raises(InvalidAccelerationError, match="configuration is not available"):
        config.complete(1)


def test_processors_print_and_compare_as_their_names() -> None:
    assert [str(one) for one in Architecture] == ["x86", "arm", "power10"]
    assert (Acceleration.default(), f"{Acceleration.QAIC}", Acceleration("cuda")) == ("none", "qaic", Acceleration.CUDA)
    assert [one.value for one in Acceleration if one.requires_config()] == ["qaic"]
    assert Architecture.default() is Architecture.X86
