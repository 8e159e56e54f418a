"""`wallaroo.deployment_config`: the resources of a deployment.

orchlite stores them with the deployment, and gives them no effect: inference runs in the process that asks for it.
"""

from __future__ import annotations

from typing import Any, Self

from ._absent import fill
from ._engine_config import Acceleration, Architecture, InvalidAccelerationError
from ._submodules import members

_GPUS = {
    Acceleration.OpenVINO: "gpu.intel.com/i915",
    Acceleration.QAIC: "qualcomm.com/qaic",
    Acceleration.ROCM: "amd.com/gpu",
    Acceleration.CUDA: "nvidia.com/gpu",
}
_DEFAULT_GPU = _GPUS[Acceleration.CUDA]


class DeploymentConfig(dict[str, Any]):
    """The settings of a deployment, as a dictionary in the platform's form."""

    __module__ = "wallaroo.deployment_config"

    def complete(self, workspace_id: int, arch: str | None = None, accel: str | None = None) -> Self:
        """Add what `deploy()` adds where nothing is named: the workspace, and the first model's processor. Return this dictionary.

        Raises:
            InvalidAccelerationError: an accelerator is not one of its architecture.
        """
        if self.get("workspace_id") is None:
            self["workspace_id"] = workspace_id
        for part in (self.setdefault("engine", {}), *self.get("engineAux", {}).get("images", {}).values()):
            if part.get("arch") is None and part.get("accel") is None:
                part["arch"], part["accel"] = arch, accel
            part["arch"] = part.get("arch") or str(Architecture.default())
            part["accel"] = part.get("accel") or str(Acceleration.default())
            if not Acceleration(part["accel"]).is_applicable(Architecture(part["arch"])):
                raise InvalidAccelerationError
        return self


class DeploymentConfigBuilder:
    """Builds a `DeploymentConfig` step by step; each method returns the builder.

    The `sidekick_…` methods are about the container of one model. They take the model as `model_version` or, as before 2023.4, as `model`.
    """

    __module__ = "wallaroo.deployment_config"

    def __init__(self, workspace_id: int | None = None) -> None:
        self._engine: dict[str, Any] = {}
        self._balancer: dict[str, Any] = {}
        self._sidekicks: dict[str, dict[str, Any]] = {}
        self._config = DeploymentConfig(engine=self._engine, enginelb=self._balancer, engineAux={"images": self._sidekicks})
        if workspace_id is not None:
            self._config["workspace_id"] = workspace_id

    def build(self) -> DeploymentConfig:
        """Return the settings so far."""
        label = self._engine.get("node_selector")
        for sidekick in self._sidekicks.values() if label else ():
            sidekick.setdefault("node_selector", label)
        return DeploymentConfig(self._config)

    def image(self, image: str) -> Self:
        """Set the container image of the engine."""
        self._engine["image"] = image
        return self

    def cpus(self, core_count: float) -> Self:
        """Set the number of cores."""
        self._engine["cpu"] = core_count
        return self._resource(self._engine, "cpu", core_count)

    def memory(self, memory_spec: str) -> Self:
        """Set the memory, such as `"1Gi"`."""
        return self._resource(self._engine, "memory", memory_spec)

    def gpus(self, gpu_count: int) -> Self:
        """Set the number of GPUs."""
        self._engine["gpu"] = gpu_count
        return self._gpus(self._engine, self._engine.get("accel"), gpu_count)

    def deployment_label(self, label: str) -> Self:
        """Set the label of the nodes to deploy on."""
        self._engine["node_selector"] = label
        return self

    def arch(self, arch: Architecture | None = None) -> Self:
        """Set the architecture; None: that of the first model."""
        return self._choice(self._engine, "arch", arch)

    def accel(self, accel: Acceleration | None = None) -> Self:
        """Set the acceleration; None: that of the first model."""
        return self._acceleration(self._engine, accel)

    def lb_cpus(self, core_count: float) -> Self:
        """Set the number of cores of the load balancer."""
        return self._resource(self._balancer, "cpu", core_count)

    def lb_memory(self, memory_spec: str) -> Self:
        """Set the memory of the load balancer."""
        return self._resource(self._balancer, "memory", memory_spec)

    def python_load_timeout_secs(self, timeout_secs: int) -> Self:
        """Set how long the engine may load a Python step."""
        self._engine.setdefault("python", {})["load_timeout_millis"] = timeout_secs * 1000
        return self

    def replica_count(self, count: int) -> Self:
        """Set the number of replicas.

        Raises:
            RuntimeError: it is above the maximum of the autoscaling.
        """
        if self._engine.get("autoscale", {}).get("replica_max", count) < count:
            raise RuntimeError("Replica count must be less than or equal to replica max. Use replica_autoscale_min_max to adjust this.")
        self._engine["replicas"] = count
        return self

    def replica_autoscale_min_max(self, maximum: int, minimum: int = 0) -> Self:
        """Let the number of replicas vary between the two.

        Raises:
            RuntimeError: the minimum is negative or above the maximum, or `replica_count` is above it.
        """
        if minimum > maximum:
            raise RuntimeError("Minimum must be less than or equal to maximum")
        if minimum < 0:
            raise RuntimeError("Minimum must be at least 0")
        if self._engine.get("replicas", maximum) > maximum:
            raise RuntimeError("Maximum must be greater than or equal to number of replicas")
        return self._autoscale(replica_min=minimum, replica_max=maximum, type="cpu")

    def autoscale_cpu_utilization(self, cpu_utilization_percentage: int) -> Self:
        """Set the average load of a core, in percent, that autoscaling keeps."""
        if "autoscale" not in self._engine:
            print("Warn: min and max not set for autoscaling. These must be set to enable autoscaling", flush=True)
        return self._autoscale(cpu_utilization=cpu_utilization_percentage)

    def disable_autoscale(self) -> Self:
        """Remove all settings of autoscaling."""
        self._engine.pop("autoscale", None)
        return self

    def scale_up_queue_depth(self, queue_depth: int) -> Self:
        """Add replicas when more requests than this wait for each of them."""
        self._autoscale(scale_up_queue_depth=queue_depth, type="queue")
        self._engine["autoscale"].setdefault("scale_down_queue_depth", 1)
        return self

    def scale_down_queue_depth(self, queue_depth: int | None = None) -> Self:
        """Remove replicas when fewer requests than this wait for each of them; None: fewer than 1.

        Raises:
            ValueError: `scale_up_queue_depth` was not set.
        """
        self._require_queue("scale_down_queue_depth")
        return self._autoscale(scale_down_queue_depth=1 if queue_depth is None else queue_depth)

    def autoscaling_window(self, window_seconds: int | None = None) -> Self:
        """Set the time over which the queue is measured; None: 300 s.

        Raises:
            ValueError: `scale_up_queue_depth` was not set.
        """
        self._require_queue("autoscaling_window")
        return self._autoscale(autoscaling_window=300 if window_seconds is None else window_seconds)

    def sidekick_cpus(self, model_version: Any = None, core_count: float | None = None, *, model: Any = None) -> Self:
        """Set the number of cores."""
        return self._resource(self._sidekick(model_version, model), "cpu", _given(core_count, "core_count"))

    def sidekick_memory(self, model_version: Any = None, memory_spec: str | None = None, *, model: Any = None) -> Self:
        """Set the memory, such as `"1Gi"`."""
        return self._resource(self._sidekick(model_version, model), "memory", _given(memory_spec, "memory_spec"))

    def sidekick_gpus(self, model_version: Any = None, gpu_count: int | None = None, *, model: Any = None) -> Self:
        """Set the number of GPUs."""
        owner = model if model_version is None else model_version
        return self._gpus(self._sidekick(model_version, model), owner.accel(), _given(gpu_count, "gpu_count"))

    def sidekick_env(self, model_version: Any = None, environment: dict[str, str] | None = None, *, model: Any = None) -> Self:
        """Set environment variables."""
        pairs = _given(environment, "environment").items()
        self._sidekick(model_version, model)["env"] = [{"name": name, "value": value} for name, value in pairs]
        return self

    def sidekick_arch(self, model_version: Any = None, arch: Architecture | None = None, *, model: Any = None) -> Self:
        """Set the architecture; None: the model's."""
        return self._choice(self._sidekick(model_version, model), "arch", arch)

    def sidekick_accel(self, model_version: Any = None, accel: Acceleration | None = None, *, model: Any = None) -> Self:
        """Set the acceleration; None: the model's."""
        return self._acceleration(self._sidekick(model_version, model), accel)

    def _sidekick(self, model_version: Any, model: Any) -> dict[str, Any]:
        owner = _given(model if model_version is None else model_version, "model_version")
        return self._sidekicks.setdefault(owner.uid(), {})

    def _autoscale(self, **settings: Any) -> Self:
        self._engine.setdefault("autoscale", {}).update(settings)
        return self

    def _require_queue(self, name: str) -> None:
        if "scale_up_queue_depth" not in self._engine.get("autoscale", {}):
            raise ValueError(f"{name} is only applicable when scale_up_queue_depth is configured.")

    def _resource(self, part: dict[str, Any], name: str, value: object) -> Self:
        resources = part.setdefault("resources", {"limits": {}, "requests": {}})
        resources["limits"][name] = resources["requests"][name] = value
        return self

    def _gpus(self, part: dict[str, Any], accel: str | None, count: int) -> Self:
        _take_gpus(part)
        return self._resource(part, _GPUS.get(Acceleration(accel or Acceleration.default()), _DEFAULT_GPU), count)

    def _choice(self, part: dict[str, Any], key: str, value: object) -> Self:
        if value is None:
            part.pop(key, None)
        else:
            part[key] = str(value)
        return self

    def _acceleration(self, part: dict[str, Any], accel: Acceleration | None) -> Self:
        self._choice(part, "accel", accel)
        count = _take_gpus(part) if accel in _GPUS else None
        return self if count is None else self._gpus(part, accel, count)


def _take_gpus(part: dict[str, Any]) -> Any:
    """Remove and return the number of GPUs, whatever their maker; None if there is none."""
    counts = [part.get("resources", {}).get(kind, {}).pop(name, None) for kind in ("limits", "requests") for name in _GPUS.values()]
    return next((count for count in counts if count is not None), None)


def _given(value: Any, name: str) -> Any:
    if value is None:
        raise TypeError(f"missing 1 required positional argument: {name!r}")
    return value


fill(DeploymentConfigBuilder, members("deployment_config", "DeploymentConfigBuilder"))
