"""Pausing and resuming tasks that run again and again. What was due meanwhile is not made up for, and says so."""

from __future__ import annotations

from datetime import datetime

from orchlite.core.errors import IllegalMove
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, TaskKind, TaskStatus
from orchlite.operations import dispatch as dispatching
from orchlite.operations import kill as killing
from orchlite.operations import outcome as ends
from orchlite.operations import packaging as packager
from orchlite.operations.context import OpenStore
from orchlite.store.database import Transaction

_REASON = "its task was paused"


def pause(store: OpenStore, task_id: str) -> TaskStatus:
    """Let no slot from now on have a run, or end the run of a continuous task. What is queued or running of a schedule goes on. Idempotent.

    Raises:
        IllegalMove: its state does not allow it, or it is a one-shot task.
    """
    memory, now = store.memory, store.clock.now()
    unfinished: list[RunRow] = []
    with memory.transaction() as transaction:
        task = _recurring(store, transaction, task_id)
        if task.status not in (TaskStatus.PAUSED, TaskStatus.PENDING_PAUSE):
            memory.tasks.move(transaction, task_id, TaskStatus.PENDING_PAUSE, now)
            if task.kind is TaskKind.CONTINUOUS:
                unfinished = memory.runs.unfinished_of_task(transaction, task_id)
                killing.request(store, transaction, task, unfinished, _REASON)
                ends.settle(memory, transaction, task_id, now)
            else:
                memory.tasks.move(transaction, task_id, TaskStatus.PAUSED, now)
        status = memory.tasks.status(transaction, task_id)
    killing.carry_out(store, task, [run.run_id for run in unfinished], _REASON)
    return status or task.status


def resume(store: OpenStore, task_id: str) -> TaskStatus:
    """Let a paused task, or one whose schedule could not be kept, run again. Its slots up to now are skipped.

    Where its orchestration is not ready yet, the task stays `pending_resume` until it is.

    Raises:
        IllegalMove: it is neither.
        BadSchedule: the schedule still cannot be kept.
        PackagingFailed: its orchestration will never be ready.
    """
    memory, now = store.memory, store.clock.now()
    with memory.transaction() as transaction:
        task = _recurring(store, transaction, task_id)
        if task.status in (TaskStatus.STARTED, TaskStatus.PENDING_RESUME):
            return task.status
        readiness = memory.orchestrations.status(transaction, task.orchestration_id)
        if readiness is OrchestrationStatus.ERROR:
            raise packager.packaging_failed(memory.orchestrations.get(task.orchestration_id))
        if task.status is not TaskStatus.SCHEDULE_ERROR:
            memory.tasks.move(transaction, task_id, TaskStatus.PENDING_RESUME, now)
        if readiness is OrchestrationStatus.READY:
            memory.tasks.move(transaction, task_id, TaskStatus.STARTED, now)
        _set_next(store, transaction, task, now)
    store.changes.announce()
    return memory.tasks.get(task_id).status


def _recurring(store: OpenStore, transaction: Transaction, task_id: str) -> TaskRow:
    task = store.memory.tasks.seen(transaction, task_id) or store.memory.tasks.get(task_id)
    if task.kind not in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS):
        raise IllegalMove(f"Task {task_id} runs once, so there is nothing to pause or resume.", hint="kill() ends it.", status=task.status)
    return task


def _set_next(store: OpenStore, transaction: Transaction, task: TaskRow, now: datetime) -> None:
    if task.kind is TaskKind.CONTINUOUS:
        store.memory.tasks.set_next(transaction, task.task_id, now)
    else:
        why = _REASON if task.status is TaskStatus.PAUSED else f"its schedule could not be kept: {task.reason}"
        dispatching.skip_until(store.memory, transaction, task, now, why)
