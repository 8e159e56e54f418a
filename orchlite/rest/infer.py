"""The endpoint `pipelines/infer/…`: data in, results out, in the platform's formats, and errors in the form of its engine."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from orchlite.core.errors import Conflict, InferenceFailed, NotFound, OrchliteError
from orchlite.inference.selection import Selection
from orchlite.rest import data_formats, serializers
from orchlite.rest.body_rules import ARROW, INFER_PATH, JSON
from orchlite.rest.dependencies import OldData, Pipelines, Selected
from orchlite.rest.errors import refusal, status_of
from orchlite.rest.pipeline_queries import PipelineQueries

router = APIRouter(tags=["inference"])

_log = logging.getLogger(__name__)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            f"{JSON}; format={data_formats.RECORDS_FORMAT}": {"schema": {"type": "array", "items": {"type": "object"}}},
            JSON: {"schema": {}},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(INFER_PATH + "{deployment}/{pipeline}", openapi_extra=_BODY)
async def infer(
    deployment: str,
    pipeline: str,
    request: Request,
    pipelines: Pipelines,
    old: OldData,
    chosen: Selected,
) -> Response:
    """Run a deployed pipeline on data. The result has the format of the data.

    An Arrow file returns one; records of pandas return records; other JSON returns the outputs alone.
    """
    kind = request.headers.get("content-type", "")
    body = await request.body()
    try:
        return await run_in_threadpool(_infer, pipelines, (deployment, pipeline), kind, body, chosen, old)
    except OrchliteError as error:
        return _engine_error(error, old)


def _infer(pipelines: PipelineQueries, names: tuple[str, str], kind: str, body: bytes, chosen: Selection, old: bool) -> Response:
    deployment = pipelines.deployment_named(names[0])
    if pipelines.pipeline(deployment.pipeline_id).name != names[1]:
        raise NotFound(f"Deployment {names[0]!r:.80} has no pipeline {names[1]!r:.80}.", name=names[0])
    if kind.partition(";")[0].strip().lower() == ARROW:
        result = pipelines.infer(deployment, data_formats.table(body))
        found = data_formats.shown_table(result.to_table(chosen), chosen, old=old)
        return Response(data_formats.file_of(found), media_type=ARROW)
    if data_formats.RECORDS_FORMAT in kind:
        result = pipelines.infer(deployment, data_formats.records(body))
        return serializers.json_response(data_formats.shown_records(result, chosen, old=old))
    return serializers.json_response(pipelines.infer(deployment, data_formats.json_data(body)).to_outputs())


def _engine_error(error: OrchliteError, old: bool) -> Response:
    """Return an error response as the platform's engine sends it; clients of 2023 expect it in a list."""
    status = _status(error)
    if status == 500:
        _log.error("an inference failed", exc_info=error)
    content = {**refusal(error, status), "status": "Error", "source": "engine"}
    shown = [{**content, "error_type": type(error).__name__}] if old else content
    return Response(json.dumps(shown, default=str), status, media_type=JSON)


def _status(error: OrchliteError) -> int:
    if type(error) is Conflict:  # it is not deployed, or a model was deleted
        return 404
    return 400 if isinstance(error, InferenceFailed) else status_of(error)
