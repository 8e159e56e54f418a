"""Which buttons a task has: those whose action its kind and its status allow."""

from __future__ import annotations

from typing import NamedTuple

from orchlite.client.task import Task, shown_status
from orchlite.core.status import STARTS_NO_MORE, TaskKind, TaskStatus, targets_of


class PossibleActions(NamedTuple):
    """What can be done to a task now."""

    run: bool
    pause: bool
    resume: bool
    replace: bool
    kill: bool


def possible_actions(task: Task) -> PossibleActions:
    """Return what can be done to a task."""
    return actions_of(task.kind(), task.status(), is_done=shown_status(task) == "done")


def actions_of(kind: TaskKind, status: TaskStatus, *, is_done: bool) -> PossibleActions:
    """Return what can be done to a task of this kind and status. `is_done`: a one-shot task has ended."""
    recurs = kind in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS)
    is_live = recurs and status not in STARTS_NO_MORE
    return PossibleActions(
        run=is_live and kind is TaskKind.SCHEDULED,
        pause=recurs and TaskStatus.PENDING_PAUSE in targets_of(status),
        resume=recurs and status in (TaskStatus.PAUSED, TaskStatus.SCHEDULE_ERROR),
        replace=is_live,
        kill=is_live or (kind is TaskKind.ONCE and status not in STARTS_NO_MORE and not is_done),
    )
