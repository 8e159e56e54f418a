"""The part of a client that uploads models and builds pipelines, and finds both. Its imports are made at the first call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchlite.client.bundle_source import printable
from orchlite.client.workspace import Workspace
from orchlite.core.arguments import checked_id, checked_name, checked_path
from orchlite.core.errors import NotFound
from orchlite.core.hints import Api
from orchlite.core.tables import Table
from orchlite.engine.engine import Engine

if TYPE_CHECKING:
    from orchlite.client.model import Model, ModelVersion
    from orchlite.client.pipeline import Pipeline
    from orchlite.core.model_records import PipelineRow


class ModelCatalogue:
    """The methods of a client about models and pipelines. They return at once, but an upload, which blocks until the file is stored."""

    _engine: Engine
    _workspace: Workspace

    def upload_model(
        self,
        name: str,
        path: str | os.PathLike[str],
        framework: str = "onnx",
        input_schema: Any = None,
        output_schema: Any = None,
        *,
        arch: str | None = None,
        accel: str | None = None,
    ) -> ModelVersion:
        """Store a file as a new version of the model `name` in the current workspace, and return it. The model is created if it is missing.

        A name is a letter, then letters, digits and dashes, 63 characters at most. The file has 2 GiB at most (`Limits.model_bytes`).

        framework: `"onnx"`, or `"python"` for a `.py` or a ZIP with a function `process_data(input_data)`, which takes and returns a
            dictionary of arrays of numpy.
        input_schema, output_schema: schemas of pyarrow: which columns a Python step takes and returns, and of which types.
        arch, accel: kept, without effect.

        Raises:
            BadArgument: an argument is refused, or the file cannot be read. Nothing was stored.
            BadModel: the file is no model of this framework, or is too large. Nothing was stored.
        """
        from orchlite.client.model import ModelVersion
        from orchlite.core.model_arguments import checked_framework, checked_model_name, checked_schema
        from orchlite.operations.model_upload import ModelUpload, receive

        source = checked_path(path)
        upload = ModelUpload(
            source=source,
            workspace_id=self._workspace.id(),
            name=checked_model_name(name),
            file_name=printable(source.name),
            framework=checked_framework(framework),
            input_schema=checked_schema(input_schema, "input_schema"),
            output_schema=checked_schema(output_schema, "output_schema"),
            arch=checked_name(arch, "arch"),
            accel=checked_name(accel, "accel"),
        )
        return ModelVersion(self._engine, receive(self._engine.context, upload))

    def get_model(self, name: str, version: str | None = None) -> ModelVersion:
        """Return a version of the current workspace's model of this name: the newest, or the one with this UUID.

        Raises:
            NotFound: it does not exist.
            BadArgument: an argument is refused.
        """
        from orchlite.client.model import ModelVersion
        from orchlite.core.model_arguments import checked_model_name

        models, hint = self._engine.store.models, Api.LIST_MODELS + " shows those of the current workspace."
        wanted = None if version is None else checked_id(version, "version")
        model = models.find(self._workspace.id(), checked_model_name(name))
        if model is None:
            raise NotFound(f"There is no model named {name!r} in workspace {self._workspace.name()!r}.", hint=hint, name=name)
        found = models.newest_version(model.model_id) if wanted is None else models.find_version(wanted)
        if found is None or found.model_id != model.model_id:
            raise NotFound(f"Model {name!r} has no version {version!r}.", hint="Its newest one is the default.", name=name, version=version)
        return ModelVersion(self._engine, found)

    def list_models(self) -> Table[Model]:
        """Return the current workspace's models, oldest first."""
        from orchlite.client.model import Model

        return Table(Model(self._engine, row) for row in self._engine.store.models.of_workspace(self._workspace.id()))

    def build_pipeline(self, pipeline_name: str) -> Pipeline:
        """Return the current workspace's pipeline of this name, without steps. It is created if it is missing.

        As on the platform, this stores a version without steps; what is deployed stays. A name is a lower-case letter, then such letters,
        digits and dashes, 63 characters at most.

        Raises:
            BadArgument: the name is refused.
        """
        from orchlite.client.pipeline import Pipeline
        from orchlite.core.model_arguments import checked_pipeline_name
        from orchlite.operations import deployments

        version = deployments.build(self._engine.context, self._workspace.id(), checked_pipeline_name(pipeline_name))
        return Pipeline(self._engine, self._engine.store.pipelines.get(version.pipeline_id), steps=[])

    def get_pipeline(self, name: str, version: str | None = None) -> Pipeline:
        """Return the current workspace's pipeline of this name, with the steps of its newest version, or of the one with this UUID.

        Raises:
            NotFound: it does not exist.
            BadArgument: an argument is refused.
        """
        from orchlite.client.pipeline import Pipeline
        from orchlite.core.model_arguments import checked_pipeline_name

        pipelines, hint = self._engine.store.pipelines, Api.LIST_PIPELINES + " shows those of the current workspace."
        wanted = None if version is None else checked_id(version, "version")
        row = pipelines.find(self._workspace.id(), checked_pipeline_name(name, "name"))
        if row is None:
            raise NotFound(f"There is no pipeline named {name!r} in workspace {self._workspace.name()!r}.", hint=hint, name=name)
        stored = None if wanted is None else pipelines.find_version(wanted)
        if wanted is not None and (stored is None or stored.pipeline_id != row.pipeline_id):
            raise NotFound(
                f"Pipeline {name!r} has no version {version!r}.", hint="Its newest one is the default.", name=name, version=version
            )
        return Pipeline(self._engine, row, stored=stored)

    def list_pipelines(self) -> Table[Pipeline]:
        """Return the current workspace's pipelines, oldest first."""
        return self._pipelines(self._engine.store.pipelines.of_workspace(self._workspace.id()))

    def pipelines_by_name(self, pipeline_name: str) -> Table[Pipeline]:
        """Return the pipelines of this name in all workspaces, newest first; empty if there are none.

        Raises:
            BadArgument: the name is refused.
        """
        from orchlite.core.model_arguments import checked_pipeline_name

        return self._pipelines(self._engine.store.pipelines.named(checked_pipeline_name(pipeline_name)))

    def _pipelines(self, rows: list[PipelineRow]) -> Table[Pipeline]:
        from orchlite.client.pipeline import Pipeline

        return Table(Pipeline(self._engine, row) for row in rows)
