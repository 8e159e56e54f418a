"""Pipeline versions that this process infers with: their steps and their models, read once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from orchlite.core.errors import BadModel, Conflict
from orchlite.core.model_records import ModelVersionRow
from orchlite.inference.definition import ModelName, Step, models_of, steps_of
from orchlite.inference.models import PYTHON, LoadedModel, ModelFile, is_loaded, load
from orchlite.operations import step_requirements
from orchlite.operations.model_storage import ModelStorage
from orchlite.store.store import Store

_KEPT = 64


class Plan(NamedTuple):
    """One version of a pipeline, which never changes."""

    version: str
    """Its UUID."""
    steps: tuple[Step, ...]
    models: Mapping[ModelName, LoadedModel]


class InferencePlans:
    """The plans of one store. Safe for several threads, of which two may read the same plan at the same time."""

    def __init__(self, store: Store, files: ModelStorage) -> None:
        self._store = store
        self._files = files
        self._plans: dict[int, Plan] = {}

    def get(self, pipeline_version_id: int) -> Plan:
        """Return the plan of a pipeline version. The last 64 are kept.

        The first call in this process loads the models, for 1 ms a MiB and more; their files' SHA-256 is verified.

        Raises:
            NotFound: there is no such version.
            Conflict: a model of it was deleted.
            BadModel: the file of a model is gone or was changed, or is no model, or requires what is not installed.
            InferenceFailed: a step is of a kind that orchlite does not run.
            MissingExtra: a package that loads a model is not installed.
        """
        plan = self._plans.get(pipeline_version_id)
        if plan is None:
            plan = self._plans[pipeline_version_id] = self._read(pipeline_version_id)
            for old in list(self._plans)[:-_KEPT]:
                self._plans.pop(old, None)
        return plan

    def _read(self, pipeline_version_id: int) -> Plan:
        row = self._store.pipelines.version(pipeline_version_id)
        steps = steps_of(row.definition)
        return Plan(row.version, steps, {model: _loaded(self._file(model)) for model in models_of(steps)})

    def _file(self, model: ModelName) -> ModelFile:
        row = self._store.models.find_version(model.version)
        if row is None:
            message = f"Model {model.name!r}, version {model.version}, of this pipeline was deleted."
            raise Conflict(message, hint="Upload the model again, replace the step, and deploy the pipeline.", model=model.name)
        return ModelFile(
            self._files.path(row.sha),
            row.name,
            row.sha,
            row.framework,
            fields=_fields(row),
            input_schema=row.input_schema,
            output_schema=row.output_schema,
        )


def _fields(row: ModelVersionRow) -> tuple[str, ...] | None:
    fields = row.config.get("tensor_fields")
    return tuple(fields) if fields else None


def _loaded(file: ModelFile) -> LoadedModel:
    if not is_loaded(file):
        _verify(file)
        if file.framework == PYTHON:
            step_requirements.check_installed(file.path, file.name)
    return load(file)


def _verify(file: ModelFile) -> None:
    try:
        with file.path.open("rb") as source:
            is_intact = hashlib.file_digest(source, "sha256").hexdigest() == file.sha
    except OSError as error:
        message = f"The file of model {file.name!r} cannot be read: {error.strerror or error}."
        raise BadModel(message, hint="Restore the store from a backup, or upload the model again.", model=file.name) from error
    if not is_intact:
        message = f"The file of model {file.name!r} in the store was changed after its upload."
        raise BadModel(message, hint="Restore the store from a backup, or upload the model again.", model=file.name)
