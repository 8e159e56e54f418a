"""`wallaroo.model`: models with the interface of the platform's SDK."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orchlite.client.model
from orchlite.core.model_records import ModelRow
from orchlite.core.owner import owner_id
from orchlite.engine.engine import Engine

from ._absent import fill
from ._display import NotebookList, platform_time
from ._model_version import ModelVersionList
from ._submodules import members


class Model(orchlite.client.model.Model):
    """A name in a workspace, under which versions are uploaded."""

    def __init__(self, client: Any, engine: Engine, row: ModelRow) -> None:
        super().__init__(engine, row)
        self.client = client

    def owner_id(self) -> str:
        """The id of the account that owns the store."""
        return owner_id()

    def created_at(self) -> datetime:
        """When the first version was uploaded."""
        return platform_time(self._row.created_at)

    def last_update_time(self) -> datetime:
        """When the newest version was uploaded or configured."""
        return max((version.last_update_time() for version in self.versions()), default=self.created_at())

    def versions(self) -> ModelVersionList:  # type: ignore[override]
        """The versions, newest first."""
        return ModelVersionList(map(self.client._model_version, self._engine.store.models.versions(self.id())))

    def workspace(self) -> Any:
        """The workspace that has it."""
        return self.client._workspace_with_id(self.workspace_id())

    def __repr__(self) -> str:
        shown = {
            "name": self.name(),
            "versions": len(self.versions()),
            "owner_id": self.owner_id(),
            "last_update_time": self.last_update_time(),
            "created_at": self.created_at(),
        }
        return str(shown)

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("Name", "# of Versions", "Owner ID", "Last Updated", "Created At", "Workspace id", "Workspace name")

    def _cells(self) -> Sequence[object]:
        place = self.workspace()
        times = (self.last_update_time(), self.created_at())
        return (self.name(), len(self.versions()), self.owner_id(), *times, place.id(), place.name())


fill(Model, members("model", "Model"))


class ModelList(NotebookList[Model]):
    """Models, newest first."""

    _empty = "(no models)"
