"""From the store's rows to the platform's JSON (`response_models.py`), in the dialect of the client.

Clients of 2023 fail on statuses that the platform added later: one of them breaks a whole list. They receive older statuses instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Any, Literal, get_args

from fastapi import Response
from pydantic_core import to_json

from orchlite.core.records import ConnectionRow, OrchestrationRow, RunRow, TaskRow, WorkspaceRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.core.version import VERSION
from orchlite.rest.accounts import OWNER, Account
from orchlite.rest.queries import SHOWN, TaskWithRuns
from orchlite.rest.response_models import Connection, Orchestration, Placement, Run, RunDetails, Task, User, Workspace

ARCH = "x86"
IMAGE_PATH = "proxy.replicated.com/proxy/wallaroo/ghcr.io/wallaroolabs/arbex-orch-deploy"
"""The clients of 2023 recognize the task of an orchestration by the last component."""
IMAGE_TAG = "v2023.2.0-main-3228"

_OLD_CLIENT = re.compile(r"python-httpx/0\.(1\d|2[0-3])(\.|$)")
_RUN_TYPES = {
    TaskKind.ONCE: "Oneshot",
    TaskKind.PACKAGING: "Oneshot",
    TaskKind.SCHEDULED: "CronJob",
    TaskKind.CONTINUOUS: "NetworkService",
}
_OLD_TASK_STATUSES = {
    TaskStatus.KILLED: "pending_kill",
    TaskStatus.TIMED_OUT: "failed",
    TaskStatus.PAUSED: "pending",
    TaskStatus.PENDING_PAUSE: "started",
    TaskStatus.PENDING_RESUME: "pending",
}
_OLD_RUN_STATUSES = {RunStatus.TIMED_OUT: "failure", RunStatus.KILLED: "failure"}
# No list contains these two; `get_run_details` shows them.
_UNLISTED_RUN_STATUSES = {RunStatus.QUEUED: "running", RunStatus.SKIPPED: "unknown"}

RUN_FILTERS = ("all", *sorted(SHOWN))
"""The values of `status` that select runs."""
_CHUNK = 1000

Compatibility = Literal["2023", "2026"]
COMPATIBILITIES: tuple[Compatibility, ...] = get_args(Compatibility)


class Dialect(StrEnum):
    """The statuses that a client knows: those of that year."""

    OLD = "2023"
    FULL = "2026"


def dialect_of(user_agent: str | None, compatibility: Compatibility | None) -> Dialect:
    """Return the dialect that the server was set to, else that of the client, found by its User-Agent."""
    if compatibility is not None:
        return Dialect(compatibility)
    return Dialect.OLD if _OLD_CLIENT.match(user_agent or "") else Dialect.FULL


def json_response(content: Any, status: int = 200) -> Response:
    """Return a response model as JSON. Not validated again, as FastAPI would do: that takes seconds for a long list."""
    return Response(to_json(content, inf_nan_mode="null"), status, media_type="application/json")


def json_list_response(items: Iterable[Any]) -> Response:
    """Return response models as a JSON list. They are consumed and encoded in chunks, so that a long list needs less memory."""
    remaining, chunks = iter(items), list[bytes]()
    while chunk := list(islice(remaining, _CHUNK)):
        chunks.append(to_json(chunk)[1:-1])
    return Response(b"[" + b",".join(chunks) + b"]", media_type="application/json")


def timestamp(at: datetime) -> str:
    """Return an aware time in the platform's format: `2024-04-17T16:03:50.202818+00:00`."""
    return at.isoformat(timespec="microseconds")


def _optional_timestamp(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def orchestration(row: OrchestrationRow) -> Orchestration:
    """Serialize an orchestration."""
    return Orchestration(
        id=row.orchestration_id,
        workspace_id=row.workspace_id,
        sha=row.sha,
        name=row.name,
        file_name=row.file_name,
        file_size=row.size_bytes,
        image_path=IMAGE_PATH,
        owner_id=OWNER.user_id,
        created_by=OWNER.user_id,
        created_on_version=VERSION,
        status=row.status,
        task_id=row.task_id,
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
        reason=row.reason,
        warnings=list(row.warnings),
    )


def task(found: TaskWithRuns, dialect: Dialect) -> Task:
    """Serialize a task with its newest runs, oldest first: the clients take the last one as the latest."""
    row = found.task
    content = Task(
        name=row.name,
        id=row.task_id,
        image=IMAGE_PATH,
        image_tag=IMAGE_TAG,
        arch=ARCH,
        bind_secrets=["minio"],
        extra_env_vars=_variables(row, found.sha),
        auth_init=True,
        ns_prefix="",
        workspace_id=row.workspace_id,
        run_type=_RUN_TYPES[row.kind],
        reap_threshold_secs=900,
        status=_task_status(row.status, dialect),
        input_data=json.loads(row.arguments),
        killed=row.status is TaskStatus.KILLED,
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
        last_runs=[run(run_row, dialect) for run_row in reversed(found.runs)],
        orch_id=row.orchestration_id,
        reason=row.reason,
        timeout=row.timeout_seconds,
        retries=row.retry.retries if row.retry else 0,
        retry_delay=row.retry.delay_seconds if row.retry else None,
        memory=row.resources.memory_bytes,
        cpu_seconds=row.resources.cpu_seconds,
        nice=row.resources.nice,
    )
    _add_kind_fields(content, row)
    return content


def _add_kind_fields(content: Task, row: TaskRow) -> None:
    """Add the fields that only tasks of this kind have. The clients of 2023 recognize the kind by them."""
    if row.kind in (TaskKind.ONCE, TaskKind.PACKAGING):
        content.update({"flavor": "exec_orch_oneshot", "exec_type": "job"})
    elif row.kind is TaskKind.CONTINUOUS:
        content["service_name"] = row.task_id
    if row.schedule is not None:
        policy = row.schedule
        content.update({"schedule": policy.expression, "timezone": policy.timezone})
        content.update({"concurrency": policy.concurrency, "missed": policy.missed})
        content.update({"starting_deadline_seconds": policy.starting_deadline_seconds, "next_run_at": _next_run_at(row)})


def _next_run_at(row: TaskRow) -> str | None:
    return _optional_timestamp(row.next_at) if row.status in (TaskStatus.PENDING, TaskStatus.STARTED, TaskStatus.CRASH_LOOP) else None


def _variables(row: TaskRow, sha: str) -> dict[str, str]:
    return {
        "MINIO_URL": "http://minio.wallaroo.svc.cluster.local:9000",
        "ORCH_ID": row.orchestration_id,
        "ORCH_OWNER_ID": OWNER.user_id,
        "ORCH_SHA": sha,
        "TASK_DEBUG": "true" if row.debug else "false",
        "TASK_ID": row.task_id,
    }


def _task_status(status: TaskStatus, dialect: Dialect) -> str:
    return _OLD_TASK_STATUSES.get(status, status) if dialect is Dialect.OLD else status


def run(row: RunRow, dialect: Dialect) -> Run:
    """Serialize a run within its task."""
    return Run(
        run_id=row.run_id,
        status=_run_status(row.status, dialect),
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.ended_at or row.claimed_at or row.created_at),
    )


def run_details(row: RunRow, metrics: dict[str, float], dialect: Dialect) -> RunDetails:
    """Serialize a run by itself, with its metrics."""
    return RunDetails(
        **run(row, dialect),
        task=row.task_id,
        exit_code=row.exit_code,
        reason=row.reason,
        started_at=_optional_timestamp(row.started_at),
        ended_at=_optional_timestamp(row.ended_at),
        scheduled_at=_optional_timestamp(row.slot_at),
        try_number=row.try_number,
        retry_of=row.retry_of,
        rerun_of=row.rerun_of,
        metrics=metrics,
        placement=None
        if row.placement is None
        else Placement(engine=row.placement.engine, job_id=row.placement.job_id, session=row.placement.session),
    )


def _run_status(status: RunStatus, dialect: Dialect) -> str:
    if dialect is Dialect.OLD and status in _OLD_RUN_STATUSES:
        return _OLD_RUN_STATUSES[status]
    return _UNLISTED_RUN_STATUSES.get(status, status)


@cache
def run_statuses(status: str | None, dialect: Dialect) -> frozenset[RunStatus] | None:
    """Return the statuses of the runs that a client selects with `status`, or None if it is not one of `RUN_FILTERS`.

    `failure` selects all runs that the client's dialect calls so, and those whose outcome is unknown.
    """
    if status is None or status == "all":
        return SHOWN
    selected = {shown for shown in SHOWN if _run_status(shown, dialect) == status}
    if status == RunStatus.FAILURE:
        selected.add(RunStatus.UNKNOWN)
    return frozenset(selected) if status in RUN_FILTERS else None


def workspace(row: WorkspaceRow, models: Iterable[int] = (), pipelines: Iterable[int] = ()) -> Workspace:
    """Serialize a workspace with the ids of its models and pipelines."""
    return Workspace(
        id=row.workspace_id,
        name=row.name,
        created_at=timestamp(row.created_at),
        created_by=OWNER.user_id,
        archived=row.archived,
        models=list(models),
        pipelines=list(pipelines),
    )


def user(account: Account, created_at: datetime) -> User:
    """Serialize an account, as the platform's identity server does."""
    milliseconds = int(created_at.timestamp() * 1000)
    return User(id=account.user_id, username=account.username, email=account.email, enabled=True, createdTimestamp=milliseconds)


def connection(row: ConnectionRow, workspace_names: Collection[str], *, shows_details: bool) -> Connection:
    """Serialize a connection with its details, or with their names only."""
    details = json.loads(row.details)
    return Connection(
        id=row.connection_id,
        name=row.name,
        type=row.connection_type,
        details=details if shows_details else dict.fromkeys(details, "********"),
        created_at=timestamp(row.created_at),
        workspace_names=list(workspace_names),
    )
