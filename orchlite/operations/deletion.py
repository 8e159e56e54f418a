"""Removing orchestrations for good: their rows in one step, all of them or none, and then the files that nobody speaks of any more."""

from __future__ import annotations

from collections.abc import Sequence

from orchlite.core.errors import Conflict
from orchlite.core.files import remove_tree
from orchlite.operations.context import Context
from orchlite.store.database import Transaction


def delete(context: Context, orchestration_ids: Sequence[str], *, dry_run: bool = False) -> None:
    """Remove these orchestrations with their tasks, runs and logs; bundles too, where no other orchestration has the same bytes.

    With `dry_run` only find out whether that could be done.

    Raises:
        NotFound: one is not there. None was deleted.
        Conflict: a task of one is alive. None was deleted.
    """
    store = context.store
    with store.transaction() as transaction:
        shas = {store.orchestrations.get(orchestration_id).sha for orchestration_id in orchestration_ids}
        _check_over(context, transaction, orchestration_ids)
        if dry_run:
            return
        run_ids = [run_id for each in orchestration_ids for run_id in store.runs.ids_of_orchestration(transaction, each)]
        for orchestration_id in orchestration_ids:
            store.orchestrations.delete(transaction, orchestration_id)
    for run_id in run_ids:
        remove_tree(context.folder.run(run_id).path)
    with store.transaction() as transaction:  # a lock: nobody can refer to these bytes anew meanwhile
        for sha in shas:
            if not store.orchestrations.is_referenced(transaction, sha):
                context.bundles.discard(sha)


def _check_over(context: Context, transaction: Transaction, orchestration_ids: Sequence[str]) -> None:
    alive = [task for each in orchestration_ids for task in context.store.tasks.alive_of_orchestration(transaction, each)]
    if alive:
        raise Conflict(
            f"Orchestration {alive[0].orchestration_id} has a task that is alive: {alive[0].task_id}.",
            hint="Kill the task, or wait for it, first." + (" None was deleted." if len(orchestration_ids) > 1 else ""),
            task_ids=[task.task_id for task in alive],
        )
