"""The start page: what needs a person, and what each task has done in its last nights."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from orchlite.client.nights import Night, overview
from orchlite.client.schedule_facts import schedule_words
from orchlite.client.task import status_text
from orchlite.core.status import RunStatus, TaskKind
from orchlite.web.charts import Sparkline, Strip, sparkline, strip
from orchlite.web.possible_actions import PossibleActions, actions_of
from orchlite.web.rendering import time_text
from orchlite.web.visit import Visit, page

_ROWS = 50
_LITTLE_BYTES = 1024**3
"""Free space on the disk, below which it is shown; as `doctor` warns."""


class _Row(NamedTuple):
    """A line of the overview, as it is shown."""

    night: Night
    status: str
    """Of the task."""
    when: str
    """Its schedule in words, or how often it runs."""
    squares: Strip
    durations: Sparkline
    actions: PossibleActions


def _show(visit: Visit) -> Response:
    words, number = visit.query("q").strip(), max(1, visit.number("page", 1))
    found = overview(visit.engine, visit.workspace_id, words, (number - 1) * _ROWS, _ROWS)
    return visit.render(
        "nights.html",
        alarms=found.alarms,
        is_full=found.alarms.free_bytes < _LITTLE_BYTES,
        rows=[_row(night) for night in found.nights],
        count=found.lines,
        words=words,
        number=number,
        last_number=-(-found.lines // _ROWS),
        address=lambda page_number: visit.url("/", q=words, page=page_number),
    )


def _row(night: Night) -> _Row:
    task, started = night.task, [run for run in night.runs if run.status is not RunStatus.SKIPPED]
    return _Row(
        night=night,
        status=status_text(task.kind, task.status, night.is_done),
        when=_when(night),
        squares=strip(night.runs, time_text),
        durations=sparkline([run.duration_seconds for run in started]),
        actions=actions_of(task.kind, task.status, is_done=night.is_done),
    )


def _when(night: Night) -> str:
    if night.task.schedule is not None:
        return schedule_words(night.task.schedule)
    if night.task.kind is TaskKind.CONTINUOUS:
        return "continuously"
    return "once" if night.tasks in (None, 1) else f"once, by {night.tasks} tasks"


ROUTES = [page("/", _show)]
