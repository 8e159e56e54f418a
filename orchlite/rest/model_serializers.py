"""From the store's rows of models and pipelines to the platform's JSON (`model_responses.py`)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from orchlite.core.model_records import ModelRow, ModelVersionRow, PipelineRow, PipelineVersionRow
from orchlite.core.records import WorkspaceRow
from orchlite.core.version import VERSION
from orchlite.inference.models import ONNX
from orchlite.rest.accounts import OWNER
from orchlite.rest.model_responses import (
    ConfiguredModelVersion,
    ConversionOfModel,
    FileInfo,
    IntegerId,
    ListedModel,
    Model,
    ModelConfig,
    ModelVersion,
    ModelWithVersions,
    NamedWorkspace,
    Pipeline,
    PipelineResponse,
    PipelineVersion,
)
from orchlite.rest.serializers import timestamp, workspace

VISIBILITY = "private"
_CONTAINER = "flight"
"""The platform's runtime for everything that it does not run itself, such as Python steps."""


def model(row: ModelRow, versions: Sequence[ModelVersionRow]) -> Model:
    """Serialize a model; `versions` are its own, newest first."""
    updated_at = max((version.updated_at for version in versions), default=row.created_at)
    return Model(
        id=row.model_id,
        name=row.name,
        owner_id=OWNER.user_id,
        workspace_id=row.workspace_id,
        created_at=timestamp(row.created_at),
        updated_at=timestamp(updated_at),
    )


def model_with_versions(row: ModelRow, versions: Sequence[ModelVersionRow], place: WorkspaceRow) -> ModelWithVersions:
    """Serialize a model with its versions."""
    return ModelWithVersions(
        **model(row, versions),
        models=[model_version(version) for version in versions],
        workspace=NamedWorkspace(id=place.workspace_id, name=place.name),
    )


def listed_model(row: ModelRow, versions: Sequence[ModelVersionRow], place: WorkspaceRow) -> ListedModel:
    """Serialize a model in a list."""
    shown = model(row, versions)
    return ListedModel(
        **shown, model=shown, model_versions=[configured_version(version) for version in versions], workspace=workspace(place)
    )


def model_version(row: ModelVersionRow) -> ModelVersion:
    """Serialize a version of a model."""
    return ModelVersion(
        id=row.model_version_id,
        name=row.name,
        model_id=row.name,
        model_version=row.version,
        models_pk_id=row.model_id,
        owner_id=OWNER.user_id,
        workspace_id=row.workspace_id,
        sha=row.sha,
        file_name=row.file_name,
        file_info=FileInfo(file_name=row.file_name, sha=row.sha, size=row.size_bytes, version=row.version),
        image_path=None,
        conversion=ConversionOfModel(framework=row.framework, requirements=[], arch=row.arch, accel=row.accel),
        status=row.status,
        error_summary=None,
        visibility=VISIBILITY,
        created_at=timestamp(row.created_at),
        created_by=OWNER.user_id,
        created_on_version=VERSION,
        updated_at=timestamp(row.updated_at),
    )


def model_config(row: ModelVersionRow) -> ModelConfig:
    """Serialize the configuration of a model's version."""
    return ModelConfig(
        id=row.model_version_id,
        model_version_id=row.model_version_id,
        model=IntegerId(id=row.model_version_id),
        runtime=ONNX if row.framework == ONNX else _CONTAINER,
        tensor_fields=row.config.get("tensor_fields"),
        filter_threshold=row.config.get("filter_threshold"),
        batch_config=row.config.get("batch_config"),
        dynamic_batching_config=row.config.get("dynamic_batching_config"),
        continuous_batching_config=row.config.get("continuous_batching_config"),
        openai=row.config.get("openai"),
        input_schema=row.config.get("input_schema") or _in_base64(row.input_schema),
        output_schema=row.config.get("output_schema") or _in_base64(row.output_schema),
    )


def configured_version(row: ModelVersionRow) -> ConfiguredModelVersion:
    """Serialize a version of a model with its configuration."""
    return ConfiguredModelVersion(model_version=model_version(row), config=model_config(row))


def pipeline(row: PipelineRow) -> Pipeline:
    """Serialize a pipeline."""
    return Pipeline(id=row.pipeline_id, name=row.name, created_at=timestamp(row.created_at), updated_at=timestamp(row.updated_at))


def pipeline_response(row: PipelineRow, place: WorkspaceRow) -> PipelineResponse:
    """Serialize a pipeline with its workspace and the topic of its logs."""
    return PipelineResponse(pipeline=pipeline(row), plateau_topic=topic(row), workspace=workspace(place))


def pipeline_version(row: PipelineVersionRow, name: str) -> PipelineVersion:
    """Serialize a version of the pipeline of this name."""
    return PipelineVersion(pipeline_id=name, version=row.version, definition=dict(row.definition))


def topic(row: PipelineRow) -> str:
    """Return the topic of a pipeline's logs."""
    return f"workspace-{row.workspace_id}-pipeline-{row.name}-inference"


def _in_base64(schema: bytes | None) -> str | None:
    return None if schema is None else b64encode(schema).decode()
