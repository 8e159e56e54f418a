"""The tries that follow failed runs: each is a run of its own, which waits in the queue until its time."""

from __future__ import annotations

from datetime import datetime

from orchlite.core.status import RunStatus
from orchlite.store import events
from orchlite.store.database import Database, Transaction, to_datetime, to_microseconds


class Tries:
    """The tries of one store. A try that has not started is pending: a `queued` run that names the failed one before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, transaction: Transaction, run_id: str, failed_id: str, not_before_at: datetime, now: datetime, reason: str) -> None:
        """Queue the try that follows a failed run, for the host that submitted that one. SQLite refuses a second try after the same run."""
        transaction.execute(
            "INSERT INTO runs (run_id, task_id, status, submitted_by, created_at, retry_of, try, not_before, repeated_slot_at)"
            " SELECT ?, task_id, 'queued', submitted_by, ?, run_id, try + 1, ?, COALESCE(slot_at, repeated_slot_at)"
            " FROM runs WHERE run_id = ?",
            (run_id, to_microseconds(now), to_microseconds(not_before_at), failed_id),
        )
        events.record(transaction, "run", run_id, None, RunStatus.QUEUED, now, reason)

    def after(self, run_id: str) -> str | None:
        """Return the id of the try that follows this run; None if none does."""
        row = self._database.row("SELECT run_id FROM runs WHERE retry_of = ?", (run_id,))
        return None if row is None else str(row["run_id"])

    def is_overtaken(self, transaction: Transaction, run_id: str) -> bool:
        """Return whether the run's task has started or queued another run since its first try, for a slot or on request."""
        row = transaction.row(
            "WITH RECURSIVE chain (run_id, retry_of, number, task_id) AS"
            " (SELECT run_id, retry_of, number, task_id FROM runs WHERE run_id = ?"
            " UNION ALL SELECT runs.run_id, runs.retry_of, runs.number, runs.task_id FROM chain JOIN runs ON runs.run_id = chain.retry_of)"
            " SELECT 1 FROM runs WHERE task_id = (SELECT MIN(task_id) FROM chain) AND number > (SELECT MIN(number) FROM chain)"
            " AND retry_of IS NULL AND status <> 'skipped' LIMIT 1",
            (run_id,),
        )
        return row is not None

    def next_at(self, after: datetime) -> datetime | None:
        """Return when the next pending try may start, later than `after`; None if none does. Those of paused tasks wait for `resume`."""
        row = self._database.row(
            "SELECT not_before FROM runs INDEXED BY runs_pending_tries JOIN tasks USING (task_id) WHERE runs.status = 'queued'"
            " AND not_before > ? AND tasks.status <> 'paused' ORDER BY not_before LIMIT 1",
            (to_microseconds(after),),
        )
        return None if row is None else to_datetime(row["not_before"])

    def bring_forward(self, transaction: Transaction, now: datetime) -> int:
        """Limit the wait of each pending try to its task's delay, from `now` on. Return how many it has shortened."""
        at = to_microseconds(now)
        return transaction.execute(
            "UPDATE runs SET not_before = ? + CAST(json_extract(tasks.retry, '$.delay_seconds') * 1000000 AS INTEGER) FROM tasks"
            " WHERE tasks.task_id = runs.task_id AND runs.status = 'queued' AND not_before IS NOT NULL"
            " AND not_before > ? + CAST(json_extract(tasks.retry, '$.delay_seconds') * 1000000 AS INTEGER)",
            (at, at),
        )
