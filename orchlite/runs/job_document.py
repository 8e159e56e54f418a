"""What a host sends to a node of a cluster about one run, and here, once, the format.

It is UTF-8 JSON, in the file `job.json` of the folder in which the node program is started. Times are in ISO 8601 with their offset,
null stands for None. It may hold secrets: arguments, variables, details of connections, addresses of package indexes.

`format`
    `FORMAT`. A node refuses any other one; host and node have the same code, since that travels with the job.
`run`
    `run_id`, `attempt`, `created_at`, and `slot_at`: the slot that it runs for or repeats.
`task`
    `task_id`, `workspace_id`, `name`, `arguments` (a text, JSON of an object), `timeout_seconds`, `debug`, `env` (the task's variables, and
    those that it takes from the host, with their values), `resources` (`memory_bytes`, `cpu_seconds`, `nice`), `created_at`.
`orchestration`
    `orchestration_id`, `workspace_id`, `name`, `file_name`, `sha`, `size_bytes`, `entrypoint`, `requirements`, `base_image`,
    `environment_key`, `installed` (the versions that it was packaged with), `task_id`, `created_at`.
`workspaces`
    The task's workspace and the default one, each with `workspace_id`, `name`, `created_at`, `archived`.
`connections`
    Those that the task's workspace lists, each with `connection_id`, `name`, `connection_type`, `details` (a text, JSON of an object),
    `created_at`.
`settings`
    The fields of `NodeSettings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from orchlite.core.records import ConnectionRow, OrchestrationRow, ResourceLimits, RunRow, TaskRow, WorkspaceRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus

NAME = "job.json"
FORMAT = 1

_RUN = ("run_id", "attempt", "created_at", "slot_at")
_TASK = ("task_id", "workspace_id", "name", "arguments", "timeout_seconds", "debug", "env", "created_at")
_ORCHESTRATION = (
    *("orchestration_id", "workspace_id", "name", "file_name", "sha", "size_bytes", "entrypoint", "requirements", "base_image"),
    *("environment_key", "installed", "task_id", "created_at"),
)


class NodeSettings(NamedTuple):
    """The settings of the host that a node needs; `Client` describes them."""

    grace_seconds: float
    log_bytes: int
    installer: str
    index_urls: tuple[str, ...]
    install_timeout_seconds: float


class JobDocument(NamedTuple):
    """The rows behind one run, as they are inserted into the node's store."""

    run: RunRow
    """Queued. `slot_at` is the slot that it runs for or repeats."""
    task: TaskRow
    """One-shot, without retries and notifications. `env` has what `env_passthrough` names, too, which is empty."""
    orchestration: OrchestrationRow
    workspaces: tuple[WorkspaceRow, ...]
    connections: tuple[ConnectionRow, ...]
    settings: NodeSettings


def encoded(document: JobDocument) -> bytes:
    """Return the document as JSON."""
    content = {
        "format": FORMAT,
        "run": _chosen(document.run, _RUN),
        "task": {**_chosen(document.task, _TASK), "resources": document.task.resources._asdict()},
        "orchestration": _chosen(document.orchestration, _ORCHESTRATION),
        "workspaces": [workspace._asdict() for workspace in document.workspaces],
        "connections": [connection._asdict() for connection in document.connections],
        "settings": document.settings._asdict(),
    }
    return json.dumps(content, default=_plain).encode()


def decoded(content: bytes) -> JobDocument:
    """Return the document of which `content` is the JSON.

    Raises:
        LookupError, TypeError, ValueError: it has another shape or format.
    """
    found = json.loads(content)
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']!r:.20}, not {FORMAT}")
    settings = found["settings"]
    return JobDocument(
        run=_run(found["run"], found["task"]["task_id"]),
        task=_task(found["task"], found["orchestration"]["orchestration_id"]),
        orchestration=_orchestration(found["orchestration"]),
        workspaces=tuple(WorkspaceRow(**_timed(each)) for each in found["workspaces"]),
        connections=tuple(ConnectionRow(**_timed(each)) for each in found["connections"]),
        settings=NodeSettings(**{**settings, "index_urls": tuple(settings["index_urls"])}),
    )


def _chosen(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value))


def _timed(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "created_at": datetime.fromisoformat(found["created_at"])}


def _run(found: dict[str, Any], task_id: str) -> RunRow:
    slot_at = found["slot_at"]
    return RunRow(
        run_id=found["run_id"],
        task_id=task_id,
        status=RunStatus.QUEUED,
        attempt=found["attempt"],
        submitted_by="",
        host_id=None,
        boot_id=None,
        created_at=datetime.fromisoformat(found["created_at"]),
        claimed_at=None,
        started_at=None,
        ended_at=None,
        duration_seconds=None,
        exit_code=None,
        reason=None,
        kill_requested=False,
        log_complete=True,
        slot_at=None if slot_at is None else datetime.fromisoformat(slot_at),
    )


def _task(found: dict[str, Any], orchestration_id: str) -> TaskRow:
    created_at = datetime.fromisoformat(found["created_at"])
    return TaskRow(
        **_timed({**found, "resources": ResourceLimits(**found["resources"])}),
        orchestration_id=orchestration_id,
        kind=TaskKind.ONCE,
        env_passthrough=(),
        status=TaskStatus.PENDING,
        reason=None,
        updated_at=created_at,
    )


def _orchestration(found: dict[str, Any]) -> OrchestrationRow:
    created_at = datetime.fromisoformat(found["created_at"])
    lists = {name: tuple(found[name]) for name in ("requirements", "installed")}
    return OrchestrationRow(**_timed({**found, **lists}), warnings=(), status=OrchestrationStatus.READY, reason=None, updated_at=created_at)
