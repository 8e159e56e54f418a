"""`wallaroo.workspace`: workspaces as the platform's SDK shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orchlite.client.workspace
from orchlite.core.records import WorkspaceRow
from orchlite.engine.engine import Engine

from ._absent import fill
from ._connection import Connection, ConnectionList
from ._display import Listing, moment
from ._errors import as_plain
from ._submodules import members


class Workspace(orchlite.client.workspace.Workspace):
    """A named place for orchestrations and their tasks."""

    def __init__(self, client: Any, engine: Engine, row: WorkspaceRow) -> None:
        super().__init__(engine, row)
        self.client = client

    def created_at(self) -> str:  # type: ignore[override]  # the SDK answers what the platform sent
        """When it was created, as text in ISO format."""
        return self._row.created_at.isoformat()

    def archived(self) -> bool:
        """Whether it was put away; never, here."""
        return self._row.archived

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "created at")

    def _cells(self) -> Sequence[object]:
        return (self.id(), self.name(), moment(self.client, self._row.created_at))

    def list_connections(self) -> ConnectionList:  # type: ignore[override]
        """The connections that were added to this workspace, oldest first."""
        return ConnectionList(Connection(self.client, self._engine, found._row) for found in super().list_connections())

    def add_connection(self, name: str) -> None:
        """Have this workspace list a connection.

        Raises:
            Exception: there is none of this name.
        """
        with as_plain("Failed to get connection"):
            super().add_connection(name)

    def remove_connection(self, name: str) -> None:
        """Have this workspace list a connection no more.

        Raises:
            Exception: there is none of this name.
        """
        with as_plain("Failed to get connection"):
            super().remove_connection(name)


fill(Workspace, members("workspace", "Workspace"))


class Workspaces(Listing[Workspace]):
    """Workspaces, oldest first."""

    _empty = "(no workspaces)"
