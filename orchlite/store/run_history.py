"""What the runs of one task were, one after the other: how they ended, and with which code and packages. Reads only."""

from __future__ import annotations

import json

from orchlite.core.records import PastRun
from orchlite.store.database import Database
from orchlite.store.runs import to_run_row


class RunHistory:
    """The past of one store's tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, task_id: str, limit: int, before: str | None = None) -> list[PastRun]:
        """Return the newest `limit` runs of a task, skipped slots included, the last created, claimed or ended first.

        before: the id of a run; return those that come after it in this order.
        """
        rows = self._database.rows(
            "SELECT runs.*, COALESCE(task_versions.orchestration_id, tasks.orchestration_id) AS ran, metrics"
            " FROM runs INDEXED BY runs_of_task_updated JOIN tasks USING (task_id) LEFT JOIN task_versions USING (version_id)"
            " LEFT JOIN run_metrics USING (run_id) WHERE runs.task_id = :task_id"
            # For this condition SQLite uses the index; the next one compares runs that changed at the same time.
            " AND COALESCE(runs.ended_at, claimed_at, runs.created_at) <= COALESCE("
            " (SELECT COALESCE(ended_at, claimed_at, created_at) FROM runs WHERE run_id = :before), 9223372036854775807)"
            " AND (:before IS NULL OR (COALESCE(runs.ended_at, claimed_at, runs.created_at), runs.number)"
            " < (SELECT COALESCE(ended_at, claimed_at, created_at), number FROM runs WHERE run_id = :before))"
            " ORDER BY COALESCE(runs.ended_at, claimed_at, runs.created_at) DESC, number DESC LIMIT :limit",
            {"task_id": task_id, "before": before, "limit": limit},
        )
        return [
            PastRun(to_run_row(row), row["ran"], row["package_list_id"], {} if row["metrics"] is None else json.loads(row["metrics"]))
            for row in rows
        ]
