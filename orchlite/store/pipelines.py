"""Pipelines, and the versions of their steps."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchlite.core.errors import NotFound
from orchlite.core.hints import Api
from orchlite.core.model_records import PipelineRow, PipelineVersionRow
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds


class Pipelines:
    """The pipelines of one store. Names are unique in a workspace; ids are integers from 1, and are not used again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_or_create(self, transaction: Transaction, workspace_id: int, name: str, now: datetime) -> PipelineRow:
        """Return the workspace's pipeline of this name; create it, with its event, if it is missing."""
        row = transaction.row(
            "INSERT INTO pipelines (workspace_id, name, created_at, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING *",
            (workspace_id, name, to_microseconds(now), to_microseconds(now)),
        )
        if row is not None:
            _record_event(transaction, pipeline_record(row), "created", now)
        else:
            row = transaction.row("SELECT * FROM pipelines WHERE workspace_id = ? AND name = ?", (workspace_id, name))
        assert row is not None
        return pipeline_record(row)

    def add_version(self, transaction: Transaction, pipeline_id: int, definition: Mapping[str, Any], now: datetime) -> PipelineVersionRow:
        """Store steps as a new version of the pipeline, and return it.

        Raises:
            NotFound: there is no such pipeline.
        """
        if not transaction.execute("UPDATE pipelines SET updated_at = ? WHERE pipeline_id = ?", (to_microseconds(now), pipeline_id)):
            raise _not_found(pipeline_id)
        row = transaction.row(
            "INSERT INTO pipeline_versions (pipeline_id, version, definition, created_at) VALUES (?, ?, ?, ?) RETURNING *",
            (pipeline_id, str(uuid.uuid4()), json.dumps(dict(definition)), to_microseconds(now)),
        )
        assert row is not None
        return _version(row)

    def get(self, pipeline_id: int) -> PipelineRow:
        """Return the pipeline with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM pipelines WHERE pipeline_id = ?", (pipeline_id,))
        if row is None:
            raise _not_found(pipeline_id)
        return pipeline_record(row)

    def find(self, workspace_id: int, name: str) -> PipelineRow | None:
        """Return the workspace's pipeline of this name; None if there is none."""
        row = self._database.row("SELECT * FROM pipelines WHERE workspace_id = ? AND name = ?", (workspace_id, name))
        return None if row is None else pipeline_record(row)

    def named(self, name: str) -> list[PipelineRow]:
        """Return the pipelines of this name in all workspaces, newest first."""
        return [
            pipeline_record(row) for row in self._database.rows("SELECT * FROM pipelines WHERE name = ? ORDER BY pipeline_id DESC", (name,))
        ]

    def of_workspace(self, workspace_id: int) -> list[PipelineRow]:
        """Return a workspace's pipelines, oldest first."""
        rows = self._database.rows("SELECT * FROM pipelines WHERE workspace_id = ? ORDER BY pipeline_id", (workspace_id,))
        return [pipeline_record(row) for row in rows]

    def all(self) -> list[PipelineRow]:
        """Return every pipeline, oldest first."""
        return [pipeline_record(row) for row in self._database.rows("SELECT * FROM pipelines ORDER BY pipeline_id")]

    def version(self, pipeline_version_id: int) -> PipelineVersionRow:
        """Return the pipeline version with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM pipeline_versions WHERE pipeline_version_id = ?", (pipeline_version_id,))
        if row is None:
            raise NotFound(
                f"There is no pipeline version {pipeline_version_id!r} in this store.",
                hint=Api.LIST_PIPELINES + " shows those of the current workspace.",
                pipeline_version_id=pipeline_version_id,
            )
        return _version(row)

    def find_version(self, version: str) -> PipelineVersionRow | None:
        """Return the pipeline version with this UUID; None if there is none."""
        row = self._database.row("SELECT * FROM pipeline_versions WHERE version = ?", (version,))
        return None if row is None else _version(row)

    def versions(self, pipeline_id: int) -> list[PipelineVersionRow]:
        """Return the versions of a pipeline, newest first."""
        rows = self._database.rows(
            "SELECT * FROM pipeline_versions WHERE pipeline_id = ? ORDER BY pipeline_version_id DESC", (pipeline_id,)
        )
        return [_version(row) for row in rows]

    def newest_version(self, pipeline_id: int) -> PipelineVersionRow | None:
        """Return the newest version of a pipeline; None if it has none."""
        row = self._database.row(
            "SELECT * FROM pipeline_versions WHERE pipeline_id = ? ORDER BY pipeline_version_id DESC LIMIT 1", (pipeline_id,)
        )
        return None if row is None else _version(row)

    def delete(self, transaction: Transaction, pipeline_id: int, now: datetime) -> None:
        """Delete a pipeline with its versions, its deployment and its inference logs, and record the event. Its events stay.

        Raises:
            NotFound: it does not exist.
        """
        row = transaction.row("DELETE FROM pipelines WHERE pipeline_id = ? RETURNING *", (pipeline_id,))
        if row is None:
            raise _not_found(pipeline_id)
        _record_event(transaction, pipeline_record(row), "deleted", now)


def _record_event(transaction: Transaction, pipeline: PipelineRow, became: str, at: datetime) -> None:
    # With the name, because the id of a deleted pipeline cannot be looked up.
    events.record(transaction, "pipeline", str(pipeline.pipeline_id), None, became, at, f"its name is {pipeline.name!r}")


def _not_found(pipeline_id: int) -> NotFound:
    return NotFound(
        f"There is no pipeline {pipeline_id!r} in this store.",
        hint=Api.LIST_PIPELINES + " shows those of the current workspace.",
        pipeline_id=pipeline_id,
    )


def pipeline_record(row: Row) -> PipelineRow:
    """Return the record of a row of the table `pipelines`."""
    return PipelineRow(
        pipeline_id=row["pipeline_id"],
        workspace_id=row["workspace_id"],
        name=row["name"],
        created_at=known_datetime(row["created_at"]),
        updated_at=known_datetime(row["updated_at"]),
    )


def _version(row: Row) -> PipelineVersionRow:
    return PipelineVersionRow(
        pipeline_version_id=row["pipeline_version_id"],
        pipeline_id=row["pipeline_id"],
        version=row["version"],
        definition=json.loads(row["definition"]),
        created_at=known_datetime(row["created_at"]),
    )
