"""The names and ids that a shell offers when it completes a word. Reads only, and never brings the schema up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from orchlite.store.database import Database

_LIMIT = 1000
"""Upper bound on the rows of one kind: a shell asks before it shows that many."""
_NEWEST = 10
"""Number of runs that are offered before anything is typed."""


class Word(NamedTuple):
    """A name or an id, and what has it."""

    name: str | None
    thing_id: str
    description: str


_QUERIES = {
    "orchestrations": "SELECT name, orchestration_id, status FROM orchestrations WHERE workspace_id = :workspace ORDER BY rowid DESC",
    "tasks": "SELECT name, task_id, kind || ', ' || status FROM tasks WHERE workspace_id = :workspace AND kind <> 'packaging'"
    " AND (:killed OR status <> 'killed') ORDER BY created_at DESC",
    "pipelines": "SELECT name, '', 'pipeline' FROM pipelines WHERE workspace_id = :workspace",
    "models": "SELECT name, '', 'model' FROM models WHERE workspace_id = :workspace",
    "connections": "SELECT name, '', type FROM connections",
    # CROSS JOIN makes SQLite read runs from the newest on, so that it stops at the limit instead of sorting all of them.
    "runs": "SELECT NULL, run_id, COALESCE(tasks.name, orchestrations.name, '') || ', ' || runs.status FROM runs"
    " CROSS JOIN tasks USING (task_id) JOIN orchestrations USING (orchestration_id)"
    " WHERE tasks.workspace_id = :workspace AND kind <> 'packaging' AND runs.status <> 'skipped'"
    " AND run_id BETWEEN :word AND :word || '~' ORDER BY number DESC",
}


def words(path: Path, workspace: str, kinds: Collection[str], word: str, *, killed: bool = False) -> Iterator[Word]:
    """Yield what may be meant by the beginning of a word: names and ids of these kinds of things, the newest of each kind first.

    Raises:
        OrchliteError: the file cannot be used, or has another schema.
    """
    database = Database(path, may_be_new=False)
    try:
        found = database.row("SELECT workspace_id FROM workspaces WHERE name = ?", (workspace,))
        for kind in kinds if found is not None else ():
            limit = _NEWEST if kind == "runs" and not word else _LIMIT
            given = {"workspace": None if found is None else found[0], "killed": killed, "word": word, "limit": limit}
            yield from (Word(*row) for row in database.rows(f"{_QUERIES[kind]} LIMIT :limit", given))
    finally:
        database.close()
