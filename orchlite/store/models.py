"""Models and their versions. The files are in the store's folder `models`, named by their SHA-256."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from orchlite.core.errors import NotFound
from orchlite.core.hints import Api
from orchlite.core.model_records import ModelRow, ModelVersionRow
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds

_VERSIONS = "SELECT model_versions.*, models.workspace_id, models.name FROM model_versions JOIN models USING (model_id)"


class Models:
    """The models of one store. Names are unique in a workspace; ids are integers from 1, and are not used again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_or_create(self, transaction: Transaction, workspace_id: int, name: str, now: datetime) -> ModelRow:
        """Return the workspace's model of this name; create it, with its event, if it is missing."""
        row = transaction.row(
            "INSERT INTO models (workspace_id, name, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING *",
            (workspace_id, name, to_microseconds(now)),
        )
        if row is not None:
            _record_event(transaction, _model(row), "created", now)
        else:
            row = transaction.row("SELECT * FROM models WHERE workspace_id = ? AND name = ?", (workspace_id, name))
        assert row is not None
        return _model(row)

    def add_version(self, transaction: Transaction, version: ModelVersionRow) -> ModelVersionRow:
        """Insert a version of an existing model, with its event. Return it with the id that it has now."""
        row = transaction.row(
            "INSERT INTO model_versions (model_id, version, sha, size_bytes, file_name, framework, input_schema, output_schema, config,"
            " arch, accel, status, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING model_version_id",
            (
                version.model_id,
                version.version,
                version.sha,
                version.size_bytes,
                version.file_name,
                version.framework,
                version.input_schema,
                version.output_schema,
                json.dumps(dict(version.config)),
                version.arch,
                version.accel,
                version.status,
                to_microseconds(version.created_at),
                to_microseconds(version.updated_at),
            ),
        )
        assert row is not None
        _record_version_event(transaction, version, "uploaded", version.created_at)
        return version._replace(model_version_id=row["model_version_id"])

    def get(self, model_id: int) -> ModelRow:
        """Return the model with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM models WHERE model_id = ?", (model_id,))
        if row is None:
            raise _not_found(f"There is no model {model_id!r} in this store.", model_id=model_id)
        return _model(row)

    def find(self, workspace_id: int, name: str) -> ModelRow | None:
        """Return the workspace's model of this name; None if there is none."""
        row = self._database.row("SELECT * FROM models WHERE workspace_id = ? AND name = ?", (workspace_id, name))
        return None if row is None else _model(row)

    def of_workspace(self, workspace_id: int) -> list[ModelRow]:
        """Return a workspace's models, oldest first."""
        return [
            _model(row) for row in self._database.rows("SELECT * FROM models WHERE workspace_id = ? ORDER BY model_id", (workspace_id,))
        ]

    def all(self) -> list[ModelRow]:
        """Return every model, oldest first."""
        return [_model(row) for row in self._database.rows("SELECT * FROM models ORDER BY model_id")]

    def version(self, model_version_id: int) -> ModelVersionRow:
        """Return the model version with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row(f"{_VERSIONS} WHERE model_version_id = ?", (model_version_id,))
        if row is None:
            raise _not_found(f"There is no model version {model_version_id!r} in this store.", model_version_id=model_version_id)
        return _version(row)

    def find_version(self, version: str) -> ModelVersionRow | None:
        """Return the model version with this UUID; None if there is none."""
        row = self._database.row(f"{_VERSIONS} WHERE version = ?", (version,))
        return None if row is None else _version(row)

    def versions(self, model_id: int) -> list[ModelVersionRow]:
        """Return the versions of a model, newest first."""
        return [_version(row) for row in self._database.rows(f"{_VERSIONS} WHERE model_id = ? ORDER BY model_version_id DESC", (model_id,))]

    def newest_version(self, model_id: int) -> ModelVersionRow | None:
        """Return the newest version of a model; None if it has none."""
        row = self._database.row(f"{_VERSIONS} WHERE model_id = ? ORDER BY model_version_id DESC LIMIT 1", (model_id,))
        return None if row is None else _version(row)

    def configure(self, transaction: Transaction, model_version_id: int, config: Mapping[str, Any], now: datetime) -> None:
        """Replace the configuration of a model version, and record the event.

        Raises:
            NotFound: it does not exist.
        """
        version = self.version(model_version_id)
        transaction.execute(
            "UPDATE model_versions SET config = ?, updated_at = ? WHERE model_version_id = ?",
            (json.dumps(dict(config)), to_microseconds(now), model_version_id),
        )
        _record_version_event(transaction, version, "configured", now)

    def delete(self, transaction: Transaction, model_id: int, now: datetime) -> None:
        """Delete a model with its versions, and record the event. Its events stay.

        Raises:
            NotFound: it does not exist.
        """
        row = transaction.row("DELETE FROM models WHERE model_id = ? RETURNING *", (model_id,))
        if row is None:
            raise _not_found(f"There is no model {model_id!r} in this store.", model_id=model_id)
        _record_event(transaction, _model(row), "deleted", now)

    def files(self) -> dict[str, int]:
        """Return the size of each file by its SHA-256."""
        rows = self._database.rows("SELECT DISTINCT sha, size_bytes FROM model_versions ORDER BY sha")
        return {row["sha"]: row["size_bytes"] for row in rows}

    def of_sha(self, sha: str) -> set[int]:
        """Return the ids of the models that have a version with these bytes."""
        return {row["model_id"] for row in self._database.rows("SELECT model_id FROM model_versions WHERE sha = ?", (sha,))}

    def unknown_files(self, shas: Collection[str]) -> set[str]:
        """Return the hashes that no model version has."""
        rows = self._database.rows(
            "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM model_versions WHERE sha = value)", (json.dumps(list(shas)),)
        )
        return {row["value"] for row in rows}

    def is_referenced(self, transaction: Transaction, sha: str) -> bool:
        """Return whether any model version has these bytes."""
        return transaction.row("SELECT 1 FROM model_versions WHERE sha = ? LIMIT 1", (sha,)) is not None


def _record_event(transaction: Transaction, model: ModelRow, became: str, at: datetime) -> None:
    # With the name, because the id of a deleted model cannot be looked up.
    events.record(transaction, "model", str(model.model_id), None, became, at, f"its name is {model.name!r}")


def _record_version_event(transaction: Transaction, version: ModelVersionRow, became: str, at: datetime) -> None:
    reason = f"its name is {version.name!r}, its version {version.version}"
    events.record(transaction, "model", str(version.model_id), None, became, at, reason)


def _not_found(message: str, **details: int) -> NotFound:
    return NotFound(message, hint=Api.LIST_MODELS + " shows those of the current workspace.", **details)


def _model(row: Row) -> ModelRow:
    return ModelRow(row["model_id"], row["workspace_id"], row["name"], known_datetime(row["created_at"]))


def _version(row: Row) -> ModelVersionRow:
    return ModelVersionRow(
        model_version_id=row["model_version_id"],
        model_id=row["model_id"],
        workspace_id=row["workspace_id"],
        name=row["name"],
        version=row["version"],
        sha=row["sha"],
        size_bytes=row["size_bytes"],
        file_name=row["file_name"],
        framework=row["framework"],
        input_schema=row["input_schema"],
        output_schema=row["output_schema"],
        config=json.loads(row["config"]),
        arch=row["arch"],
        accel=row["accel"],
        status=row["status"],
        created_at=known_datetime(row["created_at"]),
        updated_at=known_datetime(row["updated_at"]),
    )
