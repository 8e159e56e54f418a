"""Computes when a scheduled task is due next, outside of dispatching, and confines the errors that concern one task only."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from orchlite.core.errors import BadSchedule, Closed, DeviceFailed
from orchlite.core.records import SchedulePolicy, SkippedSlots, TaskRow
from orchlite.core.status import TaskStatus
from orchlite.operations.context import Context
from orchlite.schedules import backoff, misfires
from orchlite.store.database import Transaction
from orchlite.store.store import Store

if TYPE_CHECKING:
    from orchlite.schedules.schedule import Schedule

COMMON_ERRORS = (DeviceFailed, Closed, MemoryError)
"""Errors that concern every task: the store or the machine is in trouble."""

_STARTS_RUNS = (TaskStatus.PENDING, TaskStatus.STARTED, TaskStatus.CRASH_LOOP)
_MICROSECOND = timedelta(microseconds=1)
_GIVEN_BACK = "the clock that skipped it was ahead, and was set back"
_log = logging.getLogger(__name__)


@contextmanager
def task_errors(task: TaskRow) -> Iterator[None]:
    """Raise whatever goes wrong with this task alone as `BadSchedule`, so that callers can confine it; see `COMMON_ERRORS`."""
    try:
        yield
    except (BadSchedule, *COMMON_ERRORS):
        raise
    except Exception as error:
        raise BadSchedule(
            f"The schedule of task {task.task_id} cannot be kept: {type(error).__name__}: {error!s:.200}.", field="expression"
        ) from error


def policy_of(task: TaskRow) -> SchedulePolicy:
    """Return the policy of a scheduled task.

    Raises:
        BadSchedule: its row has none that can be read.
    """
    if task.schedule is None:
        raise BadSchedule(f"Task {task.task_id} has no schedule that can be read.", field="expression")
    return task.schedule


def schedule_of(policy: SchedulePolicy) -> Schedule:
    """Return the schedule of a stored policy.

    Raises:
        BadSchedule: it is unusable on this machine.
    """
    return _schedule(policy.expression, policy.timezone)


@lru_cache(maxsize=4096)  # so that each warning is logged once
def _schedule(expression: str, timezone: str) -> Schedule:
    from orchlite.schedules.schedule import parse_stored  # imported when needed: most stores have no schedules

    schedule = parse_stored(expression, timezone)
    if schedule.is_ambiguous:
        _log.warning("a task has the schedule %r. %s", expression, " ".join(schedule.warnings))
    return schedule


def next_run_of(task: TaskRow, *, is_running: bool) -> datetime | None:
    """Return when the next run of a task is due; None if none is. `is_running`: whether it has an unfinished run."""
    if task.status is TaskStatus.CRASH_LOOP and is_running:
        return None  # the row has the time of the next check
    return task.next_at if task.status in _STARTS_RUNS else None


def follow_clock_back(context: Context, now: datetime) -> None:
    """After the clock was set back to `now`, bring due times forward that would come only when the old time is reached again.

    Slots later than `now` that were skipped become due again: the clock that skipped them was wrong. Those that had a run do not.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes; calling again completes it.
    """
    with context.store.transaction() as transaction:
        if context.store.tasks.shorten_backoffs(transaction, now + backoff.MAX_BACKOFF):
            _log.info("the clock was set back; continuous tasks start again accordingly")
        context.store.tries.bring_forward(transaction, now)
    for task in context.store.tasks.ahead_of_clock(now):
        # If its schedule is unusable, it becomes `schedule_error` when it is due.
        with suppress(BadSchedule), task_errors(task), context.store.transaction() as transaction:
            if (next_at := _first_free(context.store, transaction, task, now)) < (task.next_at or now):
                _log.info("the clock was set back; task %s is now due at %s", task.task_id, next_at)
                context.store.tasks.bring_forward(transaction, task, next_at)


def follow_zone_data(context: Context, now: datetime) -> None:
    """Compute again when tasks are due: the data of their zones may have changed since the last host was started.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes; calling again completes it.
    """
    for task in context.store.tasks.scheduled():
        since = task.schedule_since or task.created_at
        if task.schedule is not None and task.schedule.timezone != "UTC" and task.next_at is not None and since <= now:
            with suppress(BadSchedule), task_errors(task):
                _follow_zone_data(context, task, task.next_at, now)


def _follow_zone_data(context: Context, task: TaskRow, next_at: datetime, now: datetime) -> None:
    store, schedule = context.store, schedule_of(policy_of(task))
    # Slots from `next_at` on were not dealt with, or under a clock that was ahead.
    newest = store.runs.newest_slot(task.task_id, min(now, next_at - _MICROSECOND))
    pruned = task.pruned_until if task.pruned_until and task.pruned_until < next_at else None
    dealt_with = max(filter(None, (task.schedule_since or task.created_at, newest, pruned)))
    if (found := free_from(store, task, schedule, schedule.next_after(dealt_with))) != next_at:
        _log.info("the data of time zone %s has changed; task %s is now due at %s", schedule.timezone, task.task_id, found)
        with store.transaction() as transaction:
            store.tasks.advance(transaction, task, found, task.skipped_in_row)


def free_from(store: Store, task: TaskRow, schedule: Schedule, slot: datetime) -> datetime:
    """Return `slot`, or the first one after it, without a row: if the clock was set back, slots to come may have had their runs."""
    while store.runs.has_slot(task.task_id, slot):
        slot = schedule.next_after(slot)
    return slot


def _first_free(store: Store, transaction: Transaction, task: TaskRow, now: datetime) -> datetime:
    """Return the task's first slot after `now` that had no run; give back those that were skipped.

    Slots whose rows may have been pruned count as dispatched.
    """
    schedule = schedule_of(policy_of(task))
    _give_back(store, transaction, task, schedule, now)
    return free_from(store, task, schedule, schedule.next_after(max(now, task.pruned_until or now)))


def _give_back(store: Store, transaction: Transaction, task: TaskRow, schedule: Schedule, now: datetime) -> None:
    """Remove the rows of skipped slots later than `now`; a row that also stands for earlier slots is cut down to these."""
    rows = store.runs.skipped_after(transaction, task.task_id, now)
    for row in rows:
        assert row.slot_at is not None
        others = len(store.runs.slots_since(task.task_id, now + _MICROSECOND, row.slot_at)) - 1
        kept = row.slots - max(1, schedule.count_between(now, row.slot_at) - others)
        newest = _newest_without_row(store, task, schedule, now) if kept > 0 else None
        store.runs.give_back(transaction, row, None if newest is None else SkippedSlots(newest, row.reason or "", kept), now, _GIVEN_BACK)
    if rows:
        store.tasks.set_skipped_in_row(transaction, task.task_id, 0)


def _newest_without_row(store: Store, task: TaskRow, schedule: Schedule, now: datetime) -> datetime | None:
    newest = schedule.newest_slots(min(task.created_at, now), now, misfires.MAX_SKIPPED_ROWS)
    return next((slot for slot in reversed(newest) if not store.runs.has_slot(task.task_id, slot)), None)


def skip_until(store: Store, transaction: Transaction, task: TaskRow, now: datetime, reason: str) -> None:
    """Skip every slot of the task up to `now` that was not dispatched, and set when the task is due next.

    Raises:
        BadSchedule: the task's schedule is unusable on this machine.
    """
    with task_errors(task):
        schedule, first = schedule_of(policy_of(task)), task.next_at
        if first is not None and first <= now:
            decision = misfires.skip_all(schedule, first, now, reason, set(store.runs.slots_since(task.task_id, first, now)))
            skip(store, transaction, task, decision.skipped, now)
            store.tasks.set_next(transaction, task.task_id, free_from(store, task, schedule, decision.next_at))
        elif first is not None:  # the clock may have been set back meanwhile
            store.tasks.set_next(transaction, task.task_id, min(first, _first_free(store, transaction, task, now)))


def skip(store: Store, transaction: Transaction, task: TaskRow, skipped: Iterable[SkippedSlots], now: datetime) -> None:
    """Insert a row for each, up to 1000 in a row; further ones are added to the newest row."""
    in_row = task.skipped_in_row
    for slots in skipped:
        if in_row < misfires.MAX_SKIPPED_ROWS:
            store.runs.insert_skipped(transaction, task.task_id, slots, now)
            in_row += 1
        else:
            store.runs.add_to_newest_skipped(transaction, task.task_id, slots, now)
    if in_row != task.skipped_in_row:
        store.tasks.set_skipped_in_row(transaction, task.task_id, in_row)
