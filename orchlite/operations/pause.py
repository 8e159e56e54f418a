"""Pausing and resuming tasks that run again and again. What was due meanwhile is not made up for, and says so."""

from __future__ import annotations

from datetime import datetime

from orchlite.core.errors import IllegalMove
from orchlite.core.hints import Api
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, TaskKind, TaskStatus
from orchlite.operations import dispatch, kill, outcome, packaging
from orchlite.operations.context import Context
from orchlite.store.database import Transaction

_REASON = "its task was paused"


def pause_task(context: Context, task_id: str) -> TaskStatus:
    """Let no slot from now on have a run, or end the run of a continuous task. What is queued or running of a schedule goes on. Idempotent.

    Raises:
        IllegalMove: its state does not allow it, or it is a one-shot task.
    """
    store, now = context.store, context.clock.now()
    unfinished: list[RunRow] = []
    with store.transaction() as transaction:
        task = _recurring(context, transaction, task_id)
        if task.status not in (TaskStatus.PAUSED, TaskStatus.PENDING_PAUSE):
            store.tasks.move(transaction, task_id, TaskStatus.PENDING_PAUSE, now)
            if task.kind is TaskKind.CONTINUOUS:
                unfinished = store.runs.unfinished_of_task(transaction, task_id)
                kill.request_kill(context, transaction, task, unfinished, _REASON)
                outcome.advance_task(store, transaction, task_id, now)
            else:
                store.tasks.move(transaction, task_id, TaskStatus.PAUSED, now)
        status = store.tasks.status(transaction, task_id)
    kill.signal_owners(context, task, [run.run_id for run in unfinished], _REASON)
    return status or task.status


def resume_task(context: Context, task_id: str) -> TaskStatus:
    """Let a paused task, or one whose schedule could not be kept, run again. Its slots up to now are skipped.

    Where its orchestration is not ready yet, the task stays `pending_resume` until it is.

    Raises:
        IllegalMove: it is neither.
        BadSchedule: the schedule still cannot be kept.
        PackagingFailed: its orchestration will never be ready.
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
        _set_next(context, transaction, task, now)
    context.changes.announce()
    return store.tasks.get(task_id).status


def _recurring(context: Context, transaction: Transaction, task_id: str) -> TaskRow:
    task = context.store.tasks.seen(transaction, task_id) or context.store.tasks.get(task_id)
    if task.kind not in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS):
        raise IllegalMove(
            f"Task {task_id} runs once, so there is nothing to pause or resume.", hint=Api.KILL + " ends it.", status=task.status
        )
    return task


def _set_next(context: Context, transaction: Transaction, task: TaskRow, now: datetime) -> None:
    if task.kind is TaskKind.CONTINUOUS:
        context.store.tasks.set_next(transaction, task.task_id, now)
    else:
        why = _REASON if task.status is TaskStatus.PAUSED else f"its schedule could not be kept: {task.reason}"
        dispatch.skip_until(context.store, transaction, task, now, why)
