"""`wallaroo.model_version` and `wallaroo.model_config`: the versions of models, with the interface of the platform's SDK."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

import orchlite.client.model
from orchlite.core.model_records import ModelVersionRow
from orchlite.engine.engine import Engine

from ._absent import fill
from ._api_errors import as_api_error
from ._checks import Expression, tensors
from ._display import NotebookList, moment, platform_time
from ._engine_config import Acceleration, Architecture
from ._submodules import members


class ModelVersion(orchlite.client.model.ModelVersion):
    """An uploaded version of a model. Only its configuration changes."""

    def __init__(self, client: Any, engine: Engine, row: ModelVersionRow) -> None:
        super().__init__(engine, row)
        self.client = client

    @property
    def inputs(self) -> Expression:
        """Its inputs, for `Pipeline.add_validation`, as until 2023.3: `model.inputs[0][1] > 0`."""
        return tensors(self.name(), "input")

    @property
    def outputs(self) -> Expression:
        """Its outputs, likewise: `model.outputs[0][0] < 0.9`."""
        return tensors(self.name(), "output")

    def uid(self) -> str:
        """Name and id: `house-3`."""
        return f"{self.name()}-{self.id()}"

    def models_pk_id(self) -> int:
        """The id of the model."""
        return self._known.model_id

    def image_path(self) -> None:
        """None: orchlite runs models without containers."""

    def error_summary(self) -> None:
        """None: what cannot be a model is refused at its upload."""

    def last_update_time(self) -> datetime:
        """When it was uploaded or last configured."""
        return platform_time(self.updated_at())

    def workspace(self) -> Any:
        """The workspace that has the model."""
        return self.client._workspace_with_id(self.workspace_id())

    def config(self) -> ModelConfig:
        """What it is configured with."""
        return ModelConfig(self)

    def configure(  # type: ignore[override]  # the SDK's arguments
        self,
        runtime: str | None = None,
        tensor_fields: list[str] | None = None,
        filter_threshold: float | None = None,
        input_schema: Any = None,
        output_schema: Any = None,
        batch_config: str | None = None,
        dynamic_batching_config: Any = None,
        continuous_batching_config: Any = None,
        openai_config: Any = None,
    ) -> Self:
        """Configure it, in place of its former configuration; return it.

        tensor_fields: the names of the columns that are its inputs, in the model's order.
        All others: without effect.

        Raises:
            ValueError: batch_config contradicts another argument.
            wallaroo.exceptions.WallarooAPIError: an argument is refused; nothing was changed.
        """
        _check_batching(batch_config, dynamic_batching_config, continuous_batching_config)
        with as_api_error():
            return super().configure(runtime, tensor_fields or None, batch_config)

    def deploy(self, pipeline_name: str, deployment_config: Any = None) -> Any:
        """Build a pipeline with this model as its only step, deploy it, and return it; see `Pipeline.deploy`."""
        return self.client.build_pipeline(pipeline_name).add_model_step(self).deploy(pipeline_name, deployment_config)

    def __repr__(self) -> str:
        shown = {
            "name": self.name(),
            "version": self.version(),
            "file_name": self.file_name(),
            "image_path": None,
            "arch": self.arch() or str(Architecture.default()),
            "accel": self.accel() or str(Acceleration.default()),
            "last_update_time": self.last_update_time(),
        }
        return str(shown)

    @staticmethod
    def _columns() -> Sequence[str]:
        return (
            "name",
            "version",
            "file_name",
            "sha",
            "status",
            "image_path",
            "arch",
            "accel",
            "last_update_time",
            "workspace_id",
            "workspace_name",
        )

    def _cells(self) -> Sequence[object]:
        row, workspace = self._row(), self.workspace()
        about = (row.name, row.version, row.file_name, row.sha, row.status, None, row.arch, row.accel)
        return (*about, moment(self.client, row.updated_at), workspace.id(), workspace.name())


def _check_batching(batch_config: str | None, dynamic: Any, continuous: Any) -> None:
    """Refuse what contradicts itself, in the words of the SDK."""
    if batch_config == "single" and dynamic is not None:
        raise ValueError(
            "Dynamic batching is not supported with single batch mode. "
            "Please update the model configuration or contact Wallaroo for support at support@wallaroo.ai"
        )
    if batch_config is not None and continuous is not None:
        raise ValueError(
            "Continuous batching is not supported when setting batch_config."
            "Please update the model configuration or contact wallaroo for support at support@wallaroo.ai"
        )


class ModelConfig:
    """What a version of a model is configured with."""

    def __init__(self, model_version: ModelVersion) -> None:
        self._model_version = model_version
        self._row = model_version._row()

    def id(self) -> int:
        """The id of the version, which has one configuration."""
        return self._row.model_version_id

    def model_version(self) -> ModelVersion:
        """The version."""
        return self._model_version

    def runtime(self) -> str:
        """The framework, such as `onnx`."""
        return self._row.framework

    def tensor_fields(self) -> list[str] | None:
        """The names of the inputs, in the model's order; None: the model's own."""
        return self._row.config.get("tensor_fields")

    def input_schema(self) -> str | None:
        """The Arrow schema of the inputs, in base64."""
        return _in_base64(self._row.input_schema)

    def output_schema(self) -> str | None:
        """The Arrow schema of the outputs, in base64."""
        return _in_base64(self._row.output_schema)


def _in_base64(schema: bytes | None) -> str | None:
    import base64

    return None if schema is None else base64.b64encode(schema).decode()


fill(ModelVersion, members("model_version", "ModelVersion"))
fill(ModelConfig, members("model_config", "ModelConfig"))


class ModelVersionList(NotebookList[ModelVersion]):
    """The versions of a model, newest first."""

    _empty = "(no model versions)"
