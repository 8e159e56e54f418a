"""Dispatches due tasks: queues their runs and sets when they are due next, in one transaction.

Any number of hosts may dispatch at once. A task is advanced only from the time at which it was due, so that one host dispatches it and the
others find nothing to do. The store's unique index on slots keeps a slot from having two runs.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.errors import BadSchedule, IllegalMove
from orchlite.core.records import RunRow, SchedulePolicy, SkippedSlots, TaskRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.operations import kill
from orchlite.operations.context import Context
from orchlite.schedules import backoff, misfires
from orchlite.schedules.misfires import Decision
from orchlite.store.database import Transaction
from orchlite.store.store import Store

if TYPE_CHECKING:
    from orchlite.schedules.schedule import Schedule

_BATCH_SIZE = 500
_TAKEN_SLOTS_READ = 100
"""Upper bound on the slots read when the clock was set back."""
_REPLACED = "the next run of its task has replaced it"
_log = logging.getLogger(__name__)


class Due(NamedTuple):
    """A scheduled task that is due, and the decision about its slots."""

    task: TaskRow
    decision: Decision
    run_id: str
    """The id of its run, if it gets exactly one: made in advance, too."""

    @property
    def is_simple(self) -> bool:
        """Whether it has one run, skips nothing, and ignores other runs: such tasks share a few statements."""
        return self.decision.skipped == () and len(self.decision.runs) == 1 and _policy(self.task).concurrency == "allow"


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
    """Decide about up to 500 tasks that are, or will be, due at `now`. Those whose schedule is unusable become `schedule_error`.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be read or written.
    """
    tasks = context.store.tasks.due(now, _BATCH_SIZE)
    scheduled = (_decide(context, task, now) for task in tasks if task.kind is TaskKind.SCHEDULED)
    continuous = tuple(task for task in tasks if task.kind is TaskKind.CONTINUOUS)
    return Batch(now, tuple(filter(None, scheduled)), continuous, is_full=len(tasks) == _BATCH_SIZE)


def dispatch(context: Context, batch: Batch, now: datetime) -> None:
    """Queue the batch's runs, durably, and signal the runs that they replace. If the batch is not current, prepare it again first.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes; what was not dispatched stays due.
    """
    if not batch.is_current(now):
        batch = prepare(context, now)
    try:
        replaced = _dispatch(context, batch.scheduled, now)
    except _Overtaken:
        replaced = [run for due in batch.scheduled for run in _dispatch(context, [due], now)]
    for task in batch.continuous:
        _restart(context, task, now)
    for task, run in replaced:
        kill.signal_owners(context, task, [run.run_id], _REPLACED)
    context.changes.announce()


def follow_clock_back(context: Context, now: datetime) -> None:
    """Bring due times forward after the clock was set back to `now`; otherwise they would come only when the old time is reached again.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes; calling again completes it.
    """
    with context.store.transaction() as transaction:
        if context.store.tasks.shorten_backoffs(transaction, now + backoff.MAX_BACKOFF):
            _log.info("the clock was set back; continuous tasks start again accordingly")
    for task in context.store.tasks.ahead_of_clock(now):
        with suppress(BadSchedule):  # it becomes `schedule_error` when it is due
            if (next_at := _first_free(context.store, task, now)) < (task.next_at or now):
                _log.info("the clock was set back; task %s is now due at %s", task.task_id, next_at)
                with context.store.transaction() as transaction:
                    context.store.tasks.bring_forward(transaction, task, next_at)


def _first_free(store: Store, task: TaskRow, now: datetime) -> datetime:
    """Return the task's first slot after `now` that was not dispatched. Slots whose rows may have been pruned count as dispatched."""
    after = max(now, task.pruned_until or now)
    # Slots beyond the limit are recognised as taken when they are due.
    taken = store.runs.slots_since(task.task_id, after, task.next_at or now, _TAKEN_SLOTS_READ)
    return misfires.first_free(_schedule(_policy(task)), after, set(taken))


def _decide(context: Context, task: TaskRow, now: datetime) -> Due | None:
    try:
        policy, first = _policy(task), task.next_at or now
        taken = context.store.runs.slots_since(task.task_id, first, now)
        return Due(task, misfires.decide(_schedule(policy), policy, first, now, set(taken)), str(uuid.uuid4()))
    except BadSchedule as error:
        _set_schedule_error(context, task, str(error))
        return None


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
    unfinished = store.runs.unfinished_of_task(transaction, task.task_id)
    runs, overlaps = _without_overlap(_policy(task).concurrency, decision.runs, unfinished)
    replaced = unfinished if runs and _policy(task).concurrency == "replace" else []
    kill.request_kills(context, transaction, task, replaced, _REPLACED)
    _skip(store, transaction, task, decision.skipped, now)
    if runs:
        store.runs.insert_slots(transaction, [(str(uuid.uuid4()), task.task_id, slot) for slot in runs], context.host_id, now)
        store.tasks.set_skipped_in_row(transaction, task.task_id, 0)
        task = task._replace(skipped_in_row=0)
    _skip(store, transaction, task, overlaps, now)
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


def skip_until(store: Store, transaction: Transaction, task: TaskRow, now: datetime, reason: str) -> None:
    """Skip every slot of the task up to `now` that was not dispatched, and set when the task is due next.

    Raises:
        BadSchedule: the task's schedule is unusable on this machine.
    """
    schedule, first = _schedule(_policy(task)), task.next_at
    if first is not None and first <= now:
        decision = misfires.skip_all(schedule, first, now, reason, set(store.runs.slots_since(task.task_id, first, now)))
        _skip(store, transaction, task, decision.skipped, now)
        store.tasks.set_next(transaction, task.task_id, decision.next_at)
    elif first is not None:  # the clock may have been set back meanwhile
        store.tasks.set_next(transaction, task.task_id, min(first, _first_free(store, task, now)))


def _skip(store: Store, transaction: Transaction, task: TaskRow, skipped: Iterable[SkippedSlots], now: datetime) -> None:
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


def _set_schedule_error(context: Context, task: TaskRow, reason: str) -> None:
    """Stop a task whose schedule is unusable, so that it does not block the others."""
    _log.warning("task %s has a schedule that cannot be kept: %s", task.task_id, reason)
    try:
        with context.store.transaction() as transaction:
            context.store.tasks.move(transaction, task.task_id, TaskStatus.SCHEDULE_ERROR, context.clock.now(), reason)
    except IllegalMove:
        pass  # it was killed or paused meanwhile


def _policy(task: TaskRow) -> SchedulePolicy:
    if task.schedule is None:
        raise BadSchedule(f"Task {task.task_id} has no schedule.", field="expression")
    return task.schedule


def _schedule(policy: SchedulePolicy) -> Schedule:
    from orchlite.schedules.schedule import parse  # imported when needed: most stores have no schedules

    return parse(policy.expression, policy.timezone)
