"""Ending runs and tasks on request. A kill is a request: whoever owns the run ends it and records how it ended."""

from __future__ import annotations

from collections.abc import Iterable

from orchlite.core.errors import IllegalMove, StorageFull
from orchlite.core.records import RunResult, RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.operations import notification, outcome, packaging
from orchlite.operations.context import Context
from orchlite.operations.outcome import Ending
from orchlite.store.database import Transaction

_REASON = "it was killed on request"


def kill_run(context: Context, run_id: str) -> None:
    """Ask for the run's end: a queued one ends at once, a running one within its grace.

    Raises:
        IllegalMove: it has ended already.
    """
    run = context.store.runs.get(run_id)
    task = context.store.tasks.get(run.task_id)
    failed: list[str] = []
    try:
        failed = _request_end(context, task, run)
    except StorageFull:
        if run.status is not RunStatus.RUNNING:
            raise
        # It may be this very program that fills the disk: what is told to its runner needs no room, and its end makes some.
    signal_owners(context, task, [run_id])
    _tell(context, failed)


def _request_end(context: Context, task: TaskRow, run: RunRow) -> list[str]:
    run_id = run.run_id
    with context.store.transaction() as transaction:
        status = context.store.runs.status(transaction, run_id)
        if status is None or status.is_final:
            raise IllegalMove(f"Run {run_id} has ended already: it is {status}.", status=status, run_id=run_id)
        failed = request_kill(context, transaction, task, [run._replace(status=status)])
        if context.store.tasks.status(transaction, task.task_id) is TaskStatus.PENDING:
            _leave_pending(context, transaction, task)
    return failed


def _leave_pending(context: Context, transaction: Transaction, task: TaskRow) -> None:
    """The run that was to start the task was killed: what runs once will never start, and what runs again and again does without it."""
    store, now = context.store, context.clock.now()
    if task.kind in (TaskKind.ONCE, TaskKind.PACKAGING):
        store.tasks.move(transaction, task.task_id, TaskStatus.FAILED, now, _REASON)
    elif task.kind is TaskKind.CONTINUOUS:
        store.tasks.set_next(transaction, task.task_id, now)  # where its orchestration is not ready, it is due as soon as that is
        if store.orchestrations.status(transaction, task.orchestration_id) is OrchestrationStatus.READY:
            store.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now)
            outcome.advance_task(store, transaction, task.task_id, now)


def kill_task(context: Context, task_id: str) -> TaskStatus:
    """Ask for no further runs of the task and for the end of those there are; idempotent. Answers the task's status now.

    Raises:
        StorageFull: the request could not be stored; runs that go on were told to end all the same.
    """
    task = context.store.tasks.get(task_id)
    try:
        unfinished, failed = _request_kill(context, task)
    except StorageFull:
        signal_owners(context, task, [run.run_id for run in context.store.runs.of_task(task_id, statuses=frozenset({RunStatus.RUNNING}))])
        raise
    signal_owners(context, task, [run.run_id for run in unfinished])
    _tell(context, failed)
    return context.store.tasks.get(task_id).status


def _request_kill(context: Context, task: TaskRow) -> tuple[list[RunRow], list[str]]:
    task_id = task.task_id
    with context.store.transaction() as transaction:
        status = context.store.tasks.status(transaction, task_id)
        if status is not TaskStatus.KILLED and status is not TaskStatus.PENDING_KILL:
            context.store.tasks.move(transaction, task_id, TaskStatus.PENDING_KILL, context.clock.now(), _REASON)
        unfinished = context.store.runs.unfinished_of_task(transaction, task_id)
        failed = request_kill(context, transaction, task, unfinished)
        outcome.advance_task(context.store, transaction, task_id, context.clock.now())
    return unfinished, failed


def request_kill(context: Context, transaction: Transaction, task: TaskRow, unfinished: Iterable[RunRow], why: str = _REASON) -> list[str]:
    """Note that these runs of the task are to end; the queued ones have ended. Afterwards the request is to be carried out.

    Answers the ids of the runs that have failed by that, which are those that waited for packaging.
    """
    now, failed = context.clock.now(), list[str]()
    for run in unfinished:
        context.store.runs.request_kill(transaction, run.run_id)
        if run.status is RunStatus.QUEUED:
            reason = "it was killed before it started" if why == _REASON else why
            result = RunResult(RunStatus.KILLED, None, None, now, None, reason)
            outcome.record_end(context.store, transaction, Ending(run.run_id, task.task_id, result), now)
            if task.kind is TaskKind.PACKAGING:
                failed += packaging.fail_dependents(context, transaction, task.orchestration_id, "packaging was killed before it began")
    return failed


def signal_owners(context: Context, task: TaskRow, run_ids: Iterable[str], why: str = _REASON) -> None:
    """Tell the owners of these runs to end them, where they run."""
    for run in map(context.store.runs.find, run_ids):
        if run is not None and run.status is RunStatus.RUNNING:
            _cancel(context, task, run, why)
    context.changes.announce()


def resignal_owners(context: Context, running: Iterable[RunRow]) -> None:
    """Tell the owners of those of these runs whose killer has died between its request and the telling."""
    for run in running:
        place = packaging.install_files(context.folder.run(run.run_id), run.attempt)
        if run.kill_requested and not place.folder.cancel.exists():  # which is told last
            signal_owners(context, context.store.tasks.get(run.task_id), [run.run_id])


def _tell(context: Context, failed: Iterable[str]) -> None:
    for run_id in failed:
        notification.notify(context, run_id, RunStatus.FAILURE)


def _cancel(context: Context, task: TaskRow, run: RunRow, why: str) -> None:
    folder = context.folder.run(run.run_id)
    if task.kind is not TaskKind.PACKAGING:
        context.process.cancel(folder, why)
    # A run may be waiting for its environment to be rebuilt: then there is an installation to be ended, too.
    context.process.cancel(packaging.install_files(folder, run.attempt).folder, why)
