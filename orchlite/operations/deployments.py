"""Builds, deploys and undeploys pipelines. A deployment is running as soon as it is stored: each process loads what it infers with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchlite.core.errors import BadArgument, Conflict, InferenceFailed
from orchlite.core.hints import PythonOnly
from orchlite.core.model_records import DeploymentRow, PipelineRow, PipelineVersionRow
from orchlite.core.pipeline_steps import Step, models_of
from orchlite.inference import runnable
from orchlite.operations.context import Context

_RUNNING = "Running"
_LOCAL_ADDRESS = "127.0.0.1"


def build(context: Context, workspace_id: int, name: str, definition: Mapping[str, Any] | None = None) -> PipelineVersionRow:
    """Add a version to the pipeline of this name, which is created if it is missing: by default, as on the platform, one without steps.

    Raises:
        BadArgument: a step, or a validation, cannot run here.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    _check_runnable(definition or {})
    now = context.clock.now()
    with context.store.transaction() as transaction:
        pipeline = context.store.pipelines.find_or_create(transaction, workspace_id, name, now)
        return context.store.pipelines.add_version(transaction, pipeline.pipeline_id, definition or {}, now)


def deploy(
    context: Context, pipeline_id: int, steps: Sequence[Step], *, name: str | None = None, config: Mapping[str, Any] | None = None
) -> DeploymentRow:
    """Store steps as a new version of the pipeline, and deploy it in place of what is deployed: both or none.

    name: the deployment's name; by default the pipeline's.
    config: a JSON object, which is kept and has no effect.

    Raises:
        NotFound: there is no such pipeline.
        BadArgument: a step, or a validation, cannot run here.
        Conflict: there are no steps, or they name a model version that does not exist.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    pipeline, now = context.store.pipelines.get(pipeline_id), context.clock.now()
    definition = {"id": pipeline.name, "steps": list(steps)}
    _check_runnable(definition)
    with context.store.transaction() as transaction:
        _check_steps(context, pipeline, definition)
        version = context.store.pipelines.add_version(transaction, pipeline_id, definition, now)
        return context.store.deployments.deploy(transaction, version, name or pipeline.name, config or {}, now)


def deploy_version(
    context: Context, pipeline_version_id: int, *, name: str | None = None, config: Mapping[str, Any] | None = None
) -> DeploymentRow:
    """Deploy a version that is stored already; otherwise as `deploy`.

    Raises:
        NotFound: there is no such version.
        BadArgument: a step, or a validation, cannot run here.
        Conflict: it has no steps, or they name a model version that does not exist.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    version = context.store.pipelines.version(pipeline_version_id)
    pipeline = context.store.pipelines.get(version.pipeline_id)
    _check_runnable(version.definition)
    with context.store.transaction() as transaction:
        context.store.pipelines.version(pipeline_version_id)  # again: it may have been deleted with its pipeline a moment ago
        _check_steps(context, pipeline, version.definition)
        return context.store.deployments.deploy(transaction, version, name or pipeline.name, config or {}, context.clock.now())


def undeploy(context: Context, pipeline_id: int) -> bool:
    """Undeploy a pipeline; idempotent. Return whether it was deployed. An inference that has begun ends as if it still were.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    with context.store.transaction() as transaction:
        return context.store.deployments.undeploy(transaction, pipeline_id, context.clock.now())


def stored_steps(context: Context, pipeline_id: int, version: PipelineVersionRow | None = None) -> list[Step]:
    """Return the steps of a version of the pipeline, by default of its newest one.

    Raises:
        Conflict: that version has no steps.
    """
    found = version or context.store.pipelines.newest_version(pipeline_id)
    steps = [] if found is None else list(found.definition.get("steps") or ())
    if not steps:
        raise _without_steps(context.store.pipelines.get(pipeline_id))
    return steps


def status(context: Context, pipeline_id: int) -> dict[str, Any] | None:
    """Return the status of a deployed pipeline, as the platform's SDK returns it: `{"status": "Running", "engines": [...], ...}`.

    None if it is not deployed.

    Raises:
        NotFound: there is no such pipeline.
    """
    pipeline, deployment = context.store.pipelines.get(pipeline_id), context.store.deployments.of_pipeline(pipeline_id)
    if deployment is None or not deployment.is_deployed:
        return None
    version = context.store.pipelines.version(deployment.pipeline_version_id)
    models = [_model_status(context, model) for model in _unique(models_of(version.definition))]
    engine = {
        **_running(f"engine-{deployment.name}"),
        "pipeline_statuses": {"pipelines": [{"id": pipeline.name, "status": _RUNNING, "version": version.version}]},
        "model_statuses": {"models": models},
    }
    balancer = _running(f"engine-lb-{deployment.name}")
    return {"status": _RUNNING, "details": [], "engines": [engine], "engine_lbs": [balancer], "sidekicks": []}


def _running(name: str) -> dict[str, Any]:
    # In the order in which the platform lists them: programs print it.
    return {"ip": _LOCAL_ADDRESS, "name": name, "status": _RUNNING, "reason": None, "details": []}


def _unique(models: Iterator[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
    return iter({model["version"]: model for model in models}.values())


def _model_status(context: Context, model: Mapping[str, str]) -> dict[str, Any]:
    known = context.store.models.find_version(model["version"])
    shown = {key: model[key] for key in ("name", "sha", "version")}
    return {"model_version_id": None if known is None else known.model_version_id, **shown, "status": _RUNNING}


def _check_runnable(definition: Mapping[str, Any]) -> None:
    try:
        runnable.check(definition)
    except InferenceFailed as error:
        raise BadArgument(error.message, hint=error.hint, **error.details, argument="steps") from error


def _check_steps(context: Context, pipeline: PipelineRow, definition: Mapping[str, Any]) -> None:
    """Refuse steps that cannot run. Called in the transaction that deploys them, so that no model is deleted meanwhile."""
    if not definition.get("steps"):
        raise _without_steps(pipeline)
    for model in models_of(definition):
        if context.store.models.find_version(model["version"]) is None:
            raise Conflict(
                f"Pipeline {pipeline.name!r} has a step with model {model['name']!r}, version {model['version']}, which was deleted.",
                hint="Upload the model again, and replace the step.",
                pipeline=pipeline.name,
                model=model["name"],
                version=model["version"],
            )


def _without_steps(pipeline: PipelineRow) -> Conflict:
    return Conflict(
        f"Pipeline {pipeline.name!r} has no steps to deploy.",
        hint="Add a step" + PythonOnly(", or get an earlier version: get_pipeline(name, version=...)") + "."
        " Building a pipeline again stores a version without steps.",
        pipeline=pipeline.name,
    )
