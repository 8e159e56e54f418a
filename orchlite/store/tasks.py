"""Tasks in the store, and the one door through which their status moves."""

from __future__ import annotations

import json
from datetime import datetime

from orchlite.errors import IllegalMove, NotFound
from orchlite.records import TaskRow
from orchlite.status import TaskKind, TaskStatus, sources_of
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds


class Tasks:
    """The tasks of one store, packaging tasks included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, transaction: Transaction, task: TaskRow) -> None:
        """Add a task as it stands in the record."""
        transaction.execute(
            "INSERT INTO tasks (task_id, workspace_id, orchestration_id, kind, name, arguments, timeout_seconds, debug, env,"
            " env_passthrough, status, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                task.task_id,
                task.workspace_id,
                task.orchestration_id,
                task.kind,
                task.name,
                task.arguments,
                task.timeout_seconds,
                task.debug,
                json.dumps(dict(task.env)),
                json.dumps(task.env_passthrough),
                task.status,
                to_microseconds(task.created_at),
                to_microseconds(task.updated_at),
            ),
        )
        events.record(transaction, task.task_id, None, task.status, task.created_at)

    def get(self, task_id: str) -> TaskRow:
        """The task with this id.

        Raises:
            NotFound: there is none.
        """
        row = self._database.row("SELECT * FROM tasks WHERE task_id = ?", (task_id,))
        if row is None:
            raise NotFound(
                f"There is no task {task_id!r} in this store.", hint="list_tasks() shows those of the current workspace.", task_id=task_id
            )
        return _record(row)

    def of_workspace(self, workspace_id: int, *, killed: bool) -> list[TaskRow]:
        """A workspace's tasks, newest first, without packaging; with `killed`, those that were killed too."""
        rows = self._database.rows(
            "SELECT * FROM tasks WHERE workspace_id = ? AND kind <> 'packaging' AND (? OR status <> 'killed')"
            " ORDER BY created_at DESC, rowid DESC",
            (workspace_id, killed),
        )
        return [_record(row) for row in rows]

    def of_orchestration(self, orchestration_id: str) -> list[TaskRow]:
        """An orchestration's tasks, newest first, without packaging."""
        rows = self._database.rows(
            "SELECT * FROM tasks WHERE orchestration_id = ? AND kind <> 'packaging' ORDER BY created_at DESC, rowid DESC",
            (orchestration_id,),
        )
        return [_record(row) for row in rows]

    def alive_of_orchestration(self, transaction: Transaction, orchestration_id: str) -> list[TaskRow]:
        """The tasks that have, or will have, a run that has not ended."""
        rows = transaction.rows(
            "SELECT * FROM tasks WHERE orchestration_id = ? AND (EXISTS (SELECT 1 FROM runs WHERE runs.task_id = tasks.task_id"
            " AND runs.status IN ('queued', 'running')) OR (kind IN ('scheduled', 'continuous') AND status <> 'killed'))",
            (orchestration_id,),
        )
        return [_record(row) for row in rows]

    def waiting_for(self, transaction: Transaction, orchestration_id: str) -> list[TaskRow]:
        """The tasks that wait for the orchestration to become ready."""
        rows = transaction.rows(
            "SELECT * FROM tasks WHERE orchestration_id = ? AND kind <> 'packaging' AND status = 'pending'", (orchestration_id,)
        )
        return [_record(row) for row in rows]

    def move(self, transaction: Transaction, task_id: str, target: TaskStatus, at: datetime, reason: str | None = None) -> None:
        """Move the status.

        Raises:
            IllegalMove: the actual status does not allow it.
        """
        was = self.status(transaction, task_id)
        if was not in sources_of(target):
            raise IllegalMove(f"Task {task_id} is {was}, so it cannot become {target}.", status=was)
        transaction.execute(
            "UPDATE tasks SET status = ?, reason = ?, updated_at = ? WHERE task_id = ?", (target, reason, to_microseconds(at), task_id)
        )
        events.record(transaction, task_id, was, target, at, reason)

    def status(self, transaction: Transaction, task_id: str) -> TaskStatus | None:
        """The status as this transaction sees it; None where there is no such task."""
        row = transaction.row("SELECT status FROM tasks WHERE task_id = ?", (task_id,))
        return None if row is None else TaskStatus(row["status"])


def _record(row: Row) -> TaskRow:
    return TaskRow(
        task_id=row["task_id"],
        workspace_id=row["workspace_id"],
        orchestration_id=row["orchestration_id"],
        kind=TaskKind(row["kind"]),
        name=row["name"],
        arguments=row["arguments"],
        timeout_seconds=row["timeout_seconds"],
        debug=bool(row["debug"]),
        env=json.loads(row["env"]),
        env_passthrough=tuple(json.loads(row["env_passthrough"])),
        status=TaskStatus(row["status"]),
        reason=row["reason"],
        created_at=known_datetime(row["created_at"]),
        updated_at=known_datetime(row["updated_at"]),
    )
