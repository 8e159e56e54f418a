"""The endpoints `orchestration/…`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from orchlite.core.arguments import checked_choice
from orchlite.core.download_names import download_name
from orchlite.core.errors import BadBundle, NotFound
from orchlite.core.records import OrchestrationRow
from orchlite.core.settings import MEBIBYTE
from orchlite.core.sizes import size_text
from orchlite.rest import multipart, request_models, response_models, serializers
from orchlite.rest.dependencies import ClientDialect, JsonRoute, Queries
from orchlite.rest.multipart import ReceivedUpload, SizeLimit
from orchlite.rest.queries import SHOWN, StoreQueries
from orchlite.rest.serializers import Dialect
from orchlite.rest.tasks import RUNS_PER_TASK

router = APIRouter(prefix="/v1/api/orchestration", tags=["orchestrations"], route_class=JsonRoute)
upload_router = APIRouter(prefix="/v1/api/orchestration", tags=["orchestrations"])

_UPLOAD_BODY = multipart.body_description("The ZIP.", request_models.UploadMetadata.model_json_schema())
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The uploaded bytes.", "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


@upload_router.post("/upload", status_code=202, response_model=response_models.Id, openapi_extra=_UPLOAD_BODY)
async def upload(request: Request, queries: Queries) -> Response:
    """Upload a bundle. Returns the orchestration's id; packaging continues in the background."""
    path = queries.new_upload_path()
    try:
        limit = SizeLimit(queries.limits.upload_bytes, _too_large)
        received = await multipart.receive(request.headers.get("content-type"), request.stream(), path, limit)
        return await run_in_threadpool(_accept, queries, received, path)
    finally:
        path.unlink(missing_ok=True)


def _too_large(limit_bytes: int) -> BadBundle:
    return BadBundle(
        f"The bundle is larger than {size_text(limit_bytes)}, which is the limit.",
        hint="Leave large data out and fetch it in main.py.",
        limit_bytes=limit_bytes,
    )


def _accept(queries: StoreQueries, received: ReceivedUpload, path: Path) -> Response:
    metadata = request_models.validated(request_models.UploadMetadata, request_models.parse_json(received.metadata, "metadata"))
    orchestration = queries.client_in(metadata.workspace_id).upload_orchestration(
        path=path,
        name=metadata.name,
        file_name=received.file_name,
        refresh=bool(metadata.refresh),
        base_image=metadata.base_image,
        replace_pins=metadata.replace_pins,
    )
    return serializers.json_response(response_models.Id(id=orchestration.id()), 202)


@router.post("/list", response_model=list[response_models.Orchestration])
def of_workspace(body: request_models.OrchestrationsOfWorkspace, queries: Queries) -> Response:
    """List the orchestrations of a workspace, oldest first."""
    return serializers.json_list_response(map(serializers.orchestration, queries.orchestrations([body.workspace_id])))


@router.post("/list_all", response_model=response_models.Orchestrations)
def list_all(body: request_models.AllOrchestrations, queries: Queries, dialect: ClientDialect) -> Response:
    """List the orchestrations of some workspaces, or all, oldest first, each with its workspace and its tasks, the last updated first."""
    rows = queries.orchestrations(body.workspace_ids or ())
    tasks = _tasks_of(queries, rows, body, dialect)
    workspaces = {row.workspace_id: serializers.workspace(row) for row in queries.workspaces()}
    listed = [
        response_models.Listed(
            orchestration=serializers.orchestration(row), tasks=tasks.get(row.orchestration_id, []), workspace=workspaces[row.workspace_id]
        )
        for row in rows
    ]
    return serializers.json_response(response_models.Orchestrations(orchestrations=listed))


def _tasks_of(
    queries: StoreQueries, rows: Sequence[OrchestrationRow], body: request_models.AllOrchestrations, dialect: Dialect
) -> dict[str, list[response_models.Task]]:
    statuses = {checked_choice(status, "task_run_status", sorted(SHOWN)) for status in body.task_run_status or ()}
    tasks: dict[str, list[response_models.Task]] = {}
    task_ids = queries.task_ids_of([row.orchestration_id for row in rows], killed=bool(body.killed))
    for found in queries.tasks(task_ids, RUNS_PER_TASK):
        task = serializers.task(found, dialect)
        newest = task["last_runs"][-1]["status"] if task["last_runs"] else None
        if (not statuses or newest in statuses) and _is_within(found.task.created_at, body.time_range):
            tasks.setdefault(found.task.orchestration_id, []).append(task)
    return tasks


def _is_within(at: datetime, time_range: Sequence[datetime] | None) -> bool:
    return time_range is None or time_range[0] <= at <= time_range[1]


@router.post("/get_by_id", response_model=response_models.Orchestration)
def get_by_id(body: request_models.OrchestrationById, queries: Queries) -> Response:
    """Get an orchestration."""
    return serializers.json_response(serializers.orchestration(queries.orchestration(body.id)))


@router.post("/delete_orchestrations", response_model=response_models.Bytes)
def delete(body: request_models.DeleteOrchestrations, queries: Queries) -> Response:
    """Delete orchestrations with their tasks, runs and logs: all of them or none. Returns the size of their bundles."""
    size_bytes = queries.delete_orchestrations(body.orchestrations, dry_run=body.confirm_delete is False)
    return serializers.json_response(response_models.Bytes(bytes=size_bytes))


@router.get("/download", response_class=StreamingResponse, responses=_BYTES)
def download(id: str, queries: Queries, token: str | None = None) -> Response:  # noqa: A002 - the platform's name
    """Download the uploaded bytes. `token` is for clients that send no Authorization header."""
    row, path = queries.bundle(id)
    try:
        file = path.open("rb")  # once open, it can be sent to the end even if it is deleted
    except FileNotFoundError as error:
        raise NotFound(f"The bundle of orchestration {id!r} is missing.", orchestration_id=id) from error

    def chunks() -> Iterator[bytes]:
        with file:
            while chunk := file.read(MEBIBYTE):
                yield chunk

    headers = {
        "content-length": str(row.size_bytes),
        "content-disposition": f"attachment; filename*=utf-8''{quote(download_name(row.file_name, row.sha), safe='')}",
    }
    return StreamingResponse(chunks(), headers=headers, media_type="application/octet-stream")
