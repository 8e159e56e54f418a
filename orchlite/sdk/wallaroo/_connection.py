"""`wallaroo.connection`: connections with the interface of the platform's SDK."""

from __future__ import annotations

from typing import Any

import orchlite.client.connection
from orchlite.core.records import ConnectionRow
from orchlite.engine.engine import Engine

from ._absent import fill
from ._display import NotebookList
from ._submodules import members


class Connection(orchlite.client.connection.Connection):
    """A named set of details by which a program reaches a source or destination of data."""

    def __init__(self, client: Any, engine: Engine, row: ConnectionRow) -> None:
        super().__init__(engine, row)
        self.client = client

    def created_at(self) -> str:  # type: ignore[override]  # a string in the SDK, as the platform sent it
        """When it was created, as a string in ISO 8601."""
        return self._row.created_at.isoformat()


fill(Connection, members("connection", "Connection"))


class ConnectionList(NotebookList[Connection]):
    """Connections, oldest first."""

    _empty = "(no connections)"
