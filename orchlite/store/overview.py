"""What an overview of the store lists: tasks that recur, what was run once, and which of them had trouble lately. Reads only."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from orchlite.core.records import ListedRun
from orchlite.core.status import RunStatus, TaskKind
from orchlite.store.database import Database, Row, known_datetime, to_datetime, to_microseconds
from orchlite.store.run_conditions import FAILED, LATE, NOT_KEPT, TRIED_AGAIN

_FOUND = 100
"""How many of the tasks that a search is for are returned, the newest."""


class ListedTask(NamedTuple):
    """A task as a list has it."""

    task_id: str
    workspace_id: int
    title: str
    """Its name, else that of its orchestration, else the file that was uploaded."""
    status: str


class RunOnce(NamedTuple):
    """The one-shot tasks of all uploads of one name."""

    workspace_id: int
    title: str
    """The name of the orchestrations, else the file that was uploaded."""
    tasks: int
    newest: str
    """The id of the task that changed last."""


class Trouble(NamedTuple):
    """What has gone wrong with a task since a time."""

    failed: int = 0
    """Failed runs that are not tried again."""
    is_failing: bool = False
    """Whether no run succeeded after the last of them."""
    late: int = 0
    """Runs that started more than a minute after their slot."""
    skipped: int = 0
    """Slots that were missed, or skipped because runs would overlap."""


class TitledTask(NamedTuple):
    """The kind of a task, and the title of what it runs, as in `RunOnce`."""

    task_id: str
    kind: TaskKind
    workspace_id: int
    title: str


class Overview:
    """The tasks of one store, or of one workspace if an id is given. Packaging is left out, except where it is named."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recurring(self, workspace_id: int | None) -> list[ListedTask]:
        """Return the scheduled and continuous tasks that were not killed, in any order."""
        rows = self._database.rows(
            f"{_LISTED} WHERE kind IN ('scheduled', 'continuous') AND tasks.status NOT IN ('pending_kill', 'killed')"
            " AND (:workspace_id IS NULL OR tasks.workspace_id = :workspace_id)",
            {"workspace_id": workspace_id},
        )
        return [ListedTask(*row) for row in rows]

    def found(self, workspace_id: int | None, words: str) -> list[ListedTask]:
        """Return the one-shot and the killed tasks that have the words in their name, or whose id begins with them; the newest 100."""
        rows = self._database.rows(
            f"{_LISTED} WHERE (kind = 'once' OR kind <> 'packaging' AND tasks.status IN ('pending_kill', 'killed'))"
            " AND (instr(lower(COALESCE(tasks.name, orchestrations.name, file_name)), lower(:words))"
            " OR tasks.task_id BETWEEN :words AND :words || '~')"
            " AND (:workspace_id IS NULL OR tasks.workspace_id = :workspace_id)"
            " ORDER BY tasks.created_at DESC, tasks.rowid DESC LIMIT :limit",
            {"workspace_id": workspace_id, "words": words, "limit": _FOUND},
        )
        return [ListedTask(*row) for row in rows]

    def run_once(self, workspace_id: int | None) -> list[RunOnce]:
        """Return the one-shot tasks by the name of what they run."""
        rows = self._database.rows(
            # By orchestration first, so that few rows are joined. SQLite takes the other columns from the row that has the maximum.
            "WITH counted AS (SELECT orchestration_id, COUNT(*) AS tasks, task_id, MAX(updated_at) AS at FROM tasks"
            " WHERE kind = 'once' AND (:workspace_id IS NULL OR workspace_id = :workspace_id) GROUP BY orchestration_id)"
            " SELECT workspace_id, COALESCE(name, file_name) AS title, SUM(tasks) AS tasks, counted.task_id AS newest, MAX(at)"
            " FROM counted JOIN orchestrations USING (orchestration_id) GROUP BY workspace_id, title",
            {"workspace_id": workspace_id},
        )
        return [RunOnce(row["workspace_id"], row["title"], row["tasks"], row["newest"]) for row in rows]

    def runs_of_once(self, workspace_id: int, title: str, limit: int) -> list[ListedRun]:
        """Return the newest runs of one-shot tasks of this name, newest first."""
        rows = self._database.rows(
            f"{_LISTED_RUNS} FROM (SELECT tasks.task_id FROM orchestrations"  # noqa: S608 - constants
            " CROSS JOIN tasks INDEXED BY tasks_of_orchestration USING (orchestration_id)"
            " WHERE orchestrations.workspace_id = :workspace_id AND COALESCE(orchestrations.name, file_name) = :title AND kind = 'once'"
            " ORDER BY tasks.updated_at DESC LIMIT :limit) AS newest"
            " CROSS JOIN runs INDEXED BY runs_of_task USING (task_id) ORDER BY number DESC LIMIT :limit",
            {"workspace_id": workspace_id, "title": title, "limit": limit},
        )
        return [_listed_run(row) for row in rows]

    def newest_runs(self, task_ids: Sequence[str], limit: int) -> dict[str, list[ListedRun]]:
        """Return by task id its last updated `limit` runs, the newest first, skipped ones included; tasks without any are left out."""
        rows = self._database.rows(
            f"{_LISTED_RUNS} FROM json_each(?) AS wanted"  # noqa: S608 - constants
            " JOIN runs ON runs.number IN (SELECT number FROM runs AS newest WHERE newest.task_id = wanted.value"
            " ORDER BY COALESCE(ended_at, claimed_at, created_at) DESC, number DESC LIMIT ?)"
            " ORDER BY COALESCE(runs.ended_at, runs.claimed_at, runs.created_at) DESC, runs.number DESC",
            (json.dumps(task_ids), limit),
        )
        found: dict[str, list[ListedRun]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(_listed_run(row))
        return found

    def troubles(self, since: datetime) -> dict[str, Trouble]:
        """Return what has gone wrong since a time, by task id. Failed packaging is among it."""
        at = (to_microseconds(since),)
        found = {task_id: Trouble(failed, bool(is_failing)) for task_id, failed, is_failing in self._database.rows(_FAILED, at)}
        for name, sql in (("late", _LATE), ("skipped", _SKIPPED)):
            for task_id, count in self._database.rows(sql, at):
                found[task_id] = found.get(task_id, Trouble())._replace(**{name: count})
        return found

    def titled(self, task_ids: Collection[str]) -> list[TitledTask]:
        """Return the kinds and titles of these tasks, of every workspace, in any order; packaging included."""
        rows = self._database.rows(
            "SELECT tasks.task_id, kind, tasks.workspace_id, COALESCE(orchestrations.name, file_name) FROM json_each(?) AS wanted"
            " CROSS JOIN tasks ON tasks.task_id = wanted.value CROSS JOIN orchestrations USING (orchestration_id)",
            (json.dumps(list(task_ids)),),
        )
        return [TitledTask(task_id, TaskKind(kind), workspace_id, title) for task_id, kind, workspace_id, title in rows]


def _listed_run(row: Row) -> ListedRun:
    """Return a row of `_LISTED_RUNS`. Columns are taken by place: looking up their names takes longer than all else here."""
    _, run_id, status, attempt, created_at, claimed_at, started_at, duration_seconds, exit_code, reason, slot_at, slots, try_number = row
    return ListedRun(
        run_id,
        RunStatus(status),
        attempt,
        known_datetime(created_at),
        to_datetime(claimed_at),
        to_datetime(started_at),
        duration_seconds,
        exit_code,
        reason,
        to_datetime(slot_at),
        slots,
        try_number,
    )


_LISTED_RUNS = (
    "SELECT runs.task_id, run_id, runs.status, attempt, runs.created_at, claimed_at, started_at, duration_seconds, exit_code, runs.reason,"
    " slot_at, slots, try"
)
_LISTED = (
    "SELECT tasks.task_id, tasks.workspace_id, COALESCE(tasks.name, orchestrations.name, file_name), tasks.status"
    " FROM tasks JOIN orchestrations USING (orchestration_id)"
)
_FAILED = (
    "WITH failed AS MATERIALIZED (SELECT task_id, MAX(number) AS number, COUNT(*) AS failed FROM runs INDEXED BY runs_ended_badly"  # noqa: S608 - constants
    f" WHERE ended_at >= ? AND {FAILED} AND NOT {TRIED_AGAIN} GROUP BY task_id)"
    " SELECT task_id, failed, NOT EXISTS (SELECT 1 FROM runs AS later INDEXED BY runs_of_task"
    " WHERE later.task_id = failed.task_id AND later.number > failed.number AND later.status = 'success')"
    " FROM failed"
)
_LATE = f"SELECT task_id, COUNT(*) AS count FROM runs INDEXED BY runs_late WHERE {LATE} AND claimed_at >= ? GROUP BY task_id"  # noqa: S608 - constants
_SKIPPED = (
    "SELECT task_id, SUM(slots) AS count FROM runs INDEXED BY runs_skipped_at WHERE ended_at >= ? AND status = 'skipped'"  # noqa: S608 - constants
    f" AND {NOT_KEPT} GROUP BY task_id"
)
