"""Dispatches due tasks: queues their runs and sets when they are due next, in one transaction.

Any number of hosts may dispatch at once. A task is advanced only from the time at which it was due, so that one host dispatches it and the
others find nothing to do. The store's unique index on slots keeps a slot from having two runs.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from orchlite.core.errors import BadSchedule, DeviceFailed, IllegalMove
from orchlite.core.records import RunRow, SkippedSlots, TaskRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.operations import due_times, kill, notification
from orchlite.operations.context import Context
from orchlite.schedules import backoff, misfires
from orchlite.schedules.misfires import Decision
from orchlite.store.database import Transaction
from orchlite.store.store import Store

T = TypeVar("T")

_BATCH_SIZE = 500
REPLACED = "the next run of its task has replaced it"
"""Why a run was ended for another one, by the overlap rule `replace`."""
_log = logging.getLogger(__name__)


class Due(NamedTuple):
    """A scheduled task that is due, and the decision about its slots."""

    task: TaskRow
    decision: Decision
    run_id: str
    """The id of its run, if it gets exactly one: made in advance, too."""

    @property
    def is_simple(self) -> bool:
        """Whether it has one run, skips nothing, and ignores other runs and tries: such tasks share a few statements."""
        has_one_run = self.decision.skipped == () and len(self.decision.runs) == 1
        return has_one_run and self.task.retry is None and due_times.policy_of(self.task).concurrency == "allow"


class Batch(NamedTuple):
    """The tasks that are due at one time, decided in advance, so that little work remains when that time comes."""

    at: datetime
    scheduled: tuple[Due, ...] = ()
    continuous: tuple[TaskRow, ...] = ()
    is_full: bool = False
    """Whether more tasks may be due."""

    def is_current(self, now: datetime) -> bool:
        """Return whether the decisions still hold at `now`, shortly after the time that they were made for."""
        return now - self.at < timedelta(seconds=1) and all(due.decision.next_at > now for due in self.scheduled)


class _Overtaken(Exception):
    """Another host has dispatched some of the tasks."""


def prepare(context: Context, now: datetime) -> Batch:
    """Decide about up to 500 tasks that are, or will be, due at `now`. Those whose schedule cannot be kept become `schedule_error`.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be read or written.
    """
    tasks = context.store.tasks.due(now, _BATCH_SIZE)
    scheduled = (_confined(context, task, partial(_decided, context, task, now)) for task in tasks if task.kind is TaskKind.SCHEDULED)
    continuous = tuple(task for task in tasks if task.kind is TaskKind.CONTINUOUS)
    return Batch(now, tuple(filter(None, scheduled)), continuous, is_full=len(tasks) == _BATCH_SIZE)


def dispatch(context: Context, batch: Batch, now: datetime) -> None:
    """Queue the batch's runs, durably, and signal the runs that they replace. If the batch is not current, prepare it again first.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes; what was not dispatched stays due.
    """
    if not batch.is_current(now):
        batch = prepare(context, now)
    replaced = _dispatch_all(context, batch.scheduled, now)
    for task in batch.continuous:
        _confined(context, task, partial(_restart, context, task, now))
    for task, run in replaced:
        signal_replaced(context, task, [run])
    context.changes.announce()


def dispatch_task(context: Context, transaction: Transaction, task: TaskRow, now: datetime) -> list[RunRow]:
    """Queue and skip the slots of one scheduled task that are due, as part of a transaction.

    Return the runs that must end because others replace them: once it is committed, the caller signals their owners.

    Raises:
        BadSchedule: the task's schedule cannot be kept.
    """
    with due_times.task_errors(task):
        return _dispatch_one(context, transaction, _decided(context, task, now), now)


def signal_replaced(context: Context, task: TaskRow, replaced: Sequence[RunRow]) -> None:
    """Signal the runs that other runs of their task replace, once that is committed.

    A run that cannot be signalled is left to the next recovery: the commit stands, and other tasks must not wait for it.
    """
    for run in replaced:
        if run.retry_of is not None:
            notification.notify(context, run.retry_of, RunStatus.FAILURE)  # if it was dropped before it started
    try:
        kill.signal_owners(context, task, [run.run_id for run in replaced], REPLACED)
    except DeviceFailed:
        _log.warning("a run of task %s that is replaced could not be signalled; trying again", task.task_id, exc_info=True)


def _decided(context: Context, task: TaskRow, now: datetime) -> Due:
    policy, first = due_times.policy_of(task), task.next_at or now
    taken = context.store.runs.slots_since(task.task_id, first, now)
    schedule = due_times.schedule_of(policy)
    decision = misfires.decide(schedule, policy, first, now, set(taken))
    next_at = due_times.free_from(context.store, task, schedule, decision.next_at)
    return Due(task, decision._replace(next_at=next_at), str(uuid.uuid4()))


def _confined(context: Context, task: TaskRow, act: Callable[[], T]) -> T | None:
    """Return what `act` returns. If it fails for a reason that concerns this task alone, move the task to `schedule_error`; return None."""
    try:
        with due_times.task_errors(task):
            return act()
    except BadSchedule as error:
        _log.warning("task %s has a schedule that cannot be kept: %s", task.task_id, error, exc_info=error.__cause__)
        with suppress(IllegalMove), context.store.transaction() as transaction:  # illegal if it was killed or paused meanwhile
            context.store.tasks.move(transaction, task.task_id, TaskStatus.SCHEDULE_ERROR, context.clock.now(), str(error))
    return None


def _dispatch_all(context: Context, batch: Sequence[Due], now: datetime) -> list[tuple[TaskRow, RunRow]]:
    """Dispatch the scheduled tasks together; if that fails for one of them, each by itself."""
    try:
        return _dispatch(context, batch, now)
    except due_times.COMMON_ERRORS:
        raise
    except Exception:
        _log.info("%d tasks are dispatched one by one", len(batch), exc_info=True)
    replaced: list[tuple[TaskRow, RunRow]] = []
    for due in batch:
        replaced += _confined(context, due.task, partial(_dispatch, context, [due], now)) or []
    return replaced


def _dispatch(context: Context, batch: Sequence[Due], now: datetime) -> list[tuple[TaskRow, RunRow]]:
    """Dispatch the scheduled tasks in one transaction. Return the runs that must end because others replace them.

    Raises:
        _Overtaken: another host has dispatched one of several; nothing was written.
    """
    if not batch:
        return []
    simple = [due for due in batch if due.is_simple]
    with context.store.transaction(urgent=True) as transaction:
        if simple and not context.store.tasks.advance_all(transaction, [(due.task, due.decision.next_at) for due in simple]):
            if len(batch) > 1:
                raise _Overtaken
            return []
        slots = [(due.run_id, due.task.task_id, due.decision.runs[0]) for due in simple]
        context.store.runs.insert_slots(transaction, slots, context.host_id, now)
        others = [due for due in batch if not due.is_simple]
        return [(due.task, run) for due in others for run in _dispatch_one(context, transaction, due, now)]


def _dispatch_one(context: Context, transaction: Transaction, due: Due, now: datetime) -> list[RunRow]:
    """Queue and skip as decided, by the task's overlap rule. Return the runs that must end; do nothing if another host was first."""
    store, task, decision = context.store, due.task, due.decision
    if not store.tasks.advance(transaction, task, decision.next_at, task.skipped_in_row):
        return []
    unfinished = unfinished_in_time(store, transaction, task, now)
    runs, overlaps = _without_overlap(due_times.policy_of(task).concurrency, decision.runs, started(unfinished))
    replaced = replace(context, transaction, task, unfinished) if runs else []
    due_times.skip(store, transaction, task, decision.skipped, now)
    if runs:
        store.runs.insert_slots(transaction, [(str(uuid.uuid4()), task.task_id, slot) for slot in runs], context.host_id, now)
        store.tasks.set_skipped_in_row(transaction, task.task_id, 0)
        task = task._replace(skipped_in_row=0)
    due_times.skip(store, transaction, task, overlaps, now)
    return replaced


def unfinished_in_time(store: Store, transaction: Transaction, task: TaskRow, now: datetime) -> list[RunRow]:
    """Return the task's unfinished runs; skip queued ones that can no longer start in time."""
    unfinished = store.runs.unfinished_of_task(transaction, task.task_id)
    return [run for run in unfinished if run.status is not RunStatus.QUEUED or not store.skip_late(transaction, run.run_id, now)]


def started(unfinished: Sequence[RunRow]) -> list[RunRow]:
    """Return the runs without pending tries, which give way to any other run of their task."""
    return [run for run in unfinished if not run.is_pending_try]


def replace(context: Context, transaction: Transaction, task: TaskRow, unfinished: Sequence[RunRow]) -> list[RunRow]:
    """Request the end of those unfinished runs that a new run of the task replaces, and return them. Pending tries end at once.

    The failure that such a try followed is final, so its notification is promised. After the commit, call `signal_replaced`.
    """
    is_replacing = task.schedule is not None and task.schedule.concurrency == "replace"
    replaced = [run for run in unfinished if is_replacing or run.is_pending_try]
    kill.request_kills(context, transaction, task, replaced, REPLACED)
    for run in replaced:
        if run.is_pending_try and run.retry_of is not None:
            context.promise_notification(transaction, run.retry_of, "failure")
    return replaced


def _without_overlap(
    concurrency: str, due: Sequence[datetime], unfinished: Sequence[RunRow]
) -> tuple[Sequence[datetime], Sequence[SkippedSlots]]:
    """Return the slots that get a run, and those that get none because runs would overlap."""
    if concurrency == "allow" or not due:
        return due, ()
    if concurrency == "replace":
        return due[-1:], [SkippedSlots(slot, f"overlap: replaced by the slot {due[-1].isoformat()}") for slot in due[:-1]]
    if unfinished:
        return (), [SkippedSlots(slot, f"overlap: run {unfinished[0].run_id} had not ended") for slot in due]
    return due[:1], [SkippedSlots(slot, f"overlap: the run of {due[0].isoformat()} had not ended") for slot in due[1:]]


def _restart(context: Context, task: TaskRow, now: datetime) -> None:
    """Queue the next run of a continuous task; or if it is in `crash_loop` and its run is stable by now, move it to `started`."""
    store = context.store
    check_again_at = now + backoff.STABLE_AFTER if task.status is TaskStatus.CRASH_LOOP else None
    with store.transaction() as transaction:
        if not store.tasks.advance(transaction, task, check_again_at):
            return
        unfinished = store.runs.unfinished_of_task(transaction, task.task_id)
        if not unfinished:
            store.runs.insert(transaction, str(uuid.uuid4()), task.task_id, context.host_id, now)
        elif task.status is TaskStatus.CRASH_LOOP and _is_stable(unfinished[0], now):
            store.tasks.set_next(transaction, task.task_id, None)
            store.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now, "its run has lasted for a minute")


def _is_stable(run: RunRow, now: datetime) -> bool:
    return run.status is RunStatus.RUNNING and run.claimed_at is not None and now - run.claimed_at >= backoff.STABLE_AFTER
