"""The pages of models and pipelines: versions, steps, what is deployed, and the newest inferences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from starlette.responses import Response

from orchlite.client.model import Model, ModelVersion
from orchlite.client.pipeline import Pipeline, PipelineVersion
from orchlite.core.errors import MissingExtra, NotFound
from orchlite.core.pipeline_steps import step_texts
from orchlite.operations import inference
from orchlite.web.visible import cut
from orchlite.web.visit import Visit, page

_MOST_ROWS = 50
_MOST_VERSIONS = 50
_MOST_INFERENCES = 20
_CELL_CHARACTERS = 80


class ListedModel(NamedTuple):
    """A model and its versions, newest first."""

    model: Model
    versions: Sequence[ModelVersion]


class ListedPipeline(NamedTuple):
    """A pipeline, its versions, newest first, and which one is deployed."""

    pipeline: Pipeline
    versions: Sequence[PipelineVersion]
    deployed: PipelineVersion | None


class Inferences(NamedTuple):
    """The newest records of a pipeline, newest first: texts and times."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | datetime]]
    missing: str = ""
    """Why they cannot be shown; empty if they can."""


def _list(visit: Visit) -> Response:
    store, workspace_id = visit.engine.store, visit.workspace_id
    models = store.models.all() if workspace_id is None else store.models.of_workspace(workspace_id)
    pipelines = store.pipelines.all() if workspace_id is None else store.pipelines.of_workspace(workspace_id)
    newest_models = [Model(visit.engine, row) for row in models[: -_MOST_ROWS - 1 : -1]]
    return visit.render(
        "models.html",
        models=[ListedModel(one, one.versions()) for one in newest_models],
        pipelines=[_listed(visit, Pipeline(visit.engine, row)) for row in pipelines[: -_MOST_ROWS - 1 : -1]],
        model_count=len(models),
        pipeline_count=len(pipelines),
        step_text=_step_text,
    )


def _listed(visit: Visit, pipeline: Pipeline) -> ListedPipeline:
    version_id = visit.engine.store.deployments.deployed_version(pipeline.id())
    deployed = None if version_id is None else PipelineVersion(visit.engine.store.pipelines.version(version_id))
    return ListedPipeline(pipeline, pipeline.versions(), deployed)


def _step_text(version: PipelineVersion) -> str:
    return "; ".join(step_texts(version.definition().get("steps", []))) or "no steps"


def _show_model(visit: Visit) -> Response:
    model = Model(visit.engine, visit.engine.store.models.get(_number(visit, "model")))
    versions = model.versions()
    shown = versions[:_MOST_VERSIONS]
    return visit.render("model.html", model=model, versions=shown, version_count=len(versions), used_by=_used_by(visit, model, shown))


def _used_by(visit: Visit, model: Model, versions: Sequence[ModelVersion]) -> dict[str, list[Pipeline]]:
    """Return by version the pipelines whose deployed steps run it."""
    rows = visit.engine.store.pipelines.of_workspace(model.workspace_id())
    listed = [_listed(visit, Pipeline(visit.engine, row)) for row in rows]
    steps = [(one.pipeline, json.dumps(one.deployed.definition())) for one in listed if one.deployed is not None]
    return {one.version(): [pipeline for pipeline, text in steps if one.version() in text] for one in versions}


def _show_pipeline(visit: Visit) -> Response:
    listed = _listed(visit, Pipeline(visit.engine, visit.engine.store.pipelines.get(_number(visit, "pipeline"))))
    return visit.render(
        "pipeline.html",
        listed=listed,
        versions=listed.versions[:_MOST_VERSIONS],
        inferences=_inferences(visit, listed.pipeline),
        step_text=_step_text,
    )


def _inferences(visit: Visit, pipeline: Pipeline) -> Inferences:
    try:
        records = inference.read_logs(visit.engine.context, pipeline.id(), limit=_MOST_INFERENCES).records()
    except MissingExtra as error:
        return Inferences((), (), f"{error.message} {error.hint or ''}")
    columns = list(records[0]) if records else []
    return Inferences(columns, [[_cell(record, column) for column in columns] for record in records])


def _cell(record: Mapping[str, Any], column: str) -> str | datetime:
    value = record.get(column, "")
    return value if isinstance(value, datetime) else cut(str(value), _CELL_CHARACTERS)


def _number(visit: Visit, kind: str) -> int:
    text = visit.request.path_params["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise NotFound(f"There is no {kind} {text!r:.40}.")
    return int(text)


ROUTES = [
    page("/models", _list),
    page("/pipelines", _list),
    page("/models/{number}", _show_model),
    page("/pipelines/{number}", _show_pipeline),
]
