"""Workspaces."""

from __future__ import annotations

from datetime import datetime

from orchlite.core.errors import Conflict, NotFound
from orchlite.core.hints import Api
from orchlite.core.records import WorkspaceRow
from orchlite.store.database import Database, Row, known_datetime, to_microseconds


class Workspaces:
    """The workspaces of one store. Names are unique; ids are integers from 1."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, now: datetime) -> WorkspaceRow:
        """Insert a workspace and return it.

        Raises:
            Conflict: there is a workspace of this name.
        """
        with self._database.transaction() as transaction:
            row = transaction.row(
                "INSERT INTO workspaces (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING *", (name, to_microseconds(now))
            )
        if row is None:
            raise Conflict(f"A workspace named {name!r} exists already.", hint="Use " + Api.GET_WORKSPACE + ".", name=name)
        return _record(row)

    def find_or_create(self, name: str, now: datetime) -> WorkspaceRow:
        """Return the workspace of this name; create it if it is missing. Any number of hosts may call this at once."""
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO workspaces (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, to_microseconds(now))
            )
            row = transaction.row("SELECT * FROM workspaces WHERE name = ?", (name,))
        assert row is not None
        return _record(row)

    def get(self, workspace_id: int) -> WorkspaceRow:
        """Return the workspace with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM workspaces WHERE workspace_id = ?", (workspace_id,))
        if row is None:
            raise NotFound(
                f"There is no workspace {workspace_id!r}.",
                hint=Api.LIST_WORKSPACES + " lists the existing ones.",
                workspace_id=workspace_id,
            )
        return _record(row)

    def find(self, name: str) -> WorkspaceRow | None:
        """Return the workspace of this name; None if there is none."""
        row = self._database.row("SELECT * FROM workspaces WHERE name = ?", (name,))
        return None if row is None else _record(row)

    def all(self) -> list[WorkspaceRow]:
        """Return every workspace, oldest first."""
        return [_record(row) for row in self._database.rows("SELECT * FROM workspaces ORDER BY workspace_id")]


def _record(row: Row) -> WorkspaceRow:
    return WorkspaceRow(row["workspace_id"], row["name"], known_datetime(row["created_at"]), bool(row["archived"]))
