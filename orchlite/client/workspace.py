"""The handle of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchlite.client.connection import Connection
from orchlite.core.arguments import checked_label
from orchlite.core.records import WorkspaceRow
from orchlite.core.tables import Table, table_html
from orchlite.engine.engine import Engine


class Workspace:
    """A named part of a store, which has orchestrations and their tasks. It is never deleted."""

    def __init__(self, engine: Engine, row: WorkspaceRow) -> None:
        self._engine = engine
        self._row = row

    def id(self) -> int:
        """Return the workspace's id, an integer from 1 on."""
        return self._row.workspace_id

    def name(self) -> str:
        """Return the name, unique in the store."""
        return self._row.name

    def created_at(self) -> datetime:
        """Return when it was created: aware, UTC."""
        return self._row.created_at

    def add_connection(self, name: str) -> None:
        """List a connection in this workspace. Idempotent. Programs of every workspace may read the connection in any case.

        Raises:
            NotFound: there is no connection of this name.
            BadArgument: the name is refused.
        """
        connections = self._engine.store.connections
        connections.add_to_workspace(connections.named(checked_label(name, "name")).connection_id, self.id())

    def remove_connection(self, name: str) -> None:
        """Remove a connection from this workspace's list. Idempotent. The connection itself is not deleted.

        Raises:
            NotFound: there is no connection of this name.
            BadArgument: the name is refused.
        """
        connections = self._engine.store.connections
        connections.remove_from_workspace(connections.named(checked_label(name, "name")).connection_id, self.id())

    def list_connections(self) -> Table[Connection]:
        """Return the connections that this workspace lists, oldest first."""
        return Table(Connection(self._engine, row) for row in self._engine.store.connections.of_workspace(self.id()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and (self._engine, self.id()) == (other._engine, other.id())

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Workspace(id={self.id()}, name={self.name()!r})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "created at")

    def _cells(self) -> Sequence[object]:
        return (self.id(), self.name(), self.created_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])
