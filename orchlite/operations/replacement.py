"""Replaces what a task runs: its orchestration, and whatever else is given, in one transaction.

A run belongs to its task as that was when a host claimed the run. So what runs continues, and what is queued runs the replacement.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from orchlite.core.errors import BadSchedule, Conflict, IllegalMove
from orchlite.core.hints import PythonOnly
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import STARTS_NO_MORE, OrchestrationStatus, TaskKind, TaskStatus
from orchlite.operations import dispatch, due_times, packaging, pause
from orchlite.operations.context import Context
from orchlite.store.database import Transaction

_NO_SLOTS = (TaskStatus.PENDING_PAUSE, TaskStatus.PAUSED, TaskStatus.SCHEDULE_ERROR)
"""The statuses in which slots pass without a run."""


class Replacement(NamedTuple):
    """What a task gets; it keeps everything else."""

    orchestration_id: str
    fields: Mapping[str, Any]
    """Fields of its `TaskRow`."""
    policy: Mapping[str, Any]
    """Fields of its `SchedulePolicy`."""


def replace_task(context: Context, task_id: str, replacement: Replacement) -> None:
    """Have the task's next runs run the replacement. Do nothing if the task is like that already.

    Its slots stay as they are. If their times change, those that are due now are dealt with by the old schedule, and later ones follow the
    new one. A task that waited for packaging, or got another schedule because its own could not be kept, is `started`.

    Raises:
        NotFound: there is no such task or orchestration.
        IllegalMove: the task runs once, or was killed, or has failed.
        Conflict: the orchestration is in another workspace, or is not packaged yet.
        PackagingFailed: the orchestration is in `error`.
        BadSchedule: the task's schedule cannot be read, so no part of it can be kept.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
    """
    store, now = context.store, context.clock.now()
    overlapped: list[RunRow] = []
    with store.transaction() as transaction:
        task = _replaceable(context, transaction, task_id)
        _check_ready(context, task, replacement.orchestration_id)
        new = _replaced(task, replacement)
        if new == task:
            return
        is_rescheduled = _times(new) != _times(task)
        if is_rescheduled:
            overlapped = _deal_with_due(context, transaction, task, now)
            new = new._replace(next_at=_first_slot(context, new, now), schedule_since=now)
        store.task_versions.keep(transaction, task_id, now)
        store.tasks.replace(transaction, new, now, _difference(task, new))
        if task.status in (TaskStatus.PENDING, TaskStatus.PENDING_RESUME) or (task.status is TaskStatus.SCHEDULE_ERROR and is_rescheduled):
            store.tasks.move(transaction, task_id, TaskStatus.STARTED, now)
    dispatch.signal_replaced(context, task, overlapped)
    context.changes.announce()


def _replaceable(context: Context, transaction: Transaction, task_id: str) -> TaskRow:
    task = context.store.tasks.find(transaction, task_id) or context.store.tasks.get(task_id)
    if task.kind not in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS):
        raise IllegalMove(
            f"Task {task_id} runs once, so what it runs cannot be replaced.",
            hint="Run the other orchestration as a task of its own.",
            status=task.status,
        )
    if task.status in STARTS_NO_MORE:
        raise IllegalMove(
            f"Task {task_id} is {task.status}, so what it runs cannot be replaced.",
            hint="Schedule the orchestration as a new task.",
            status=task.status,
        )
    return task


def _check_ready(context: Context, task: TaskRow, orchestration_id: str) -> None:
    orchestration = context.store.orchestrations.get(orchestration_id)
    if orchestration.status is OrchestrationStatus.ERROR:
        raise packaging.packaging_failed(orchestration)
    if orchestration.status is not OrchestrationStatus.READY:
        raise Conflict(
            f"Orchestration {orchestration_id} is not packaged yet.", hint=PythonOnly("Wait for it first: orchestration.wait().")
        )
    if orchestration.workspace_id != task.workspace_id:
        raise Conflict(
            f"Orchestration {orchestration_id} is in another workspace than task {task.task_id}.",
            hint="Upload it to the task's workspace.",
            workspace_id=task.workspace_id,
        )


def _replaced(task: TaskRow, replacement: Replacement) -> TaskRow:
    policy = due_times.policy_of(task)._replace(**replacement.policy) if replacement.policy else task.schedule
    return task._replace(orchestration_id=replacement.orchestration_id, schedule=policy, **replacement.fields)


def _times(task: TaskRow) -> tuple[str, str] | None:
    """Return what the times of the task's slots depend on."""
    return None if task.schedule is None else (task.schedule.expression, task.schedule.timezone)


def _deal_with_due(context: Context, transaction: Transaction, task: TaskRow, now: datetime) -> list[RunRow]:
    """Queue or skip the slots that are due by the schedule that ends now. Return the runs that others replace."""
    if task.status in _NO_SLOTS:
        with suppress(BadSchedule):  # without a usable schedule it has no slots
            pause.skip_passed(context, transaction, task, now)
    elif task.next_at is not None and task.next_at <= now:
        with suppress(BadSchedule):
            return dispatch.dispatch_task(context, transaction, task, now)
    return []


def _first_slot(context: Context, task: TaskRow, now: datetime) -> datetime:
    schedule = due_times.schedule_of(due_times.policy_of(task))
    return due_times.free_from(context.store, task, schedule, schedule.next_after(now))


def _difference(task: TaskRow, new: TaskRow) -> str:
    """Return what differs, for the event: both orchestrations by their ids, and the names of other fields."""
    names = ("arguments", "timeout_seconds", "debug", "env", "on_failure", "on_success", "on_late", "schedule", "retry", "resources")
    changed = [name.removesuffix("_seconds") for name in names if getattr(task, name) != getattr(new, name)]
    is_other = new.orchestration_id != task.orchestration_id
    return "; ".join(
        [f"orchestration {new.orchestration_id} instead of {task.orchestration_id}"] * is_other
        + [f"other {', '.join(changed)}"] * bool(changed)
    )
