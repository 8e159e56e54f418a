"""Rows of a store, for tests that need no bundle behind them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from orchlite.core.records import OrchestrationRow, RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus


def orchestration_row(now: datetime, **changes: Any) -> OrchestrationRow:
    """Return an orchestration that was created now, `ready` by default."""
    row = OrchestrationRow(
        orchestration_id=str(uuid.uuid4()),
        workspace_id=1,
        name="name",
        file_name="file.zip",
        sha="0" * 64,
        size_bytes=5,
        entrypoint="main.py",
        requirements=("six==1.17.0",),
        warnings=("a warning",),
        base_image="host",
        status=OrchestrationStatus.READY,
        reason=None,
        environment_key=None,
        installed=(),
        task_id=str(uuid.uuid4()),
        created_at=now,
        updated_at=now,
    )
    return row._replace(**changes)


def task_row(orchestration: OrchestrationRow, kind: TaskKind = TaskKind.ONCE, **changes: Any) -> TaskRow:
    """Return a task that was created with its orchestration: one-shot and `pending` by default."""
    row = TaskRow(
        task_id=orchestration.task_id if kind is TaskKind.PACKAGING else str(uuid.uuid4()),
        workspace_id=orchestration.workspace_id,
        orchestration_id=orchestration.orchestration_id,
        kind=kind,
        name=None,
        arguments='{"n": 1}',
        timeout_seconds=2.5,
        debug=True,
        env={"A": "1"},
        env_passthrough=("B",),
        status=TaskStatus.PENDING,
        reason=None,
        created_at=orchestration.created_at,
        updated_at=orchestration.created_at,
    )
    return row._replace(**changes)


def run_row(at: datetime, status: str = "success", **changes: Any) -> RunRow:
    """Return a run for the slot `at`, which started then, if its status is one of runs that have started."""
    has_started = status not in ("queued", "skipped")
    row = RunRow(
        run_id=str(uuid.uuid4()),
        task_id="task",
        status=RunStatus(status),
        attempt=1,
        submitted_by="",
        host_id=None,
        boot_id=None,
        created_at=at,
        claimed_at=at if has_started else None,
        started_at=at if has_started and status != "running" else None,
        ended_at=None,
        duration_seconds=None,
        exit_code=None,
        reason=None,
        kill_requested=False,
        log_complete=True,
        slot_at=at,
    )
    return row._replace(**changes)
