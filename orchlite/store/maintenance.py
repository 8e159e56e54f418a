"""Queries for pruning, backup and check: which rows are old, which files have no row, whether rows contradict each other.

What may be long is read in pages, outside of any transaction. So each deletion repeats the condition inside its transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from orchlite.core.status import RunStatus, TaskKind
from orchlite.store import run_packages
from orchlite.store.database import Database, Row, Transaction, to_microseconds

T = TypeVar("T")

_OTHER_STORE_SECONDS = 2.0
PAGE = 500
"""The number of rows read at a time, or deleted in one transaction; other writers have their turn in between."""


_DIGIT = "[0-9a-f]"
_UUID = "-".join(_DIGIT * length for length in (8, 4, 4, 4, 12))
_NAMES_OF_FILES = (
    ("run id", "run_id", "runs", _UUID),
    ("task id", "task_id", "tasks", _UUID),
    ("orchestration id", "orchestration_id", "orchestrations", _UUID),
    ("bundle's SHA-256", "sha", "orchestrations", _DIGIT * 64),
    ("model's SHA-256", "sha", "model_versions", _DIGIT * 64),
    ("environment", f"coalesce(nullif(environment_key, ''), '{'0' * 32}')", "orchestrations", _DIGIT * 32),
)
"""What names a file or a folder: a description, its column and table, and its form as a GLOB pattern."""


class EndedRun(NamedTuple):
    """A run that has ended, as pruning, backup and check read it."""

    number: int
    run_id: str
    task_id: str
    status: str
    """As stored, because a check must be able to read an invalid one."""
    attempt: int


class UnfinishedRun(NamedTuple):
    """A run that is queued or running, with its task and orchestration."""

    run_id: str
    task_id: str
    orchestration_id: str
    status: RunStatus
    kind: TaskKind


class StoredBundle(NamedTuple):
    """A bundle as the rows describe it."""

    sha: str
    size_bytes: int


class StoreMaintenance:
    """Reads and deletions over a whole store. Named apart from the client's `Maintenance`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ended_runs(self, ended_before: datetime) -> Iterator[list[EndedRun]]:
        """Yield pages of the runs that ended before this, oldest first.

        The newest packaging run of each orchestration is left out. So are slots at or after the time at which their task is due next: the
        clock was set back after they were dispatched, and their rows keep them from being dispatched again.
        """
        cutoff = to_microseconds(ended_before)
        return _pages(
            lambda number: self._database.rows(
                "SELECT number, run_id, task_id, status, attempt FROM runs"
                " WHERE number > ? AND ended_at < ? AND status NOT IN ('queued', 'running')"
                " AND NOT EXISTS (SELECT 1 FROM tasks WHERE task_id = runs.task_id AND next_at <= slot_at AND tasks.status <> 'killed')"
                " AND (EXISTS (SELECT 1 FROM tasks WHERE tasks.task_id = runs.task_id AND kind <> 'packaging')"
                " OR EXISTS (SELECT 1 FROM runs AS newer WHERE newer.task_id = runs.task_id AND newer.number > runs.number))"
                " ORDER BY number LIMIT ?",
                (number, cutoff, PAGE),
            ),
            _ended_run,
            lambda run: run.number,
        )

    def all_ended_runs(self) -> Iterator[list[EndedRun]]:
        """Yield pages of all runs that have ended, oldest first."""
        return _pages(
            lambda number: self._database.rows(
                "SELECT number, run_id, task_id, status, attempt FROM runs"
                " WHERE number > ? AND status NOT IN ('queued', 'running') ORDER BY number LIMIT ?",
                (number, PAGE),
            ),
            _ended_run,
            lambda run: run.number,
        )

    def newest_kept_from(self, runs: int) -> dict[str, int]:
        """Return for each scheduled and continuous task that was not killed the number of the oldest of its newest `runs` runs."""
        if runs == 0:
            return {}
        rows = self._database.rows(
            "SELECT task_id, (SELECT number FROM runs WHERE runs.task_id = tasks.task_id AND runs.status <> 'skipped'"
            " ORDER BY number DESC LIMIT 1 OFFSET ?) AS number"
            " FROM tasks WHERE kind IN ('scheduled', 'continuous') AND status <> 'killed'",
            (runs - 1,),
        )
        return {row["task_id"]: row["number"] or 0 for row in rows}

    def delete_runs(self, transaction: Transaction, run_ids: Collection[str], ended_before: datetime) -> list[str]:
        """Delete the runs that may still be deleted, and record the slot up to which rows were removed. Return the deleted ids."""
        rows = transaction.rows(
            "DELETE FROM runs WHERE run_id IN (SELECT value FROM json_each(?)) AND ended_at < ?"
            " AND status NOT IN ('queued', 'running')"
            " AND NOT EXISTS (SELECT 1 FROM tasks WHERE task_id = runs.task_id AND next_at <= slot_at AND tasks.status <> 'killed')"
            " RETURNING run_id, task_id, slot_at",
            (json.dumps(list(run_ids)), to_microseconds(ended_before)),
        )
        transaction.execute_many(
            "UPDATE tasks SET pruned_until = ? WHERE task_id = ? AND COALESCE(pruned_until, 0) < ?",
            [(row["slot_at"], row["task_id"], row["slot_at"]) for row in rows if row["slot_at"] is not None],
        )
        transaction.execute(
            "DELETE FROM task_versions WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.version_id = task_versions.version_id)"
        )
        run_packages.delete_unused(transaction)
        return [row["run_id"] for row in rows]

    def finished_tasks(self, before: datetime) -> Iterator[list[str]]:
        """Yield pages of ids of tasks that have ended, if neither they nor any of their runs changed since `before`."""
        cutoff = to_microseconds(before)
        pages = _pages(
            lambda number: self._database.rows(
                "SELECT rowid AS number, task_id FROM tasks WHERE rowid > ? AND updated_at < ? AND kind <> 'packaging'"
                " AND (status IN ('killed', 'failed', 'timed_out') OR kind = 'once' AND status = 'started')"
                " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.task_id = tasks.task_id AND (ended_at IS NULL OR ended_at >= ?))"
                " ORDER BY rowid LIMIT ?",
                (number, cutoff, cutoff, PAGE),
            ),
            lambda row: (int(row["number"]), str(row["task_id"])),
            lambda task: task[0],
        )
        return ([task_id for _, task_id in page] for page in pages)

    def delete_tasks(self, transaction: Transaction, task_ids: Collection[str]) -> int:
        """Delete the tasks that have ended and have no run left. Return how many were deleted."""
        return transaction.execute(
            "DELETE FROM tasks WHERE task_id IN (SELECT value FROM json_each(?))"
            " AND (status IN ('killed', 'failed', 'timed_out') OR kind = 'once' AND status = 'started')"
            " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.task_id = tasks.task_id)",
            (json.dumps(list(task_ids)),),
        )

    def events_before(self, at: datetime) -> Iterator[list[int]]:
        """Yield pages of ids of older events. The newest of all is left out: SQLite would give its id to the next event."""
        cutoff = to_microseconds(at)
        return _pages(
            lambda number: self._database.rows(
                "SELECT event_id FROM events WHERE event_id > ? AND at < ? AND event_id < (SELECT max(event_id) FROM events)"
                " ORDER BY event_id LIMIT ?",
                (number, cutoff, PAGE),
            ),
            lambda row: int(row["event_id"]),
            lambda event_id: event_id,
        )

    def delete_events(self, transaction: Transaction, event_ids: Collection[int]) -> int:
        """Delete these events. Return how many were deleted."""
        return transaction.execute("DELETE FROM events WHERE event_id IN (SELECT value FROM json_each(?))", (json.dumps(list(event_ids)),))

    def unknown_runs(self, run_ids: Collection[str]) -> set[str]:
        """Return the ids that no run has."""
        rows = self._database.rows(
            "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM runs WHERE run_id = value)", (json.dumps(list(run_ids)),)
        )
        return {row["value"] for row in rows}

    def unknown_bundles(self, shas: Collection[str]) -> set[str]:
        """Return the hashes that no orchestration has."""
        rows = self._database.rows(
            "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM orchestrations WHERE sha = value)", (json.dumps(list(shas)),)
        )
        return {row["value"] for row in rows}

    def needed_environments(self) -> set[str]:
        """Return the keys of the environments in which a run is unfinished or a task may still start one."""
        rows = self._database.rows(
            "SELECT environment_key FROM tasks JOIN orchestrations USING (orchestration_id)"
            " WHERE tasks.status IN ('pending', 'pending_kill') OR kind IN ('scheduled', 'continuous') AND tasks.status <> 'killed'"
            " UNION SELECT environment_key FROM runs JOIN tasks USING (task_id) JOIN orchestrations USING (orchestration_id)"
            " WHERE runs.status = 'queued'"
            " UNION SELECT environment_key FROM runs JOIN tasks USING (task_id) JOIN orchestrations USING (orchestration_id)"
            " WHERE runs.status = 'running'"
        )
        return {row["environment_key"] for row in rows if row["environment_key"] is not None}

    def recorded_environments(self) -> set[str]:
        """Return the keys of the environments of all orchestrations."""
        rows = self._database.rows("SELECT DISTINCT environment_key FROM orchestrations WHERE environment_key IS NOT NULL")
        return {row["environment_key"] for row in rows}

    def bundles(self) -> list[StoredBundle]:
        """Return every bundle that an orchestration has, each once, sorted by SHA-256."""
        return [StoredBundle(*row) for row in self._database.rows("SELECT DISTINCT sha, size_bytes FROM orchestrations ORDER BY sha")]

    def orchestrations_of(self, sha: str) -> list[str]:
        """Return the ids of the orchestrations that have these bytes."""
        return [row[0] for row in self._database.rows("SELECT orchestration_id FROM orchestrations WHERE sha = ?", (sha,))]

    def unfinished_runs(self) -> list[UnfinishedRun]:
        """Return every run that is queued or running, oldest first."""
        rows = self._database.rows(
            # INDEXED BY: few runs are unfinished; for the order, SQLite would otherwise read all runs.
            "SELECT run_id, task_id, orchestration_id, runs.status, kind FROM runs INDEXED BY runs_unfinished JOIN tasks USING (task_id)"
            " WHERE runs.status IN ('queued', 'running') ORDER BY number"
        )
        return [
            UnfinishedRun(row["run_id"], row["task_id"], row["orchestration_id"], RunStatus(row["status"]), TaskKind(row["kind"]))
            for row in rows
        ]

    def schema_version(self) -> int:
        """Return the number of the last migration that was applied; 0 for a file without tables."""
        row = self._database.row("PRAGMA user_version")
        assert row is not None
        return int(row[0])

    def damage(self, *, quick: bool = False) -> list[str]:
        """Return what SQLite finds wrong with the file, in its words: with its pages and indexes, and with references between rows.

        quick: with its pages only, which takes a tenth of the time.
        """
        check = "PRAGMA quick_check" if quick else "PRAGMA integrity_check"
        messages = [str(row[0]) for row in self._database.rows(check) if row[0] != "ok"]
        if quick:
            return messages
        dangling = self._database.rows("PRAGMA foreign_key_check")
        return messages + [f"row {row['rowid']} of {row['table']} refers to a missing row of {row['parent']}" for row in dangling]

    def count_runs(self) -> int:
        """Return how many runs there are."""
        row = self._database.row("SELECT COUNT(*) FROM runs")
        assert row is not None
        return int(row[0])

    def unsafe_names(self) -> list[str]:
        """Return what no store has, and what would lead its files outside of it: ids and hashes of another form, triggers, views."""
        problems = [
            f"a {what} is {str(row[0])!r:.60}"
            for what, column, table, form in _NAMES_OF_FILES
            if self._database.row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,))
            for row in self._database.rows(f"SELECT {column} FROM {table} WHERE {column} NOT GLOB ? LIMIT 1", (form,))  # noqa: S608 - constants
        ]
        entrypoints = self._database.rows(
            "SELECT entrypoint FROM orchestrations"
            " WHERE '/' || entrypoint LIKE '%/../%' OR entrypoint LIKE '/%' OR '/' || entrypoint NOT GLOB '*/main.py' LIMIT 1"
        )
        others = self._database.rows("SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'view') LIMIT 1")
        problems += [f"an entrypoint is {row[0]!r:.60}" for row in entrypoints]
        return problems + [f"it has the {row['type']} {row['name']!r:.60}" for row in others]

    def contradicting_runs(self) -> list[tuple[str, str]]:
        """Return the ids of runs whose row contradicts itself, and how, as a clause about the run."""
        rows = self._database.rows(
            "SELECT run_id, status, CASE WHEN status = 'queued' THEN 'has a host or an end'"
            " WHEN status = 'running' THEN 'has no host, or an end' ELSE 'has no end, or is no status of a run' END AS what FROM runs"
            " WHERE CASE WHEN status = 'queued' THEN host_id IS NOT NULL OR ended_at IS NOT NULL"
            " WHEN status = 'running' THEN host_id IS NULL OR ended_at IS NOT NULL"
            " ELSE ended_at IS NULL OR status NOT IN (SELECT value FROM json_each(?)) END ORDER BY number",
            (_FINAL,),
        )
        return [(row["run_id"], f"is {row['status']} and {row['what']}") for row in rows]

    def contradicting_events(self) -> list[tuple[str, str]]:
        """Return the ids of runs whose events contradict their row or each other, and how, as a clause about the run."""
        rows = self._database.rows(
            "SELECT object_id, group_concat(became, ', ') AS ends, runs.status FROM events JOIN runs ON run_id = object_id"
            " WHERE became IN (SELECT value FROM json_each(?)) GROUP BY object_id HAVING count(*) > 1 OR max(became) <> runs.status",
            (_FINAL,),
        )
        return [(row["object_id"], f"is {row['status']}, but its events say that it ended as {row['ends']}") for row in rows]

    def orchestrations_without_packaging(self) -> list[str]:
        """Return the ids of orchestrations whose packaging task is missing."""
        rows = self._database.rows(
            "SELECT orchestration_id FROM orchestrations"
            " WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.task_id = orchestrations.task_id)"
        )
        return [row["orchestration_id"] for row in rows]

    def status_of_run(self, run_id: str) -> str | None:
        """Return the run's status as stored; None if the run was deleted."""
        row = self._database.row("SELECT status FROM runs WHERE run_id = ?", (run_id,))
        return None if row is None else str(row["status"])


def needed_environments_of(database: Path) -> set[str]:
    """Return the keys of the environments that another store needs; see `StoreMaintenance.needed_environments`. Its schema may be older.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed: the store cannot be read.
    """
    other = Database(database, busy_timeout_seconds=_OTHER_STORE_SECONDS)
    try:
        return StoreMaintenance(other).needed_environments()
    finally:
        other.close()


_FINAL = json.dumps([status for status in RunStatus if status.is_final])


def _pages(read: Callable[[int], list[Row]], made: Callable[[Row], T], number: Callable[[T], int]) -> Iterator[list[T]]:
    last = 0
    while page := [made(row) for row in read(last)]:
        yield page
        last = number(page[-1])


def _ended_run(row: Row) -> EndedRun:
    return EndedRun(row["number"], row["run_id"], row["task_id"], row["status"], row["attempt"])
