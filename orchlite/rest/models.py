"""The endpoints `models/…`."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from orchlite.core.content_storage import ReceivedFile
from orchlite.core.errors import BadArgument, BadModel
from orchlite.core.hints import Argument
from orchlite.core.sizes import size_text
from orchlite.inference.models import ONNX
from orchlite.operations.model_upload import ModelUpload
from orchlite.rest import model_requests, model_responses, model_serializers, multipart, request_models, serializers
from orchlite.rest.dependencies import JsonRoute, Models
from orchlite.rest.model_queries import ModelQueries
from orchlite.rest.multipart import ReceivedUpload, SizeLimit

router = APIRouter(prefix="/v1/api/models", tags=["models"], route_class=JsonRoute)
upload_router = APIRouter(prefix="/v1/api/models", tags=["models"])

_UPLOAD_BODY = multipart.body_description("The file of a model.", model_requests.ModelMetadata.model_json_schema())


@upload_router.post("/upload", response_model=model_responses.UploadedModels, openapi_extra=_UPLOAD_BODY)
async def upload(request: Request, models: Models) -> Response:
    """Upload a new version of a model, which is created if it is missing. Returns the id of the version."""
    path = models.new_upload_path()
    try:
        limit = SizeLimit(models.limit_bytes, _too_large)
        received = await multipart.receive(request.headers.get("content-type"), request.stream(), path, limit)
        return await run_in_threadpool(_accept, models, received, path)
    finally:
        path.unlink(missing_ok=True)


@upload_router.post("/upload_and_convert", response_model=model_responses.UploadedModels, openapi_extra=_UPLOAD_BODY)
async def upload_and_convert(request: Request, models: Models) -> Response:
    """Upload as `upload` does: nothing is converted, and the version is ready at once."""
    return await upload(request, models)


def _accept(models: ModelQueries, received: ReceivedUpload, path: Path) -> Response:
    metadata = request_models.validated(model_requests.ModelMetadata, request_models.parse_json(received.metadata, "metadata"))
    conversion = metadata.conversion or model_requests.Conversion()
    row = models.upload(
        ModelUpload(
            source=ReceivedFile(path),
            workspace_id=metadata.workspace_id,
            name=metadata.name,
            file_name=received.file_name,
            framework=conversion.framework or ONNX,
            input_schema=_schema(metadata.input_schema, "input_schema"),
            output_schema=_schema(metadata.output_schema, "output_schema"),
            arch=conversion.arch,
            accel=_accel(conversion.accel),
        )
    )
    uploaded = {"insert_models": {"returning": [{"models": [{"id": row.model_version_id}]}]}}
    return serializers.json_response(uploaded)


def _too_large(limit_bytes: int) -> BadModel:
    return BadModel(
        f"The model is larger than {size_text(limit_bytes)}, which is the limit.", hint="Use a smaller model.", limit_bytes=limit_bytes
    )


def _schema(text: str | None, argument: str) -> bytes | None:
    if text is None:
        return None
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise BadArgument(Argument(argument) + " is not base64.", hint="Send a serialized Arrow schema.", argument=argument) from error


def _accel(accel: str | dict[str, object] | None) -> str | None:
    """Return the name of an accelerator; one with a configuration comes as `{name: configuration}`."""
    return next(iter(accel), None) if isinstance(accel, dict) else accel


@router.post("/list", response_model=model_responses.Models)
def list_all(models: Models, body: model_requests.OfWorkspace | None = None) -> Response:
    """List the models of a workspace, or all, newest first, each with its versions."""
    rows = models.models(None if body is None else models.selected_workspace(body.workspace_id, body.workspace_name))
    listed = [model_serializers.listed_model(row, models.versions(row.model_id), models.workspace(row.workspace_id)) for row in rows]
    return serializers.json_response(model_responses.Models(models=listed))


@router.post("/get", response_model=model_responses.ModelWithVersions)
def get(body: model_requests.ModelById, models: Models) -> Response:
    """Get a model with its versions, newest first."""
    row = models.model(body.id)
    versions, workspace = models.versions(row.model_id), models.workspace(row.workspace_id)
    return serializers.json_response(model_serializers.model_with_versions(row, versions, workspace))


@router.post("/get_version_by_id", response_model=model_responses.ModelVersionResponse)
def get_version_by_id(body: model_requests.ModelVersionById, models: Models) -> Response:
    """Get a version of a model with its configuration."""
    found = model_serializers.configured_version(models.version(body.model_version_id))
    return serializers.json_response(model_responses.ModelVersionResponse(model_version=found))


@router.post("/get_config_by_id", response_model=model_responses.ModelConfigResponse)
def get_config_by_id(body: model_requests.ConfigOfModel, models: Models) -> Response:
    """Get the configuration of a model's version."""
    found = model_serializers.model_config(models.version(body.model_id))
    return serializers.json_response(model_responses.ModelConfigResponse(model_config=found))


@router.post("/insert_model_config", response_model=model_responses.ModelConfigResponse)
def insert_model_config(body: model_requests.ConfigureModel, models: Models) -> Response:
    """Replace the configuration of a model's version. Pipelines use it from their next deployment on."""
    config = body.model_dump(exclude={"model_version_id", "openai_config"}) | {"openai": body.openai_config}
    found = model_serializers.model_config(models.configure(body.model_version_id, config))
    return serializers.json_response(model_responses.ModelConfigResponse(model_config=found))
