"""What is done about tasks that are due: their runs are queued and the tasks moved on, in one transaction.

Any number of hosts may do this at once. Whoever moves a task on from the time that it was due at has dealt with it; for the others
nothing is left. A slot has one run for ever: the store holds that.
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

_AT_ONCE = 500
_LOOKED_AT = 100
"""So many slots that were dealt with are passed over in one go, when the clock was set back."""
_REPLACED = "the next run of its task took its place"
_log = logging.getLogger(__name__)


class Due(NamedTuple):
    """A task that is due, and what is to be done about it."""

    task: TaskRow
    decision: Decision
    run_id: str
    """Of its run, where it has one: made beforehand, too."""

    @property
    def is_simple(self) -> bool:
        """One run, nothing skipped, no look at other runs: what can be done for many tasks with the same few statements."""
        return self.decision.skipped == () and len(self.decision.runs) == 1 and _policy(self.task).concurrency == "allow"


class Batch(NamedTuple):
    """What is due at one time, decided beforehand, so that nothing is left to be thought about when the time has come."""

    at: datetime
    scheduled: tuple[Due, ...] = ()
    continuous: tuple[TaskRow, ...] = ()
    is_full: bool = False
    """Whether there may be more."""

    def is_fresh(self, now: datetime) -> bool:
        """Whether these decisions still hold a little later than they were made for."""
        return now - self.at < timedelta(seconds=1) and all(due.decision.next_at > now for due in self.scheduled)


class _Changed(Exception):
    """Another host has dealt with some of the tasks."""


def prepare(context: Context, now: datetime) -> Batch:
    """Decide about the tasks that are, or will be, due at this time: about the first few hundred. What cannot be decided is stopped."""
    tasks = context.store.tasks.due(now, _AT_ONCE)
    scheduled = (_decided(context, task, now) for task in tasks if task.kind is TaskKind.SCHEDULED)
    continuous = tuple(task for task in tasks if task.kind is TaskKind.CONTINUOUS)
    return Batch(now, tuple(filter(None, scheduled)), continuous, is_full=len(tasks) == _AT_ONCE)


def dispatch(context: Context, batch: Batch, now: datetime) -> None:
    """Queue the batch's runs, durably, and tell whoever is to be told."""
    if not batch.is_fresh(now):
        batch = prepare(context, now)
    try:
        replaced = _dispatch(context, batch.scheduled, now)
    except _Changed:
        replaced = [run for due in batch.scheduled for run in _dispatch(context, [due], now)]
    for task in batch.continuous:
        _start_again(context, task, now)
    for task, run in replaced:
        kill.signal_owners(context, task, [run.run_id], _REPLACED)
    context.changes.announce()


def follow_clock_back(context: Context, now: datetime) -> None:
    """The clock may have been set back: then what was to happen in a second would happen in an hour, or when a wrong time comes true."""
    with context.store.transaction() as transaction:
        if context.store.tasks.shorten_pauses(transaction, now + backoff.MAX_BACKOFF):
            _log.info("the clock was set back; continuous tasks start again by it")
    for task in context.store.tasks.ahead(now):
        with suppress(BadSchedule):  # whoever finds it due stops it
            if (next_at := _first_free(context.store, task, now)) < (task.next_at or now):
                _log.info("the clock was set back; task %s is due at %s by it", task.task_id, next_at)
                with context.store.transaction() as transaction:
                    context.store.tasks.bring_forward(transaction, task, next_at)


def _first_free(store: Store, task: TaskRow, now: datetime) -> datetime:
    """The first slot to come that the task has not dealt with. Its rows say so, and where they may have been pruned, none is."""
    after = max(now, task.pruned_until or now)
    # Bounded: what is taken beyond that is found out when it is due.
    taken = store.runs.slots_since(task.task_id, after, task.next_at or now, _LOOKED_AT)
    return misfires.first_free(_schedule(_policy(task)), after, set(taken))


def _decided(context: Context, task: TaskRow, now: datetime) -> Due | None:
    try:
        policy, first = _policy(task), task.next_at or now
        taken = context.store.runs.slots_since(task.task_id, first, now)
        return Due(task, misfires.decide(_schedule(policy), policy, first, now, set(taken)), str(uuid.uuid4()))
    except BadSchedule as error:
        _stop(context, task, str(error))
        return None


def _dispatch(context: Context, batch: Sequence[Due], now: datetime) -> list[tuple[TaskRow, RunRow]]:
    """Deal with all of them in one transaction. Answers the runs that are to end because others take their place.

    Raises:
        _Changed: somebody else was quicker with some of several; nothing was done.
    """
    simple = [due for due in batch if due.is_simple]
    replaced: list[tuple[TaskRow, RunRow]] = []
    if not batch:
        return replaced
    with context.store.transaction(urgent=True) as transaction:
        if simple and not context.store.tasks.advance_all(transaction, [(due.task, due.decision.next_at) for due in simple]):
            if len(batch) > 1:
                raise _Changed
            return []
        begun = [(due.run_id, due.task.task_id, due.decision.runs[0]) for due in simple]
        context.store.runs.insert_slots(transaction, begun, context.host_id, now)
        for due in batch:
            if not due.is_simple:
                replaced += [(due.task, run) for run in _dispatch_one(context, transaction, due, now)]
    return replaced


def _dispatch_one(context: Context, transaction: Transaction, due: Due, now: datetime) -> list[RunRow]:
    """Deal with a task that has slots to skip, or whose runs must not overlap. Answers the runs that are to end for a new one."""
    store, task, decision = context.store, due.task, due.decision
    if not store.tasks.advance(transaction, task, decision.next_at, task.skipped_in_row):
        return []
    unfinished = store.runs.unfinished_of_task(transaction, task.task_id)
    runs, overlaps = _without_overlap(_policy(task).concurrency, decision.runs, unfinished)
    replaced = unfinished if runs and _policy(task).concurrency == "replace" else []
    for run in replaced:
        kill.request_kill(context, transaction, task, [run], _REPLACED)
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
    """Which of the slots may have their run, and which have none because runs would overlap."""
    if concurrency == "allow" or not due:
        return due, ()
    if concurrency == "replace":
        return due[-1:], [SkippedSlots(slot, f"overlap: replaced by the slot {due[-1].isoformat()}") for slot in due[:-1]]
    if unfinished:
        return (), [SkippedSlots(slot, f"overlap: run {unfinished[0].run_id} had not ended") for slot in due]
    return due[:1], [SkippedSlots(slot, f"overlap: the run of {due[0].isoformat()} had not ended") for slot in due[1:]]


def skip_until(store: Store, transaction: Transaction, task: TaskRow, now: datetime, why: str) -> None:
    """Skip every slot of the task that it has not dealt with, up to now.

    Raises:
        BadSchedule: its schedule cannot be kept.
    """
    known, first = _schedule(_policy(task)), task.next_at
    if first is not None and first <= now:
        decision = misfires.skip_all(known, first, now, why, set(store.runs.slots_since(task.task_id, first, now)))
        _skip(store, transaction, task, decision.skipped, now)
        store.tasks.set_next(transaction, task.task_id, decision.next_at)
    elif first is not None:  # the clock may have been set back meanwhile
        store.tasks.set_next(transaction, task.task_id, min(first, _first_free(store, task, now)))


def _skip(store: Store, transaction: Transaction, task: TaskRow, skipped: Iterable[SkippedSlots], now: datetime) -> None:
    """Leave a row for each of these, up to so many in a row; the last of them stands for all that follow."""
    in_row = task.skipped_in_row
    for one in skipped:
        if in_row < misfires.MAX_SKIPPED_ROWS:
            store.runs.insert_skipped(transaction, task.task_id, one, now)
            in_row += 1
        else:
            store.runs.add_to_newest_skipped(transaction, task.task_id, one, now)
    if in_row != task.skipped_in_row:
        store.tasks.set_skipped_in_row(transaction, task.task_id, in_row)


def _start_again(context: Context, task: TaskRow, now: datetime) -> None:
    """Queue the next run of a continuous task; or, where it is seen running well again, take the warning off."""
    store = context.store
    look_again_at = now + backoff.STABLE_AFTER if task.status is TaskStatus.CRASH_LOOP else None
    with store.transaction() as transaction:
        if not store.tasks.advance(transaction, task, look_again_at):
            return
        unfinished = store.runs.unfinished_of_task(transaction, task.task_id)
        if not unfinished:
            store.runs.insert(transaction, str(uuid.uuid4()), task.task_id, context.host_id, now)
        elif task.status is TaskStatus.CRASH_LOOP and _is_steady(unfinished[0], now):
            store.tasks.set_next(transaction, task.task_id, None)
            store.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now, "it has been running for a minute")


def _is_steady(run: RunRow, now: datetime) -> bool:
    return run.status is RunStatus.RUNNING and run.claimed_at is not None and now - run.claimed_at >= backoff.STABLE_AFTER


def _stop(context: Context, task: TaskRow, reason: str) -> None:
    """A task whose schedule cannot be understood any more must not keep the others."""
    _log.warning("task %s is stopped: %s", task.task_id, reason)
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
    from orchlite.schedules.schedule import parse  # at the first need: most stores have no schedules

    return parse(policy.expression, policy.timezone)
