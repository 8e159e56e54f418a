"""What the endpoints about models need from a store; see `queries`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchlite.client.client import Client, engine_of
from orchlite.core.errors import NotFound
from orchlite.core.hints import Api
from orchlite.core.model_arguments import checked_fields
from orchlite.core.model_records import ModelRow, ModelVersionRow
from orchlite.core.records import WorkspaceRow
from orchlite.operations import model_upload
from orchlite.operations.model_upload import ModelUpload


class ModelQueries:
    """Queries about the models of one client's store. Any thread may use them."""

    def __init__(self, client: Client) -> None:
        self._context = engine_of(client).context
        self._store = self._context.store

    @property
    def limit_bytes(self) -> int:
        """The largest file of a model."""
        return self._context.settings.limits.model_bytes

    def new_upload_path(self) -> Path:
        """Return an unused path beside the models for receiving a file. Pruning removes what is left there."""
        return self._context.model_files.new_upload()

    def workspace(self, workspace_id: int) -> WorkspaceRow:
        """Return the workspace with this id.

        Raises:
            NotFound: it does not exist.
        """
        return self._store.workspaces.get(workspace_id)

    def selected_workspace(self, workspace_id: int | None, name: str | None) -> int | None:
        """Return the id of the workspace that a request selects, by name or by id; None if it selects all.

        Raises:
            NotFound: it does not exist.
        """
        if name is None:
            return None if workspace_id is None else self.workspace(workspace_id).workspace_id
        found = self._store.workspaces.find(name)
        if found is None:
            raise NotFound(f"There is no workspace named {name!r:.80}.", hint=Api.LIST_WORKSPACES + " shows them.", name=name)
        return found.workspace_id

    def upload(self, upload: ModelUpload) -> ModelVersionRow:
        """Store a new version of a model. See `operations.model_upload.receive`.

        Raises:
            NotFound: there is no such workspace.
            BadArgument, BadModel, StorageFull: it is refused.
        """
        self.workspace(upload.workspace_id)
        return model_upload.receive(self._context, upload)

    def model(self, model_id: int) -> ModelRow:
        """Return the model with this id.

        Raises:
            NotFound: it does not exist.
        """
        return self._store.models.get(model_id)

    def models(self, workspace_id: int | None = None) -> list[ModelRow]:
        """Return a workspace's models, or all, newest first."""
        models = self._store.models
        return (models.all() if workspace_id is None else models.of_workspace(workspace_id))[::-1]

    def versions(self, model_id: int) -> list[ModelVersionRow]:
        """Return the versions of a model, newest first."""
        return self._store.models.versions(model_id)

    def version(self, model_version_id: int) -> ModelVersionRow:
        """Return the model version with this id.

        Raises:
            NotFound: it does not exist.
        """
        return self._store.models.version(model_version_id)

    def find_version(self, version: str) -> ModelVersionRow | None:
        """Return the model version with this UUID; None if there is none."""
        return self._store.models.find_version(version)

    def configure(self, model_version_id: int, config: Mapping[str, Any]) -> ModelVersionRow:
        """Replace the configuration of a model version, and return the version.

        Raises:
            NotFound: it does not exist.
            BadArgument: `tensor_fields` is invalid.
        """
        fields = checked_fields(config.get("tensor_fields"), "tensor_fields")
        given = {key: value for key, value in {**config, "tensor_fields": fields}.items() if value is not None}
        with self._store.transaction() as transaction:
            self._store.models.configure(transaction, model_version_id, given, self._context.clock.now())
        return self.version(model_version_id)
