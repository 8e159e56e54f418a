"""The handle of a connection. Its details are masked wherever they are shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchlite.core.arguments import checked_label, encoded_details
from orchlite.core.records import ConnectionRow
from orchlite.core.tables import table_html
from orchlite.engine.engine import Engine

_MASKED = "********"


class Connection:
    """A named set of details, such as an address and credentials, that every program that runs here may read.

    A handle keeps the type and the details that it was made with, also if they are replaced.
    """

    def __init__(self, engine: Engine, row: ConnectionRow) -> None:
        self._engine = engine
        self._row = row

    def id(self) -> str:
        """Return the connection's id, a UUID."""
        return self._row.connection_id

    def name(self) -> str:
        """Return the name, unique in the store."""
        return self._row.name

    def connection_type(self) -> str:
        """Return the type that was given at creation; orchlite does not interpret it."""
        return self._row.connection_type

    def details(self) -> dict[str, Any]:
        """Return the details unmasked, credentials included: a new dictionary at each call."""
        details: dict[str, Any] = json.loads(self._row.details)
        return details

    def created_at(self) -> datetime:
        """Return when it was created: aware, UTC."""
        return self._row.created_at

    def workspace_names(self) -> list[str]:
        """Return the names of the workspaces that list it now."""
        return self._engine.store.connections.workspace_names(self.id())

    def update(self, details: Mapping[str, Any] | None = None, *, connection_type: str | None = None) -> Connection:
        """Change details, the type or both, in one step, and return the connection as it is now.

        Details that are not given are kept, also if another process changes them at the same time. Programs keep those that they have read.

        Raises:
            BadArgument: an argument is refused, or all details together are too large; nothing was changed.
            NotFound: it was deleted.
        """
        context = self._engine.context
        limit_bytes = context.settings.limits.details_bytes
        given: dict[str, Any] = json.loads(encoded_details(details, limit_bytes))
        new_type = None if connection_type is None else checked_label(connection_type, "connection_type")

        def change(known: ConnectionRow) -> ConnectionRow:
            merged = encoded_details({**json.loads(known.details), **given}, limit_bytes)
            return known._replace(connection_type=new_type or known.connection_type, details=merged)

        return Connection(self._engine, context.store.connections.change(self.id(), change, context.clock.now()))

    def delete_connection(self) -> None:
        """Delete the connection from the store and from every workspace. Programs keep the details that they have read.

        Raises:
            NotFound: it was deleted already.
        """
        self._engine.store.connections.delete(self.id(), self._engine.context.clock.now())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and self.id() == other.id()

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Connection(id={self.id()!r}, name={self.name()!r}, type={self.connection_type()!r}, details={_MASKED})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("name", "connection type", "details", "created at", "linked workspaces")

    def _cells(self) -> Sequence[object]:
        return (self.name(), self.connection_type(), _MASKED, self.created_at(), ", ".join(self.workspace_names()))

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])
