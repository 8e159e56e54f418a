"""What tasks ran before they were replaced: a row for each replacement that has left runs which were started before it."""

from __future__ import annotations

import json
from datetime import datetime

from orchlite.core.records import TaskRow
from orchlite.store.database import Database, Transaction, to_microseconds
from orchlite.store.tasks import to_resources


class TaskVersions:
    """The former versions of one store's tasks. A run without one runs, or has run, its task as it is now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, transaction: Transaction, task_id: str, now: datetime) -> None:
        """Record for the task's runs what they run, before the task is replaced. Queued runs are left out: they run what comes next."""
        row = transaction.row(
            "INSERT INTO task_versions (task_id, orchestration_id, arguments, timeout_seconds, debug, env, env_passthrough,"
            " resources, replaced_at)"
            " SELECT task_id, orchestration_id, arguments, timeout_seconds, debug, env, env_passthrough, resources, ? FROM tasks"
            " WHERE task_id = ?"
            " AND EXISTS (SELECT 1 FROM runs WHERE runs.task_id = tasks.task_id AND version_id IS NULL"
            " AND runs.status NOT IN ('queued', 'skipped')) RETURNING version_id",
            (to_microseconds(now), task_id),
        )
        if row is not None:
            transaction.execute(
                "UPDATE runs SET version_id = ? WHERE task_id = ? AND version_id IS NULL AND status NOT IN ('queued', 'skipped')",
                (row["version_id"], task_id),
            )

    def as_run(self, task: TaskRow, run_id: str) -> TaskRow:
        """Return the task of a run with the orchestration, arguments, limits and variables that the run was started with."""
        row = self._database.row("SELECT task_versions.* FROM runs JOIN task_versions USING (version_id) WHERE run_id = ?", (run_id,))
        if row is None:
            return task
        return task._replace(
            orchestration_id=row["orchestration_id"],
            arguments=row["arguments"],
            timeout_seconds=row["timeout_seconds"],
            debug=bool(row["debug"]),
            env=json.loads(row["env"]),
            env_passthrough=tuple(json.loads(row["env_passthrough"])),
            resources=to_resources(row["resources"]),
        )

    def run_ids(self, transaction: Transaction, orchestration_id: str) -> list[str]:
        """Return the ids of all runs of the orchestration, packaging included, and of the tasks that run it now, in no particular order."""
        rows = transaction.rows(
            "SELECT run_id FROM runs JOIN tasks USING (task_id) WHERE orchestration_id = ?"
            " UNION SELECT run_id FROM runs JOIN task_versions USING (version_id) WHERE orchestration_id = ?",
            (orchestration_id, orchestration_id),
        )
        return [row["run_id"] for row in rows]

    def live_tasks(self, transaction: Transaction, orchestration_id: str) -> list[str]:
        """Return the ids of the tasks that ran the orchestration before, still have runs of it, and are not at their end."""
        rows = transaction.rows(
            "SELECT DISTINCT task_id FROM task_versions JOIN tasks USING (task_id) WHERE task_versions.orchestration_id = ?"
            " AND status NOT IN ('killed', 'failed')",
            (orchestration_id,),
        )
        return [row["task_id"] for row in rows]
