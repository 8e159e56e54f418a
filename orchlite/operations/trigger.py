"""Runs a scheduled task now: one run outside its slots, with its arguments. What the schedule does next does not change."""

from __future__ import annotations

import uuid
from datetime import datetime

from orchlite.core.errors import Conflict, IllegalMove
from orchlite.core.hints import Api
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import STARTS_NO_MORE, OrchestrationStatus, TaskKind
from orchlite.operations import dispatch, kill, packaging
from orchlite.operations.context import Context
from orchlite.store.database import Transaction

_TRIGGERED = "it was triggered, not scheduled"


def trigger(context: Context, task_id: str) -> str:
    """Queue one run of a scheduled task, durably, and end the runs and the pending try that it replaces. Return the id of the run.

    The task may be paused, or have a schedule that cannot be kept: only its slots wait for that.

    Raises:
        NotFound: there is no such task.
        IllegalMove: it is no scheduled task, or it starts no more runs.
        Conflict: its overlap rule is `forbid`, and a run of it has not ended.
        PackagingFailed: its orchestration will never be ready.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    store, now, run_id = context.store, context.clock.now(), str(uuid.uuid4())
    with store.transaction() as transaction:
        task = store.tasks.find(transaction, task_id) or store.tasks.get(task_id)
        _check_may_run(context, transaction, task)
        replaced = _make_room(context, transaction, task, now)
        store.runs.insert(transaction, run_id, task_id, context.host_id, now, _TRIGGERED)
        store.runs.hand_over(transaction, store.orchestrations.get(task.orchestration_id).task_id, context.host_id)
    dispatch.signal_replaced(context, task, replaced)
    context.changes.announce()
    return run_id


def _check_may_run(context: Context, transaction: Transaction, task: TaskRow) -> None:
    if task.kind is not TaskKind.SCHEDULED:
        hint = "It runs by itself." if task.kind is TaskKind.CONTINUOUS else Api.RERUN + " runs again what a run of it has run."
        raise IllegalMove(f"Task {task.task_id} has no schedule, so it cannot be triggered.", hint=hint, status=task.status)
    kill.check_not_killed(task)
    if context.store.orchestrations.status(transaction, task.orchestration_id) is OrchestrationStatus.ERROR:
        raise packaging.packaging_failed(context.store.orchestrations.get(task.orchestration_id))
    if task.status in STARTS_NO_MORE:
        raise IllegalMove(f"Task {task.task_id} is {task.status}, so it starts no more runs.", status=task.status)


def _make_room(context: Context, transaction: Transaction, task: TaskRow, now: datetime) -> list[RunRow]:
    """Apply the task's overlap rule. Return the runs that must end because this one replaces them."""
    unfinished = dispatch.unfinished_in_time(context.store, transaction, task, now)
    overlapping = dispatch.started(unfinished)
    if overlapping and task.schedule is not None and task.schedule.concurrency == "forbid":
        raise Conflict(
            f"Run {overlapping[0].run_id} of the task is {overlapping[0].status}, and its schedule forbids that runs overlap.",
            hint="Wait until it has ended, or end it with " + Api.KILL + ".",
            run_id=overlapping[0].run_id,
        )
    return dispatch.replace(context, transaction, task, unfinished)
