"""The newest failed runs, to be grouped by why they failed. Reads only."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from orchlite.core.status import RunStatus
from orchlite.store.database import Database, Row, known_datetime, to_microseconds
from orchlite.store.run_conditions import FAILED, TRIED_AGAIN


class FailedRun(NamedTuple):
    """A failed run, and what it ran."""

    run_id: str
    task_id: str
    orchestration_id: str
    """Of the one that its task runs now."""
    title: str
    """The name of its task, else that of the orchestration, else the file that was uploaded."""
    is_packaging: bool
    attempt: int
    """0 if it was never started."""
    status: RunStatus
    exit_code: int | None
    reason: str | None
    ended_at: datetime


class Failures:
    """The failed runs of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, workspace_id: int | None, since: datetime, limit: int) -> list[FailedRun]:
        """Return the failed runs of a workspace, or of all, that ended at or after `since`, packaging included; last ended first.

        A failure that is, or was, tried again is left out: the last try counts.
        """
        # CROSS JOIN makes SQLite read the newest failures first, so that it stops at the limit.
        rows = self._database.rows(
            "SELECT run_id, runs.task_id, orchestration_id, COALESCE(tasks.name, orchestrations.name, file_name) AS title, kind, attempt,"  # noqa: S608 - constants
            " runs.status, exit_code, runs.reason, ended_at FROM runs CROSS JOIN tasks USING (task_id)"
            " CROSS JOIN orchestrations USING (orchestration_id)"
            f" WHERE ended_at >= ? AND {FAILED}"
            " AND (? IS NULL OR tasks.workspace_id = ?)"
            f" AND NOT {TRIED_AGAIN} ORDER BY ended_at DESC LIMIT ?",
            (to_microseconds(since), workspace_id, workspace_id, limit),
        )
        return [_failed_run(row) for row in rows]


def _failed_run(row: Row) -> FailedRun:
    return FailedRun(
        run_id=row["run_id"],
        task_id=row["task_id"],
        orchestration_id=row["orchestration_id"],
        title=row["title"],
        is_packaging=row["kind"] == "packaging",
        attempt=row["attempt"],
        status=RunStatus(row["status"]),
        exit_code=row["exit_code"],
        reason=row["reason"],
        ended_at=known_datetime(row["ended_at"]),
    )
