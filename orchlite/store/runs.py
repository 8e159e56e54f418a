"""Runs in the store: the queue, claims, and the one door through which a run's status moves."""

from __future__ import annotations

import json
from datetime import datetime

from orchlite.errors import IllegalMove, NotFound
from orchlite.records import Claim, RunResult, RunRow
from orchlite.status import RunStatus, sources_of
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_datetime, to_microseconds


class Runs:
    """The runs of one store. A run is queued, then claimed by a host, then has exactly one end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, transaction: Transaction, run_id: str, task_id: str, submitted_by: str, now: datetime) -> None:
        """Queue a run behind all others."""
        transaction.execute(
            "INSERT INTO runs (run_id, task_id, status, submitted_by, created_at) VALUES (?, ?, 'queued', ?, ?)",
            (run_id, task_id, submitted_by, to_microseconds(now)),
        )
        events.record(transaction, run_id, None, RunStatus.QUEUED, now)

    def insert_claimed(self, transaction: Transaction, run: RunRow) -> None:
        """Add a run that its submitter has claimed already, as its first attempt."""
        transaction.execute(
            "INSERT INTO runs (run_id, task_id, status, attempt, submitted_by, host_id, boot_id, created_at, claimed_at)"
            " VALUES (?, ?, 'running', 1, ?, ?, ?, ?, ?)",
            (run.run_id, run.task_id, run.submitted_by, run.host_id, run.boot_id, *[to_microseconds(run.created_at)] * 2),
        )
        events.record(transaction, run.run_id, None, RunStatus.RUNNING, run.created_at)

    def claim(self, transaction: Transaction, run_id: str, claim: Claim) -> RunRow:
        """Take a queued run, as its first attempt or a further one.

        Raises:
            IllegalMove: it is queued no more.
        """
        row = transaction.row(
            "UPDATE runs SET status = 'running', attempt = attempt + 1, host_id = ?, boot_id = ?, claimed_at = ?"
            " WHERE run_id = ? AND status = 'queued' RETURNING *",
            (claim.host_id, claim.boot_id, to_microseconds(claim.at), run_id),
        )
        if row is None:
            raise self._illegal(transaction, run_id, RunStatus.RUNNING)
        events.record(transaction, run_id, RunStatus.QUEUED, RunStatus.RUNNING, claim.at)
        return _record(row)

    def next_claimable(self, host_id: str, *, whole_store: bool) -> str | None:
        """The id of the oldest queued run that this host may start now: what it submitted, or with `whole_store` anybody's."""
        row = self._database.row(
            "SELECT runs.run_id FROM runs JOIN tasks USING (task_id) JOIN orchestrations USING (orchestration_id)"
            " WHERE runs.status = 'queued' AND (? OR runs.submitted_by = ?)"
            " AND (tasks.kind = 'packaging' OR orchestrations.status = 'ready')"
            " ORDER BY runs.number LIMIT 1",
            (whole_store, host_id),
        )
        return None if row is None else str(row["run_id"])

    def hand_over(self, transaction: Transaction, task_id: str, host_id: str) -> None:
        """Make this host the submitter of the task's queued runs: who needs them may start them."""
        transaction.execute("UPDATE runs SET submitted_by = ? WHERE task_id = ? AND status = 'queued'", (host_id, task_id))

    def adopt(self, transaction: Transaction, run_id: str, from_host_id: str, to_host_id: str) -> bool:
        """Take a running run over from a dead host; False where another host was quicker."""
        changed = transaction.execute(
            "UPDATE runs SET host_id = ? WHERE run_id = ? AND status = 'running' AND host_id = ?", (to_host_id, run_id, from_host_id)
        )
        return changed == 1

    def end(self, transaction: Transaction, run_id: str, result: RunResult, attempt: int | None = None) -> None:
        """Record how a run ended, and which attempt it was that ran, where that is known.

        Raises:
            IllegalMove: it has ended already, or was never claimed and the end is not one of a queued run.
        """
        was = self.status(transaction, run_id)
        if was not in sources_of(result.status):
            raise self._illegal(transaction, run_id, result.status)
        transaction.execute(
            "UPDATE runs SET status = ?, started_at = ?, ended_at = ?, duration_seconds = ?, exit_code = ?, reason = ?, log_complete = ?,"
            " attempt = COALESCE(?, attempt) WHERE run_id = ?",
            (
                result.status,
                None if result.started_at is None else to_microseconds(result.started_at),
                to_microseconds(result.ended_at),
                result.duration_seconds,
                result.exit_code,
                result.reason,
                result.log_complete,
                attempt,
                run_id,
            ),
        )
        events.record(transaction, run_id, was, result.status, result.ended_at, result.reason)

    def requeue(self, transaction: Transaction, run_id: str, now: datetime, reason: str, *, attempt: int | None = None) -> None:
        """Put a run that was claimed and never started, or that is packaging of a dead host, back into the queue, at its old place.

        attempt: the claim that came to nothing; with a later one the run is another host's by now.

        Raises:
            IllegalMove: it is not running, or not in this attempt.
        """
        changed = transaction.execute(
            "UPDATE runs SET status = 'queued', host_id = NULL, boot_id = NULL, claimed_at = NULL"
            " WHERE run_id = ? AND status = 'running' AND attempt = COALESCE(?, attempt)",
            (run_id, attempt),
        )
        if not changed:
            raise self._illegal(transaction, run_id, RunStatus.QUEUED)
        events.record(transaction, run_id, RunStatus.RUNNING, RunStatus.QUEUED, now, reason)

    def request_kill(self, transaction: Transaction, run_id: str) -> None:
        """Note that somebody wants the run to end."""
        transaction.execute("UPDATE runs SET kill_requested = 1 WHERE run_id = ?", (run_id,))

    def get(self, run_id: str) -> RunRow:
        """The run with this id.

        Raises:
            NotFound: there is none.
        """
        row = self._database.row("SELECT * FROM runs WHERE run_id = ?", (run_id,))
        if row is None:
            raise NotFound(f"There is no run {run_id!r} in this store.", hint="task.last_runs() shows a task's runs.", run_id=run_id)
        return _record(row)

    def exists(self, run_id: str) -> bool:
        """Whether there is a run with this id."""
        return self._database.row("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)) is not None

    def status(self, transaction: Transaction, run_id: str) -> RunStatus | None:
        """The status as this transaction sees it; None where there is no such run."""
        row = transaction.row("SELECT status FROM runs WHERE run_id = ?", (run_id,))
        return None if row is None else RunStatus(row["status"])

    def of_task(self, task_id: str, limit: int | None = None, statuses: frozenset[RunStatus] | None = None) -> list[RunRow]:
        """A task's runs, newest first; skipped ones only where `statuses` names them."""
        rows = self._database.rows(
            "SELECT * FROM runs WHERE task_id = ? AND CASE WHEN ? IS NULL THEN status <> 'skipped'"
            " ELSE status IN (SELECT value FROM json_each(?)) END ORDER BY number DESC LIMIT ?",
            (task_id, *[None if statuses is None else json.dumps(sorted(statuses))] * 2, -1 if limit is None else limit),
        )
        return [_record(row) for row in rows]

    def unfinished_of_task(self, transaction: Transaction, task_id: str) -> list[RunRow]:
        """A task's queued and running runs, newest first."""
        rows = transaction.rows(
            "SELECT * FROM runs WHERE status = 'queued' AND task_id = :task_id"
            " UNION ALL SELECT * FROM runs WHERE status = 'running' AND task_id = :task_id ORDER BY number DESC",
            {"task_id": task_id},
        )
        return [_record(row) for row in rows]

    def newest_to_wait_for(self, task_id: str) -> RunRow | None:
        """A task's newest unfinished run, else its newest; None where it has none."""
        row = self._database.row(
            "SELECT * FROM runs WHERE task_id = ? ORDER BY status IN ('queued', 'running') DESC, number DESC LIMIT 1", (task_id,)
        )
        return None if row is None else _record(row)

    def running(self) -> list[RunRow]:
        """Every run that some host has claimed and that has no end yet."""
        return [_record(row) for row in self._database.rows("SELECT * FROM runs WHERE status = 'running' ORDER BY number")]

    def unfinished_submitted_by(self, host_id: str) -> list[RunRow]:
        """What this host submitted and what has not ended, oldest first."""
        rows = self._database.rows(
            "SELECT * FROM runs WHERE status = 'queued' AND submitted_by = :host_id"
            " UNION ALL SELECT * FROM runs WHERE status = 'running' AND submitted_by = :host_id ORDER BY number",
            {"host_id": host_id},
        )
        return [_record(row) for row in rows]

    def ids_of_orchestration(self, transaction: Transaction, orchestration_id: str) -> list[str]:
        """The ids of every run of every task of the orchestration, packaging included."""
        rows = transaction.rows("SELECT run_id FROM runs JOIN tasks USING (task_id) WHERE orchestration_id = ?", (orchestration_id,))
        return [row["run_id"] for row in rows]

    def _illegal(self, transaction: Transaction, run_id: str, target: RunStatus) -> IllegalMove:
        was = self.status(transaction, run_id)
        return IllegalMove(f"Run {run_id} is {was}, so it cannot become {target}.", status=was, run_id=run_id)


def _record(row: Row) -> RunRow:
    return RunRow(
        run_id=row["run_id"],
        task_id=row["task_id"],
        status=RunStatus(row["status"]),
        attempt=row["attempt"],
        submitted_by=row["submitted_by"],
        host_id=row["host_id"],
        boot_id=row["boot_id"],
        created_at=known_datetime(row["created_at"]),
        claimed_at=to_datetime(row["claimed_at"]),
        started_at=to_datetime(row["started_at"]),
        ended_at=to_datetime(row["ended_at"]),
        duration_seconds=row["duration_seconds"],
        exit_code=row["exit_code"],
        reason=row["reason"],
        kill_requested=bool(row["kill_requested"]),
        log_complete=bool(row["log_complete"]),
    )
