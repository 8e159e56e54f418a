"""The handle of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchlite.engine import Engine
from orchlite.records import WorkspaceRow


class Workspace:
    """A named place for orchestrations and their tasks."""

    def __init__(self, engine: Engine, row: WorkspaceRow) -> None:
        self._engine = engine
        self._row = row

    def id(self) -> int:
        """A whole number from 1 on."""
        return self._row.workspace_id

    def name(self) -> str:
        """The name, unique in the store."""
        return self._row.name

    def created_at(self) -> datetime:
        """When it was created: aware, UTC."""
        return self._row.created_at

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
