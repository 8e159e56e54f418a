"""Records how a run ended, and what follows for its task: a kill or a pause is complete, or a continuous task starts again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from orchlite.core.records import NotificationEvent, RunResult, RunRow, TaskRow
from orchlite.core.status import FAILED, RunStatus, TaskKind, TaskStatus
from orchlite.operations import retries
from orchlite.schedules import backoff
from orchlite.store.database import Transaction
from orchlite.store.store import Store


class Outcome(NamedTuple):
    """How a run ended."""

    run_id: str
    task_id: str
    result: RunResult
    attempt: int | None = None
    """The attempt that ran; None if that is not known."""
    host_id: str | None = None
    """The host that notifies of it; None notifies nobody."""
    host_commands: Collection[NotificationEvent] = ()
    """The events for which this host has a command, for tasks that have none."""
    metrics: Mapping[str, float] = MappingProxyType({})
    """What the run has left of these."""


class Recorded(NamedTuple):
    """What was recorded, once it is committed."""

    run: RunRow
    is_promised: bool
    """Whether a notification was promised, which the caller sends after the commit."""


def record_end(store: Store, transaction: Transaction, outcome: Outcome, now: datetime) -> Recorded:
    """Record the outcome of a run, queue its next try or promise its notification, and advance its task.

    Raises:
        IllegalMove: the run has ended already, or cannot end this way in its state.
    """
    run = store.runs.end(transaction, outcome.run_id, outcome.result, outcome.attempt)
    if outcome.metrics:
        store.run_metrics.insert(transaction, outcome.run_id, outcome.metrics)
    if outcome.result.packages_sha is not None:
        store.run_packages.set(transaction, outcome.run_id, outcome.result.packages_sha)
    is_promised = False
    is_tried_again = retries.try_again(store, transaction, outcome.run_id, outcome.result, now)
    if outcome.host_id is not None and not is_tried_again and (event := event_of(outcome.result.status)) is not None:
        has_default = event in outcome.host_commands
        is_promised = store.notifications.promise(transaction, outcome.run_id, event, outcome.host_id, has_default=has_default)
    advance_task(store, transaction, outcome.task_id, now)
    if outcome.result.status is RunStatus.TIMED_OUT and not is_tried_again:
        _time_out(store, transaction, outcome, now)
    return Recorded(run, is_promised)


def event_of(status: RunStatus) -> NotificationEvent | None:
    """Return what to notify of when a run has ended in this status; None if of nothing."""
    if status in FAILED:
        return "failure"
    return "success" if status is RunStatus.SUCCESS else None


def advance_task(store: Store, transaction: Transaction, task_id: str, now: datetime) -> None:
    """If the task has no unfinished run, complete its pending transition: killed, paused, or schedule the next start."""
    task = store.tasks.find(transaction, task_id)
    if task is None or not _has_pending_transition(task) or store.runs.unfinished_of_task(transaction, task_id):
        return
    if task.status is TaskStatus.PENDING_KILL:
        store.tasks.move(transaction, task_id, TaskStatus.KILLED, now)
    elif task.status is TaskStatus.PENDING_PAUSE:
        store.tasks.move(transaction, task_id, TaskStatus.PAUSED, now)
    else:
        _schedule_restart(store, transaction, task, now)


def _time_out(store: Store, transaction: Transaction, outcome: Outcome, now: datetime) -> None:
    """Make a one-shot task `timed_out`: the only outcome of a run that the platform shows in its task's status."""
    task = store.tasks.find(transaction, outcome.task_id)
    if task is not None and task.kind is TaskKind.ONCE and task.status is TaskStatus.STARTED:
        store.tasks.move(transaction, outcome.task_id, TaskStatus.TIMED_OUT, now, outcome.result.reason)


def _has_pending_transition(task: TaskRow) -> bool:
    if task.status in (TaskStatus.PENDING_KILL, TaskStatus.PENDING_PAUSE):
        return True
    return task.kind is TaskKind.CONTINUOUS and task.status in (TaskStatus.STARTED, TaskStatus.CRASH_LOOP)


def _schedule_restart(store: Store, transaction: Transaction, task: TaskRow, now: datetime) -> None:
    newest = store.runs.newest_of_task(transaction, task.task_id, backoff.RUNS_CONSIDERED)
    if task.status is TaskStatus.STARTED and backoff.is_crash_loop(newest, now):
        reason = "its five newest runs have failed within ten minutes"
        store.tasks.move(transaction, task.task_id, TaskStatus.CRASH_LOOP, now, reason)
    elif task.status is TaskStatus.CRASH_LOOP and (newest[0].status is RunStatus.SUCCESS or backoff.was_stable(newest[0])):
        store.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now)
    store.tasks.set_next(transaction, task.task_id, now + timedelta(seconds=backoff.backoff_seconds(newest)))
