"""Kills runs and tasks. A kill is a request in the store, then a signal: the run's runner ends it, and its host records the outcome."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from orchlite.core.errors import DeviceFailed, IllegalMove, StorageFull
from orchlite.core.hints import Api
from orchlite.core.records import RunResult, RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.core.system_errors import device_error
from orchlite.operations import installation, notification, outcome, packaging
from orchlite.operations.context import Context
from orchlite.operations.outcome import Outcome
from orchlite.store.database import Transaction

REASON = "it was killed on request"


def check_not_killed(task: TaskRow) -> None:
    """Refuse a scheduled or continuous task that was killed, which is final.

    Raises:
        IllegalMove: it was killed. The hint says how to run its orchestration again.
    """
    if task.status in (TaskStatus.KILLED, TaskStatus.PENDING_KILL):
        call = Api.RUN_CONTINUOUSLY if task.kind is TaskKind.CONTINUOUS else Api.RUN_SCHEDULED
        raise IllegalMove(
            f"Task {task.task_id} {'is' if task.status is TaskStatus.KILLED else 'is being'} killed for good.",
            hint=f"Schedule its orchestration {task.orchestration_id} again, as a new task, with " + call + ".",
            status=task.status,
        )


def kill_run(context: Context, run_id: str) -> None:
    """Request the run's end: a queued run ends at once, a running one within its grace. Return without waiting for that.

    Raises:
        NotFound: there is no such run.
        IllegalMove: it has ended already.
        StorageFull: it is queued, and the request cannot be stored. A running run is still ended.
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the request cannot be stored.
    """
    run = context.store.runs.get(run_id)
    task = context.store.tasks.get(run.task_id)
    failed: list[str] = []
    try:
        failed = _request_run_kill(context, task, run)
    except StorageFull:
        if run.status is not RunStatus.RUNNING:
            raise
        # Perhaps this program has filled the disk: signalling its runner takes no space, and its end may free some.
    signal_owners(context, task, [run_id])
    _notify(context, failed)


def _request_run_kill(context: Context, task: TaskRow, run: RunRow) -> list[str]:
    run_id = run.run_id
    with context.store.transaction() as transaction:
        status = context.store.runs.status(transaction, run_id)
        if status is None or status.is_final:
            raise IllegalMove(f"Run {run_id} has ended already: it is {status}.", status=status, run_id=run_id)
        failed = request_kills(context, transaction, task, [run._replace(status=status)])
        if context.store.tasks.status(transaction, task.task_id) is TaskStatus.PENDING:
            _advance_pending(context, transaction, task)
    return failed


def _advance_pending(context: Context, transaction: Transaction, task: TaskRow) -> None:
    """Advance a task whose first run was killed in the queue: a one-shot task will never start, the others start with the next run."""
    store, now = context.store, context.clock.now()
    if task.kind in (TaskKind.ONCE, TaskKind.PACKAGING):
        store.tasks.move(transaction, task.task_id, TaskStatus.FAILED, now, REASON)
    elif task.kind is TaskKind.CONTINUOUS:
        store.tasks.set_next(transaction, task.task_id, now)  # if its orchestration is not ready, it is due as soon as that is
        if store.orchestrations.status(transaction, task.orchestration_id) is OrchestrationStatus.READY:
            store.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now)
            outcome.advance_task(store, transaction, task.task_id, now)


def kill_task(context: Context, task_id: str) -> TaskStatus:
    """Start no further runs of the task, and request the end of the unfinished ones. Idempotent. Return the task's status.

    Return without waiting: the task is `pending_kill` until its last run has ended, and then `killed`.

    Raises:
        NotFound: there is no such task.
        StorageFull: the request cannot be stored. Its running runs are still ended.
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the request cannot be stored.
    """
    task = context.store.tasks.get(task_id)
    try:
        unfinished, failed = _request_task_kill(context, task)
    except StorageFull:
        signal_owners(context, task, [run.run_id for run in context.store.runs.of_task(task_id, statuses=frozenset({RunStatus.RUNNING}))])
        raise
    signal_owners(context, task, [run.run_id for run in unfinished])
    _notify(context, failed)
    return context.store.tasks.get(task_id).status


def _request_task_kill(context: Context, task: TaskRow) -> tuple[list[RunRow], list[str]]:
    task_id = task.task_id
    with context.store.transaction() as transaction:
        status = context.store.tasks.status(transaction, task_id)
        if status is not TaskStatus.KILLED and status is not TaskStatus.PENDING_KILL:
            context.store.tasks.move(transaction, task_id, TaskStatus.PENDING_KILL, context.clock.now(), REASON)
        unfinished = context.store.runs.unfinished_of_task(transaction, task_id)
        failed = request_kills(context, transaction, task, unfinished)
        outcome.advance_task(context.store, transaction, task_id, context.clock.now())
    return unfinished, failed


def request_kills(
    context: Context, transaction: Transaction, task: TaskRow, unfinished: Iterable[RunRow], reason: str = REASON
) -> list[str]:
    """Store the request to end these unfinished runs of the task; end the queued ones at once.

    Once the transaction is committed, call `signal_owners` for the running ones. Return the ids of the runs that have failed because they
    waited for packaging that was killed here; the caller sends their notifications.

    Raises:
        IllegalMove: one of the runs is not in the state that its row says.
    """
    now, failed = context.clock.now(), list[str]()
    for run in unfinished:
        context.store.runs.request_kill(transaction, run.run_id)
        if run.status is RunStatus.QUEUED:
            ended_because = "it was killed before it started" if reason == REASON else reason
            result = RunResult(RunStatus.KILLED, None, None, now, None, ended_because)
            outcome.record_end(context.store, transaction, Outcome(run.run_id, task.task_id, result), now)
            if task.kind is TaskKind.PACKAGING:
                failed += packaging.fail_dependents(context, transaction, task.orchestration_id, "packaging was killed before it started")
    return failed


def signal_owners(context: Context, task: TaskRow, run_ids: Iterable[str], reason: str = REASON) -> None:
    """Signal the runners of the runs that are running; never block. Repeating this has no further effect.

    Raises:
        DeviceFailed: one of them cannot be signalled, for example because its folder was removed; the others are.
    """
    failed: list[tuple[str, OSError]] = []
    for run in map(context.store.runs.find, run_ids):
        if run is not None and run.status is RunStatus.RUNNING:
            try:
                _cancel(context, task, run, reason)
            except OSError as error:
                failed.append((run.run_id, error))
    context.changes.announce()
    if failed:
        run_id, cause = failed[0]
        raise device_error(cause, f"Run {run_id} cannot be asked to end", run_id=run_id) from cause


def resignal_owners(context: Context, running: Iterable[RunRow]) -> None:
    """Signal again the runners of running runs whose killing process died between its request and its signal."""
    for run in running:
        folder = context.folder.run(run.run_id)
        last = folder if run.placement is not None else installation.install_files(folder, run.attempt).folder
        if run.kill_requested and not os.path.lexists(last.cancel):  # `_cancel` writes it last
            with suppress(DeviceFailed):  # perhaps the next time; one run must not hinder the others
                signal_owners(context, context.store.tasks.get(run.task_id), [run.run_id])


def _notify(context: Context, failed: Iterable[str]) -> None:
    for run_id in failed:
        notification.notify(context, run_id, RunStatus.FAILURE)


def _cancel(context: Context, task: TaskRow, run: RunRow, reason: str) -> None:
    folder = context.folder.run(run.run_id)
    install = installation.install_files(folder, run.attempt).folder
    if task.kind is TaskKind.PACKAGING:
        context.process.cancel(install, reason)
        return
    context.process.cancel(folder, reason)
    if run.placement is not None:
        return  # the host that waits for it asks the cluster to end it; see `cluster_site.send_kills`
    # The run may be waiting for its environment to be built again: then the installer must end, too.
    with suppress(OSError):  # else the run ends as soon as that is built
        context.process.cancel(install, reason)
