"""Finds rows by what a person remembers of them: the first digits of an id, a name, a time. Reads only."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from orchlite.core.status import UNSUCCESSFUL, RunStatus
from orchlite.store.database import Database, Row, known_datetime, to_microseconds
from orchlite.store.run_conditions import FAILED, LATE, NOT_KEPT, TRIED_AGAIN

_LIMIT = 50
"""Upper bound on what one prefix finds: it is ambiguous long before that."""


class RunKey(NamedTuple):
    """The ids of a run and its task."""

    run_id: str
    task_id: str


class EndedRun(NamedTuple):
    """How one run ended, or slots that had none."""

    run_id: str
    task_id: str
    status: RunStatus
    ended_at: datetime
    duration_seconds: float | None
    is_late: bool
    """Whether it was claimed more than a minute after its slot."""
    slots: int
    """If it is `skipped`: how many slots were missed, or skipped because runs would overlap."""
    is_tried_again: bool
    """Whether it has failed, and another run tries it again."""


class WantedRuns(NamedTuple):
    """Which runs to list, newest first."""

    statuses: Collection[RunStatus] | None = None
    """None: all but `skipped`."""
    since: datetime | None = None
    """Only those that were created at or after this time."""
    limit: int | None = None

    def parameters(self) -> tuple[str | int | None, ...]:
        """Return the parameters of the conditions for a status and a time."""
        statuses = None if self.statuses is None else json.dumps(sorted(self.statuses))
        return statuses, statuses, 0 if self.since is None else to_microseconds(self.since)


_ALL = WantedRuns()


class Lookups:
    """Lookups over a whole store. `prefix` is the beginning of an id; None finds nothing by its id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def orchestrations(self, workspace_id: int, name: str, prefix: str | None) -> list[str]:
        """Return the ids of orchestrations with this name in the workspace, or with this prefix in the store; newest first, at most 50."""
        rows = self._database.rows(
            "SELECT orchestration_id FROM orchestrations WHERE workspace_id = ? AND name = ? OR orchestration_id BETWEEN ? AND ? || '~'"
            " ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (workspace_id, name, prefix, prefix, _LIMIT),
        )
        return [row["orchestration_id"] for row in rows]

    def ready_orchestrations(self, workspace_id: int, limit: int) -> list[str]:
        """Return the ids of the workspace's newest orchestrations that are packaged, newest first."""
        rows = self._database.rows(
            "SELECT orchestration_id FROM orchestrations WHERE workspace_id = ? AND status = 'ready'"
            " ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (workspace_id, limit),
        )
        return [row["orchestration_id"] for row in rows]

    def tasks(self, workspace_id: int, name: str, prefix: str | None) -> list[str]:
        """Return the ids of the tasks with this name in the workspace, or with this prefix in the store; newest first, at most 50.

        Packaging tasks are included.
        """
        rows = self._database.rows(
            # Not an OR of both conditions, for which SQLite would read all tasks of the workspace.
            "SELECT task_id FROM tasks WHERE rowid IN (SELECT * FROM (SELECT rowid FROM tasks INDEXED BY tasks_of_name"
            " WHERE name = ? AND workspace_id = ? ORDER BY created_at DESC, rowid DESC LIMIT ?)"
            " UNION SELECT rowid FROM tasks WHERE task_id BETWEEN ? AND ? || '~') ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (name, workspace_id, _LIMIT, prefix, prefix, _LIMIT),
        )
        return [row["task_id"] for row in rows]

    def runs(self, prefix: str | None) -> list[RunKey]:
        """Return the runs with this prefix, packaging runs included; newest first, at most 50."""
        rows = self._database.rows(
            "SELECT run_id, task_id FROM runs WHERE run_id BETWEEN ? AND ? || '~' ORDER BY number DESC LIMIT ?", (prefix, prefix, _LIMIT)
        )
        return _keys(rows)

    def newest_runs(self, workspace_id: int, wanted: WantedRuns = _ALL) -> list[RunKey]:
        """Return the workspace's runs without packaging, newest first."""
        index, condition = _index_of(wanted.statuses)
        *statuses, since = wanted.parameters()
        # CROSS JOIN makes SQLite read runs from the newest on, so that it stops at the limit instead of sorting all of them.
        rows = self._database.rows(
            f"SELECT run_id, runs.task_id FROM runs {index} CROSS JOIN tasks USING (task_id)"  # noqa: S608 - constants
            f" WHERE kind <> 'packaging' AND workspace_id = ? AND {condition}"
            " AND CASE WHEN ? IS NULL THEN runs.status <> 'skipped' ELSE runs.status IN (SELECT value FROM json_each(?)) END"
            # The first of them by its number, so that older runs are not read; the clock may have been set back after it.
            " AND number >= CASE ? WHEN 0 THEN 0 ELSE (SELECT MIN(number) FROM runs INDEXED BY runs_created WHERE created_at >= ?) END"
            " AND runs.created_at >= ? ORDER BY number DESC LIMIT ?",
            (workspace_id, *statuses, since, since, since, _most(wanted)),
        )
        return _keys(rows)

    def runs_of_task(self, task_id: str, wanted: WantedRuns = _ALL) -> list[RunKey]:
        """Return the runs of a task, newest first."""
        rows = self._database.rows(
            "SELECT run_id, task_id FROM runs INDEXED BY runs_of_task WHERE task_id = ?"
            " AND CASE WHEN ? IS NULL THEN status <> 'skipped' ELSE status IN (SELECT value FROM json_each(?)) END AND created_at >= ?"
            " ORDER BY number DESC LIMIT ?",
            (task_id, *wanted.parameters(), _most(wanted)),
        )
        return _keys(rows)

    def runs_of_orchestration(self, orchestration_id: str, wanted: WantedRuns = _ALL) -> list[RunKey]:
        """Return the runs of an orchestration, also of tasks that were replaced since, newest first; without packaging."""
        # The newest of each task, then of all: an index has each task's runs in this order, so that no task's history is sorted.
        rows = self._database.rows(
            "WITH ran AS (SELECT task_id FROM tasks WHERE orchestration_id = ? AND kind <> 'packaging'"
            " UNION SELECT task_id FROM task_versions WHERE orchestration_id = ?)"
            " SELECT run_id, runs.task_id FROM ran JOIN runs ON runs.number IN (SELECT number"
            " FROM runs AS newest INDEXED BY runs_of_task JOIN tasks USING (task_id) LEFT JOIN task_versions USING (version_id)"
            " WHERE newest.task_id = ran.task_id AND COALESCE(task_versions.orchestration_id, tasks.orchestration_id) = ?"
            " AND CASE WHEN ? IS NULL THEN newest.status <> 'skipped' ELSE newest.status IN (SELECT value FROM json_each(?)) END"
            " AND newest.created_at >= ? ORDER BY number DESC LIMIT ?) ORDER BY runs.number DESC LIMIT ?",
            (*[orchestration_id] * 3, *wanted.parameters(), *[_most(wanted)] * 2),
        )
        return _keys(rows)

    def failed_since(self, at: datetime) -> list[RunKey]:
        """Return the runs in `core.status.FAILED` that ended at or after `at`, of every workspace, packaging included; last ended first.

        A failure that is, or was, tried again is left out: the last try counts.
        """
        rows = self._database.rows(
            f"SELECT run_id, task_id FROM runs WHERE ended_at >= ? AND {FAILED} AND NOT {TRIED_AGAIN} ORDER BY ended_at DESC",  # noqa: S608 - constants
            (to_microseconds(at),),
        )
        return _keys(rows)

    def last_success_before(self, run_id: str) -> RunKey | None:
        """Return the newest success before a run: of its task or, if that has none, of a task with its title in its workspace.

        A title is the name of a task, else that of its orchestration. Considered are the 5,000 runs of the task before this one, and 500 of
        each of the 200 tasks of the title that changed last. Packaging has no title.
        """
        rows = self._database.rows(
            "SELECT run_id, task_id FROM (SELECT number, run_id, task_id, status FROM runs INDEXED BY runs_of_task"
            " WHERE task_id = (SELECT task_id FROM runs WHERE run_id = ?) AND number < (SELECT number FROM runs WHERE run_id = ?)"
            " ORDER BY number DESC LIMIT 5000) AS ran WHERE status = 'success' ORDER BY number DESC LIMIT 1",
            (run_id, run_id),
        ) or self._database.rows(
            "WITH this AS (SELECT number, tasks.workspace_id, COALESCE(tasks.name, orchestrations.name) AS title"
            " FROM runs JOIN tasks USING (task_id) JOIN orchestrations USING (orchestration_id) WHERE run_id = ? AND kind <> 'packaging'),"
            # CROSS JOIN keeps SQLite from reading the runs of tasks with other titles.
            " titled AS MATERIALIZED (SELECT tasks.task_id, this.number AS before FROM this CROSS JOIN tasks INDEXED BY tasks_of_workspace"
            " ON tasks.workspace_id = this.workspace_id AND kind <> 'packaging' CROSS JOIN orchestrations USING (orchestration_id)"
            " WHERE COALESCE(tasks.name, orchestrations.name) = this.title ORDER BY tasks.updated_at DESC LIMIT 200)"
            " SELECT run_id, runs.task_id FROM titled CROSS JOIN runs ON runs.number = (SELECT MAX(number) FROM (SELECT number, status"
            " FROM runs AS newest INDEXED BY runs_of_task WHERE newest.task_id = titled.task_id AND newest.number < titled.before"
            " ORDER BY number DESC LIMIT 500) AS ran WHERE status = 'success') ORDER BY runs.number DESC LIMIT 1",
            (run_id,),
        )
        return _keys(rows)[0] if rows else None

    def packaging_failed_since(self, at: datetime) -> list[RunKey]:
        """Return the packaging runs among those of `failed_since`."""
        rows = self._database.rows(
            "SELECT run_id, runs.task_id FROM runs INDEXED BY runs_ended_badly CROSS JOIN orchestrations USING (task_id)"  # noqa: S608 - constants
            f" WHERE ended_at >= ? AND {FAILED} ORDER BY ended_at DESC",
            (to_microseconds(at),),
        )
        return _keys(rows)

    def late_since(self, at: datetime, overdue_before: datetime) -> list[RunKey]:
        """Return the runs that started, at or after `at`, a minute or more after their slot, of every workspace, the newest slot first.

        Include the queued runs of slots before `overdue_before`.
        """
        rows = self._database.rows(
            "SELECT run_id, task_id, slot_at FROM runs INDEXED BY runs_queued WHERE status = 'queued' AND slot_at < ?"  # noqa: S608 - constants
            f" UNION ALL SELECT run_id, task_id, slot_at FROM runs WHERE {LATE} AND claimed_at >= ?"
            " ORDER BY slot_at DESC",
            (to_microseconds(overdue_before), to_microseconds(at)),
        )
        return _keys(rows)

    def skipped_since(self, at: datetime) -> list[RunKey]:
        """Return the rows of slots that were missed, or skipped because runs would overlap, at or after `at`; the newest slot first.

        Slots that passed while their task was paused, or before a copy of the store was adopted, are left out.
        """
        rows = self._database.rows(
            f"SELECT run_id, task_id FROM runs WHERE ended_at >= ? AND status = 'skipped' AND {NOT_KEPT} ORDER BY slot_at DESC",  # noqa: S608 - constants
            (to_microseconds(at),),
        )
        return _keys(rows)

    def ended_since(self, at: datetime) -> list[EndedRun]:
        """Return the runs that ended at or after `at`, of every workspace, by task, the first ended first; without packaging.

        Include skipped slots, except those that passed while their task was paused, or before a copy of the store was adopted.
        """
        rows = self._database.rows(
            f"SELECT run_id, task_id, runs.status, ended_at, duration_seconds, slots, COALESCE({LATE}, 0) AS is_late,"  # noqa: S608 - constants
            f" {TRIED_AGAIN} AS is_tried_again"
            # An index has each task's runs in this order, so that older ones are not read.
            " FROM tasks CROSS JOIN runs INDEXED BY runs_of_task_updated USING (task_id)"
            " WHERE kind <> 'packaging' AND COALESCE(ended_at, claimed_at, runs.created_at) >= ? AND ended_at IS NOT NULL"
            f" AND (runs.status <> 'skipped' OR {NOT_KEPT})"
            " ORDER BY runs.task_id, COALESCE(ended_at, claimed_at, runs.created_at), number",
            (to_microseconds(at),),
        )
        return [_ended(row) for row in rows]

    def overdue(self, before: datetime) -> list[str]:
        """Return the ids of the tasks that were due before this time and were not dispatched, of every workspace, the longest due first."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop') AND next_at < ? ORDER BY next_at",
            (to_microseconds(before),),
        )
        return [row["task_id"] for row in rows]

    def count_recurring(self) -> int:
        """Return how many tasks of the store need a host that keeps schedules: scheduled and continuous ones that are not paused."""
        row = self._database.row(
            "SELECT COUNT(*) FROM tasks WHERE (kind = 'scheduled' OR kind = 'continuous')"
            " AND status IN ('pending', 'started', 'crash_loop', 'pending_resume')"
        )
        assert row is not None
        return int(row[0])

    def recurring(self) -> list[str]:
        """Return the ids of the scheduled and continuous tasks that were not killed, of every workspace, oldest first."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks INDEXED BY tasks_recurring WHERE (kind = 'scheduled' OR kind = 'continuous')"
            " AND status NOT IN ('pending_kill', 'killed') ORDER BY created_at, rowid"
        )
        return [row["task_id"] for row in rows]

    def due_next(self, limit: int) -> list[str]:
        """Return the ids of the tasks that are due next, of every workspace, earliest first."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop') ORDER BY next_at LIMIT ?", (limit,)
        )
        return [row["task_id"] for row in rows]

    def unsound(self) -> list[str]:
        """Return the ids of the tasks in `schedule_error` or `crash_loop`, of every workspace, last changed first."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE (kind = 'scheduled' OR kind = 'continuous') AND status IN ('schedule_error', 'crash_loop')"
            " ORDER BY updated_at DESC, rowid DESC"
        )
        return [row["task_id"] for row in rows]

    def suspended(self) -> list[str]:
        """Return the ids of the tasks that are paused or in `schedule_error`, of every workspace, last changed first."""
        rows = self._database.rows(
            "SELECT task_id FROM tasks WHERE (kind = 'scheduled' OR kind = 'continuous')"
            " AND status IN ('pending_pause', 'paused', 'schedule_error') ORDER BY updated_at DESC, rowid DESC"
        )
        return [row["task_id"] for row in rows]


def _index_of(statuses: Collection[RunStatus] | None) -> tuple[str, str]:
    """Return an index of the few runs that can have these statuses, as a clause, and its condition word for word; else empty ones."""
    wanted = frozenset(statuses or ())
    if wanted and wanted <= {RunStatus.QUEUED, RunStatus.RUNNING}:
        return "INDEXED BY runs_unfinished", "runs.status IN ('queued', 'running')"
    if wanted and wanted <= UNSUCCESSFUL:
        return "INDEXED BY runs_unsuccessful", f"({FAILED} OR runs.status = 'killed')"
    if wanted == {RunStatus.SKIPPED}:
        return "INDEXED BY runs_skipped", "runs.status = 'skipped'"
    return "", "TRUE"


def _most(wanted: WantedRuns) -> int:
    return -1 if wanted.limit is None else wanted.limit


def _keys(rows: list[Row]) -> list[RunKey]:
    return [RunKey(row["run_id"], row["task_id"]) for row in rows]


def _ended(row: Row) -> EndedRun:
    return EndedRun(
        run_id=row["run_id"],
        task_id=row["task_id"],
        status=RunStatus(row["status"]),
        ended_at=known_datetime(row["ended_at"]),
        duration_seconds=row["duration_seconds"],
        is_late=bool(row["is_late"]),
        slots=row["slots"],
        is_tried_again=bool(row["is_tried_again"]),
    )
