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
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.recurrence import SchedulePolicy, Skipped
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.operations import kill as killing
from orchlite.operations.context import OpenStore
from orchlite.schedules import backoff as restarts
from orchlite.schedules import misfires as slots
from orchlite.schedules.misfires import Decision
from orchlite.store.database import Transaction
from orchlite.store.memory import Memory

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


def prepare(store: OpenStore, now: datetime) -> Batch:
    """Decide about the tasks that are, or will be, due at this time: about the first few hundred. What cannot be decided is stopped."""
    tasks = store.memory.tasks.due(now, _AT_ONCE)
    scheduled = (_decided(store, task, now) for task in tasks if task.kind is TaskKind.SCHEDULED)
    continuous = tuple(task for task in tasks if task.kind is TaskKind.CONTINUOUS)
    return Batch(now, tuple(filter(None, scheduled)), continuous, is_full=len(tasks) == _AT_ONCE)


def dispatch(store: OpenStore, batch: Batch, now: datetime) -> None:
    """Queue the batch's runs, durably, and tell whoever is to be told."""
    if not batch.is_fresh(now):
        batch = prepare(store, now)
    try:
        replaced = _dispatch(store, batch.scheduled, now)
    except _Changed:
        replaced = [run for due in batch.scheduled for run in _dispatch(store, [due], now)]
    for task in batch.continuous:
        _start_again(store, task, now)
    for task, run in replaced:
        killing.carry_out(store, task, [run.run_id], _REPLACED)
    store.changes.announce()


def follow_clock_back(store: OpenStore, now: datetime) -> None:
    """The clock may have been set back: then what was to happen in a second would happen in an hour, or when a wrong time comes true."""
    with store.memory.transaction() as transaction:
        if store.memory.tasks.shorten_pauses(transaction, now + restarts.LONGEST):
            _log.info("the clock was set back; continuous tasks start again by it")
    for task in store.memory.tasks.ahead(now):
        with suppress(BadSchedule):  # whoever finds it due stops it
            if (next_at := _first_free(store.memory, task, now)) < (task.next_at or now):
                _log.info("the clock was set back; task %s is due at %s by it", task.task_id, next_at)
                with store.memory.transaction() as transaction:
                    store.memory.tasks.bring_forward(transaction, task, next_at)


def _first_free(memory: Memory, task: TaskRow, now: datetime) -> datetime:
    """The first slot to come that the task has not dealt with. Its rows say so, and where they may have been pruned, none is."""
    after = max(now, task.pruned_until or now)
    # Bounded: what is taken beyond that is found out when it is due.
    taken = memory.runs.slots_since(task.task_id, after, task.next_at or now, _LOOKED_AT)
    return slots.first_free(_schedule(_policy(task)), after, set(taken))


def _decided(store: OpenStore, task: TaskRow, now: datetime) -> Due | None:
    try:
        policy, first = _policy(task), task.next_at or now
        taken = store.memory.runs.slots_since(task.task_id, first, now)
        return Due(task, slots.decide(_schedule(policy), policy, first, now, set(taken)), str(uuid.uuid4()))
    except BadSchedule as error:
        _stop(store, task, str(error))
        return None


def _dispatch(store: OpenStore, batch: Sequence[Due], now: datetime) -> list[tuple[TaskRow, RunRow]]:
    """Deal with all of them in one transaction. Answers the runs that are to end because others take their place.

    Raises:
        _Changed: somebody else was quicker with some of several; nothing was done.
    """
    simple = [due for due in batch if due.is_simple]
    replaced: list[tuple[TaskRow, RunRow]] = []
    if not batch:
        return replaced
    with store.memory.transaction(urgent=True) as transaction:
        if simple and not store.memory.tasks.advance_all(transaction, [(due.task, due.decision.next_at) for due in simple]):
            if len(batch) > 1:
                raise _Changed
            return []
        begun = [(due.run_id, due.task.task_id, due.decision.runs[0]) for due in simple]
        store.memory.runs.insert_slots(transaction, begun, store.host_id, now)
        for due in batch:
            if not due.is_simple:
                replaced += [(due.task, run) for run in _dispatch_one(store, transaction, due, now)]
    return replaced


def _dispatch_one(store: OpenStore, transaction: Transaction, due: Due, now: datetime) -> list[RunRow]:
    """Deal with a task that has slots to skip, or whose runs must not overlap. Answers the runs that are to end for a new one."""
    memory, task, decision = store.memory, due.task, due.decision
    if not memory.tasks.advance(transaction, task, decision.next_at, task.skipped_in_row):
        return []
    unfinished = memory.runs.unfinished_of_task(transaction, task.task_id)
    runs, overlaps = _without_overlap(_policy(task).concurrency, decision.runs, unfinished)
    replaced = unfinished if runs and _policy(task).concurrency == "replace" else []
    for run in replaced:
        killing.request(store, transaction, task, [run], _REPLACED)
    _skip(memory, transaction, task, decision.skipped, now)
    if runs:
        memory.runs.insert_slots(transaction, [(str(uuid.uuid4()), task.task_id, slot) for slot in runs], store.host_id, now)
        memory.tasks.set_skipped_in_row(transaction, task.task_id, 0)
        task = task._replace(skipped_in_row=0)
    _skip(memory, transaction, task, overlaps, now)
    return replaced


def _without_overlap(
    concurrency: str, due: Sequence[datetime], unfinished: Sequence[RunRow]
) -> tuple[Sequence[datetime], Sequence[Skipped]]:
    """Which of the slots may have their run, and which have none because runs would overlap."""
    if concurrency == "allow" or not due:
        return due, ()
    if concurrency == "replace":
        return due[-1:], [Skipped(slot, f"overlap: replaced by the slot {due[-1].isoformat()}") for slot in due[:-1]]
    if unfinished:
        return (), [Skipped(slot, f"overlap: run {unfinished[0].run_id} had not ended") for slot in due]
    return due[:1], [Skipped(slot, f"overlap: the run of {due[0].isoformat()} had not ended") for slot in due[1:]]


def skip_until(memory: Memory, transaction: Transaction, task: TaskRow, now: datetime, why: str) -> None:
    """Skip every slot of the task that it has not dealt with, up to now.

    Raises:
        BadSchedule: its schedule cannot be kept.
    """
    known, first = _schedule(_policy(task)), task.next_at
    if first is not None and first <= now:
        decision = slots.skip_all(known, first, now, why, set(memory.runs.slots_since(task.task_id, first, now)))
        _skip(memory, transaction, task, decision.skipped, now)
        memory.tasks.set_next(transaction, task.task_id, decision.next_at)
    elif first is not None:  # the clock may have been set back meanwhile
        memory.tasks.set_next(transaction, task.task_id, min(first, _first_free(memory, task, now)))


def _skip(memory: Memory, transaction: Transaction, task: TaskRow, skipped: Iterable[Skipped], now: datetime) -> None:
    """Leave a row for each of these, up to so many in a row; the last of them stands for all that follow."""
    in_row = task.skipped_in_row
    for one in skipped:
        if in_row < slots.ROWS_IN_ROW:
            memory.runs.insert_skipped(transaction, task.task_id, one, now)
            in_row += 1
        else:
            memory.runs.add_to_newest_skipped(transaction, task.task_id, one, now)
    if in_row != task.skipped_in_row:
        memory.tasks.set_skipped_in_row(transaction, task.task_id, in_row)


def _start_again(store: OpenStore, task: TaskRow, now: datetime) -> None:
    """Queue the next run of a continuous task; or, where it is seen running well again, take the warning off."""
    memory = store.memory
    look_again_at = now + restarts.STEADY if task.status is TaskStatus.CRASH_LOOP else None
    with memory.transaction() as transaction:
        if not memory.tasks.advance(transaction, task, look_again_at):
            return
        unfinished = memory.runs.unfinished_of_task(transaction, task.task_id)
        if not unfinished:
            memory.runs.insert(transaction, str(uuid.uuid4()), task.task_id, store.host_id, now)
        elif task.status is TaskStatus.CRASH_LOOP and _is_steady(unfinished[0], now):
            memory.tasks.set_next(transaction, task.task_id, None)
            memory.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now, "it has been running for a minute")


def _is_steady(run: RunRow, now: datetime) -> bool:
    return run.status is RunStatus.RUNNING and run.claimed_at is not None and now - run.claimed_at >= restarts.STEADY


def _stop(store: OpenStore, task: TaskRow, reason: str) -> None:
    """A task whose schedule cannot be understood any more must not keep the others."""
    _log.warning("task %s is stopped: %s", task.task_id, reason)
    try:
        with store.memory.transaction() as transaction:
            store.memory.tasks.move(transaction, task.task_id, TaskStatus.SCHEDULE_ERROR, store.clock.now(), reason)
    except IllegalMove:
        pass  # it was killed or paused meanwhile


def _policy(task: TaskRow) -> SchedulePolicy:
    if task.schedule is None:
        raise BadSchedule(f"Task {task.task_id} has no schedule.", field="expression")
    return task.schedule


def _schedule(policy: SchedulePolicy) -> Schedule:
    from orchlite.schedules.schedule import parse  # at the first need: most stores have no schedules

    return parse(policy.expression, policy.timezone)
