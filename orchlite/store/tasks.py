"""Tasks, and the only code that changes their status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from orchlite.core.errors import IllegalMove, NotFound
from orchlite.core.hints import Api, PythonOnly
from orchlite.core.records import ResourceLimits, RetryPolicy, SchedulePolicy, TaskRow
from orchlite.core.status import TaskKind, TaskStatus, sources_of
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_datetime, to_microseconds

_MAX = 2**63 - 1
_MAY_BE_DUE = json.dumps([TaskStatus.PENDING, TaskStatus.STARTED, TaskStatus.CRASH_LOOP, TaskStatus.PENDING_RESUME])


class Tasks:
    """The tasks of one store, packaging tasks included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, transaction: Transaction, task: TaskRow) -> None:
        """Insert a task and its first event."""
        transaction.execute(
            "INSERT INTO tasks (task_id, workspace_id, orchestration_id, kind, name, arguments, timeout_seconds, debug, env,"
            " env_passthrough, status, created_at, updated_at, schedule, next_at, on_failure, on_success, on_late, retry, resources)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                None if task.schedule is None else json.dumps(task.schedule._asdict()),
                _microseconds(task.next_at),
                _command_text(task.on_failure),
                _command_text(task.on_success),
                _command_text(task.on_late),
                None if task.retry is None else json.dumps(task.retry._asdict()),
                _resources_text(task.resources),
            ),
        )
        events.record(transaction, "task", task.task_id, None, task.status, task.created_at)

    def get(self, task_id: str) -> TaskRow:
        """Return the task with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM tasks WHERE task_id = ?", (task_id,))
        if row is None:
            raise NotFound(
                f"There is no task {task_id!r} in this store.",
                hint=Api.LIST_TASKS
                + " shows those of the current workspace"
                + PythonOnly("; get_task() also takes a name or the first digits of an id")
                + ".",
                task_id=task_id,
            )
        return _record(row)

    def of_workspace(
        self, workspace_id: int, *, killed: bool, limit: int | None = None, after: tuple[datetime, str] | None = None
    ) -> list[TaskRow]:
        """Return a workspace's tasks without packaging, the last updated first: all, or the first `limit`; with `killed`, killed ones too.

        after: a time of update and the id of a task that had it; return those that come after it.
        """
        updated_at, after_id = (_MAX, None) if after is None else (to_microseconds(after[0]), after[1])
        rows = self._database.rows(
            "SELECT * FROM tasks WHERE workspace_id = ? AND kind <> 'packaging' AND (? OR status <> 'killed')"
            # Not a comparison of rows: that would be unknown if the task has been deleted.
            " AND updated_at <= ? AND (updated_at < ? OR rowid < (SELECT rowid FROM tasks WHERE task_id = ?))"
            " ORDER BY updated_at DESC, rowid DESC LIMIT ?",
            (workspace_id, killed, updated_at, updated_at, after_id, _most(limit)),
        )
        return [_record(row) for row in rows]

    def of_name(self, workspace_id: int, name: str, orchestration_ids: Sequence[str], *, killed: bool) -> list[TaskRow]:
        """Return the workspace's tasks of this name, and those of these orchestrations that have none, without packaging.

        The last updated first; with `killed`, killed ones too.
        """
        rows = self._database.rows(
            "SELECT *, rowid FROM tasks INDEXED BY tasks_of_name"
            " WHERE name = ? AND workspace_id = ? AND kind <> 'packaging' AND (? OR status <> 'killed')"
            " UNION ALL SELECT *, rowid FROM tasks INDEXED BY tasks_of_orchestration"
            " WHERE orchestration_id IN (SELECT value FROM json_each(?)) AND name IS NULL"
            " AND kind <> 'packaging' AND (? OR status <> 'killed') ORDER BY updated_at DESC, rowid DESC",
            (name, workspace_id, killed, json.dumps(orchestration_ids), killed),
        )
        return [_record(row) for row in rows]

    def of_orchestration(self, orchestration_id: str) -> list[TaskRow]:
        """Return an orchestration's tasks without packaging, the last updated first."""
        rows = self._database.rows(
            "SELECT * FROM tasks WHERE orchestration_id = ? AND kind <> 'packaging' ORDER BY updated_at DESC, rowid DESC",
            (orchestration_id,),
        )
        return [_record(row) for row in rows]

    def ids_of_workspace(self, workspace_id: int, *, killed: bool, limit: int | None = None) -> list[str]:
        """Return the ids of the tasks that `of_workspace` returns, in the same order."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE workspace_id = ? AND kind <> 'packaging' AND (? OR status <> 'killed')"
            " ORDER BY updated_at DESC, rowid DESC LIMIT ?",
            (workspace_id, killed, _most(limit)),
        )
        return [row["task_id"] for row in rows]

    def ids_of_orchestrations(self, orchestration_ids: Sequence[str], *, killed: bool, limit: int | None = None) -> list[str]:
        """Return the ids of these orchestrations' tasks without packaging, the last updated first; with `killed`, killed ones too."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE orchestration_id IN (SELECT value FROM json_each(?)) AND kind <> 'packaging'"
            " AND (? OR status <> 'killed') ORDER BY updated_at DESC, rowid DESC LIMIT ?",
            (json.dumps(orchestration_ids), killed, _most(limit)),
        )
        return [row["task_id"] for row in rows]

    def all_ids(self, *, killed: bool, limit: int | None = None) -> list[str]:
        """Return the ids of all tasks without packaging, the last updated first; with `killed`, of the killed ones too."""
        if limit is None:
            rows = self._database.rows(
                "SELECT task_id FROM tasks WHERE kind <> 'packaging' AND (? OR status <> 'killed') ORDER BY updated_at DESC, rowid DESC",
                (killed,),
            )
        else:
            # The first of each workspace, then of all: an index has each workspace's tasks in this order.
            rows = self._database.rows(
                "SELECT task_id FROM workspaces JOIN tasks ON tasks.rowid IN (SELECT newest.rowid FROM tasks AS newest"
                " WHERE newest.workspace_id = workspaces.workspace_id AND kind <> 'packaging' AND (? OR status <> 'killed')"
                " ORDER BY updated_at DESC, newest.rowid DESC LIMIT ?) ORDER BY tasks.updated_at DESC, tasks.rowid DESC LIMIT ?",
                (killed, limit, limit),
            )
        return [row["task_id"] for row in rows]

    def of_ids(self, task_ids: Sequence[str]) -> list[TaskRow]:
        """Return the tasks with these ids, in the order of the ids; deleted tasks are left out."""
        rows = self._database.rows(
            "SELECT tasks.* FROM json_each(?) AS wanted JOIN tasks ON tasks.task_id = wanted.value ORDER BY wanted.key",
            (json.dumps(task_ids),),
        )
        return [_record(row) for row in rows]

    def active_of_orchestration(self, transaction: Transaction, orchestration_id: str) -> list[TaskRow]:
        """Return the orchestration's tasks that have, or may still get, an unfinished run."""
        rows = transaction.rows(
            "SELECT * FROM tasks WHERE orchestration_id = ? AND (EXISTS (SELECT 1 FROM runs WHERE runs.task_id = tasks.task_id"
            " AND runs.status IN ('queued', 'running')) OR (kind IN ('scheduled', 'continuous') AND status NOT IN ('killed', 'failed')))",
            (orchestration_id,),
        )
        return [_record(row) for row in rows]

    def waiting_for(self, transaction: Transaction, orchestration_id: str) -> list[TaskRow]:
        """Return the tasks that wait for the orchestration to become `ready`."""
        rows = transaction.rows(
            "SELECT * FROM tasks WHERE orchestration_id = ? AND kind <> 'packaging' AND status IN ('pending', 'pending_resume')",
            (orchestration_id,),
        )
        return [_record(row) for row in rows]

    def next_due(self) -> datetime | None:
        """Return when the next task is due: aware, UTC; None if none is."""
        row = self._database.row("SELECT MIN(next_at) FROM tasks WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop')")
        return None if row is None else to_datetime(row[0])

    def due(self, now: datetime, limit: int) -> list[TaskRow]:
        """Return up to `limit` tasks that are due, longest overdue first."""
        rows = self._database.rows(
            "SELECT * FROM tasks WHERE next_at <= ? AND next_at IS NOT NULL AND status IN ('started', 'crash_loop')"
            " ORDER BY next_at LIMIT ?",
            (to_microseconds(now), limit),
        )
        return [_record(row) for row in rows]

    def all_due(self, transaction: Transaction, now: datetime) -> list[TaskRow]:
        """Return every task that is due, as this transaction sees them, in no particular order."""
        rows = transaction.rows(
            "SELECT * FROM tasks WHERE next_at <= ? AND next_at IS NOT NULL AND status IN ('started', 'crash_loop')",
            (to_microseconds(now),),
        )
        return [_record(row) for row in rows]

    def advance(self, transaction: Transaction, task: TaskRow, next_at: datetime | None, skipped_in_row: int = 0) -> bool:
        """Set when the task is due next. Return False, without a change, if `task` is out of date: it was dispatched, moved or replaced."""
        changed = transaction.execute(
            "UPDATE tasks SET next_at = ?, skipped_in_row = ? WHERE task_id = ? AND next_at IS ? AND status = ? AND updated_at = ?",
            (_microseconds(next_at), skipped_in_row, *_guard(task)),
        )
        return changed == 1

    def advance_all(self, transaction: Transaction, advances: Sequence[tuple[TaskRow, datetime]]) -> bool:
        """As `advance`, for several tasks. Return False if any of them has changed; the caller must then roll back."""
        changed = transaction.execute_many(
            "UPDATE tasks SET next_at = ?, skipped_in_row = 0 WHERE task_id = ? AND next_at = ? AND status = ? AND updated_at = ?",
            [(to_microseconds(at), *_guard(task)) for task, at in advances],
        )
        return changed == len(advances)

    def shorten_backoffs(self, transaction: Transaction, until: datetime) -> int:
        """Bring continuous tasks that are due later than `until` forward to it. Return how many there were."""
        at = to_microseconds(until)
        return transaction.execute(
            "UPDATE tasks SET next_at = ? WHERE next_at > ? AND status IN (SELECT value FROM json_each(?)) AND kind = 'continuous'",
            (at, at, _MAY_BE_DUE),
        )

    def ahead_of_clock(self, now: datetime) -> list[TaskRow]:
        """Return the scheduled tasks with slots dispatched, created or rescheduled later than `now`: the clock was set back since."""
        at = to_microseconds(now)
        rows = self._database.rows(
            "SELECT * FROM tasks WHERE next_at > ? AND status IN (SELECT value FROM json_each(?)) AND kind = 'scheduled'"
            " AND (COALESCE(schedule_since, created_at) > ? OR EXISTS"
            " (SELECT 1 FROM runs WHERE runs.task_id = tasks.task_id AND slot_at > ?))",
            (at, _MAY_BE_DUE, at, at),
        )
        return [_record(row) for row in rows]

    def scheduled(self) -> list[TaskRow]:
        """Return the scheduled tasks that may still have runs, in no particular order."""
        rows = self._database.rows(
            "SELECT * FROM tasks INDEXED BY tasks_recurring WHERE (kind = 'scheduled' OR kind = 'continuous') AND kind = 'scheduled'"
            " AND next_at IS NOT NULL AND status NOT IN ('killed', 'pending_kill', 'failed')"
        )
        return [_record(row) for row in rows]

    def bring_forward(self, transaction: Transaction, task: TaskRow, next_at: datetime) -> bool:
        """Set an earlier due time. Return False if the task differs from `task`, or if rows of slots since `next_at` were pruned."""
        at = to_microseconds(next_at)
        changed = transaction.execute(
            "UPDATE tasks SET next_at = ? WHERE task_id = ? AND next_at = ? AND status = ? AND updated_at = ?"
            " AND COALESCE(pruned_until, 0) < ?",
            (at, *_guard(task), at),
        )
        return changed == 1

    def set_next(self, transaction: Transaction, task_id: str, next_at: datetime | None) -> None:
        """Set when the task is due next; None for never."""
        transaction.execute("UPDATE tasks SET next_at = ? WHERE task_id = ?", (_microseconds(next_at), task_id))

    def set_skipped_in_row(self, transaction: Transaction, task_id: str, skipped_in_row: int) -> None:
        """Set how many slots were skipped since the last run."""
        transaction.execute("UPDATE tasks SET skipped_in_row = ? WHERE task_id = ?", (skipped_in_row, task_id))

    def replace(self, transaction: Transaction, task: TaskRow, at: datetime, reason: str) -> None:
        """Store what the task runs from now on, when and with which arguments, and record the event. Its name and status stay."""
        transaction.execute(
            "UPDATE tasks SET orchestration_id = ?, arguments = ?, timeout_seconds = ?, debug = ?, env = ?, on_failure = ?, on_success = ?,"
            " on_late = ?, retry = ?, resources = ?,"
            # A schedule that cannot be read stays as it is.
            " schedule = COALESCE(?, schedule), schedule_since = ?, next_at = ?, updated_at = ? WHERE task_id = ?",
            (
                task.orchestration_id,
                task.arguments,
                task.timeout_seconds,
                task.debug,
                json.dumps(dict(task.env)),
                _command_text(task.on_failure),
                _command_text(task.on_success),
                _command_text(task.on_late),
                None if task.retry is None else json.dumps(task.retry._asdict()),
                _resources_text(task.resources),
                None if task.schedule is None else json.dumps(task.schedule._asdict()),
                _microseconds(task.schedule_since),
                _microseconds(task.next_at),
                to_microseconds(at) + (at == task.updated_at),  # another time in any case: `advance` compares it
                task.task_id,
            ),
        )
        events.record(transaction, "task", task.task_id, task.status, "replaced", at, reason)

    def find(self, transaction: Transaction, task_id: str) -> TaskRow | None:
        """Return the task as this transaction sees it; None if there is none."""
        row = transaction.row("SELECT * FROM tasks WHERE task_id = ?", (task_id,))
        return None if row is None else _record(row)

    def move(self, transaction: Transaction, task_id: str, target: TaskStatus, at: datetime, reason: str | None = None) -> None:
        """Change the status, and record the event.

        Raises:
            IllegalMove: the current status does not allow it, or there is no such task.
        """
        was = self.status(transaction, task_id)
        if was not in sources_of(target):
            raise IllegalMove(f"Task {task_id} is {was}, so it cannot become {target}.", status=was)
        transaction.execute(
            "UPDATE tasks SET status = ?, reason = ?, updated_at = ? WHERE task_id = ?", (target, reason, to_microseconds(at), task_id)
        )
        events.record(transaction, "task", task_id, was, target, at, reason)

    def status(self, transaction: Transaction, task_id: str) -> TaskStatus | None:
        """Return the status as this transaction sees it; None if there is no such task."""
        row = transaction.row("SELECT status FROM tasks WHERE task_id = ?", (task_id,))
        return None if row is None else TaskStatus(row["status"])


def _most(limit: int | None) -> int:
    return -1 if limit is None else limit


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
        env={} if row["env"] == "{}" else json.loads(row["env"]),  # nearly always; every run reads it
        env_passthrough=() if row["env_passthrough"] == "[]" else tuple(json.loads(row["env_passthrough"])),
        status=TaskStatus(row["status"]),
        reason=row["reason"],
        created_at=known_datetime(row["created_at"]),
        updated_at=known_datetime(row["updated_at"]),
        schedule=to_policy(row["schedule"]),
        next_at=to_datetime(row["next_at"]),
        skipped_in_row=row["skipped_in_row"],
        on_failure=_command(row["on_failure"]),
        on_success=_command(row["on_success"]),
        on_late=_command(row["on_late"]),
        pruned_until=to_datetime(row["pruned_until"]),
        schedule_since=to_datetime(row["schedule_since"]),
        retry=None if row["retry"] is None else RetryPolicy(**json.loads(row["retry"])),
        resources=to_resources(row["resources"]),
    )


def to_resources(text: str | None) -> ResourceLimits:
    """Return the limits of a row, from their JSON; NULL stands for none."""
    return ResourceLimits() if text is None else ResourceLimits(**json.loads(text))


def _resources_text(resources: ResourceLimits) -> str | None:
    return None if resources == ResourceLimits() else json.dumps(resources._asdict())


def to_policy(text: str | None) -> SchedulePolicy | None:
    """Return the policy of a row, from its JSON; None also if it cannot be read: that concerns its task, and must not hide the others."""
    try:
        return None if text is None else SchedulePolicy(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _guard(task: TaskRow) -> tuple[str, int | None, str, int]:
    """Return the parameters that find the task only as long as it is as in this row."""
    return task.task_id, _microseconds(task.next_at), task.status, to_microseconds(task.updated_at)


def _command(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))


def _command_text(command: tuple[str, ...] | None) -> str | None:
    return None if command is None else json.dumps(command)


def _microseconds(at: datetime | None) -> int | None:
    return None if at is None else to_microseconds(at)
