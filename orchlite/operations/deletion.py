"""Deletes orchestrations, models and pipelines: all their rows in one transaction, then the files that no row refers to any more."""

from __future__ import annotations

from collections.abc import Sequence

from orchlite.core.errors import Conflict
from orchlite.core.files import remove_tree
from orchlite.core.hints import Api
from orchlite.operations import preparation
from orchlite.operations.context import Context
from orchlite.store import run_packages
from orchlite.store.database import Transaction


def delete(context: Context, orchestration_ids: Sequence[str], *, dry_run: bool = False) -> None:
    """Delete these orchestrations with their tasks, runs and logs, and each bundle that no other orchestration shares; all or none.

    dry_run: only check whether they can be deleted.

    Raises:
        NotFound: there is no orchestration with one of these ids. None was deleted.
        Conflict: a task of one is still active, or has runs of one that it ran before. None was deleted.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
        OSError: a bundle cannot be removed; its orchestrations are still deleted.
    """
    store = context.store
    with store.transaction() as transaction:
        shas = {store.orchestrations.get(orchestration_id).sha for orchestration_id in orchestration_ids}
        _check_inactive(context, transaction, orchestration_ids)
        if dry_run:
            return
        run_ids = [run_id for each in orchestration_ids for run_id in store.task_versions.run_ids(transaction, each)]
        for orchestration_id in orchestration_ids:
            store.orchestrations.delete(transaction, orchestration_id)
        run_packages.delete_unused(transaction)
    preparation.end(context)
    for run_id in run_ids:
        remove_tree(context.folder.run(run_id).path)
    with store.transaction() as transaction:  # as a lock: no upload can refer to these bytes meanwhile
        for sha in shas:
            if not store.orchestrations.is_referenced(transaction, sha):
                context.bundles.discard(sha)


def delete_model(context: Context, model_id: int) -> None:
    """Delete a model with its versions, and each file that no other model shares.

    Raises:
        NotFound: there is no such model.
        Conflict: a deployed pipeline uses a version of it. Nothing was deleted.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
        OSError: a file cannot be removed; the model is still deleted.
    """
    models = context.store.models
    with context.store.transaction() as transaction:
        versions = models.versions(model_id)
        users = context.store.deployments.using(transaction, [row.version for row in versions])
        if users:
            raise Conflict(
                f"Model {versions[0].name!r} is used by the deployed pipeline {users[0].name!r}.",
                hint="Undeploy the pipeline, or replace its step and deploy it again, first.",
                pipelines=[pipeline.name for pipeline in users],
            )
        models.delete(transaction, model_id, context.clock.now())
    for sha in {row.sha for row in versions}:
        discard_model_file(context, sha)


def discard_model_file(context: Context, sha: str) -> bool:
    """Remove a model's file if no version refers to it; return whether none does.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be locked.
        OSError: the file cannot be removed.
    """
    with context.store.transaction() as transaction:  # as a lock: no upload can refer to these bytes meanwhile
        if context.store.models.is_referenced(transaction, sha):
            return False
        context.model_files.discard(sha)
    return True


def delete_pipeline(context: Context, pipeline_id: int) -> None:
    """Delete a pipeline with its versions, its deployment and its inference logs.

    Raises:
        NotFound: there is no such pipeline.
        Conflict: it is deployed. Nothing was deleted.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    with context.store.transaction() as transaction:
        pipeline, deployment = context.store.pipelines.get(pipeline_id), context.store.deployments.of_pipeline(pipeline_id)
        if deployment is not None and deployment.is_deployed:
            raise Conflict(f"Pipeline {pipeline.name!r} is deployed.", hint="Undeploy it first.", pipeline=pipeline.name)
        context.store.pipelines.delete(transaction, pipeline_id, context.clock.now())


def _check_inactive(context: Context, transaction: Transaction, orchestration_ids: Sequence[str]) -> None:
    for orchestration_id in orchestration_ids:
        if former := context.store.task_versions.live_tasks(transaction, orchestration_id):
            raise Conflict(
                f"Task {former[0]} still has runs of orchestration {orchestration_id}, which it ran before it was replaced.",
                hint=Api.PRUNE + " removes old runs." + (" None was deleted." if len(orchestration_ids) > 1 else ""),
                task_ids=former,
            )
    active = [task for each in orchestration_ids for task in context.store.tasks.active_of_orchestration(transaction, each)]
    if active:
        raise Conflict(
            f"Orchestration {active[0].orchestration_id} has an active task: {active[0].task_id}.",
            hint="Kill the task, or wait for it, first." + (" None was deleted." if len(orchestration_ids) > 1 else ""),
            task_ids=[task.task_id for task in active],
        )
