"""The names of orchestrations, each with all its versions, and the tasks that run them: for lists. Reads only."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from orchlite.core.status import OrchestrationStatus
from orchlite.store.database import Database, known_datetime


class NamedOrchestrations(NamedTuple):
    """All uploads of one name in a workspace, or one upload without a name; the rest is about the newest."""

    workspace_id: int
    name: str | None
    versions: int
    orchestration_id: str
    file_name: str
    status: OrchestrationStatus
    created_at: datetime

    @property
    def title(self) -> str:
        """Return the name, else that of the file."""
        return self.name or self.file_name


class Catalogue:
    """The names of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self, workspace_id: int | None, words: str, limit: int, offset: int) -> list[NamedOrchestrations]:
        """Return the names in a workspace, or in all, that contain `words`, the last uploaded first.

        The case of ASCII letters is ignored. Uploads without a name go by their file's.
        """
        rows = self._database.rows(
            # MAX: SQLite takes the other columns from the row that has it.
            "SELECT workspace_id, name, COUNT(*) AS versions, orchestration_id, file_name, status, MAX(created_at) AS created_at"
            " FROM orchestrations WHERE (? IS NULL OR workspace_id = ?) AND instr(lower(COALESCE(name, file_name)), lower(?))"
            " GROUP BY workspace_id, COALESCE(name, orchestration_id) ORDER BY MAX(created_at) DESC, MAX(rowid) DESC LIMIT ? OFFSET ?",
            (workspace_id, workspace_id, words, limit, offset),
        )
        return [
            NamedOrchestrations(
                workspace_id=row["workspace_id"],
                name=row["name"],
                versions=row["versions"],
                orchestration_id=row["orchestration_id"],
                file_name=row["file_name"],
                status=OrchestrationStatus(row["status"]),
                created_at=known_datetime(row["created_at"]),
            )
            for row in rows
        ]

    def count_names(self, workspace_id: int | None, words: str) -> int:
        """Return how many names `names` returns without limits."""
        row = self._database.row(
            "SELECT COUNT(*) FROM (SELECT 1 FROM orchestrations WHERE (? IS NULL OR workspace_id = ?)"
            " AND instr(lower(COALESCE(name, file_name)), lower(?)) GROUP BY workspace_id, COALESCE(name, orchestration_id))",
            (workspace_id, workspace_id, words),
        )
        assert row is not None
        return int(row[0])

    def versions(self, workspace_id: int, name: str, limit: int) -> list[str]:
        """Return the ids of the newest uploads of a name, newest first."""
        rows = self._database.rows(
            "SELECT orchestration_id FROM orchestrations WHERE workspace_id = ? AND name = ? ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (workspace_id, name, limit),
        )
        return [row["orchestration_id"] for row in rows]

    def task_ids(self, orchestration_ids: Collection[str], limit: int) -> list[str]:
        """Return the ids of the scheduled and continuous tasks that run these and were not killed, by name, then those without one."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE orchestration_id IN (SELECT value FROM json_each(?)) AND kind IN ('scheduled', 'continuous')"
            " AND status NOT IN ('pending_kill', 'killed') ORDER BY name IS NULL, name, task_id LIMIT ?",
            (json.dumps(list(orchestration_ids)), limit),
        )
        return [row["task_id"] for row in rows]

    def count_tasks(self, workspace_id: int | None) -> dict[tuple[int, str], int]:
        """Return how many tasks `task_ids` finds for a name, by workspace and name or, without one, id; only of names that have some."""
        rows = self._database.rows(
            "SELECT orchestrations.workspace_id, COALESCE(orchestrations.name, orchestration_id) AS key, COUNT(*)"
            " FROM tasks JOIN orchestrations USING (orchestration_id)"
            " WHERE kind IN ('scheduled', 'continuous') AND tasks.status NOT IN ('pending_kill', 'killed')"
            " AND (? IS NULL OR tasks.workspace_id = ?) GROUP BY 1, 2",
            (workspace_id, workspace_id),
        )
        return {(row[0], row[1]): row[2] for row in rows}
