"""The handles of a model and of its versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Self

from orchlite.core.arguments import checked_name
from orchlite.core.model_arguments import checked_fields
from orchlite.core.model_records import ModelRow, ModelVersionRow
from orchlite.core.tables import Table, table_html
from orchlite.engine.engine import Engine


class Model:
    """A name in a workspace, under which versions of a model are uploaded."""

    def __init__(self, engine: Engine, row: ModelRow) -> None:
        self._engine = engine
        self._row = row

    def id(self) -> int:
        """Return the model's id, an integer from 1 on."""
        return self._row.model_id

    def name(self) -> str:
        """Return the name, unique in its workspace."""
        return self._row.name

    def workspace_id(self) -> int:
        """Return the id of its workspace."""
        return self._row.workspace_id

    def created_at(self) -> datetime:
        """Return when its first version was uploaded: aware, UTC."""
        return self._row.created_at

    def versions(self) -> Table[ModelVersion]:
        """Return its versions, newest first; none if it was deleted."""
        return Table(ModelVersion(self._engine, row) for row in self._engine.store.models.versions(self.id()))

    def delete(self) -> None:
        """Delete the model with all versions, and their files if no other model has the same bytes. Logs of inferences stay.

        Raises:
            NotFound: it was deleted already.
            Conflict: a deployed pipeline uses a version of it. Nothing was deleted.
        """
        from orchlite.operations.deletion import delete_model

        delete_model(self._engine.context, self.id())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and (self._engine, self.id()) == (other._engine, other.id())

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Model(id={self.id()}, name={self.name()!r})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "versions", "created at")

    def _cells(self) -> Sequence[object]:
        return (self.id(), self.name(), len(self.versions()), self.created_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])


class ModelVersion:
    """One uploaded version of a model, for the steps of pipelines. Only its configuration changes."""

    def __init__(self, engine: Engine, row: ModelVersionRow) -> None:
        self._engine = engine
        self._known = row

    def id(self) -> int:
        """Return the version's id, an integer from 1 on."""
        return self._known.model_version_id

    def name(self) -> str:
        """Return the model's name."""
        return self._known.name

    def version(self) -> str:
        """Return the version, a UUID."""
        return self._known.version

    def sha(self) -> str:
        """Return the SHA-256 of the uploaded bytes, as 64 hexadecimal digits."""
        return self._known.sha

    def framework(self) -> str:
        """Return the framework: `onnx` or `python`."""
        return self._known.framework

    def file_name(self) -> str:
        """Return the name of the uploaded file."""
        return self._known.file_name

    def status(self) -> str:
        """Return the status: `ready`."""
        return self._known.status

    def workspace_id(self) -> int:
        """Return the id of the model's workspace."""
        return self._known.workspace_id

    def arch(self) -> str | None:
        """Return the architecture that was given at upload; it has no effect."""
        return self._known.arch

    def accel(self) -> str | None:
        """Return the accelerator that was given at upload; it has no effect."""
        return self._known.accel

    def created_at(self) -> datetime:
        """Return when it was uploaded: aware, UTC."""
        return self._known.created_at

    def updated_at(self) -> datetime:
        """Return when it was uploaded or last configured: aware, UTC.

        Raises:
            NotFound: it was deleted.
        """
        return self._row().updated_at

    def tensor_fields(self) -> list[str] | None:
        """Return the names that `configure` gave to its inputs; None if they have their own.

        Raises:
            NotFound: it was deleted.
        """
        fields = self._row().config.get("tensor_fields")
        return None if fields is None else list(fields)

    def configure(self, runtime: str | None = None, tensor_fields: Iterable[str] | None = None, batch_config: str | None = None) -> Self:
        """Replace the configuration, which pipelines use from their next deployment on. Return the handle.

        tensor_fields: the names of the data's columns for the inputs of an ONNX model, by position; by default the inputs' own names.
        runtime, batch_config: kept, without effect.

        Raises:
            BadArgument: an argument is refused.
            NotFound: it was deleted.
        """
        given = {
            "runtime": checked_name(runtime, "runtime"),
            "tensor_fields": checked_fields(tensor_fields, "tensor_fields"),
            "batch_config": checked_name(batch_config, "batch_config"),
        }
        config = {key: value for key, value in given.items() if value is not None}
        with self._engine.store.transaction() as transaction:
            self._engine.store.models.configure(transaction, self.id(), config, self._engine.context.clock.now())
        return self

    def _row(self) -> ModelVersionRow:
        return self._engine.store.models.version(self.id())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelVersion) and (self._engine, self.id()) == (other._engine, other.id())

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"ModelVersion(name={self.name()!r}, version={self.version()!r}, framework={self.framework()!r})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("name", "version", "framework", "file name", "sha", "created at")

    def _cells(self) -> Sequence[object]:
        return (self.name(), self.version(), self.framework(), self.file_name(), f"{self.sha()[:12]}…", self.created_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])
