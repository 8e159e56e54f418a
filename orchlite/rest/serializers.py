"""Rows as the platform's JSON (`response_models.py`), in the words that its reader knows.

Clients of 2023 break on statuses that came later, a whole list on one of them; so these are said in older words to them.
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
from orchlite.rest.accounts import OWNER
from orchlite.rest.queries import SHOWN, TaskView
from orchlite.rest.response_models import Connection, Orchestration, Run, RunDetails, Task, Workspace

ARCH = "x86"
IMAGE_PATH = "proxy.replicated.com/proxy/wallaroo/ghcr.io/wallaroolabs/arbex-orch-deploy"
"""The clients of 2023 tell by its last part that a task is one of an orchestration."""
IMAGE_TAG = "v2023.2.0-main-3228"

_OLD_CLIENT = re.compile(r"python-httpx/0\.(1\d|2[0-3])(\.|$)")
_RUN_TYPES = {
    TaskKind.ONCE: "Oneshot",
    TaskKind.PACKAGING: "Oneshot",
    TaskKind.SCHEDULED: "CronJob",
    TaskKind.CONTINUOUS: "NetworkService",
}
_OLD_TASK_WORDS = {
    TaskStatus.KILLED: "pending_kill",
    TaskStatus.PAUSED: "pending",
    TaskStatus.PENDING_PAUSE: "started",
    TaskStatus.PENDING_RESUME: "pending",
}
_OLD_RUN_WORDS = {RunStatus.TIMED_OUT: "failure", RunStatus.KILLED: "failure"}
# No list shows these two; they are seen where somebody knows the id.
_RUN_WORDS = {RunStatus.QUEUED: "running", RunStatus.SKIPPED: "unknown"}

RUN_WORDS = ("all", *sorted(SHOWN))
"""The words by which runs can be asked for."""
_PART = 1000

Compatibility = Literal["2023", "2026"]
COMPATIBILITIES: tuple[Compatibility, ...] = get_args(Compatibility)


class Dialect(StrEnum):
    """Which words a reader knows."""

    OLD = "2023"
    FULL = "2026"


def dialect_of(user_agent: str | None, compatibility: Compatibility | None) -> Dialect:
    """The words to answer in: those that the server was set to, else those of the client that asks."""
    if compatibility is not None:
        return Dialect(compatibility)
    return Dialect.OLD if _OLD_CLIENT.match(user_agent or "") else Dialect.FULL


def json_answer(content: Any, status: int = 200) -> Response:
    """An answer of these shapes. Written at once: FastAPI's own way takes seconds for a long list."""
    return Response(to_json(content), status, media_type="application/json")


def json_list(items: Iterable[Any]) -> Response:
    """A list of these shapes, which are made and written a part at a time."""
    waiting, parts = iter(items), list[bytes]()
    while part := list(islice(waiting, _PART)):
        parts.append(to_json(part)[1:-1])
    return Response(b"[" + b",".join(parts) + b"]", media_type="application/json")


def moment(at: datetime) -> str:
    """A time as the platform writes it: `2024-04-17T16:03:50.202818+00:00`."""
    return at.isoformat(timespec="microseconds")


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)


def orchestration(row: OrchestrationRow) -> Orchestration:
    """An orchestration."""
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
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        reason=row.reason,
        warnings=list(row.warnings),
    )


def task(view: TaskView, dialect: Dialect) -> Task:
    """A task with its newest runs, the oldest of them first: the clients take the last one for the latest."""
    row = view.task
    answer = Task(
        name=row.name,
        id=row.task_id,
        image=IMAGE_PATH,
        image_tag=IMAGE_TAG,
        arch=ARCH,
        bind_secrets=["minio"],
        extra_env_vars=_variables(row, view.sha),
        auth_init=True,
        ns_prefix="",
        workspace_id=row.workspace_id,
        run_type=_RUN_TYPES[row.kind],
        reap_threshold_secs=900,
        status=_task_status(row.status, dialect),
        input_data=json.loads(row.arguments),
        killed=row.status is TaskStatus.KILLED,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        last_runs=[run(one, dialect) for one in reversed(view.runs)],
        orch_id=row.orchestration_id,
        reason=row.reason,
        timeout=row.timeout_seconds,
    )
    _add_kind(answer, row)
    return answer


def _add_kind(answer: Task, row: TaskRow) -> None:
    """What only tasks of this kind have; the clients of 2023 tell the kind by it."""
    if row.kind in (TaskKind.ONCE, TaskKind.PACKAGING):
        answer.update({"flavor": "exec_orch_oneshot", "exec_type": "job"})
    elif row.kind is TaskKind.CONTINUOUS:
        answer["service_name"] = row.task_id
    if row.schedule is not None:
        policy = row.schedule
        answer.update({"schedule": policy.expression, "timezone": policy.timezone})
        answer.update({"concurrency": policy.concurrency, "missed": policy.missed})
        answer.update({"starting_deadline_seconds": policy.starting_deadline_seconds, "next_run_at": _next_run_at(row)})


def _next_run_at(row: TaskRow) -> str | None:
    return _moment(row.next_at) if row.status in (TaskStatus.PENDING, TaskStatus.STARTED, TaskStatus.CRASH_LOOP) else None


def _variables(row: TaskRow, sha: str) -> dict[str, str]:
    variables = {
        "MINIO_URL": "http://minio.wallaroo.svc.cluster.local:9000",
        "ORCH_ID": row.orchestration_id,
        "ORCH_OWNER_ID": OWNER.user_id,
        "ORCH_SHA": sha,
        "TASK_ID": row.task_id,
    }
    return {**variables, "TASK_DEBUG": "true"} if row.debug else variables


def _task_status(status: TaskStatus, dialect: Dialect) -> str:
    return _OLD_TASK_WORDS.get(status, status) if dialect is Dialect.OLD else status


def run(row: RunRow, dialect: Dialect) -> Run:
    """A run inside its task."""
    return Run(
        run_id=row.run_id,
        status=_run_status(row.status, dialect),
        created_at=moment(row.created_at),
        updated_at=moment(row.ended_at or row.claimed_at or row.created_at),
    )


def run_details(row: RunRow, dialect: Dialect) -> RunDetails:
    """A run by itself."""
    return RunDetails(
        **run(row, dialect),
        task=row.task_id,
        exit_code=row.exit_code,
        reason=row.reason,
        started_at=_moment(row.started_at),
        ended_at=_moment(row.ended_at),
        scheduled_at=_moment(row.slot_at),
    )


def _run_status(status: RunStatus, dialect: Dialect) -> str:
    word = _RUN_WORDS.get(status, status)
    return _OLD_RUN_WORDS.get(status, word) if dialect is Dialect.OLD else word


@cache
def run_statuses(word: str | None, dialect: Dialect) -> frozenset[RunStatus] | None:
    """The runs that a reader means by a word; None where it is no word for runs.

    `failure` is what the reader would call so, and what nobody saw the end of.
    """
    if word is None or word == "all":
        return SHOWN
    meant = {status for status in SHOWN if _run_status(status, dialect) == word}
    if word == RunStatus.FAILURE:
        meant.add(RunStatus.UNKNOWN)
    return frozenset(meant) if word in RUN_WORDS else None


def workspace(row: WorkspaceRow) -> Workspace:
    """A workspace."""
    return Workspace(
        id=row.workspace_id,
        name=row.name,
        created_at=moment(row.created_at),
        created_by=OWNER.user_id,
        archived=row.archived,
        models=[],
        pipelines=[],
    )


def connection(row: ConnectionRow, workspace_names: Collection[str]) -> Connection:
    """A connection, with its details."""
    return Connection(
        id=row.connection_id,
        name=row.name,
        type=row.connection_type,
        details=json.loads(row.details),
        created_at=moment(row.created_at),
        workspace_names=list(workspace_names),
    )
