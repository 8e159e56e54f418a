"""What all calls of a client need: the store behind it, its current workspace, and the handles of this package for what the store has."""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import orchlite.client.client
    from orchlite.core.model_records import DeploymentRow, ModelRow, ModelVersionRow, PipelineRow, PipelineVersionRow
    from orchlite.core.records import WorkspaceRow
    from orchlite.engine.engine import Engine

    from ._deployment import Deployment
    from ._model import Model
    from ._model_version import ModelVersion
    from ._pipeline import Pipeline
    from ._pipeline_version import PipelineVersion
    from ._workspace import Workspace


class Session:
    """One client's view of a store. The store is opened by the first call that needs it."""

    def __init__(self, time_format: str) -> None:
        self._time_format = time_format
        self._interactive = False
        self._folder: Path | None = None
        self._current_workspace: Workspace | None = None

    def set_current_workspace(self, workspace: Workspace) -> Workspace:
        """Upload to `workspace`, and look for models and pipelines there, from now on; return it. Affects this client only.

        Raises:
            TypeError: it is not a `Workspace`.
        """
        from ._workspace import Workspace

        if not isinstance(workspace, Workspace):
            raise TypeError("Workspace type was expected")
        self._current_workspace = workspace
        return workspace

    def get_current_workspace(self) -> Workspace:
        """Return the workspace to which this client uploads."""
        if self._current_workspace is None:
            self._current_workspace = self._workspace(self._opened().get_current_workspace()._row)
        return self._current_workspace

    def _store_path(self) -> Path:
        from . import _store

        if self._folder is None:
            self._folder = _store.folder()
        return self._folder

    def _opened(self) -> orchlite.client.client.Client:
        from . import _store

        return _store.opened(self._store_path())

    def _engine(self) -> Engine:
        from orchlite.client.client import engine_of

        return engine_of(self._opened())

    def _workspace_ids(self, workspace_id: int | None, workspace_name: str | None) -> Iterable[int]:
        """Return the id of the workspace that a call names, or those of all if it names none. The id takes precedence.

        Raises:
            TypeError: an argument has the wrong type.
            Exception: there is no workspace with this name.
        """
        _check_types(workspace_id, workspace_name)
        if workspace_id is not None:
            return [workspace_id]
        found = self._matching_ids(None, workspace_name)
        if workspace_name is not None and not found:
            raise Exception(f"Workspace by name {workspace_name} is not found")  # class and text as in the SDK
        return found

    def _matching_ids(self, workspace_id: int | None = None, workspace_name: str | None = None) -> list[int]:
        """Return the ids of the workspaces that have this id and this name, where one is given; perhaps none.

        Raises:
            TypeError: an argument has the wrong type.
        """
        _check_types(workspace_id, workspace_name)
        known = self._opened().list_workspaces()
        return [one.id() for one in known if workspace_id in (None, one.id()) and workspace_name in (None, one.name())]

    # The handles refer to each other in circles. So that their modules need not, each asks its client for the others.

    def _workspace(self, row: WorkspaceRow) -> Workspace:
        from ._workspace import Workspace

        return Workspace(self, self._engine(), row)

    def _workspace_with_id(self, workspace_id: int) -> Workspace:
        return self._workspace(self._engine().store.workspaces.get(workspace_id))

    def _model(self, row: ModelRow) -> Model:
        from ._model import Model

        return Model(self, self._engine(), row)

    def _model_version(self, row: ModelVersionRow) -> ModelVersion:
        from ._model_version import ModelVersion

        return ModelVersion(self, self._engine(), row)

    def _pipeline(self, row: PipelineRow) -> Pipeline:
        from ._pipeline import Pipeline

        return Pipeline(self, self._engine(), row)

    def _pipeline_version(self, row: PipelineVersionRow) -> PipelineVersion:
        from ._pipeline_version import PipelineVersion

        return PipelineVersion(self, self._engine(), row)

    def _deployment(self, row: DeploymentRow) -> Deployment:
        from ._deployment import Deployment

        return Deployment(self, self._engine(), row)


def _check_types(workspace_id: object, workspace_name: object) -> None:
    if workspace_id is not None and not isinstance(workspace_id, int):
        raise TypeError("Workspace ID must be an integer.")
    if workspace_name is not None and not isinstance(workspace_name, str):
        raise TypeError("Workspace name must be a string.")
