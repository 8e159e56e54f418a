"""The JSON that `--json` prints: one kind of object for each kind of thing. Times are ISO 8601 in UTC, and ids are complete.

Names of fields, their types and meanings do not change; later releases may add fields.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchlite.cli.lookup import lookup_of

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.connection import Connection
    from orchlite.client.event import Event
    from orchlite.client.model import Model, ModelVersion
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.pipeline import Pipeline
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun
    from orchlite.client.workspace import Workspace
    from orchlite.operations.comparison import Comparison
    from orchlite.operations.retention import Pruned
    from orchlite.operations.seeding import SeedChange

JsonObject = dict[str, Any]


def time_json(at: datetime | None) -> str | None:
    """Return `2026-03-01T14:00:00.123456Z`."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def orchestration_json(orchestration: Orchestration) -> JsonObject:
    """Return {id, name, status, file_name, sha, entrypoint, requirements, installed, warnings, workspace_id, created_at}."""
    return {
        "id": orchestration.id(),
        "name": orchestration.name(),
        "status": str(orchestration.status()),
        "file_name": orchestration.file_name(),
        "sha": orchestration.sha(),
        "entrypoint": orchestration.entrypoint(),
        "requirements": orchestration.requirements(),
        "installed": orchestration.installed(),
        "warnings": orchestration.warnings(),
        "workspace_id": orchestration.workspace_id(),
        "created_at": time_json(orchestration.created_at()),
    }


def full_orchestration_json(orchestration: Orchestration) -> JsonObject:
    """Return `orchestration_json` and `reason`: why packaging failed, or null."""
    [newest, *_] = orchestration.task().last_runs(1)
    return {**orchestration_json(orchestration), "reason": newest.reason() if orchestration.status() == "error" else None}


def task_json(task: Task) -> JsonObject:
    """Return {id, name, kind, status, reason, orchestration_id, workspace_id, arguments, timeout_seconds, schedule, timezone, …}.

    The others are `memory_bytes`, `cpu_seconds`, `nice`, `next_run_at`, `missed` (the number of slots without a run), `retries`,
    `retry_delay_seconds` and `created_at`.
    """
    return {
        "id": task.id(),
        "name": task.name(),
        "kind": str(task.kind()),
        "status": str(task.status()),
        "reason": task.reason(),
        "orchestration_id": task.orchestration(),
        "workspace_id": task.workspace_id(),
        "arguments": task.input_data(),
        "timeout_seconds": task.timeout(),
        **_resources(task),
        "schedule": task.schedule(),
        "timezone": task.timezone(),
        "next_run_at": time_json(task.next_run_at()),
        "missed": task.missed(),
        "retries": task.retries(),
        "retry_delay_seconds": task.retry_delay(),
        "created_at": time_json(task.created_at()),
    }


def _resources(one: Task | TaskRun) -> JsonObject:
    return {"memory_bytes": one.memory(), "cpu_seconds": one.cpu_seconds(), "nice": one.nice()}


def task_json_maker(client: Client) -> Callable[[Task], JsonObject]:
    """Return a function from a task to `task_json` and {orchestration_name, orchestration_sha, orchestration_created_at, last_run}.

    The orchestration is the one that the next run runs; `last_run` is a run or null.
    """
    versions: dict[str, JsonObject] = {}

    def make(task: Task) -> JsonObject:
        key = task.orchestration()
        if key not in versions:
            versions[key] = _version(client.get_orchestration_by_id(key))
        newest = task.last_runs(1)
        return {**task_json(task), **versions[key], "last_run": run_json(newest[0]) if newest else None}

    return make


def _version(orchestration: Orchestration) -> JsonObject:
    return {
        "orchestration_name": orchestration.name(),
        "orchestration_sha": orchestration.sha(),
        "orchestration_created_at": time_json(orchestration.created_at()),
    }


def run_json(run: TaskRun) -> JsonObject:
    """Return {id, task_id, status, exit_code, reason, duration_seconds, log_is_complete, created_at, scheduled_at, started_at, …}.

    The others are `ended_at`, `try_number`, `retry_of`, `not_before` and `rerun_of`; the two ids are of the run that it tries again, and of
    the run that it repeats on request. Until the run has ended, `exit_code`, `duration_seconds` and `log_is_complete` are null.
    """
    return {
        "id": run.id(),
        "task_id": run.task(),
        "status": str(run.status()),
        "exit_code": run.exit_code(),
        "reason": run.reason(),
        "duration_seconds": run.duration(),
        "log_is_complete": run.log_is_complete() if run.status().is_final else None,
        "created_at": time_json(run.created_at()),
        "scheduled_at": time_json(run.scheduled_at()),
        "started_at": time_json(run.started_at()),
        "ended_at": time_json(run.ended_at()),
        "try_number": run.try_number(),
        "retry_of": run.retry_of(),
        "not_before": time_json(run.not_before()),
        "rerun_of": run.rerun_of(),
    }


def run_json_maker(client: Client) -> Callable[[TaskRun], JsonObject]:
    """Return a function from a run to `run_json` and {task_name, orchestration_id, orchestration_name}."""
    origins: dict[tuple[str, str], JsonObject] = {}

    def make(run: TaskRun) -> JsonObject:
        key = run.task(), run.orchestration()
        if key not in origins:
            origins[key] = _origin(client, run)
        return {**run_json(run), **origins[key]}

    return make


def _origin(client: Client, run: TaskRun) -> JsonObject:
    task, orchestration = client.get_task_by_id(run.task()), client.get_orchestration_by_id(run.orchestration())
    return {"task_name": task.name(), "orchestration_id": orchestration.id(), "orchestration_name": orchestration.name()}


def full_run_json(client: Client, run: TaskRun) -> JsonObject:
    """Return all fields of a run: those of `run_json_maker` and {arguments, timeout_seconds, timezone, log, files, metrics, packages, …}.

    The others are `memory_bytes`, `cpu_seconds`, `nice` and `placement`. `timezone` is the zone of the task's schedule, `log` the path
    of the log's first file, or null if nothing was started, `files` are the paths of the files that the run created or changed, `packages`
    are {python, installed, host}, or null if they are not known, and `placement` is {engine, job_id, session}, or null without a cluster.
    """
    task = client.get_task_by_id(run.task())
    log, packages, placement = lookup_of(client).log_path(run), run.packages(), run.placement()
    return {
        **run_json(run),
        **_origin(client, run),
        "arguments": run.input_data(),
        "timeout_seconds": run.timeout(),
        **_resources(run),
        "timezone": task.timezone(),
        "log": None if log is None else str(log),
        "files": [str(path) for path in run.files()],
        "metrics": run.metrics(),
        "packages": None if packages is None else packages._asdict(),
        "placement": None if placement is None else placement._asdict(),
    }


def comparison_json(client: Client, first: TaskRun, second: TaskRun, comparison: Comparison) -> JsonObject:
    """Return {first, second, differences, packages_unknown}: two runs as in lists, {kind, name, change, first, second}, and ids of runs."""
    make = run_json_maker(client)
    return {
        "first": make(first),
        "second": make(second),
        "differences": [difference._asdict() for difference in comparison.differences],
        "packages_unknown": list(comparison.packages_unknown),
    }


def event_json(event: Event) -> JsonObject:
    """Return {id, at, kind, object_id, was, became, reason}."""
    return {
        "id": event.id(),
        "at": time_json(event.at()),
        "kind": event.kind(),
        "object_id": event.object_id(),
        "was": event.was(),
        "became": event.became(),
        "reason": event.reason(),
    }


def workspace_json(workspace: Workspace) -> JsonObject:
    """Return {id, name, created_at}."""
    return {"id": workspace.id(), "name": workspace.name(), "created_at": time_json(workspace.created_at())}


def connection_json(connection: Connection) -> JsonObject:
    """Return {id, name, type, workspaces, created_at}, without the details."""
    return {
        "id": connection.id(),
        "name": connection.name(),
        "type": connection.connection_type(),
        "workspaces": connection.workspace_names(),
        "created_at": time_json(connection.created_at()),
    }


def model_version_json(version: ModelVersion) -> JsonObject:
    """Return {id, version, framework, file_name, sha, status, tensor_fields, arch, accel, created_at, updated_at}."""
    return {
        "id": version.id(),
        "version": version.version(),
        "framework": version.framework(),
        "file_name": version.file_name(),
        "sha": version.sha(),
        "status": version.status(),
        "tensor_fields": version.tensor_fields(),
        "arch": version.arch(),
        "accel": version.accel(),
        "created_at": time_json(version.created_at()),
        "updated_at": time_json(version.updated_at()),
    }


def model_json(model: Model) -> JsonObject:
    """Return {id, name, workspace_id, created_at, versions}; `versions` are `model_version_json`, newest first."""
    return {
        "id": model.id(),
        "name": model.name(),
        "workspace_id": model.workspace_id(),
        "created_at": time_json(model.created_at()),
        "versions": [model_version_json(version) for version in model.versions()],
    }


def pipeline_json_maker(client: Client) -> Callable[[Pipeline], JsonObject]:
    """Return a function from a pipeline to {id, name, workspace_id, version, deployed_version, steps, created_at, updated_at}.

    `steps` are those of `version`, the newest one, in the shapes of the platform's SDK; `deployed_version` is null if it is not deployed.
    """

    def make(pipeline: Pipeline) -> JsonObject:
        deployed = lookup_of(client).deployed_version(pipeline)
        newest = pipeline.versions()[:1]
        return {
            "id": pipeline.id(),
            "name": pipeline.name(),
            "workspace_id": pipeline.workspace_id(),
            "version": newest[0].name() if newest else None,
            "deployed_version": None if deployed is None else deployed.name(),
            "steps": pipeline.steps(),
            "created_at": time_json(pipeline.created_at()),
            "updated_at": time_json(pipeline.updated_at()),
        }

    return make


def full_pipeline_json(client: Client, pipeline: Pipeline) -> JsonObject:
    """Return the fields of `pipeline_json_maker` and `versions`: {version, steps, created_at} of each one, newest first."""
    versions = [
        {"version": one.name(), "steps": one.definition().get("steps", []), "created_at": time_json(one.created_at())}
        for one in pipeline.versions()
    ]
    return {**pipeline_json_maker(client)(pipeline), "versions": versions}


def seed_change_json(change: SeedChange) -> JsonObject:
    """Return {kind, name, workspace, what, version}; `workspace`, a name, and the new `version` are null where there are none."""
    return change._asdict()


def pruned_json(pruned: Pruned) -> JsonObject:
    """Return the counts {runs, tasks, events, bundles, models, inference_logs, leftovers, environments, bytes, unseen_stores, dry_run}."""
    return pruned._asdict()
