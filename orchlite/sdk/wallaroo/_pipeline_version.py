"""`wallaroo.pipeline_version`: the stored versions of a pipeline's steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orchlite.core.model_records import PipelineVersionRow
from orchlite.engine.engine import Engine

from ._absent import fill
from ._display import NotebookList, moment, platform_time
from ._pipeline_config import Steps
from ._submodules import members


class PipelineVersion:
    """The steps of a pipeline, as they were stored once."""

    def __init__(self, client: Any, engine: Engine, row: PipelineVersionRow) -> None:
        self.client = client
        self._engine = engine
        self._row = row

    def id(self) -> int:
        """The id, an integer."""
        return self._row.pipeline_version_id

    def name(self) -> str:
        """The version's name, a UUID."""
        return self._row.version

    def definition(self) -> dict[str, Any]:
        """`{"id": pipeline name, "steps": [{kind: {…}}, …]}`; `{}` if no steps were given."""
        return dict(self._row.definition)

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PipelineVersion) and (self._engine, self.id()) == (other._engine, other.id())

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"PipelineVersion(name={self.name()!r}, definition={self.definition()})"

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
