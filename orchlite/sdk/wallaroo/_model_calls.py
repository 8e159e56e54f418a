"""The calls of `wallaroo.Client` about models."""

from __future__ import annotations

from ._session import Session

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any

    from ._model import ModelList
    from ._model_version import ModelVersion


class ModelCalls(Session):
    """Upload models, and find them."""

    def upload_model(
        self,
        name: str,
        path: str | PathLike[str],
        framework: Any = None,
        input_schema: Any = None,
        output_schema: Any = None,
        convert_wait: bool | None = True,
        arch: Any = None,
        accel: Any = None,
        framework_config: Any = None,
    ) -> ModelVersion:
        """Upload a file as a new version of the model `name` in the current workspace, which it creates if it is missing.

        framework: `wallaroo.framework.Framework.ONNX`, or `PYTHON` for a Python step, which needs both schemas.
        arch, accel, framework_config: kept, or ignored; without effect.

        Raises:
            ValueError: the framework is not a `Framework`.
            NotImplementedError: orchlite does not run models of this framework.
            wallaroo.object.InvalidNameError: the name is not a letter followed by letters, digits and dashes, ends with a dash, or has
                64 or more characters.
            wallaroo.engine_config.InvalidAccelerationError: the architecture lacks the accelerator.
            wallaroo.exceptions.ModelUploadError: the file or an argument is refused; nothing was stored.
            Exception: a schema is missing.
            OSError: the file cannot be read.
        """
        from ._model_upload import ModelFile, upload

        file = ModelFile(name, path, framework, input_schema, output_schema, arch, accel)
        return self._model_version(upload(self._engine(), self.get_current_workspace().id(), file, is_waiting=bool(convert_wait)))

    def get_model(self, name: str, version: str | None = None) -> ModelVersion:
        """Return a version of a model in the current workspace, the newest one by default.

        Raises:
            Exception: there is no such model or version.
        """
        models = self._engine().store.models
        model = models.find(self.get_current_workspace().id(), name)
        if model is None:
            raise Exception(f"Error: A model with the name {name} does not exist.")  # class and texts as in the SDK
        for row in models.versions(model.model_id):
            if version in (None, row.version):
                return self._model_version(row)
        raise Exception(f"Error: A model with the version {version} not found in this workspace.")

    def list_models(self, workspace_id: int | None = None, workspace_name: str | None = None) -> ModelList:
        """Return the models of a workspace, of the current one by default; the last changed first.

        Raises:
            TypeError: an argument has the wrong type.
            Exception: there is no workspace with this name.
        """
        from ._model import ModelList

        if workspace_id is None and workspace_name is None:
            workspace_id = self.get_current_workspace().id()
        rows = [row for each in self._workspace_ids(workspace_id, workspace_name) for row in self._engine().store.models.of_workspace(each)]
        return ModelList(sorted(map(self._model, rows), key=lambda model: model.last_update_time(), reverse=True))

    def model_by_name(
        self,
        name: str | None = None,
        version: str | None = None,
        workspace_id: int | None = None,
        workspace_name: str | None = None,
        *,
        model_class: str | None = None,
        model_name: str | None = None,
    ) -> ModelVersion:
        """Return the version `version` of the model `name`, of any workspace if none is named.

        model_class, model_name: what `name` and `version` were called until 2024.1.

        Raises:
            TypeError: an argument has the wrong type.
            wallaroo.object.EntityNotFoundError: there is no such version.
        """
        if model_class is not None or model_name is not None:
            return self.model_version_by_name(str(model_class), str(model_name))
        named = {"name": name, "model_version": version}
        return self._version(name, version, self._matching_ids(workspace_id, workspace_name), named)

    def model_version_by_name(self, model_class: str, model_name: str) -> ModelVersion:
        """Return the version `model_name` of the model `model_class`, of any workspace.

        Raises:
            wallaroo.object.EntityNotFoundError: there is no such version.
        """
        named = {"model_class": model_class, "model_name": model_name}
        return self._version(model_class, model_name, self._matching_ids(), named)

    def _version(self, name: str | None, version: str | None, workspaces: Any, named: dict[str, Any]) -> ModelVersion:
        from ._errors import EntityNotFoundError

        found = self._engine().store.models.find_version(str(version))
        if found is None or found.name != name or found.workspace_id not in workspaces:
            raise EntityNotFoundError("ModelVersion", named)
        return self._model_version(found)
