"""Pauses and resumes scheduled and continuous tasks. Slots that pass meanwhile are skipped, each with a row that says so."""

from __future__ import annotations

from datetime import datetime

from orchlite.core.errors import IllegalMove
from orchlite.core.hints import Api
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, TaskKind, TaskStatus
from orchlite.operations import due_times, kill, outcome, packaging
from orchlite.operations.context import Context
from orchlite.store.database import Transaction

_REASON = "its task was paused"


def pause_task(context: Context, task_id: str) -> TaskStatus:
    """Give no further slot a run, or end the run of a continuous task. Idempotent. Return the task's status.

    Runs of a schedule that are queued or running continue, except for pending tries, which wait until it is resumed. Return without
    waiting: a continuous task is `pending_pause` until its run has ended, and then `paused`.

    Raises:
        NotFound: there is no such task.
        IllegalMove: the task was killed, or its status does not allow it, or it is a one-shot task.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    store, now = context.store, context.clock.now()
    with store.transaction() as transaction:
        task = _recurring(context, transaction, task_id)
        unfinished = _pause(context, transaction, task, now)
        status = store.tasks.status(transaction, task_id)
    kill.signal_owners(context, task, [run.run_id for run in unfinished], _REASON)
    return status or task.status


def _pause(context: Context, transaction: Transaction, task: TaskRow, now: datetime) -> list[RunRow]:
    """Return the unfinished runs that must be signalled."""
    store = context.store
    if task.status in (TaskStatus.PAUSED, TaskStatus.PENDING_PAUSE):
        return []
    store.tasks.move(transaction, task.task_id, TaskStatus.PENDING_PAUSE, now)
    if task.kind is not TaskKind.CONTINUOUS:
        store.tasks.move(transaction, task.task_id, TaskStatus.PAUSED, now)
        return []
    unfinished = store.runs.unfinished_of_task(transaction, task.task_id)
    kill.request_kills(context, transaction, task, unfinished, _REASON)
    outcome.advance_task(store, transaction, task.task_id, now)
    return unfinished


def resume_task(context: Context, task_id: str) -> TaskStatus:
    """Start runs again of a paused task, or of one in `schedule_error`. Its slots up to now are skipped. Return the task's status.

    Idempotent. If its orchestration is not ready yet, the task stays `pending_resume` until it is.

    Raises:
        NotFound: there is no such task.
        IllegalMove: the task was killed, or is in another status, or it is a one-shot task.
        BadSchedule: its time zone is still unknown on this machine.
        PackagingFailed: its orchestration will never be ready.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    store, now = context.store, context.clock.now()
    with store.transaction() as transaction:
        task = _recurring(context, transaction, task_id)
        if task.status in (TaskStatus.STARTED, TaskStatus.PENDING_RESUME):
            return task.status
        readiness = store.orchestrations.status(transaction, task.orchestration_id)
        if readiness is OrchestrationStatus.ERROR:
            raise packaging.packaging_failed(store.orchestrations.get(task.orchestration_id))
        if task.status is not TaskStatus.SCHEDULE_ERROR:
            store.tasks.move(transaction, task_id, TaskStatus.PENDING_RESUME, now)
        if readiness is OrchestrationStatus.READY:
            store.tasks.move(transaction, task_id, TaskStatus.STARTED, now)
        if task.kind is TaskKind.CONTINUOUS:
            store.tasks.set_next(transaction, task_id, now)
        else:
            skip_passed(context, transaction, task, now)
    context.changes.announce()
    return store.tasks.get(task_id).status


def _recurring(context: Context, transaction: Transaction, task_id: str) -> TaskRow:
    task = context.store.tasks.find(transaction, task_id) or context.store.tasks.get(task_id)
    if task.kind not in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS):
        raise IllegalMove(f"Task {task_id} runs once, so it cannot be paused or resumed.", hint=Api.KILL + " ends it.", status=task.status)
    kill.check_not_killed(task)
    return task


def skip_passed(context: Context, transaction: Transaction, task: TaskRow, now: datetime) -> None:
    """Skip the slots that passed while a scheduled task was paused or in `schedule_error`, and set when it is due next.

    Raises:
        BadSchedule: the task's schedule is unusable on this machine.
    """
    reason = _REASON if task.status is TaskStatus.PAUSED else f"its schedule could not be kept: {task.reason}"
    due_times.skip_until(context.store, transaction, task, now, reason)
