"""The job by which a cluster executes a claimed run: its document is made from the rows here, and becomes rows again on the node."""

from __future__ import annotations

import os

from orchlite.core.records import TaskRow, WorkspaceRow
from orchlite.core.status import TaskKind
from orchlite.operations.context import Assignment, Context
from orchlite.runs import job_document
from orchlite.runs.cluster import Job
from orchlite.runs.job_document import JobDocument, NodeSettings
from orchlite.store import job_rows

_DEFAULT_WORKSPACE = "default"


def job_of(context: Context, assignment: Assignment) -> Job:
    """Return the job of a claimed run, with the values that the variables of this process have now.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be read.
    """
    run, sha = assignment.run, assignment.orchestration.sha
    content = job_document.encoded(_document(context, assignment))
    return Job(run.run_id, run.attempt, content, context.bundles.path(sha), sha)


def insert(context: Context, document: JobDocument) -> None:
    """Insert the rows of a document into the store of a node, in which this host executes the run.

    Raises:
        StorageFull, StoreBusy, DeviceFailed, Closed: the store cannot be written.
    """
    with context.store.transaction() as transaction:
        job_rows.insert_workspaces(transaction, document.workspaces)
        job_rows.insert_run(context.store, transaction, document.orchestration, document.task, document.run, context.host_id)
    for connection in document.connections:
        context.store.connections.insert(connection)
        context.store.connections.add_to_workspace(connection.connection_id, document.task.workspace_id)


def _document(context: Context, assignment: Assignment) -> JobDocument:
    run, settings = assignment.run, context.settings
    return JobDocument(
        run=run._replace(slot_at=run.slot_at or run.repeated_slot_at),
        task=_single(assignment.task),
        orchestration=assignment.orchestration,
        workspaces=_workspaces(context, assignment.task.workspace_id),
        connections=tuple(context.store.connections.of_workspace(assignment.task.workspace_id)),
        settings=NodeSettings(
            grace_seconds=settings.grace_seconds,
            log_bytes=settings.limits.log_bytes,
            installer=settings.installer,
            index_urls=settings.index_urls,
            install_timeout_seconds=settings.install_timeout_seconds,
        ),
    )


def _single(task: TaskRow) -> TaskRow:
    """Return the task as one that runs once: what follows a run is up to its host."""
    from_host = {name: os.environ[name] for name in task.env_passthrough if name in os.environ}
    return task._replace(kind=TaskKind.ONCE, env={**from_host, **task.env}, env_passthrough=())


def _workspaces(context: Context, workspace_id: int) -> tuple[WorkspaceRow, ...]:
    workspaces = context.store.workspaces
    default = workspaces.find(_DEFAULT_WORKSPACE)  # a client in the program opens the store with it
    own = workspaces.get(workspace_id)
    return (own,) if default is None or default == own else (default, own)
