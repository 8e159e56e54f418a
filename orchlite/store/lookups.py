"""Finding rows by what a person remembers of them: the first digits of an id, a name, a time. It reads only."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from orchlite.core.status import RunStatus
from orchlite.store.database import Database, Row, to_microseconds

_MOST = 50
"""So many are found at most by one word: whoever gets that many has to say more, anyhow."""


class RunKey(NamedTuple):
    """Which run it is."""

    run_id: str
    task_id: str


class Lookups:
    """The whole of one store. `prefix` is the beginning of an id; None finds nothing by its id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def orchestrations(self, workspace_id: int, name: str, prefix: str | None) -> list[str]:
        """The ids of the orchestrations of this name in the workspace, and of all those with this prefix; newest first."""
        rows = self._database.rows(
            "SELECT orchestration_id FROM orchestrations WHERE workspace_id = ? AND name = ? OR orchestration_id BETWEEN ? AND ? || '~'"
            " ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (workspace_id, name, prefix, prefix, _MOST),
        )
        return [row["orchestration_id"] for row in rows]

    def tasks(self, workspace_id: int, name: str, prefix: str | None) -> list[str]:
        """The ids of the tasks of this name in the workspace, and of all those with this prefix, packaging included; newest first."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE workspace_id = ? AND name = ? OR task_id BETWEEN ? AND ? || '~'"
            " ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (workspace_id, name, prefix, prefix, _MOST),
        )
        return [row["task_id"] for row in rows]

    def runs(self, prefix: str | None) -> list[RunKey]:
        """The runs with this prefix, packaging runs included, newest first."""
        rows = self._database.rows(
            "SELECT run_id, task_id FROM runs WHERE run_id BETWEEN ? AND ? || '~' ORDER BY number DESC LIMIT ?", (prefix, prefix, _MOST)
        )
        return _keys(rows)

    def newest_runs(self, workspace_id: int, limit: int | None = None, statuses: Collection[RunStatus] | None = None) -> list[RunKey]:
        """The workspace's runs without packaging, newest first; skipped ones only where `statuses` names them."""
        # CROSS JOIN: from the newest run on, so that the first so many are had without a look at all the others.
        rows = self._database.rows(
            "SELECT run_id, runs.task_id FROM runs CROSS JOIN tasks USING (task_id) WHERE kind <> 'packaging' AND workspace_id = ?"
            " AND CASE WHEN ? IS NULL THEN runs.status <> 'skipped' ELSE runs.status IN (SELECT value FROM json_each(?)) END"
            " ORDER BY number DESC LIMIT ?",
            (workspace_id, *[None if statuses is None else json.dumps(sorted(statuses))] * 2, -1 if limit is None else limit),
        )
        return _keys(rows)

    def failed_since(self, at: datetime) -> list[RunKey]:
        """The runs that have failed, timed out or were lost since then, of every workspace, packaging included, newest first."""
        rows = self._database.rows(
            "SELECT run_id, task_id FROM runs"
            # As the index has it, word for word: else it is not used.
            " WHERE ended_at >= ? AND (status = 'failure' OR status = 'timed_out' OR status = 'unknown') ORDER BY ended_at DESC",
            (to_microseconds(at),),
        )
        return _keys(rows)

    def due_next(self, limit: int) -> list[str]:
        """The ids of the tasks that are due next, of every workspace."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop') ORDER BY next_at LIMIT ?", (limit,)
        )
        return [row["task_id"] for row in rows]

    def suspended(self) -> list[str]:
        """The ids of the tasks that would have runs and have none, paused or for an error in their schedule, of every workspace."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE status IN ('pending_pause', 'paused', 'schedule_error') ORDER BY updated_at DESC, rowid DESC"
        )
        return [row["task_id"] for row in rows]


def _keys(rows: list[Row]) -> list[RunKey]:
    return [RunKey(row["run_id"], row["task_id"]) for row in rows]
