"""What there is to say about a task's schedule: when it is due, in words and as times, and what is worth knowing about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.errors import BadSchedule
from orchlite.core.records import SchedulePolicy

if TYPE_CHECKING:
    from orchlite.client.task import Task
    from orchlite.schedules.schedule import Schedule


class ScheduleFacts(NamedTuple):
    """The schedule of a task."""

    expression: str
    timezone: str
    words: str
    """When it is due, in words, without the zone."""
    due: Sequence[datetime]
    """The next slots: aware, UTC; none while the task starts no runs."""
    warnings: Sequence[str]


def schedule_facts(task: Task, count: int) -> ScheduleFacts | None:
    """Return the facts, with up to `count` next slots; None if the task has no schedule, or one that cannot be kept: that is its reason."""
    from orchlite.schedules.words import in_words

    if (schedule := _schedule_of(task)) is None:
        return None
    first = task.next_run_at()
    due = [] if first is None else [first, *islice(schedule.slots_after(first), count - 1)]
    return ScheduleFacts(schedule.expression, schedule.timezone, in_words(schedule.expression), due, schedule.warnings)


def schedule_words(policy: SchedulePolicy) -> str:
    """Return when a schedule is due in words, and its zone; its expression, if that cannot be kept."""
    from orchlite.schedules.words import in_words

    try:
        words = in_words(policy.expression)
    except BadSchedule:
        words = policy.expression
    return f"{words}, {policy.timezone}"


def schedule_warnings(task: Task) -> list[str]:
    """Return what is worth knowing about the task's schedule; nothing if it has none, or one that cannot be kept."""
    schedule = _schedule_of(task)
    return [] if schedule is None else list(schedule.warnings)


def _schedule_of(task: Task) -> Schedule | None:
    from orchlite.schedules.schedule import parse_stored

    if (expression := task.schedule()) is None:
        return None
    try:
        return parse_stored(expression, task.timezone() or "UTC")
    except BadSchedule:
        return None
