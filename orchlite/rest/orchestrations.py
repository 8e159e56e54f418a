"""The endpoints `orchestration/…`: upload, list, look at, delete, download."""

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
from orchlite.core.errors import NotFound
from orchlite.core.records import OrchestrationRow
from orchlite.core.settings import MEBIBYTE
from orchlite.rest import multipart, request_models, response_models, serializers
from orchlite.rest.dependencies import JsonRoute, Reader, View
from orchlite.rest.multipart import Upload
from orchlite.rest.queries import SHOWN, StoreView
from orchlite.rest.serializers import Dialect
from orchlite.rest.tasks import RUNS_OF_A_TASK

router = APIRouter(prefix="/v1/api/orchestration", tags=["orchestrations"], route_class=JsonRoute)
uploads = APIRouter(prefix="/v1/api/orchestration", tags=["orchestrations"])

_UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "metadata"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The ZIP."},
                        "metadata": request_models.UploadMetadata.model_json_schema(),
                    },
                },
                "encoding": {"file": {"contentType": "application/octet-stream"}, "metadata": {"contentType": "application/json"}},
            }
        },
    }
}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The uploaded bytes.", "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


@uploads.post("/upload", status_code=202, response_model=response_models.Id, openapi_extra=_UPLOAD_BODY)
async def upload(request: Request, view: View) -> Response:
    """Take a bundle in; packaging goes on behind. Answers its id."""
    path = view.new_upload()
    try:
        received = await multipart.receive(request.headers.get("content-type"), request.stream(), path, view.limits.upload_bytes)
        return await run_in_threadpool(_take_in, view, received, path)
    finally:
        path.unlink(missing_ok=True)


def _take_in(view: StoreView, received: Upload, path: Path) -> Response:
    body = request_models.checked(request_models.UploadMetadata, request_models.parsed(received.metadata, "metadata"))
    there = view.in_workspace(body.workspace_id)
    made = there.upload_orchestration(path=path, name=body.name, file_name=received.file_name, refresh=bool(body.refresh))
    return serializers.json_answer(response_models.Id(id=made.id()), 202)


@router.post("/list", response_model=list[response_models.Orchestration])
def of_workspace(body: request_models.OrchestrationsOfWorkspace, view: View) -> Response:
    """The orchestrations of a workspace, oldest first."""
    return serializers.json_list(map(serializers.orchestration, view.orchestrations([body.workspace_id])))


@router.post("/list_all", response_model=response_models.Orchestrations)
def list_all(body: request_models.AllOrchestrations, view: View, reader: Reader) -> Response:
    """The orchestrations of these workspaces, or of all, oldest first, each with its workspace and its tasks, newest first."""
    rows = view.orchestrations(body.workspace_ids or ())
    tasks = _tasks_of(view, rows, body, reader)
    workspaces = {row.workspace_id: serializers.workspace(row) for row in view.workspaces()}
    listed = [
        response_models.Listed(
            orchestration=serializers.orchestration(row), tasks=tasks.get(row.orchestration_id, []), workspace=workspaces[row.workspace_id]
        )
        for row in rows
    ]
    return serializers.json_answer(response_models.Orchestrations(orchestrations=listed))


def _tasks_of(
    view: StoreView, rows: Sequence[OrchestrationRow], body: request_models.AllOrchestrations, reader: Dialect
) -> dict[str, list[response_models.Task]]:
    words = {checked_choice(word, "task_run_status", sorted(SHOWN)) for word in body.task_run_status or ()}
    found: dict[str, list[response_models.Task]] = {}
    ids = view.task_ids_of([row.orchestration_id for row in rows], killed=bool(body.killed))
    for one in view.tasks(ids, RUNS_OF_A_TASK):
        answer = serializers.task(one, reader)
        newest = answer["last_runs"][-1]["status"] if answer["last_runs"] else None
        if (not words or newest in words) and _is_within(one.task.created_at, body.time_range):
            found.setdefault(one.task.orchestration_id, []).append(answer)
    return found


def _is_within(at: datetime, between: Sequence[datetime] | None) -> bool:
    return between is None or between[0] <= at <= between[1]


@router.post("/get_by_id", response_model=response_models.Orchestration)
def get_by_id(body: request_models.OrchestrationById, view: View) -> Response:
    """One orchestration."""
    return serializers.json_answer(serializers.orchestration(view.orchestration(body.id)))


@router.post("/delete_orchestrations", response_model=response_models.Bytes)
def delete(body: request_models.DeleteOrchestrations, view: View) -> Response:
    """Remove orchestrations with their tasks, runs and logs: all of these, or none. Answers the bytes of their bundles."""
    removed_bytes = view.delete_orchestrations(body.orchestrations, really=body.confirm_delete is not False)
    return serializers.json_answer(response_models.Bytes(bytes=removed_bytes))


@router.get("/download", response_class=StreamingResponse, responses=_BYTES)
def download(id: str, view: View, token: str | None = None) -> Response:  # noqa: A002 - the platform's name
    """The uploaded bytes. `token` is for clients that send no header; it has been looked at before."""
    row, path = view.bundle(id)
    try:
        file = path.open("rb")  # once open it can be sent to its end, whoever deletes it
    except FileNotFoundError as error:
        raise NotFound(f"The bundle of orchestration {id!r} is gone.", orchestration_id=id) from error

    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(MEBIBYTE):
                yield piece

    headers = {
        "content-length": str(row.size_bytes),
        "content-disposition": f"attachment; filename*=utf-8''{quote(row.file_name, safe='')}",
    }
    return StreamingResponse(pieces(), headers=headers, media_type="application/octet-stream")
