"""`wallaroo.workspace`: workspaces with the interface of the platform's SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orchlite.client.workspace
from orchlite.core.owner import owner_id
from orchlite.core.records import WorkspaceRow
from orchlite.engine.engine import Engine

from ._absent import fill
from ._connection import Connection, ConnectionList
from ._display import NotebookList, moment
from ._errors import as_plain
from ._submodules import members


class Workspace(orchlite.client.workspace.Workspace):
    """A named group of orchestrations and their tasks."""

    def __init__(self, client: Any, engine: Engine, row: WorkspaceRow) -> None:
        super().__init__(engine, row)
        self.client = client

    def created_at(self) -> str:  # type: ignore[override]  # a string in the SDK, as the platform sent it
        """When it was created, as a string in ISO 8601."""
        return self._row.created_at.isoformat()

    def archived(self) -> bool:
        """Whether it is archived; always False in orchlite."""
        return self._row.archived

    def created_by(self) -> str:
        """The id of the account that owns the store."""
        return owner_id()

    def models(self) -> list[Any]:
        """Return its models; the last changed first."""
        models: list[Any] = self.client.list_models(workspace_id=self.id())
        return models

    def pipelines(self) -> list[Any]:
        """Return its pipelines, oldest first."""
        return [self.client._pipeline(row) for row in self._engine.store.pipelines.of_workspace(self.id())]

    def to_json(self) -> dict[str, Any]:
        """Return what it prints as."""
        return {
            "name": self.name(),
            "id": self.id(),
            "archived": self.archived(),
            "created_by": self.created_by(),
            "created_at": self.created_at(),
            "models": self.models(),
            "pipelines": self.pipelines(),
        }

    def __repr__(self) -> str:
        return str(self.to_json())

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "created at")

    def _cells(self) -> Sequence[object]:
        return (self.id(), self.name(), moment(self.client, self._row.created_at))

    def list_connections(self) -> ConnectionList:  # type: ignore[override]
        """Return the connections of this workspace, oldest first."""
        return ConnectionList(Connection(self.client, self._engine, found._row) for found in super().list_connections())

    def add_connection(self, name: str) -> None:
        """Add a connection to this workspace's list. Idempotent.

        Raises:
            Exception: there is no connection with this name.
        """
        with as_plain("Failed to get connection"):
            super().add_connection(name)

    def remove_connection(self, name: str) -> None:
        """Remove a connection from this workspace's list; the connection stays.

        Raises:
            Exception: there is no connection with this name.
        """
        with as_plain("Failed to get connection"):
            super().remove_connection(name)


fill(Workspace, members("workspace", "Workspace"))


class Workspaces(NotebookList[Workspace]):
    """Workspaces, oldest first."""

    _empty = "(no workspaces)"
