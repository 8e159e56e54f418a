"""Notifications: which host has promised to send one for a run, until it was sent. Also finds the slots that are late or were missed."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from orchlite.core.records import NotificationEvent, PendingNotification
from orchlite.store.database import Database, Transaction, to_microseconds
from orchlite.store.run_conditions import LATE

_NONE, _SOME = "[]", ""
"""What stands for the command of a task that has none of its own: no command, or the host's."""


class LateRun(NamedTuple):
    """A run of a slot that is late, or the row of a slot that was missed."""

    run_id: str
    task_id: str


class Notifications:
    """The notifications of one store. A run has at most one about its outcome, and one about being late."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def promise(self, transaction: Transaction, run_id: str, event: NotificationEvent, host_id: str, *, has_default: bool) -> bool:
        """Record that this host notifies of the run's outcome, if its task has a command for it. Return False if it has none.

        has_default: whether the host has a command for tasks that have none. Nobody is notified of packaging that succeeds.
        """
        changed = transaction.execute(
            "UPDATE runs SET to_be_told_by = ? WHERE run_id = ? AND (SELECT COALESCE("
            "CASE WHEN ? = 'failure' THEN on_failure WHEN kind = 'packaging' THEN '[]' ELSE on_success END, ?)"
            " FROM tasks WHERE tasks.task_id = runs.task_id) <> '[]'",
            (host_id, run_id, event, _SOME if has_default else _NONE),
        )
        return changed == 1

    def is_promised(self, run_id: str, host_id: str) -> bool:
        """Return whether this host has promised to notify of the run's outcome, and has not done so."""
        return self._database.row("SELECT 1 FROM runs WHERE run_id = ? AND to_be_told_by = ?", (run_id, host_id)) is not None

    def late(self, before: datetime, since: datetime, *, has_default: bool) -> list[LateRun]:
        """Return the late runs and missed slots that nobody has promised to notify of, the newest slot first.

        before: queued runs of earlier slots are late.
        since: leave out what started late, or was missed, earlier than this.
        has_default: whether to return those of tasks without a command, too.
        """
        rows = self._database.rows(
            "SELECT run_id, task_id FROM (SELECT * FROM runs INDEXED BY runs_queued WHERE status = 'queued' AND slot_at < ?"  # noqa: S608 - constants
            f" UNION ALL SELECT * FROM runs INDEXED BY runs_late WHERE {LATE} AND claimed_at >= ?"
            " UNION ALL SELECT * FROM runs INDEXED BY runs_skipped_at"
            " WHERE status = 'skipped' AND ended_at >= ? AND reason LIKE 'missed:%') AS late"
            " JOIN tasks USING (task_id) WHERE late_told_by IS NULL AND COALESCE(on_late, ?) <> '[]' ORDER BY slot_at DESC",
            (to_microseconds(before), to_microseconds(since), to_microseconds(since), _SOME if has_default else _NONE),
        )
        return [LateRun(row["run_id"], row["task_id"]) for row in rows]

    def promise_late(self, transaction: Transaction, run_id: str, host_id: str | None) -> bool:
        """Record that this host notifies of the run's lateness, or that nobody does. Return False if that was decided before."""
        return (
            transaction.execute("UPDATE runs SET late_told_by = ? WHERE run_id = ? AND late_told_by IS NULL", (host_id or "", run_id)) == 1
        )

    def take_over(self, transaction: Transaction, pending: PendingNotification, host_id: str) -> bool:
        """Record that this host sends the notification instead. Return False if it was sent, or another host has taken it over first."""
        changes = (host_id, pending.run_id, pending.host_id)
        if pending.event == "late":
            return transaction.execute("UPDATE runs SET late_told_by = ? WHERE run_id = ? AND late_told_by = ?", changes) == 1
        return transaction.execute("UPDATE runs SET to_be_told_by = ? WHERE run_id = ? AND to_be_told_by = ?", changes) == 1

    def sent(self, transaction: Transaction, run_id: str, event: NotificationEvent) -> None:
        """Record that this notification is not pending."""
        if event == "late":
            transaction.execute("UPDATE runs SET late_told_by = '' WHERE run_id = ?", (run_id,))
        else:
            transaction.execute("UPDATE runs SET to_be_told_by = NULL WHERE run_id = ?", (run_id,))

    def pending(self) -> list[PendingNotification]:
        """Return the notifications that were promised and not sent, oldest run first."""
        rows = self._database.rows(
            "SELECT run_id, number, IIF(status = 'success', 'success', 'failure') AS event, to_be_told_by AS host_id"
            " FROM runs INDEXED BY runs_to_be_told WHERE to_be_told_by IS NOT NULL"
            " UNION ALL SELECT run_id, number, 'late', late_told_by FROM runs INDEXED BY runs_late_to_be_told WHERE late_told_by > ''"
            " ORDER BY number"
        )
        return [PendingNotification(row["run_id"], row["event"], row["host_id"]) for row in rows]
