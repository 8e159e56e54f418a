"""What the end of a run means for its task: a kill or a pause is complete, or a continuous task is to start again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from orchlite.core.records import RunResult, TaskRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.schedules import backoff as restarts
from orchlite.store.database import Transaction
from orchlite.store.memory import Memory

BAD_ENDS = frozenset({RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.UNKNOWN})
"""Those of which somebody is told, where the task says whom."""


class Ending(NamedTuple):
    """A run that has ended."""

    run_id: str
    task_id: str
    result: RunResult
    attempt: int | None = None
    """The one that ran, where that is known."""
    host_id: str | None = None
    """Who is to tell of it, where it is a bad one; None where nobody is."""


def end(memory: Memory, transaction: Transaction, ending: Ending, now: datetime) -> None:
    """Record the end of a run, and what follows from it.

    Raises:
        IllegalMove: it has ended already, or the end is not one of a run in its state.
    """
    memory.runs.end(transaction, ending.run_id, ending.result, ending.attempt)
    if ending.host_id is not None and ending.result.status in BAD_ENDS:
        memory.runs.promise_telling(transaction, ending.run_id, ending.host_id)
    settle(memory, transaction, ending.task_id, now)


def settle(memory: Memory, transaction: Transaction, task_id: str, now: datetime) -> None:
    """Where none of the task's runs is left, take the step that waited for that."""
    task = memory.tasks.seen(transaction, task_id)
    if task is None or not _waits_for_ends(task) or memory.runs.unfinished_of_task(transaction, task_id):
        return
    if task.status is TaskStatus.PENDING_KILL:
        memory.tasks.move(transaction, task_id, TaskStatus.KILLED, now)
    elif task.status is TaskStatus.PENDING_PAUSE:
        memory.tasks.move(transaction, task_id, TaskStatus.PAUSED, now)
    else:
        _start_again(memory, transaction, task, now)


def _waits_for_ends(task: TaskRow) -> bool:
    if task.status in (TaskStatus.PENDING_KILL, TaskStatus.PENDING_PAUSE):
        return True
    return task.kind is TaskKind.CONTINUOUS and task.status in (TaskStatus.STARTED, TaskStatus.CRASH_LOOP)


def _start_again(memory: Memory, transaction: Transaction, task: TaskRow, now: datetime) -> None:
    newest = memory.runs.newest_of_task(transaction, task.task_id, restarts.RUNS_LOOKED_AT)
    if task.status is TaskStatus.STARTED and restarts.is_crash_loop(newest, now):
        reason = "its newest five runs have failed within ten minutes"
        memory.tasks.move(transaction, task.task_id, TaskStatus.CRASH_LOOP, now, reason)
    elif task.status is TaskStatus.CRASH_LOOP and (newest[0].status is RunStatus.SUCCESS or restarts.was_steady(newest[0])):
        memory.tasks.move(transaction, task.task_id, TaskStatus.STARTED, now)
    memory.tasks.set_next(transaction, task.task_id, now + timedelta(seconds=restarts.pause_seconds(newest)))
