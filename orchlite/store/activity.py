"""What the tasks of a store do in a span of time: which they are, their runs, one by one or summed up, and what goes wrong. Reads only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from orchlite.core.records import RunRow, RunSum, ScheduledTasks
from orchlite.store.database import Database, to_microseconds
from orchlite.store.run_conditions import FAILED, LATE
from orchlite.store.runs import to_run_row

_MICROSECOND = timedelta(microseconds=1)


class Activity:
    """The activity of one store's tasks. A workspace of None stands for all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def schedules(self, workspace_id: int | None, before: datetime) -> list[ScheduledTasks]:
        """Return how many tasks that may be due have each schedule, and how many of them had it before a time."""
        rows = self._database.rows(
            "SELECT schedule, COUNT(*) AS tasks, SUM(COALESCE(schedule_since, created_at) <= :before) AS older FROM tasks"
            " WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop') AND schedule IS NOT NULL"
            " AND (:workspace_id IS NULL OR workspace_id = :workspace_id) GROUP BY schedule",
            {"workspace_id": workspace_id, "before": to_microseconds(before)},
        )
        return [ScheduledTasks(row["schedule"], row["tasks"], row["older"]) for row in rows]

    def scheduled_tasks(self, workspace_id: int | None, schedules: Sequence[str]) -> list[str]:
        """Return the ids of the tasks that may be due by one of these schedules, due next first."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop')"
            " AND schedule IN (SELECT value FROM json_each(:schedules)) AND (:workspace_id IS NULL"
            " OR workspace_id = :workspace_id) ORDER BY next_at, rowid",
            {"workspace_id": workspace_id, "schedules": json.dumps(schedules)},
        )
        return [row["task_id"] for row in rows]

    def changed_tasks(self, workspace_id: int | None, since: datetime, limit: int) -> list[str]:
        """Return the ids of the tasks whose status has changed since a time, without packaging: one-shot tasks change when they start."""
        rows = self._database.rows(
            "SELECT task_id FROM workspaces CROSS JOIN tasks INDEXED BY tasks_of_workspace USING (workspace_id)"
            " WHERE (:workspace_id IS NULL OR workspace_id = :workspace_id) AND updated_at >= :since AND kind <> 'packaging'"
            " ORDER BY updated_at DESC LIMIT :limit",
            {"workspace_id": workspace_id, "since": to_microseconds(since), "limit": limit},
        )
        return [row["task_id"] for row in rows]

    def unfinished_tasks(self, workspace_id: int | None, limit: int) -> list[str]:
        """Return the ids of the tasks that have queued or running runs, without packaging."""
        rows = self._database.rows(
            "SELECT DISTINCT task_id FROM runs INDEXED BY runs_unfinished JOIN tasks USING (task_id)"
            " WHERE runs.status IN ('queued', 'running') AND kind <> 'packaging' AND (:workspace_id IS NULL"
            " OR workspace_id = :workspace_id) LIMIT :limit",
            {"workspace_id": workspace_id, "limit": limit},
        )
        return [row["task_id"] for row in rows]

    def count(self, task_ids: Sequence[str], since: datetime) -> dict[str, int]:
        """Return by task how many of its runs were created, claimed or ended last since a time."""
        rows = self._database.rows(
            "SELECT value AS task_id, (SELECT COUNT(*) FROM runs INDEXED BY runs_of_task_updated WHERE task_id = value"
            " AND COALESCE(ended_at, claimed_at, created_at) >= :since) AS runs FROM json_each(:task_ids)",
            {"task_ids": json.dumps(task_ids), "since": to_microseconds(since)},
        )
        return {row["task_id"]: row["runs"] for row in rows}

    def runs(self, task_ids: Sequence[str], since: datetime, until: datetime) -> list[RunRow]:
        """Return the runs of these tasks in a span of time, skipped slots included: from being due, or created, to their end."""
        rows = self._database.rows(
            "SELECT runs.* FROM json_each(:task_ids) CROSS JOIN runs INDEXED BY runs_of_task_updated ON task_id = value"
            " WHERE COALESCE(ended_at, claimed_at, created_at) >= :since AND COALESCE(slot_at, created_at) <= :until"
            # Those in progress may have changed last before the span.
            " UNION SELECT runs.* FROM json_each(:task_ids) CROSS JOIN runs INDEXED BY runs_unfinished ON task_id = value"
            " WHERE status IN ('queued', 'running') AND COALESCE(slot_at, created_at) <= :until",
            {"task_ids": json.dumps(task_ids), "since": to_microseconds(since), "until": to_microseconds(until)},
        )
        return [to_run_row(row) for row in rows]

    def sums(self, task_ids: Sequence[str], since: datetime, until: datetime, step: timedelta) -> list[RunSum]:
        """Return the runs of these tasks in a span of time, summed up by task and by the `step` in which they began, in this order."""
        rows = self._database.rows(
            "SELECT task_id, (COALESCE(claimed_at, slot_at, created_at) - :since) / :step AS step, COUNT(*) AS runs,"  # noqa: S608 - constants
            f" TOTAL({FAILED}) AS failed, COALESCE(MAX(CASE WHEN {FAILED} THEN run_id END), MAX(run_id)) AS run_id"
            " FROM json_each(:task_ids) CROSS JOIN runs INDEXED BY runs_of_task_updated ON task_id = value"
            " WHERE COALESCE(ended_at, claimed_at, created_at) >= :since AND COALESCE(slot_at, created_at) <= :until"
            " GROUP BY 1, 2 ORDER BY 1, 2",
            {
                "task_ids": json.dumps(task_ids),
                "since": to_microseconds(since),
                "until": to_microseconds(until),
                "step": step // _MICROSECOND,
            },
        )
        return [RunSum(row["task_id"], row["step"], row["runs"], int(row["failed"]), row["run_id"]) for row in rows]

    def failed(self, since: datetime, until: datetime, step: timedelta) -> dict[int, int]:
        """Return how many runs have failed in each `step` of a span of time, packaging and tries included; without steps that have none."""
        rows = self._database.rows(
            "SELECT (ended_at - :since) / :step AS step, COUNT(*) AS runs FROM runs WHERE ended_at >= :since AND ended_at < :until"  # noqa: S608 - constants
            f" AND {FAILED} GROUP BY 1",
            {"since": to_microseconds(since), "until": to_microseconds(until), "step": step // _MICROSECOND},
        )
        return {row["step"]: row["runs"] for row in rows}

    def late(self, since: datetime, until: datetime, step: timedelta) -> dict[int, int]:
        """Return how many runs started more than a minute after their slot in each `step` of a span of time."""
        rows = self._database.rows(
            "SELECT (claimed_at - :since) / :step AS step, COUNT(*) AS runs FROM runs INDEXED BY runs_late"  # noqa: S608 - constants
            f" WHERE {LATE} AND claimed_at >= :since AND claimed_at < :until GROUP BY 1",
            {"since": to_microseconds(since), "until": to_microseconds(until), "step": step // _MICROSECOND},
        )
        return {row["step"]: row["runs"] for row in rows}
