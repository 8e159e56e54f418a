"""What an overview of the store lists: tasks that recur, what was run once, and which of them had trouble lately. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from orchlite.core.records import RunRow
from orchlite.store.database import Database, to_microseconds
from orchlite.store.runs import to_run_row

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


class Troubles(NamedTuple):
    """What has gone wrong with tasks since a time."""

    recurring: Mapping[str, Trouble]
    """By task id."""
    once: Mapping[tuple[int, str], int]
    """The number of failed runs of one-shot tasks, by workspace and title as in `RunOnce`."""


class Overview:
    """The tasks of one store, or of one workspace if an id is given. Packaging is left out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def recurring(self, workspace_id: int | None) -> list[ListedTask]:
        """Return the scheduled and continuous tasks that were not killed, in any order."""
        rows = self._database.rows(
            f"{_LISTED} WHERE kind IN ('scheduled', 'continuous') AND tasks.status NOT IN ('pending_kill', 'killed')"
            " AND (?1 IS NULL OR tasks.workspace_id = ?1)",
            (workspace_id,),
        )
        return [ListedTask(*row) for row in rows]

    def found(self, workspace_id: int | None, words: str) -> list[ListedTask]:
        """Return the one-shot and the killed tasks that have the words in their name, or whose id begins with them; the newest 100."""
        rows = self._database.rows(
            f"{_LISTED} WHERE (kind = 'once' OR kind <> 'packaging' AND tasks.status IN ('pending_kill', 'killed'))"
            " AND (instr(lower(COALESCE(tasks.name, orchestrations.name, file_name)), lower(?2)) OR tasks.task_id BETWEEN ?2 AND ?2 || '~')"
            " AND (?1 IS NULL OR tasks.workspace_id = ?1) ORDER BY tasks.created_at DESC, tasks.rowid DESC LIMIT ?3",
            (workspace_id, words, _FOUND),
        )
        return [ListedTask(*row) for row in rows]

    def run_once(self, workspace_id: int | None) -> list[RunOnce]:
        """Return the one-shot tasks by the name of what they run."""
        rows = self._database.rows(
            # By orchestration first, so that few rows are joined. SQLite takes the other columns from the row that has the maximum.
            "WITH counted AS (SELECT orchestration_id, COUNT(*) AS tasks, task_id, MAX(updated_at) AS at FROM tasks"
            " WHERE kind = 'once' AND (?1 IS NULL OR workspace_id = ?1) GROUP BY orchestration_id)"
            " SELECT workspace_id, COALESCE(name, file_name) AS title, SUM(tasks) AS tasks, counted.task_id AS newest, MAX(at)"
            " FROM counted JOIN orchestrations USING (orchestration_id) GROUP BY workspace_id, title",
            (workspace_id,),
        )
        return [RunOnce(row["workspace_id"], row["title"], row["tasks"], row["newest"]) for row in rows]

    def runs_of_once(self, workspace_id: int, title: str, limit: int) -> list[RunRow]:
        """Return the newest runs of one-shot tasks of this name, newest first."""
        rows = self._database.rows(
            "WITH newest AS (SELECT tasks.task_id FROM orchestrations"
            " CROSS JOIN tasks INDEXED BY tasks_of_orchestration USING (orchestration_id)"
            " WHERE orchestrations.workspace_id = ?1 AND COALESCE(orchestrations.name, file_name) = ?2 AND kind = 'once'"
            " ORDER BY tasks.updated_at DESC LIMIT ?3)"
            " SELECT runs.* FROM newest CROSS JOIN runs INDEXED BY runs_of_task USING (task_id) ORDER BY number DESC LIMIT ?3",
            (workspace_id, title, limit),
        )
        return [to_run_row(row) for row in rows]

    def troubles(self, since: datetime) -> Troubles:
        """Return what has gone wrong since a time."""
        at, recurring, once = (to_microseconds(since),), dict[str, Trouble](), dict[tuple[int, str], int]()
        for row in self._database.rows(_FAILED, at):
            if row["kind"] == "once":
                key = row["workspace_id"], row["title"]
                once[key] = once.get(key, 0) + row["failed"]
            else:
                recurring[row["task_id"]] = Trouble(failed=row["failed"], is_failing=bool(row["is_failing"]))
        for name, sql in (("late", _LATE), ("skipped", _SKIPPED)):
            for row in self._database.rows(sql, at):
                recurring[row["task_id"]] = recurring.get(row["task_id"], Trouble())._replace(**{name: row["count"]})
        return Troubles(recurring, once)


_LISTED = (
    "SELECT tasks.task_id, tasks.workspace_id, COALESCE(tasks.name, orchestrations.name, file_name), tasks.status"
    " FROM tasks JOIN orchestrations USING (orchestration_id)"
)
_FAILED = (
    "WITH failed AS MATERIALIZED (SELECT task_id, MAX(number) AS number, COUNT(*) AS failed FROM runs INDEXED BY runs_ended_badly"
    # The condition of that index, word for word.
    " WHERE ended_at >= ? AND (runs.status = 'failure' OR runs.status = 'timed_out' OR runs.status = 'unknown')"
    " AND NOT EXISTS (SELECT 1 FROM runs AS next WHERE next.retry_of = runs.run_id AND next.status <> 'killed')"
    " GROUP BY task_id)"
    " SELECT failed.task_id, failed, kind, tasks.workspace_id, COALESCE(orchestrations.name, file_name) AS title,"
    " NOT EXISTS (SELECT 1 FROM runs AS later INDEXED BY runs_of_task"
    " WHERE later.task_id = failed.task_id AND later.number > failed.number AND later.status = 'success') AS is_failing"
    " FROM failed CROSS JOIN tasks ON tasks.task_id = failed.task_id CROSS JOIN orchestrations USING (orchestration_id)"
    " WHERE kind <> 'packaging'"
)
_LATE = (
    "SELECT task_id, COUNT(*) AS count FROM runs INDEXED BY runs_late WHERE claimed_at > slot_at + 60000000 AND claimed_at >= ?"
    " GROUP BY task_id"
)
_SKIPPED = (
    "SELECT task_id, SUM(slots) AS count FROM runs INDEXED BY runs_skipped_at WHERE ended_at >= ? AND status = 'skipped'"
    " AND (reason LIKE 'missed:%' OR reason LIKE 'overlap:%') GROUP BY task_id"
)
