"""What the end of a run means for its task: a kill or a pause is complete, or a continuous task is to start again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from orchlite.core.records import RunResult, TaskRow
from orchlite.core.status import FAILED, RunStatus, TaskKind, TaskStatus
from orchlite.schedules import backoff
from orchlite.store.database import Transaction
from orchlite.store.store import Store


class Ending(NamedTuple):
    """A run that has ended."""

    run_id: str
    task_id: str
    result: RunResult
    attempt: int | None = None
    """The one that ran, where that is known."""
    host_id: str | None = None
    """Who is to tell of it, where it is a bad one; None where nobody is."""


def record_end(store: Store, transaction: Transaction, ending: Ending, now: datetime) -> None:
    """Record the end of a run, and what follows from it.

    Raises:
        IllegalMove: it has ended already, or the end is not one of a run in its state.
    """
    store.runs.end(transaction, ending.run_id, ending.result, ending.attempt)
    if ending.host_id is not None and ending.result.status in FAILED:
        store.runs.promise_notification(transaction, ending.run_id, ending.host_id)
    advance_task(store, transaction, ending.task_id, now)


def advance_task(store: Store, transaction: Transaction, task_id: str, now: datetime) -> None:
    """Where none of the task's runs is left, take the step that waited for that."""
    task = store.tasks.seen(transaction, task_id)
    if task is None or not _waits_for_ends(task) or store.runs.unfinished_of_task(transaction, task_id):
        return
    if task.status is TaskStatus.PENDING_KILL:
        store.tasks.move(transaction, task_id, TaskStatus.KILLED, now)
    elif task.status is TaskStatus.PENDING_PAUSE:
        store.tasks.move(transaction, task_id, TaskStatus.PAUSED, now)
    else:
        _start_again(store, transaction, task, now)


def _waits_for_ends(task: TaskRow) -> bool:
    if task.status in (TaskStatus.PENDING_KILL, TaskStatus.PENDING_PAUSE):
        return True
    return task.kind is TaskKind.CONTINUOUS and task.status in (TaskStatus.STARTED, TaskStatus.CRASH_LOOP)


def _start_again(store: Store, transaction: Transaction, task: TaskRow, now: datetime) -> None:
    newest = store.runs.newest_of_task(transaction, task.task_id, backoff.RUNS_CONSIDERED)
    if task.status is TaskStatus.STARTED and backoff.is_crash_loop(newest, now):
        reason = "its newest five runs have failed within ten minutes"
        store.tasks.move(transaction, task.task_id, TaskStatus.CRASH_LOOP, now, reason)
    elif task.status is TaskStatus.CRASH_LOOP and (newest[0].status is RunStatus.SUCCESS or backoff.was_stable(newest[0])):
        store.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now)
    store.tasks.set_next(transaction, task.task_id, now + timedelta(seconds=backoff.backoff_seconds(newest)))
