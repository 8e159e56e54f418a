"""Deployments: which version of a pipeline is deployed, and how. They are common to all processes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from orchlite.core.errors import NotFound
from orchlite.core.hints import Api
from orchlite.core.model_records import DeploymentRow, PipelineRow, PipelineVersionRow
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds
from orchlite.store.pipelines import pipeline_record


class Deployments:
    """The deployments of one store. A pipeline has one at most; ids are integers from 1, and are not used again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def deploy(
        self, transaction: Transaction, version: PipelineVersionRow, name: str, config: Mapping[str, Any], now: datetime
    ) -> DeploymentRow:
        """Deploy a version of a pipeline in place of what is deployed, and record the event."""
        row = transaction.row(
            "INSERT INTO deployments (pipeline_id, pipeline_version_id, name, is_deployed, config, created_at, updated_at)"
            " VALUES (?, ?, ?, 1, ?, ?, ?) ON CONFLICT (pipeline_id) DO UPDATE SET pipeline_version_id = excluded.pipeline_version_id,"
            " name = excluded.name, is_deployed = 1, config = excluded.config, updated_at = excluded.updated_at RETURNING *",
            (version.pipeline_id, version.pipeline_version_id, name, json.dumps(dict(config)), to_microseconds(now), to_microseconds(now)),
        )
        assert row is not None
        _record_event(transaction, version.pipeline_id, "deployed", now, f"its name is {name!r}, its version {version.version}")
        return _deployment(row)

    def undeploy(self, transaction: Transaction, pipeline_id: int, now: datetime) -> bool:
        """Undeploy a pipeline, and record the event. Return False if it is not deployed."""
        changed = transaction.row(
            "UPDATE deployments SET is_deployed = 0, updated_at = ? WHERE pipeline_id = ? AND is_deployed = 1 RETURNING name",
            (to_microseconds(now), pipeline_id),
        )
        if changed is not None:
            _record_event(transaction, pipeline_id, "undeployed", now, f"its name is {changed['name']!r}")
        return changed is not None

    def get(self, deployment_id: int) -> DeploymentRow:
        """Return the deployment with this id, deployed or not.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM deployments WHERE deployment_id = ?", (deployment_id,))
        if row is None:
            raise NotFound(
                f"There is no deployment {deployment_id!r} in this store.",
                hint=Api.LIST_PIPELINES + " shows the pipelines of the current workspace.",
                deployment_id=deployment_id,
            )
        return _deployment(row)

    def of_pipeline(self, pipeline_id: int) -> DeploymentRow | None:
        """Return the deployment of a pipeline, deployed or not; None if it was never deployed."""
        row = self._database.row("SELECT * FROM deployments WHERE pipeline_id = ?", (pipeline_id,))
        return None if row is None else _deployment(row)

    def deployed_version(self, pipeline_id: int) -> int | None:
        """Return the id of the version that is deployed of a pipeline; None if none is. Every inference asks."""
        row = self._database.row("SELECT pipeline_version_id FROM deployments WHERE pipeline_id = ? AND is_deployed = 1", (pipeline_id,))
        return None if row is None else int(row["pipeline_version_id"])

    def named(self, name: str) -> list[DeploymentRow]:
        """Return the deployments of this name, deployed or not, in all workspaces, newest first."""
        rows = self._database.rows("SELECT * FROM deployments WHERE name = ? ORDER BY deployment_id DESC", (name,))
        return [_deployment(row) for row in rows]

    def using(self, transaction: Transaction, versions: Collection[str]) -> list[PipelineRow]:
        """Return the deployed pipelines whose deployed steps name one of these model versions, oldest first."""
        rows = transaction.rows(
            "SELECT pipelines.* FROM deployments JOIN pipelines USING (pipeline_id) JOIN pipeline_versions USING (pipeline_version_id)"
            " WHERE is_deployed = 1 AND EXISTS (SELECT 1 FROM json_each(?) WHERE instr(definition, value)) ORDER BY pipeline_id",
            (json.dumps(list(versions)),),
        )
        return [pipeline_record(row) for row in rows]

    def with_missing_models(self) -> list[tuple[PipelineRow, str]]:
        """Return the deployed pipelines of which a model version does not exist, and that version."""
        rows = self._database.rows(
            "SELECT pipelines.*, atom FROM deployments JOIN pipelines USING (pipeline_id)"
            " JOIN pipeline_versions USING (pipeline_version_id) JOIN json_tree(definition) AS found"
            " WHERE is_deployed = 1 AND found.key = 'version' AND found.type = 'text'"
            " AND NOT EXISTS (SELECT 1 FROM model_versions WHERE model_versions.version = atom) ORDER BY pipeline_id"
        )
        return [(pipeline_record(row), row["atom"]) for row in rows]


def _record_event(transaction: Transaction, pipeline_id: int, became: str, at: datetime, reason: str) -> None:
    events.record(transaction, "pipeline", str(pipeline_id), None, became, at, reason)


def _deployment(row: Row) -> DeploymentRow:
    return DeploymentRow(
        deployment_id=row["deployment_id"],
        pipeline_id=row["pipeline_id"],
        pipeline_version_id=row["pipeline_version_id"],
        name=row["name"],
        is_deployed=bool(row["is_deployed"]),
        config=json.loads(row["config"]),
        created_at=known_datetime(row["created_at"]),
        updated_at=known_datetime(row["updated_at"]),
    )
