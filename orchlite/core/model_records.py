"""The immutable records of models, pipelines, deployments and inference logs: rows of the store.

The rules are those of `records`, which also says why the annotations are evaluated here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple


class ModelRow(NamedTuple):
    """A model: a name in a workspace, under which versions are uploaded."""

    model_id: int
    workspace_id: int
    name: str
    created_at: datetime


class ModelVersionRow(NamedTuple):
    """One uploaded version of a model."""

    model_version_id: int
    """Assigned by the store; 0 before that."""
    model_id: int
    workspace_id: int
    """The model's."""
    name: str
    """The model's."""
    version: str
    """A UUID, unique in the store."""
    sha: str
    """SHA-256 of the uploaded bytes, 64 lower-case hexadecimal digits."""
    size_bytes: int
    file_name: str
    """The name of the uploaded file: any label."""
    framework: str
    """As the platform's SDK spells it: `onnx`, `python`, …"""
    input_schema: bytes | None
    """A schema, as `pyarrow.Schema.serialize` returns it, if one was given."""
    output_schema: bytes | None
    config: Mapping[str, Any]
    """A JSON object: what `configure` was given, such as `tensor_fields`."""
    arch: str | None
    accel: str | None
    status: str
    """`ready`: a model that cannot be run is refused at upload."""
    created_at: datetime
    updated_at: datetime


class PipelineRow(NamedTuple):
    """A pipeline: a name in a workspace, under which versions of its steps are kept."""

    pipeline_id: int
    workspace_id: int
    name: str
    created_at: datetime
    updated_at: datetime
    """When its newest version was stored."""


class PipelineVersionRow(NamedTuple):
    """The steps of a pipeline, as they were stored once. It never changes."""

    pipeline_version_id: int
    pipeline_id: int
    version: str
    """A UUID, unique in the store."""
    definition: Mapping[str, Any]
    """`{"id": pipeline name, "steps": [...]}`. A step is an object with one key, its kind, as the platform's SDK prints it:

    `{"ModelInference": {"models": [{"name": …, "version": …, "sha": …}, …]}}`; several models are a shadow deployment, followed by
    `{"AuditResults": {"from": 1, "to": null}}` and `{"MultiOut": {}}`;
    `{"RandomSplit": {"hash_key": null, "weights": [{"model": {…}, "weight": 2.0}, …]}}`;
    `{"MetaValueSplit": {"split_key": …, "control": {…}, "routes": {"a value": {…}, …}}}` for a key split;
    `{"Check": {"tree": [a polars expression with its alias, as JSON text, …]}}` for validations.
    """
    created_at: datetime


class DeploymentRow(NamedTuple):
    """The deployment of a pipeline; a pipeline has one at most, which stays when it is undeployed."""

    deployment_id: int
    pipeline_id: int
    pipeline_version_id: int
    name: str
    is_deployed: bool
    config: Mapping[str, Any]
    """A JSON object: the deployment configuration, which is kept and has no effect."""
    created_at: datetime
    updated_at: datetime


class InferenceLogRow(NamedTuple):
    """The records of one inference, or a part of them."""

    log_id: int
    """Assigned by the store, ascending; 0 before that."""
    pipeline_id: int
    at: datetime
    """Whole milliseconds."""
    row_count: int
    """1 or more."""
    size_bytes: int
    """Length of `data`."""
    schema_key: str
    """Differs between records whose columns differ."""
    data: bytes
    """An Arrow IPC stream of the columns."""


StoppedBy = Literal["rows", "bytes", "schema"]


class InferenceLogPage(NamedTuple):
    """The inference logs that a reader selected, in its order."""

    logs: list[InferenceLogRow]
    """The last one may have more rows than the reader still wants."""
    stopped_by: StoppedBy | None
    """Which limit, or change of columns, left out further records; None if there are no others."""
