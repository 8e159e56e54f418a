"""Orchestrations, and the only code that changes their status."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from orchlite.core.errors import IllegalMove, NotFound
from orchlite.core.hints import Api, PythonOnly
from orchlite.core.records import JunkWarning, OrchestrationRow
from orchlite.core.status import OrchestrationStatus, sources_of
from orchlite.store import events
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds


class Orchestrations:
    """The orchestrations of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, transaction: Transaction, orchestration: OrchestrationRow) -> None:
        """Insert an orchestration and its first event."""
        transaction.execute(
            "INSERT INTO orchestrations (orchestration_id, workspace_id, name, file_name, sha, size_bytes, entrypoint, requirements,"
            " warnings, base_image, status, task_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                orchestration.orchestration_id,
                orchestration.workspace_id,
                orchestration.name,
                orchestration.file_name,
                orchestration.sha,
                orchestration.size_bytes,
                orchestration.entrypoint,
                json.dumps(orchestration.requirements),
                _warnings_text(orchestration.warnings),
                orchestration.base_image,
                orchestration.status,
                orchestration.task_id,
                to_microseconds(orchestration.created_at),
                to_microseconds(orchestration.updated_at),
            ),
        )
        events.record(transaction, "orchestration", orchestration.orchestration_id, None, orchestration.status, orchestration.created_at)

    def get(self, orchestration_id: str) -> OrchestrationRow:
        """Return the orchestration with this id.

        Raises:
            NotFound: it does not exist.
        """
        row = self._database.row("SELECT * FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,))
        if row is None:
            raise NotFound(
                f"There is no orchestration {orchestration_id!r} in this store.",
                hint=Api.LIST_ORCHESTRATIONS
                + " shows those of the current workspace"
                + PythonOnly("; get_orchestration() also takes a name or the first digits of an id")
                + ".",
                orchestration_id=orchestration_id,
            )
        return _record(row)

    def of_run(self, run_id: str) -> OrchestrationRow:
        """Return the orchestration that a run was started with or, if it was not started, the one that its task runs now.

        Raises:
            NotFound: there is no such run.
        """
        row = self._database.row(
            "SELECT orchestrations.* FROM runs JOIN tasks USING (task_id) LEFT JOIN task_versions USING (version_id) JOIN orchestrations"
            " ON orchestrations.orchestration_id = COALESCE(task_versions.orchestration_id, tasks.orchestration_id) WHERE run_id = ?",
            (run_id,),
        )
        if row is None:
            raise NotFound(f"There is no run {run_id!r} in this store.", run_id=run_id)
        return _record(row)

    def ids_of_runs(self, run_ids: Collection[str]) -> dict[str, str]:
        """Return by run id the id of the orchestration that `of_run` returns; runs that do not exist are left out."""
        rows = self._database.rows(
            "SELECT run_id, COALESCE(task_versions.orchestration_id, tasks.orchestration_id) AS orchestration_id FROM json_each(?)"
            " CROSS JOIN runs ON run_id = value JOIN tasks USING (task_id) LEFT JOIN task_versions USING (version_id)",
            (json.dumps(list(run_ids)),),
        )
        return {row["run_id"]: row["orchestration_id"] for row in rows}

    def of_workspace(self, workspace_id: int) -> list[OrchestrationRow]:
        """Return a workspace's orchestrations, oldest first."""
        rows = self._database.rows("SELECT * FROM orchestrations WHERE workspace_id = ? ORDER BY created_at, rowid", (workspace_id,))
        return [_record(row) for row in rows]

    def all(self) -> list[OrchestrationRow]:
        """Return every orchestration, oldest first."""
        return [_record(row) for row in self._database.rows("SELECT * FROM orchestrations ORDER BY created_at, rowid")]

    def of_sha(self, sha: str) -> list[OrchestrationRow]:
        """Return the orchestrations whose bundle has this SHA-256, in all workspaces, oldest first."""
        rows = self._database.rows("SELECT * FROM orchestrations WHERE sha = ? ORDER BY created_at, rowid", (sha,))
        return [_record(row) for row in rows]

    def shas(self, orchestration_ids: Collection[str]) -> dict[str, str]:
        """Return the SHA-256 of the bundle by orchestration id; deleted orchestrations are left out."""
        rows = self._database.rows(
            "SELECT orchestration_id, sha FROM orchestrations WHERE orchestration_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(orchestration_ids)),),
        )
        return {row["orchestration_id"]: row["sha"] for row in rows}

    def newest_of_bytes(self, workspace_id: int, sha: str, base_image: str, requirements: Sequence[str]) -> OrchestrationRow | None:
        """Return the workspace's newest orchestration with these bytes, base image and requirements that is not in `error`, or None."""
        row = self._database.row(
            "SELECT * FROM orchestrations WHERE sha = ? AND workspace_id = ? AND base_image = ? AND requirements = ?"
            " AND status <> 'error' ORDER BY created_at DESC LIMIT 1",
            (sha, workspace_id, base_image, json.dumps(requirements)),
        )
        return None if row is None else _record(row)

    def is_referenced(self, transaction: Transaction, sha: str) -> bool:
        """Return whether any orchestration has these bytes."""
        return transaction.row("SELECT 1 FROM orchestrations WHERE sha = ? LIMIT 1", (sha,)) is not None

    def move(
        self, transaction: Transaction, orchestration_id: str, target: OrchestrationStatus, at: datetime, reason: str | None = None
    ) -> None:
        """Change the status, and record the event.

        Raises:
            IllegalMove: the current status does not allow it, or there is no such orchestration.
        """
        was = self.status(transaction, orchestration_id)
        if was not in sources_of(target):
            raise IllegalMove(f"Orchestration {orchestration_id} is {was}, so it cannot become {target}.", status=was)
        transaction.execute(
            "UPDATE orchestrations SET status = ?, reason = ?, updated_at = ? WHERE orchestration_id = ?",
            (target, reason, to_microseconds(at), orchestration_id),
        )
        events.record(transaction, "orchestration", orchestration_id, was, target, at, reason)

    def status(self, transaction: Transaction, orchestration_id: str) -> OrchestrationStatus | None:
        """Return the status as this transaction sees it; None if there is no such orchestration."""
        row = transaction.row("SELECT status FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,))
        return None if row is None else OrchestrationStatus(row["status"])

    def set_environment(self, transaction: Transaction, orchestration_id: str, key: str, installed: Sequence[str]) -> None:
        """Record the environment that the orchestration runs in, and what is installed in it."""
        transaction.execute(
            "UPDATE orchestrations SET environment_key = ?, installed = ? WHERE orchestration_id = ?",
            (key, json.dumps(list(installed)), orchestration_id),
        )

    def replace_environment(self, transaction: Transaction, was: OrchestrationRow, key: str, installed: Sequence[str]) -> bool:
        """Record another environment than that of `was`. Return False if another host has done so since `was` was read."""
        changed = transaction.execute(
            "UPDATE orchestrations SET environment_key = ?, installed = ? WHERE orchestration_id = ? AND environment_key IS ?"
            " AND installed = ?",
            (key, json.dumps(list(installed)), was.orchestration_id, was.environment_key, json.dumps(list(was.installed))),
        )
        return changed == 1

    def add_warnings(self, transaction: Transaction, orchestration_id: str, warnings: Sequence[str]) -> None:
        """Append the warnings that the orchestration does not have yet."""
        row = transaction.row("SELECT warnings FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,))
        known = () if row is None else _warnings(row["warnings"])
        together = [*known, *(warning for warning in warnings if warning not in known)]
        transaction.execute(
            "UPDATE orchestrations SET warnings = ? WHERE orchestration_id = ?", (_warnings_text(together), orchestration_id)
        )

    def delete(self, transaction: Transaction, orchestration_id: str) -> None:
        """Delete the orchestration with its tasks and runs. Its events stay."""
        transaction.execute("DELETE FROM orchestrations WHERE orchestration_id = ?", (orchestration_id,))


def _record(row: Row) -> OrchestrationRow:
    return OrchestrationRow(
        orchestration_id=row["orchestration_id"],
        workspace_id=row["workspace_id"],
        name=row["name"],
        file_name=row["file_name"],
        sha=row["sha"],
        size_bytes=row["size_bytes"],
        entrypoint=row["entrypoint"],
        requirements=tuple(json.loads(row["requirements"])),
        warnings=_warnings(row["warnings"]),
        base_image=row["base_image"],
        status=OrchestrationStatus(row["status"]),
        reason=row["reason"],
        environment_key=row["environment_key"],
        installed=tuple(json.loads(row["installed"])),
        task_id=row["task_id"],
        created_at=known_datetime(row["created_at"]),
        updated_at=known_datetime(row["updated_at"]),
    )


def _warnings_text(warnings: Iterable[str]) -> str:
    """Return warnings as JSON: a list of texts, and of `{"junk": text}` for a `JunkWarning`."""
    return json.dumps([{"junk": warning} if isinstance(warning, JunkWarning) else warning for warning in warnings])


def _warnings(text: str) -> tuple[str, ...]:
    return tuple(item if isinstance(item, str) else JunkWarning(item["junk"]) for item in json.loads(text))
