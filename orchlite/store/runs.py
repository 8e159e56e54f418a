"""Runs: the queue, claims, outcomes, and the only code that changes the status of a run."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from orchlite.core.errors import IllegalMove, NotFound
from orchlite.core.hints import PythonOnly
from orchlite.core.records import Claim, Placement, RunResult, RunRow, SkippedSlots
from orchlite.core.status import RunStatus, TaskKind, sources_of
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_datetime, to_microseconds


class Runs:
    """The runs of one store. A run is queued, then claimed by a host, and ends exactly once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(
        self, transaction: Transaction, run_id: str, task_id: str, submitted_by: str, now: datetime, reason: str | None = None
    ) -> None:
        """Queue a run after all others."""
        transaction.execute(
            "INSERT INTO runs (run_id, task_id, status, submitted_by, created_at) VALUES (?, ?, 'queued', ?, ?)",
            (run_id, task_id, submitted_by, to_microseconds(now)),
        )
        events.record(transaction, "run", run_id, None, RunStatus.QUEUED, now, reason)

    def set_rerun(self, transaction: Transaction, run_id: str, rerun_of: str) -> None:
        """Record that the run repeats another one, and for which slot."""
        transaction.execute(
            "UPDATE runs SET rerun_of = ?, repeated_slot_at = (SELECT COALESCE(slot_at, repeated_slot_at) FROM runs WHERE run_id = ?)"
            " WHERE run_id = ?",
            (rerun_of, rerun_of, run_id),
        )

    def insert_slots(self, transaction: Transaction, slots: Sequence[tuple[str, str, datetime]], submitted_by: str, now: datetime) -> None:
        """Queue a run for each triple of run id, task id and slot. A slot that has a run already makes SQLite refuse all of them."""
        at = to_microseconds(now)
        transaction.execute_many(
            "INSERT INTO runs (run_id, task_id, status, submitted_by, created_at, slot_at) VALUES (?, ?, 'queued', ?, ?, ?)",
            [(run_id, task_id, submitted_by, at, to_microseconds(slot_at)) for run_id, task_id, slot_at in slots],
        )
        events.record_all(transaction, "run", [run_id for run_id, _, _ in slots], RunStatus.QUEUED, now)

    def insert_skipped(self, transaction: Transaction, task_id: str, skipped: SkippedSlots, now: datetime) -> None:
        """Insert a row that says why these slots have no run. It has no submitter."""
        run_id, at = str(uuid.uuid4()), to_microseconds(now)
        transaction.execute(
            "INSERT INTO runs (run_id, task_id, status, submitted_by, created_at, ended_at, slot_at, slots, reason)"
            " VALUES (?, ?, 'skipped', '', ?, ?, ?, ?, ?)",
            (run_id, task_id, at, at, to_microseconds(skipped.slot_at), skipped.slots, skipped.reason),
        )
        events.record(transaction, "run", run_id, None, RunStatus.SKIPPED, now, skipped.reason)

    def add_to_newest_skipped(self, transaction: Transaction, task_id: str, skipped: SkippedSlots, now: datetime) -> None:
        """Add these slots to the task's newest skipped row."""
        at = to_microseconds(now)
        transaction.execute(
            "UPDATE runs SET slots = slots + ?, slot_at = ?, reason = ?, ended_at = ? WHERE number ="
            " (SELECT number FROM runs WHERE task_id = ? AND status = 'skipped' ORDER BY number DESC LIMIT 1)",
            (skipped.slots, to_microseconds(skipped.slot_at), skipped.reason, at, task_id),
        )

    def count_skipped(self, task_id: str) -> int:
        """Return how many of the task's slots were skipped, without those whose rows were pruned."""
        row = self._database.row(
            "SELECT TOTAL(slots) FROM runs INDEXED BY runs_skipped WHERE task_id = ? AND status = 'skipped'", (task_id,)
        )
        assert row is not None
        return int(row[0])

    def insert_claimed(self, transaction: Transaction, run: RunRow) -> None:
        """Insert a run that its submitter has claimed already, as its first attempt."""
        transaction.execute(
            "INSERT INTO runs (run_id, task_id, status, attempt, submitted_by, host_id, boot_id, created_at, claimed_at)"
            " VALUES (?, ?, 'running', 1, ?, ?, ?, ?, ?)",
            (run.run_id, run.task_id, run.submitted_by, run.host_id, run.boot_id, *[to_microseconds(run.created_at)] * 2),
        )
        events.record(transaction, "run", run.run_id, None, RunStatus.RUNNING, run.created_at)

    def claim(self, transaction: Transaction, run_id: str, claim: Claim) -> RunRow:
        """Claim a queued run as its next attempt, of its task as it is now, and return it.

        Raises:
            IllegalMove: the run is not queued any more.
        """
        row = transaction.row(
            "UPDATE runs SET status = 'running', attempt = attempt + 1, host_id = ?, boot_id = ?, claimed_at = ?, version_id = NULL,"
            " reason = NULL WHERE run_id = ? AND status = 'queued' RETURNING *",
            (claim.host_id, claim.boot_id, to_microseconds(claim.at), run_id),
        )
        if row is None:
            raise self._illegal(transaction, run_id, RunStatus.RUNNING)
        events.record(transaction, "run", run_id, RunStatus.QUEUED, RunStatus.RUNNING, claim.at)
        return to_run_row(row)

    def next_claimable(
        self, host_id: str, now: datetime, *, whole_store: bool, packaging: bool | None = None, excluded: Collection[str] = ()
    ) -> str | None:
        """Return the first of `claimable`; None if there is none."""
        found = self.claimable(host_id, now, 1, whole_store=whole_store, packaging=packaging, excluded=excluded)
        return found[0] if found else None

    def claimable(
        self, host_id: str, now: datetime, limit: int, *, whole_store: bool, packaging: bool | None = None, excluded: Collection[str] = ()
    ) -> list[str]:
        """Return the ids of the oldest queued runs that this host may start at `now`, the oldest first, `limit` at most.

        whole_store: consider the runs that any host submitted, not only this one.
        packaging: consider only packaging runs, or only others; both by default.
        excluded: ids of runs not to consider.
        """
        none_or_ids = json.dumps(list(excluded)) if excluded else None
        rows = self._database.rows(
            "SELECT runs.run_id FROM runs JOIN tasks USING (task_id) JOIN orchestrations USING (orchestration_id)"
            " WHERE runs.status = 'queued' AND (? OR runs.submitted_by = ?)"
            " AND (tasks.kind = 'packaging' OR orchestrations.status = 'ready') AND (tasks.kind = 'packaging') IS NOT ?"
            " AND (runs.not_before IS NULL OR runs.not_before <= ? AND tasks.status <> 'paused')"
            # A run that replaces another starts when that one has ended.
            " AND (tasks.schedule IS NULL OR NOT json_valid(tasks.schedule)"
            " OR json_extract(tasks.schedule, '$.concurrency') <> 'replace' OR NOT EXISTS"
            " (SELECT 1 FROM runs AS old WHERE old.task_id = runs.task_id AND old.status IN ('queued', 'running')"
            " AND old.status = 'running'))"
            " AND (? IS NULL OR runs.run_id NOT IN (SELECT value FROM json_each(?)))"
            " ORDER BY runs.number LIMIT ?",
            (whole_store, host_id, None if packaging is None else not packaging, to_microseconds(now), none_or_ids, none_or_ids, limit),
        )
        return [row["run_id"] for row in rows]

    def is_past_deadline(self, transaction: Transaction, run_id: str, now: datetime) -> bool:
        """Return whether the run's slot is longer ago than the task's starting deadline."""
        row = transaction.row(
            # A schedule that cannot be read has no deadline: its runs must not stop those of other tasks.
            "SELECT slot_at, CASE WHEN json_valid(schedule) THEN json_extract(schedule, '$.starting_deadline_seconds') END AS seconds"
            " FROM runs JOIN tasks USING (task_id) WHERE run_id = ? AND slot_at IS NOT NULL",
            (run_id,),
        )
        seconds = None if row is None else row["seconds"]
        return row is not None and isinstance(seconds, int | float) and to_microseconds(now) - row["slot_at"] > seconds * 1e6

    def hand_over(self, transaction: Transaction, task_id: str, host_id: str) -> None:
        """Make this host the submitter of the task's queued runs, so that it starts them."""
        transaction.execute("UPDATE runs SET submitted_by = ? WHERE task_id = ? AND status = 'queued'", (host_id, task_id))

    def submitters_of_recurring(self) -> list[str]:
        """Return the ids of the hosts whose queued runs are of scheduled or continuous tasks."""
        rows = self._database.rows(
            "SELECT DISTINCT submitted_by FROM runs INDEXED BY runs_queued JOIN tasks USING (task_id)"
            " WHERE runs.status = 'queued' AND kind IN ('scheduled', 'continuous')"
        )
        return [row["submitted_by"] for row in rows]

    def hand_over_recurring(self, transaction: Transaction, from_host_id: str, to_host_id: str) -> None:
        """Make a host the submitter of the runs that another has queued for scheduled and continuous tasks."""
        transaction.execute(
            "UPDATE runs INDEXED BY runs_queued SET submitted_by = ? WHERE status = 'queued' AND submitted_by = ?"
            " AND (SELECT kind FROM tasks WHERE tasks.task_id = runs.task_id) IN ('scheduled', 'continuous')",
            (to_host_id, from_host_id),
        )

    def adopt(self, transaction: Transaction, run_id: str, from_host_id: str, to_host_id: str) -> bool:
        """Make a host the owner of a dead host's running run. Return False if the run has ended, or another host has adopted it first."""
        changed = transaction.execute(
            "UPDATE runs SET host_id = ? WHERE run_id = ? AND status = 'running' AND host_id = ?", (to_host_id, run_id, from_host_id)
        )
        return changed == 1

    def end(self, transaction: Transaction, run_id: str, result: RunResult, attempt: int | None = None) -> RunRow:
        """Record how a run ended, and the attempt that ran, if that is known. Return the run as it is now.

        Raises:
            IllegalMove: the run has ended already, or it is queued and cannot end this way, or there is no such run.
        """
        was = self.status(transaction, run_id)
        if was not in sources_of(result.status):
            raise self._illegal(transaction, run_id, result.status)
        (ended,) = transaction.rows(
            "UPDATE runs SET status = ?, started_at = ?, ended_at = ?, duration_seconds = ?, exit_code = ?, reason = ?, log_complete = ?,"
            " attempt = COALESCE(?, attempt) WHERE run_id = ? RETURNING *",
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
        events.record(transaction, "run", run_id, was, result.status, result.ended_at, result.reason)
        return to_run_row(ended)

    def slots_since(self, task_id: str, first: datetime, until: datetime) -> list[datetime]:
        """Return the task's slots from `first` to `until`, both included, that have a run or were skipped; oldest first."""
        rows = self._database.rows(
            "SELECT slot_at FROM runs WHERE task_id = ? AND slot_at BETWEEN ? AND ? ORDER BY slot_at",
            (task_id, to_microseconds(first), to_microseconds(until)),
        )
        return [known_datetime(row["slot_at"]) for row in rows]

    def has_slot(self, task_id: str, slot_at: datetime) -> bool:
        """Return whether the task's slot has a run or was skipped."""
        return self._database.row("SELECT 1 FROM runs WHERE task_id = ? AND slot_at = ?", (task_id, to_microseconds(slot_at))) is not None

    def newest_slot(self, task_id: str, until: datetime) -> datetime | None:
        """Return the task's newest slot up to `until` that has a run or was skipped; None if there is none."""
        row = self._database.row("SELECT MAX(slot_at) FROM runs WHERE task_id = ? AND slot_at <= ?", (task_id, to_microseconds(until)))
        return None if row is None else to_datetime(row[0])

    def skipped_after(self, transaction: Transaction, task_id: str, at: datetime) -> list[RunRow]:
        """Return the task's rows of skipped slots later than `at`, oldest slot first."""
        rows = transaction.rows(
            "SELECT * FROM runs WHERE task_id = ? AND slot_at > ? AND status = 'skipped' ORDER BY slot_at", (task_id, to_microseconds(at))
        )
        return [to_run_row(row) for row in rows]

    def give_back(self, transaction: Transaction, row: RunRow, kept: SkippedSlots | None, now: datetime, reason: str) -> None:
        """Delete the row of skipped slots, so that they may have runs; or let it stand for `kept`, the earlier ones, only."""
        if kept is None:
            transaction.execute("DELETE FROM runs WHERE run_id = ? AND status = 'skipped'", (row.run_id,))
        else:
            transaction.execute(
                "UPDATE runs SET slot_at = ?, slots = ? WHERE run_id = ? AND status = 'skipped'",
                (to_microseconds(kept.slot_at), kept.slots, row.run_id),
            )
        events.record(transaction, "run", row.run_id, RunStatus.SKIPPED, "given_back", now, reason)

    def requeue(self, transaction: Transaction, run_id: str, now: datetime, reason: str, *, attempt: int | None = None) -> None:
        """Put a claimed run back into the queue, at its old position: one that never started, or a dead host's packaging run.

        attempt: the claim to undo; a later one belongs to another host.

        Raises:
            IllegalMove: the run is not running, or not in this attempt.
        """
        changed = transaction.execute(
            "UPDATE runs SET status = 'queued', host_id = NULL, boot_id = NULL, claimed_at = NULL"
            " WHERE run_id = ? AND status = 'running' AND attempt = COALESCE(?, attempt)",
            (run_id, attempt),
        )
        if not changed:
            raise self._illegal(transaction, run_id, RunStatus.QUEUED)
        events.record(transaction, "run", run_id, RunStatus.RUNNING, RunStatus.QUEUED, now, reason)

    def request_kill(self, transaction: Transaction, run_id: str) -> None:
        """Record that the run's end was requested."""
        transaction.execute("UPDATE runs SET kill_requested = 1 WHERE run_id = ?", (run_id,))

    def find(self, run_id: str) -> RunRow | None:
        """Return the run with this id; None if there is none."""
        row = self._database.row("SELECT * FROM runs WHERE run_id = ?", (run_id,))
        return None if row is None else to_run_row(row)

    def get(self, run_id: str) -> RunRow:
        """Return the run with this id.

        Raises:
            NotFound: it does not exist.
        """
        run = self.find(run_id)
        if run is None:
            raise NotFound(
                f"There is no run {run_id!r} in this store.", hint=PythonOnly("task.last_runs() shows a task's runs."), run_id=run_id
            )
        return run

    def status(self, transaction: Transaction, run_id: str) -> RunStatus | None:
        """Return the status as this transaction sees it; None if there is no such run."""
        row = transaction.row("SELECT status FROM runs WHERE run_id = ?", (run_id,))
        return None if row is None else RunStatus(row["status"])

    def of_task(self, task_id: str, limit: int | None = None, statuses: frozenset[RunStatus] | None = None) -> list[RunRow]:
        """Return a task's runs, the last created, claimed or ended first; skipped ones only if `statuses` contains that status."""
        rows = self._database.rows(
            "SELECT * FROM runs INDEXED BY runs_of_task_updated WHERE task_id = ? AND CASE WHEN ? IS NULL THEN status <> 'skipped'"
            " ELSE status IN (SELECT value FROM json_each(?)) END"
            " ORDER BY COALESCE(ended_at, claimed_at, created_at) DESC, number DESC LIMIT ?",
            (task_id, *[None if statuses is None else json.dumps(sorted(statuses))] * 2, -1 if limit is None else limit),
        )
        return [to_run_row(row) for row in rows]

    def newest_of_tasks(self, task_ids: Sequence[str], limit: int, statuses: frozenset[RunStatus]) -> dict[str, list[RunRow]]:
        """Return by task id its last updated `limit` runs in one of these statuses, as `of_task`; tasks without any are left out."""
        rows = self._database.rows(
            "SELECT runs.* FROM json_each(?) AS wanted JOIN runs ON runs.number IN (SELECT number FROM runs AS newest"
            " WHERE newest.task_id = wanted.value AND newest.status IN (SELECT value FROM json_each(?))"
            " ORDER BY COALESCE(ended_at, claimed_at, created_at) DESC, number DESC LIMIT ?)"
            " ORDER BY COALESCE(runs.ended_at, runs.claimed_at, runs.created_at) DESC, runs.number DESC",
            (json.dumps(task_ids), json.dumps(sorted(statuses)), limit),
        )
        found: dict[str, list[RunRow]] = {}
        for row in rows:
            found.setdefault(row["task_id"], []).append(to_run_row(row))
        return found

    def unfinished_of_task(self, transaction: Transaction, task_id: str) -> list[RunRow]:
        """Return a task's queued and running runs, newest first."""
        rows = transaction.rows("SELECT * FROM runs WHERE task_id = ? AND status IN ('queued', 'running') ORDER BY number DESC", (task_id,))
        return [to_run_row(row) for row in rows]

    def newest_to_wait_for(self, task_id: str) -> RunRow | None:
        """Return a task's newest unfinished run, else its newest run that was not skipped; None if it has none."""
        row = self._database.row(
            "SELECT * FROM runs WHERE task_id = ? AND status IN ('queued', 'running') ORDER BY number DESC LIMIT 1", (task_id,)
        )
        return self._newest_of_task(task_id) if row is None else to_run_row(row)

    def newest_of_task(self, transaction: Transaction, task_id: str, limit: int) -> list[RunRow]:
        """Return the task's newest runs as this transaction sees them, newest first, without skipped ones."""
        rows = transaction.rows(
            "SELECT * FROM runs WHERE task_id = ? AND status <> 'skipped' ORDER BY number DESC LIMIT ?", (task_id, limit)
        )
        return [to_run_row(row) for row in rows]

    def _newest_of_task(self, task_id: str) -> RunRow | None:
        row = self._database.row("SELECT * FROM runs WHERE task_id = ? AND status <> 'skipped' ORDER BY number DESC LIMIT 1", (task_id,))
        return None if row is None else to_run_row(row)

    def running(self) -> list[RunRow]:
        """Return every running run, oldest first."""
        # INDEXED BY, here and below: few runs are unfinished; for the order, SQLite would otherwise read the whole history.
        rows = self._database.rows("SELECT * FROM runs INDEXED BY runs_running WHERE status = 'running' ORDER BY number")
        return [to_run_row(row) for row in rows]

    def unfinished_submitted_by(self, host_id: str, kinds: Collection[TaskKind] = frozenset(TaskKind)) -> list[RunRow]:
        """Return the unfinished runs that this host submitted for these kinds of tasks, oldest first.

        A triggered run of a scheduled task counts as that of a one-shot task.
        """
        rows = self._database.rows(
            "SELECT runs.* FROM runs INDEXED BY runs_unfinished JOIN tasks USING (task_id)"
            " WHERE runs.status IN ('queued', 'running') AND submitted_by = ?"
            " AND CASE WHEN kind = 'scheduled' AND COALESCE(slot_at, repeated_slot_at) IS NULL THEN 'once' ELSE kind END"
            " IN (SELECT value FROM json_each(?)) ORDER BY number",
            (host_id, json.dumps(list(kinds))),
        )
        return [to_run_row(row) for row in rows]

    def _illegal(self, transaction: Transaction, run_id: str, target: RunStatus) -> IllegalMove:
        was = self.status(transaction, run_id)
        return IllegalMove(f"Run {run_id} is {was}, so it cannot become {target}.", status=was, run_id=run_id)


def to_run_row(row: Row) -> RunRow:
    """Return a row of the table."""
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
        slot_at=to_datetime(row["slot_at"]),
        slots=row["slots"],
        retry_of=row["retry_of"],
        try_number=row["try"],
        not_before_at=to_datetime(row["not_before"]),
        rerun_of=row["rerun_of"],
        repeated_slot_at=to_datetime(row["repeated_slot_at"]),
        placement=None if row["placement"] is None else Placement(**json.loads(row["placement"])),
    )
