"""The bodies of requests about models, pipelines and their deployments. The rules are those of `request_models`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from orchlite.rest.request_models import RequestBody, WorkspaceId

RowId = WorkspaceId
_LAST_MICROSECOND = 253_402_300_799_999_999
"""The last one of the year 9999, since 1970."""
_MAX_ROWS = 2**31


class Conversion(RequestBody):
    """What a model is, for the platform's conversion. What is not listed has no effect."""

    framework: str | None = None
    """`onnx`, which is the default, or `python`."""
    arch: str | None = None
    accel: str | dict[str, Any] | None = None


class ModelMetadata(RequestBody):
    """The part `metadata` of a model's upload."""

    name: str
    workspace_id: WorkspaceId
    conversion: Conversion | None = None
    input_schema: str | None = None
    """An Arrow schema, serialized, in base64."""
    output_schema: str | None = None


class ModelById(RequestBody):
    """The id of a model."""

    id: RowId


class ModelVersionById(RequestBody):
    """The id of a model's version."""

    model_version_id: RowId


class ConfigOfModel(RequestBody):
    """The id of a model's version, under the platform's older name."""

    model_id: RowId


class ConfigureModel(RequestBody):
    """The configuration that replaces the one of a model's version."""

    model_version_id: RowId
    tensor_fields: list[str] | None = None
    """The names of the columns that are the model's inputs, in its order."""
    filter_threshold: float | None = None
    """Kept without effect, like all fields after it."""
    batch_config: str | None = None
    dynamic_batching_config: dict[str, Any] | None = None
    continuous_batching_config: dict[str, Any] | None = None
    openai_config: dict[str, Any] | None = None
    input_schema: str | None = None
    output_schema: str | None = None


class OfWorkspace(RequestBody):
    """The workspace whose models or pipelines to list, by id or by name; by default all are listed."""

    workspace_id: WorkspaceId | None = None
    workspace_name: str | None = None


class CreatePipeline(RequestBody):
    """A version of a pipeline to store; the pipeline is created if it is missing."""

    pipeline_id: str
    """The name."""
    workspace_id: WorkspaceId
    definition: dict[str, Any] | None = None


class PipelineNamed(RequestBody):
    """The name of a pipeline."""

    pipeline_name: str
    workspace_id: WorkspaceId


class PipelineVersionNamed(RequestBody):
    """The UUID of a pipeline's version."""

    version: str


class DeployPipeline(RequestBody):
    """The version of a pipeline to deploy: by its id, by its UUID, or the newest of a pipeline. Other fields have no effect."""

    deploy_id: str
    """The name of the deployment."""
    engine_config: dict[str, Any] | None = None
    pipeline_version_pk_id: RowId | None = None
    pipeline_version: str | None = None
    pipeline_id: RowId | None = None


class UndeployPipeline(RequestBody):
    """The deployment to end, by its id or by its pipeline's."""

    deployment_id: RowId | None = None
    pipeline_id: RowId | None = None


class DeploymentNamed(RequestBody):
    """A deployment, as `NAME-ID`."""

    name: str


class TopicOfPipeline(RequestBody):
    """A pipeline, by its id, or by its name, in a workspace or in all."""

    pipeline_pk_id: RowId | None = None
    pipeline_name: str | None = None
    workspace_id: WorkspaceId | None = None


class LogIterator(RequestBody):
    """Where to continue with a topic's records: `next` of the page before. Without fields, at the beginning."""

    log_id: RowId | None = None
    at: Annotated[int, Field(ge=0, le=_LAST_MICROSECOND)] = 0
    """Microseconds since 1970."""
    rows: Annotated[int, Field(ge=0, le=_MAX_ROWS)] = 0
