"""The JSON of responses about models, pipelines and their deployments, as types; see `response_models`."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from orchlite.rest.response_models import Workspace


class IntegerId(TypedDict):
    """The id of what was created or changed."""

    id: int


class _UploadedModel(TypedDict):
    models: list[IntegerId]


class _Returning(TypedDict):
    returning: list[_UploadedModel]


class UploadedModels(TypedDict):
    """The id of a model's new version, as the platform's database returned it once."""

    insert_models: _Returning


class FileInfo(TypedDict):
    """The file of a model's version."""

    file_name: str
    sha: str
    size: int
    version: str


class ConversionOfModel(TypedDict):
    """What a model's version was said to be when it was uploaded."""

    framework: str
    requirements: list[str]
    arch: str | None
    accel: str | None


class ModelVersion(TypedDict):
    """A version of a model, with the fields of both of the platform's APIs."""

    id: int
    name: str
    model_id: str
    """The name of the model."""
    model_version: str
    """The UUID of the version."""
    models_pk_id: int
    """The id of the model."""
    owner_id: str
    workspace_id: int
    sha: str
    file_name: str
    file_info: FileInfo
    image_path: None
    conversion: ConversionOfModel
    status: str
    error_summary: None
    visibility: str
    created_at: str
    created_by: str
    created_on_version: str
    updated_at: str


class ModelConfig(TypedDict):
    """The configuration of a model's version. It has the id of the version."""

    id: int
    model_version_id: int
    model: IntegerId
    runtime: str
    tensor_fields: list[str] | None
    filter_threshold: float | None
    batch_config: str | None
    dynamic_batching_config: dict[str, Any] | None
    continuous_batching_config: dict[str, Any] | None
    openai: dict[str, Any] | None
    input_schema: str | None
    output_schema: str | None


class ConfiguredModelVersion(TypedDict):
    """A version of a model, and its configuration."""

    model_version: ModelVersion
    config: ModelConfig


class ModelVersionResponse(TypedDict):
    """A version of a model, and its configuration."""

    model_version: ConfiguredModelVersion


class ModelConfigResponse(TypedDict):
    """The configuration of a model's version."""

    model_config: ModelConfig


class Model(TypedDict):
    """A model."""

    id: int
    name: str
    owner_id: str
    workspace_id: int
    created_at: str
    updated_at: str


class NamedWorkspace(TypedDict):
    """A workspace."""

    id: int
    name: str


class ModelWithVersions(Model):
    """A model with its versions, newest first."""

    models: list[ModelVersion]
    workspace: NamedWorkspace


class ListedModel(Model):
    """A model with its versions, newest first, and its workspace. Older clients read the model's own fields, newer ones `model`."""

    model: Model
    model_versions: list[ConfiguredModelVersion]
    workspace: Workspace


class Models(TypedDict):
    """The models that match the request, newest first."""

    models: list[ListedModel]


class CreatedPipeline(TypedDict):
    """A pipeline, and its new version."""

    pipeline_pk_id: int
    pipeline_variant_pk_id: int
    pipeline_variant_version: str


class Pipeline(TypedDict):
    """A pipeline."""

    id: int
    name: str
    created_at: str
    updated_at: str


class PipelineResponse(TypedDict):
    """A pipeline, where it is, and the topic of its logs."""

    pipeline: Pipeline
    plateau_topic: str
    workspace: Workspace


class Pipelines(TypedDict):
    """The pipelines that match the request, newest first."""

    pipelines: list[PipelineResponse]


class PipelineVersion(TypedDict):
    """A version of a pipeline."""

    pipeline_id: str
    """The name."""
    version: str
    definition: dict[str, Any]


class Topic(TypedDict):
    """The topic of a pipeline's logs."""

    topic_name: str


class Engine(TypedDict):
    """A part of a running deployment."""

    ip: str
    name: str
    status: str
    reason: str | None
    details: list[str]
    pipeline_statuses: NotRequired[dict[str, Any]]
    model_statuses: NotRequired[dict[str, Any]]


class DeploymentStatus(TypedDict):
    """The status of a deployment."""

    status: str
    details: list[str]
    engines: list[Engine]
    engine_lbs: list[Engine]
    sidekicks: list[Engine]
