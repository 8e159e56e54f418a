"""What `--json` answers: one object for each kind of thing, its names and types promised. Times are ISO 8601 in UTC; ids are whole.

A name that is there today stays, with the same meaning; new ones may come.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchlite.cli.lookup import search_of

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.connection import Connection
    from orchlite.client.event import Event
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun
    from orchlite.client.workspace import Workspace
    from orchlite.operations.retention import Pruned

Shape = dict[str, Any]


def time_shape(at: datetime | None) -> str | None:
    """A time: `2026-03-01T14:00:00.123456Z`."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def orchestration_shape(orchestration: Orchestration) -> Shape:
    """An orchestration: {id, name, status, file_name, sha, entrypoint, requirements, installed, warnings, workspace_id, created_at}."""
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
        "created_at": time_shape(orchestration.created_at()),
    }


def whole_orchestration_shape(orchestration: Orchestration) -> Shape:
    """An orchestration, and `reason`: why it could not be packaged."""
    [newest, *_] = orchestration.task().last_runs(1)
    return {**orchestration_shape(orchestration), "reason": newest.reason() if orchestration.status() == "error" else None}


def task_shape(task: Task) -> Shape:
    """A task: {id, name, kind, status, reason, orchestration_id, workspace_id, arguments, timeout_seconds, schedule, timezone, …}.

    And `next_run_at`, `missed` (slots without a run), `created_at`.
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
        "schedule": task.schedule(),
        "timezone": task.timezone(),
        "next_run_at": time_shape(task.next_run_at()),
        "missed": task.missed(),
        "created_at": time_shape(task.created_at()),
    }


def task_shapes(client: Client) -> Callable[[Task], Shape]:
    """Gives tasks as they are listed: what `task_shape` has, `orchestration_name`, and their `last_run`, a run or null."""
    orchestration_names: dict[str, str | None] = {}

    def shape(task: Task) -> Shape:
        key = task.orchestration()
        if key not in orchestration_names:
            orchestration_names[key] = client.get_orchestration_by_id(key).name()
        newest = task.last_runs(1)
        last_run = run_shape(newest[0]) if newest else None
        return {**task_shape(task), "orchestration_name": orchestration_names[key], "last_run": last_run}

    return shape


def run_shape(run: TaskRun) -> Shape:
    """A run: {id, task_id, status, exit_code, reason, duration_seconds, log_is_complete, …_at: created, scheduled, started, ended}.

    Until it has ended, `exit_code`, `duration_seconds` and `log_is_complete` are null.
    """
    return {
        "id": run.id(),
        "task_id": run.task(),
        "status": str(run.status()),
        "exit_code": run.exit_code(),
        "reason": run.reason(),
        "duration_seconds": run.duration(),
        "log_is_complete": run.log_is_complete() if run.status().is_final else None,
        "created_at": time_shape(run.created_at()),
        "scheduled_at": time_shape(run.scheduled_at()),
        "started_at": time_shape(run.started_at()),
        "ended_at": time_shape(run.ended_at()),
    }


def run_shapes(client: Client) -> Callable[[TaskRun], Shape]:
    """Gives runs as they are listed: what `run_shape` has, and {task_name, orchestration_id, orchestration_name}."""
    origins: dict[str, Shape] = {}

    def shape(run: TaskRun) -> Shape:
        key = run.task()
        if key not in origins:
            origins[key] = _origin(client, client.get_task_by_id(key))
        return {**run_shape(run), **origins[key]}

    return shape


def _origin(client: Client, task: Task) -> Shape:
    orchestration = client.get_orchestration_by_id(task.orchestration())
    return {"task_name": task.name(), "orchestration_id": orchestration.id(), "orchestration_name": orchestration.name()}


def whole_run_shape(client: Client, run: TaskRun) -> Shape:
    """A run with all that belongs to it.

    That is, besides what `run_shapes` gives: {arguments, timeout_seconds, timezone, log, files}. `timezone` is that of the task's
    schedule; `log` the path of the file where its log begins, null where nothing was started; `files` the paths of what it made or changed.
    """
    task = client.get_task_by_id(run.task())
    log = search_of(client).log_path(run)
    return {
        **run_shape(run),
        **_origin(client, task),
        "arguments": task.input_data(),
        "timeout_seconds": task.timeout(),
        "timezone": task.timezone(),
        "log": None if log is None else str(log),
        "files": [str(path) for path in run.files()],
    }


def event_shape(event: Event) -> Shape:
    """An event: {id, at, kind, object_id, was, became, reason}."""
    return {
        "id": event.id(),
        "at": time_shape(event.at()),
        "kind": event.kind(),
        "object_id": event.object_id(),
        "was": event.was(),
        "became": event.became(),
        "reason": event.reason(),
    }


def workspace_shape(workspace: Workspace) -> Shape:
    """A workspace: {id, name, created_at}."""
    return {"id": workspace.id(), "name": workspace.name(), "created_at": time_shape(workspace.created_at())}


def connection_shape(connection: Connection) -> Shape:
    """A connection without its details: {id, name, type, workspaces, created_at}."""
    return {
        "id": connection.id(),
        "name": connection.name(),
        "type": connection.connection_type(),
        "workspaces": connection.workspace_names(),
        "created_at": time_shape(connection.created_at()),
    }


def pruned_shape(pruned: Pruned) -> Shape:
    """What was removed: {runs, tasks, events, bundles, leftovers, environments, bytes, dry_run}."""
    return pruned._asdict()
