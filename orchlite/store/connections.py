"""Connections, and the workspaces that list them. Their details are secret: no event and no error contains them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchlite.core.errors import Conflict, NotFound
from orchlite.core.hints import Api, PythonOnly
from orchlite.core.records import ConnectionRow
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds


class Connections:
    """The connections of one store. Names are unique in the store, not in the workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, connection: ConnectionRow) -> None:
        """Insert a connection.

        Raises:
            Conflict: there is a connection of this name.
        """
        with self._database.transaction() as transaction:
            added = transaction.execute(
                "INSERT INTO connections (connection_id, name, type, details, created_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO NOTHING",
                _parameters(connection),
            )
            if not added:
                raise Conflict(
                    f"A connection named {connection.name!r} exists already.",
                    hint="Use that one, or delete it first" + PythonOnly(": get_connection(name); replace=True replaces its details") + ".",
                    name=connection.name,
                )
            _record_event(transaction, connection, "created", connection.created_at)

    def put(self, connection: ConnectionRow) -> ConnectionRow:
        """Insert a connection; or if there is one of this name, give it the type and details. It keeps its id and its workspaces.

        Return it as it is now.
        """
        with self._database.transaction() as transaction:
            row = transaction.row(
                "INSERT INTO connections (connection_id, name, type, details, created_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET type = excluded.type, details = excluded.details RETURNING *",
                _parameters(connection),
            )
            assert row is not None
            stored = _record(row)
            is_new = stored.connection_id == connection.connection_id
            _record_event(transaction, stored, "created" if is_new else "replaced", connection.created_at)
        return stored

    def change(self, connection_id: str, change: Callable[[ConnectionRow], ConnectionRow], now: datetime) -> ConnectionRow:
        """Give a connection the type and the details of the row that `change` returns for its present one. Return it as it is now.

        One transaction, so that of two changes at the same time neither is lost.

        Raises:
            NotFound: it does not exist.
        """
        with self._database.transaction() as transaction:
            row = transaction.row("SELECT * FROM connections WHERE connection_id = ?", (connection_id,))
            if row is None:
                raise _not_found(connection_id)
            changed = change(_record(row))
            transaction.execute(
                "UPDATE connections SET type = ?, details = ? WHERE connection_id = ?",
                (changed.connection_type, changed.details, connection_id),
            )
            _record_event(transaction, changed, "replaced", now)
        return changed

    def get(self, connection_id: str) -> ConnectionRow:
        """Return the connection with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM connections WHERE connection_id = ?", (connection_id,))
        if row is None:
            raise _not_found(connection_id)
        return _record(row)

    def named(self, name: str) -> ConnectionRow:
        """Return the connection of this name.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM connections WHERE name = ?", (name,))
        if row is None:
            raise _no_such_name(name)
        return _record(row)

    def all(self) -> list[ConnectionRow]:
        """Return every connection, oldest first."""
        return [_record(row) for row in self._database.rows("SELECT * FROM connections ORDER BY created_at, rowid")]

    def of_workspace(self, workspace_id: int) -> list[ConnectionRow]:
        """Return the connections that the workspace lists, oldest first."""
        rows = self._database.rows(
            "SELECT connections.* FROM connections JOIN workspace_connections USING (connection_id) WHERE workspace_id = ?"
            " ORDER BY connections.created_at, connections.rowid",
            (workspace_id,),
        )
        return [_record(row) for row in rows]

    def workspace_names(self, connection_id: str) -> list[str]:
        """Return the names of the workspaces that list the connection, oldest workspace first."""
        rows = self._database.rows(
            "SELECT name FROM workspaces JOIN workspace_connections USING (workspace_id) WHERE connection_id = ? ORDER BY workspace_id",
            (connection_id,),
        )
        return [row["name"] for row in rows]

    def all_workspace_names(self) -> dict[str, list[str]]:
        """Return what `workspace_names` does, by connection id; a connection that no workspace lists is left out."""
        rows = self._database.rows(
            "SELECT connection_id, name FROM workspaces JOIN workspace_connections USING (workspace_id) ORDER BY workspace_id"
        )
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["connection_id"], []).append(row["name"])
        return found

    def add_to_workspace(self, connection_id: str, workspace_id: int) -> None:
        """Have the workspace list the connection; idempotent.

        Raises:
            NotFound: there is no such connection any more.
        """
        with self._database.transaction() as transaction:
            if transaction.row("SELECT 1 FROM connections WHERE connection_id = ?", (connection_id,)) is None:
                raise _not_found(connection_id)
            transaction.execute(
                "INSERT INTO workspace_connections (workspace_id, connection_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (workspace_id, connection_id),
            )

    def remove_from_workspace(self, connection_id: str, workspace_id: int) -> None:
        """Stop the workspace from listing the connection; idempotent."""
        with self._database.transaction() as transaction:
            transaction.execute(
                "DELETE FROM workspace_connections WHERE workspace_id = ? AND connection_id = ?", (workspace_id, connection_id)
            )

    def delete(self, connection_id: str, now: datetime) -> None:
        """Delete the connection, and remove it from every workspace.

        Raises:
            NotFound: it does not exist.
        """
        with self._database.transaction() as transaction:
            row = transaction.row("DELETE FROM connections WHERE connection_id = ? RETURNING *", (connection_id,))
            if row is None:
                raise _not_found(connection_id)
            _record_event(transaction, _record(row), "deleted", now)


def _parameters(row: ConnectionRow) -> tuple[str | int, ...]:
    return row.connection_id, row.name, row.connection_type, row.details, to_microseconds(row.created_at)


def _record_event(transaction: Transaction, connection: ConnectionRow, became: str, at: datetime) -> None:
    # With the name, because the id of a deleted connection cannot be looked up.
    events.record(transaction, "connection", connection.connection_id, None, became, at, f"its name is {connection.name!r}")


def _not_found(connection_id: str) -> NotFound:
    return NotFound(
        f"There is no connection {connection_id!r} in this store.",
        hint=Api.LIST_CONNECTIONS + " lists the existing ones.",
        connection_id=connection_id,
    )


def _no_such_name(name: str) -> NotFound:
    from shlex import quote

    # Mostly a program asks, and the reader of its log may know the command line, or Python.
    command, call = f"orchlite connections create {quote(name)} TYPE --detail KEY=VALUE", f"create_connection({name!r}, type, details)"
    hint = f"Create it: `{command}`" + PythonOnly(f", or in Python {call}") + ". " + Api.LIST_CONNECTIONS + " lists the existing ones."
    return NotFound(f"There is no connection named {name!r}.", hint=hint, name=name)


def _record(row: Row) -> ConnectionRow:
    return ConnectionRow(row["connection_id"], row["name"], row["type"], row["details"], known_datetime(row["created_at"]))
