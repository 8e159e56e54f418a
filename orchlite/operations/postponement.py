"""Runs that could not be started because this machine lacked something for a moment: descriptors, memory, processes, or disk space.

Such a run goes back into the queue, and this host tries it again after a delay that doubles from 1 s up to 30 s: until its slot's starting
deadline, or for ten minutes. Other hosts may start it at once.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from datetime import timedelta

from orchlite.core.errors import IllegalMove
from orchlite.core.files import remove_tree
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import TaskKind
from orchlite.core.system_errors import is_shortage
from orchlite.operations.context import Assignment, Context
from orchlite.store.database import Transaction

_log = logging.getLogger(__name__)


def try_postpone(context: Context, assignment: Assignment, error: Exception) -> bool:
    """Put a claimed run back into the queue if a resource was lacking and its program was not started. Return whether it was put back.

    Packaging has no program of its own, and may be repeated whatever it has done. Blocks until that is committed. On False the caller
    records the failure.
    """
    run = assignment.run
    folder = context.folder.run(run.run_id)
    if context.controlled_clock is not None or not is_shortage(error) or os.path.lexists(folder.cancel) or os.path.lexists(folder.started):
        return False
    delay_seconds = context.postponed.postpone(run.run_id, _left_seconds(context, run, assignment.task))
    if delay_seconds is None:
        return False
    reason = f"it could not be started for the moment: {error} The next attempt follows in {delay_seconds:g} s."
    now = context.clock.now()

    def requeue(transaction: Transaction) -> None:
        if assignment.task.kind is TaskKind.PACKAGING:
            orchestration_id = assignment.orchestration.orchestration_id
            context.store.requeue_packaging(transaction, run.run_id, orchestration_id, now, reason, attempt=run.attempt)
        else:
            context.store.runs.requeue(transaction, run.run_id, now, reason, attempt=run.attempt)

    with suppress(IllegalMove):  # another host has adopted it
        context.commit_eventually(requeue, run.run_id)
    remove_tree(folder.attempt(run.attempt).path)  # what a full disk has left of it
    _log.warning("run %s: %s", run.run_id, reason)
    return True


def _left_seconds(context: Context, run: RunRow, task: TaskRow) -> float | None:
    """Return the time until the run's starting deadline; None if it has none."""
    deadline_seconds = None if task.schedule is None else task.schedule.starting_deadline_seconds
    if run.slot_at is None or deadline_seconds is None:
        return None
    return (run.slot_at + timedelta(seconds=deadline_seconds) - context.clock.now()).total_seconds()
