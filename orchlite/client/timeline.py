"""What the tasks of a store have done and will do in a span of time around now: for the page, task by task and all together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.errors import BadSchedule
from orchlite.core.records import RunRow, RunSum, ScheduledTasks, TaskRow
from orchlite.core.status import TaskStatus
from orchlite.engine.engine import Engine
from orchlite.operations.due_times import schedule_of
from orchlite.schedules.misfires import MISFIRE_GRACE
from orchlite.store.tasks import to_policy

if TYPE_CHECKING:
    from orchlite.schedules.schedule import Schedule

_OTHERS = 1000
"""Upper bound on tasks that are listed although no slot of theirs is in the span."""
_MOST = 400
"""If the tasks of a page have more runs than this, those of a task that has many are summed up; and so with slots to come."""
_FEW = 8
"""A task's runs, and its slots, are shown one by one in any case if they are not more than this."""
_SLOTS = 48
"""Upper bound on the slots of a task that are shown one by one."""
_MAY_BE_DUE = (TaskStatus.STARTED, TaskStatus.CRASH_LOOP)
_MICROSECOND = timedelta(microseconds=1)


class Span(NamedTuple):
    """A span of time, in equal steps."""

    since: datetime
    until: datetime
    step: timedelta

    @property
    def steps(self) -> int:
        """Return how many steps it has."""
        return (self.until - self.since) // self.step


class Lane(NamedTuple):
    """What one task has done and will do."""

    task: TaskRow
    title: str
    """Its name, else that of its orchestration, else its id."""
    runs: Sequence[RunRow]
    """One by one, skipped slots included; empty if they are summed up."""
    sums: Sequence[RunSum]
    due: Sequence[datetime]
    """The slots after now, one by one; empty if there are too many."""
    due_count: int
    """How many slots there are after now."""
    overdue_at: datetime | None
    """A slot that passed more than a minute ago without a run."""


class Step(NamedTuple):
    """One step of a span, over all tasks."""

    at: datetime
    due: int
    """How many slots are in it, by the schedules as they are."""
    failed: int
    late: int


class Timeline(NamedTuple):
    """A page of tasks in a span of time."""

    span: Span
    lanes: Sequence[Lane]
    tasks: int
    """How many tasks there are on all pages."""
    steps: Sequence[Step]


def timeline(engine: Engine, workspace_id: int | None, span: Span, offset: int, limit: int) -> Timeline:
    """Return what is in a span of time: of every task for the sums, of `limit` tasks from `offset` on in lanes.

    First those that are at work, then those that are due, soonest first, then those whose status has changed in the span.
    """
    now, activity = engine.context.clock.now(), engine.store.activity
    groups = [(one, slots_by_step(one.schedule, span)) for one in activity.schedules(workspace_id, span.since)]
    task_ids = dict.fromkeys(
        [
            *activity.unfinished_tasks(workspace_id, _OTHERS),
            *activity.scheduled_tasks(workspace_id, [one.schedule for one, slots in groups if any(slots)]),
            *activity.changed_tasks(workspace_id, span.since, _OTHERS),
        ]
    )
    shown = engine.store.tasks.of_ids(list(task_ids)[offset : offset + limit])
    return Timeline(span, _lanes(engine, shown, span, now), len(task_ids), _steps(engine, groups, span, now))


@lru_cache(maxsize=4096)
def slots_by_step(schedule: str, span: Span) -> Sequence[int]:
    """Return how many slots of a stored schedule are in each step of a span; none of one that cannot be kept."""
    if (policy := to_policy(schedule)) is not None:
        with suppress(BadSchedule):
            return _counts(schedule_of(policy), span)
    return [0] * span.steps


def _counts(schedule: Schedule, span: Span) -> Sequence[int]:
    counts, last = [0] * span.steps, span.until - _MICROSECOND
    if schedule.count_between(span.since - _MICROSECOND, last) <= _MOST:
        for slot in takewhile(lambda at: at <= last, schedule.slots_after(span.since - _MICROSECOND)):
            counts[(slot - span.since) // span.step] += 1
        return counts
    begins = [span.since + place * span.step - _MICROSECOND for place in range(span.steps)]
    return [schedule.count_between(at, at + span.step) for at in begins]


def _steps(engine: Engine, groups: Iterable[tuple[ScheduledTasks, Sequence[int]]], span: Span, now: datetime) -> list[Step]:
    due, past = [0] * span.steps, (now - span.since) // span.step
    for one, slots in groups:
        for place, count in enumerate(slots):
            due[place] += count * (one.tasks if place >= past else one.older)
    bounds = span.since, span.until, span.step
    failed, late = engine.store.activity.failed(*bounds), engine.store.activity.late(*bounds)
    return [Step(span.since + place * span.step, due[place], failed.get(place, 0), late.get(place, 0)) for place in range(span.steps)]


def _lanes(engine: Engine, tasks: Sequence[TaskRow], span: Span, now: datetime) -> list[Lane]:
    activity = engine.store.activity
    counts = activity.count([task.task_id for task in tasks], span.since)
    is_much = sum(counts.values()) > _MOST
    summed = [task_id for task_id, count in counts.items() if is_much and count > _FEW]
    runs, sums = dict[str, list[RunRow]](), dict[str, list[RunSum]]()
    for run in activity.runs([task_id for task_id in counts if task_id not in summed], span.since, span.until):
        runs.setdefault(run.task_id, []).append(run)
    for one in activity.sums(summed, span.since, span.until, span.step):
        sums.setdefault(one.task_id, []).append(one)
    due = {task.task_id: _due(task, span, now) for task in tasks}
    is_dense = sum(count for _, count in due.values()) > _MOST
    return [
        Lane(
            task=task,
            title=task.name or engine.store.orchestrations.get(task.orchestration_id).name or task.task_id,
            runs=runs.get(task.task_id, []),
            sums=sums.get(task.task_id, []),
            due=list(islice(slots, count)) if count <= (_FEW if is_dense else _SLOTS) else (),
            due_count=count,
            overdue_at=_overdue_at(task, now),
        )
        for task in tasks
        for slots, count in [due[task.task_id]]
    ]


def _due(task: TaskRow, span: Span, now: datetime) -> tuple[Iterator[datetime], int]:
    """Return the slots of a task from now on, and how many of them are in the span."""
    after, last = max(now, span.since) - _MICROSECOND, span.until - _MICROSECOND
    if task.schedule is None or task.next_at is None or task.status not in _MAY_BE_DUE or after >= last:
        return iter(()), 0
    try:
        schedule = schedule_of(task.schedule)
        return schedule.slots_after(after), schedule.count_between(after, last)
    except BadSchedule:
        return iter(()), 0


def _overdue_at(task: TaskRow, now: datetime) -> datetime | None:
    is_overdue = task.status in _MAY_BE_DUE and task.next_at is not None and task.next_at < now - MISFIRE_GRACE
    return task.next_at if is_overdue else None
