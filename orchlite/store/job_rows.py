"""Inserts the rows of one run that came from another store, with the ids that they have there."""

from __future__ import annotations

from collections.abc import Iterable

from orchlite.core.records import OrchestrationRow, RunRow, TaskRow, WorkspaceRow
from orchlite.store.database import Transaction, to_microseconds
from orchlite.store.store import Store


def insert_workspaces(transaction: Transaction, workspaces: Iterable[WorkspaceRow]) -> None:
    """Insert these workspaces."""
    transaction.execute_many(
        "INSERT INTO workspaces (workspace_id, name, created_at, archived) VALUES (?, ?, ?, ?)",
        [(row.workspace_id, row.name, to_microseconds(row.created_at), row.archived) for row in workspaces],
    )


def insert_run(store: Store, transaction: Transaction, orchestration: OrchestrationRow, task: TaskRow, run: RunRow, host_id: str) -> None:
    """Insert an orchestration that is ready, a task and a queued run, which a claim by this host makes the attempt that `run` says."""
    store.orchestrations.insert(transaction, orchestration)
    if orchestration.environment_key is not None:
        store.orchestrations.set_environment(
            transaction, orchestration.orchestration_id, orchestration.environment_key, orchestration.installed
        )
    store.tasks.insert(transaction, task)
    store.runs.insert(transaction, run.run_id, run.task_id, host_id, run.created_at)
    transaction.execute(
        # Not `slot_at`: the run's starting deadline was checked where it comes from.
        "UPDATE runs SET attempt = ?, repeated_slot_at = ? WHERE run_id = ?",
        (run.attempt - 1, None if run.slot_at is None else to_microseconds(run.slot_at), run.run_id),
    )
