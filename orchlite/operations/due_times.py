"""When a scheduled task is due next, if anything but a dispatch decides it; and which errors are those of one task alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from orchlite.core.errors import BadSchedule, Closed, DeviceFailed
from orchlite.core.records import SchedulePolicy, SkippedSlots, TaskRow
from orchlite.operations.context import Context
from orchlite.schedules import backoff, misfires
from orchlite.store.database import Transaction
from orchlite.store.store import Store

if TYPE_CHECKING:
    from orchlite.schedules.schedule import Schedule

COMMON_ERRORS = (DeviceFailed, Closed, MemoryError)
"""Errors that concern every task: the store or the machine is in trouble."""

_TAKEN_SLOTS_READ = 100
"""Upper bound on the slots read when the clock was set back."""
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


def follow_clock_back(context: Context, now: datetime) -> None:
    """Bring due times forward after the clock was set back to `now`; otherwise they would come only when the old time is reached again.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes; calling again completes it.
    """
    with context.store.transaction() as transaction:
        if context.store.tasks.shorten_backoffs(transaction, now + backoff.MAX_BACKOFF):
            _log.info("the clock was set back; continuous tasks start again accordingly")
    for task in context.store.tasks.ahead_of_clock(now):
        with suppress(BadSchedule), task_errors(task):  # it becomes `schedule_error` when it is due
            if (next_at := _first_free(context.store, task, now)) < (task.next_at or now):
                _log.info("the clock was set back; task %s is now due at %s", task.task_id, next_at)
                with context.store.transaction() as transaction:
                    context.store.tasks.bring_forward(transaction, task, next_at)


def _first_free(store: Store, task: TaskRow, now: datetime) -> datetime:
    """Return the task's first slot after `now` that was not dispatched. Slots whose rows may have been pruned count as dispatched."""
    after = max(now, task.pruned_until or now)
    # Slots beyond the limit are recognised as taken when they are due.
    taken = store.runs.slots_since(task.task_id, after, task.next_at or now, _TAKEN_SLOTS_READ)
    return misfires.first_free(schedule_of(policy_of(task)), after, set(taken))


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
            store.tasks.set_next(transaction, task.task_id, decision.next_at)
        elif first is not None:  # the clock may have been set back meanwhile
            store.tasks.set_next(transaction, task.task_id, min(first, _first_free(store, task, now)))


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
