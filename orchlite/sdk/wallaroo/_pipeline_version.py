"""`wallaroo.pipeline_version`: the stored versions of a pipeline's steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orchlite.client.pipeline
from orchlite.core.model_records import PipelineVersionRow
from orchlite.engine.engine import Engine

from ._absent import fill
from ._display import NotebookList, moment, platform_time
from ._pipeline_config import Steps
from ._submodules import members


class PipelineVersion(orchlite.client.pipeline.PipelineVersion):
    """The steps of a pipeline, as they were stored once."""

    def __init__(self, client: Any, engine: Engine, row: PipelineVersionRow) -> None:
        super().__init__(row)
        self.client = client
        self._engine = engine

    def create_time(self) -> datetime:
        """When it was stored."""
        return platform_time(self._row.created_at)

    def last_update_time(self) -> datetime:
        """When it was stored: it never changes."""
        return self.create_time()

    def pipeline(self) -> Any:
        """The pipeline."""
        return self.client._pipeline(self._engine.store.pipelines.get(self._row.pipeline_id))

    def deployments(self) -> list[Any]:
        """The deployment of this version, in a list; an empty one if it was not deployed, or another version has replaced it."""
        found = self._engine.store.deployments.of_pipeline(self._row.pipeline_id)
        return [self.client._deployment(found)] if found is not None and found.pipeline_version_id == self.id() else []

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("name", "version", "creation_time", "last_updated_time", "deployed", "steps")

    def _cells(self) -> Sequence[object]:
        at = moment(self.client, self._row.created_at)
        deployed = [one.deployed() for one in self.deployments()] or ["(unknown)"]
        steps = ", ".join(step.shortname() for step in Steps.of(self.definition()))
        return (self.pipeline().name(), self.name(), at, at, deployed[0], steps)


fill(PipelineVersion, members("pipeline_version", "PipelineVersion"))


class PipelineVersionList(NotebookList[PipelineVersion]):
    """The versions of a pipeline, newest first."""

    _empty = "(no pipeline versions)"
