"""The geometry of the timeline: a bar a run, ticks for what is due, and columns for all tasks together. Pure.

Places are percentages of the width, so that a lane is as wide as the page. Bars that overlap are in rows of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from orchlite.client.task_history import lateness_seconds
from orchlite.client.timeline import Lane, Span, Step
from orchlite.core.durations import seconds_text
from orchlite.core.records import RunRow, RunSum
from orchlite.core.status import FAILED, RunStatus
from orchlite.core.text import counted
from orchlite.web.run_marks import LINKED_CHARACTERS, TimeText, look_of, moment_of, run_text

_ROW = 13
_MOST_ROWS = 6
_NARROWEST, _NARROWEST_FAILED = 0.14, 0.3
"""Of a bar, in per cent: a run of seconds has to be seen, and one that has failed has to be found."""
_COLUMN_HEIGHT = 56.0


class Bar(NamedTuple):
    """A run, or several of them."""

    x: float
    width: float
    wait_x: float
    wait_width: float
    """Where it waited, before `x`; 0 if it did not."""
    y: int
    look: str
    text: str
    run_id: str
    is_sum: bool


class Tick(NamedTuple):
    """A slot without a run: to come, overdue, missed or skipped."""

    x: float
    look: str
    text: str


class DrawnLane(NamedTuple):
    """A task."""

    task_id: str
    title: str
    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    band: Tick | None
    """Slots to come that are too many for a tick each, from `x` on."""
    height: int
    text: str


class Column(NamedTuple):
    """A step of the span, over all tasks."""

    x: float
    width: float
    due: float
    failed: float
    """Heights in pixels."""
    is_late: bool
    is_past: bool
    text: str
    at: datetime


class _Scale(NamedTuple):
    span: Span

    def x(self, at: datetime) -> float:
        """Return the place of a time, cut at the edges."""
        share = (at - self.span.since) / (self.span.until - self.span.since)
        return round(100 * min(max(share, 0.0), 1.0), 2)


def now_x(span: Span, now: datetime) -> float | None:
    """Return where now is; None if it is outside."""
    return _Scale(span).x(now) if span.since <= now <= span.until else None


def drawn(lane: Lane, span: Span, now: datetime, words: str, time_text: TimeText) -> DrawnLane:
    """Return a lane. `words` says when its task is due."""
    scale = _Scale(span)
    runs = sorted((run for run in lane.runs if run.status is not RunStatus.SKIPPED), key=_begin)
    bars = [*_bars(runs, scale, now, time_text), *_sum_bars(lane.sums, scale, time_text)]
    skipped = [run for run in lane.runs if run.status is RunStatus.SKIPPED]
    ticks = [Tick(scale.x(run.slot_at or run.created_at), look_of(run), run_text(run, time_text)) for run in skipped]
    ticks += [Tick(scale.x(at), "due", f"due {time_text(at)}") for at in lane.due]
    if lane.overdue_at is not None:
        ticks.append(Tick(scale.x(lane.overdue_at), "overdue", f"overdue since {time_text(lane.overdue_at)}"))
    is_many = lane.due_count > len(lane.due)
    band = Tick(scale.x(max(now, span.since)), "due", f"{words}: due {lane.due_count} times") if is_many else None
    height = max((bar.y for bar in bars), default=0) + _ROW
    return DrawnLane(lane.task.task_id, lane.title, bars, ticks, band, height, _lane_text(lane))


def columns(steps: Sequence[Step], span: Span, now: datetime, time_text: TimeText) -> list[Column]:
    """Return a column for each step in which something is due or has failed."""
    most = max((max(step.due, step.failed) for step in steps), default=0) or 1
    width = round(100 / len(steps), 3)
    return [
        Column(
            x=round(place * 100 / len(steps), 3),
            width=round(width * 0.8, 3),
            due=_height(step.due, most),
            failed=_height(step.failed, most),
            is_late=step.late > 0,
            is_past=step.at + span.step <= now,
            text=_step_text(step, span.step, time_text),
            at=step.at,
        )
        for place, step in enumerate(steps)
        if step.due or step.failed or step.late
    ]


def _height(count: int, most: int) -> float:
    """Return the height of a count: at least 2 pixels, or one failure among a thousand runs could not be seen."""
    return max(2.0, round(_COLUMN_HEIGHT * count / most, 1)) if count else 0.0


def _step_text(step: Step, length: timedelta, time_text: TimeText) -> str:
    facts = [
        f"{step.due} due" if step.due else "",
        f"{step.failed} failed" if step.failed else "",
        f"{step.late} late" if step.late else "",
    ]
    return f"{time_text(step.at)} and {length // timedelta(minutes=1)} min after: {', '.join(filter(None, facts))}"


def _begin(run: RunRow) -> datetime:
    return run.slot_at or run.created_at


def _bars(runs: Sequence[RunRow], scale: _Scale, now: datetime, time_text: TimeText) -> Iterator[Bar]:
    """Yield bars in the first row that is free; those for which none is are in the last."""
    free_from = [scale.span.since] * _MOST_ROWS
    for run in runs:
        begin, start = _begin(run), moment_of(run) if run.claimed_at is not None else now
        end = max(run.ended_at or now, start)
        row = next((row for row, at in enumerate(free_from) if at <= max(begin, scale.span.since)), _MOST_ROWS - 1)
        free_from[row] = max(free_from[row], end)
        wait_x, x = scale.x(begin), scale.x(start)
        narrowest = _NARROWEST_FAILED if run.status in FAILED else _NARROWEST
        width = 0.0 if run.claimed_at is None else round(max(scale.x(end) - x, narrowest), 2)
        wait_width = round(x - wait_x, 2)
        text = _bar_text(run, time_text)
        yield Bar(x, width, wait_x, wait_width, row * _ROW, look_of(run), text, run.run_id[:LINKED_CHARACTERS], is_sum=False)


def _bar_text(run: RunRow, time_text: TimeText) -> str:
    late = lateness_seconds(run)
    return run_text(run, time_text) + (f", {seconds_text(late)} late" if late else "")


def _sum_bars(sums: Sequence[RunSum], scale: _Scale, time_text: TimeText) -> Iterator[Bar]:
    """Yield a bar for each step in which a run has failed, and one for all steps in a row in which none has."""
    for group in _steps_in_rows(sums):
        first, last, span = group[0], group[-1], scale.span
        begin, end = span.since + first.step * span.step, span.since + (last.step + 1) * span.step
        x, failed_text = scale.x(begin), f", {last.failed} failed" if last.failed else ""
        text = f"{counted(sum(one.runs for one in group), 'run')} from {time_text(begin)} on{failed_text}"
        look, width = "failure" if last.failed else "success", round(scale.x(end) - x, 2)
        yield Bar(x, width, x, 0.0, 0, look, text, last.run_id[:LINKED_CHARACTERS], is_sum=True)


def _steps_in_rows(sums: Sequence[RunSum]) -> list[list[RunSum]]:
    """Return the sums, those of steps that follow each other together; each step with a failure is for itself."""
    rows: list[list[RunSum]] = []
    for one in sums:
        last = rows[-1][-1] if rows else None
        if last is None or last.step != one.step - 1 or one.failed or last.failed:
            rows.append([])
        rows[-1].append(one)
    return rows


def _lane_text(lane: Lane) -> str:
    count = sum(one.runs for one in lane.sums) or len(lane.runs)
    failed = sum(one.failed for one in lane.sums) or sum(run.status in FAILED for run in lane.runs)
    return f"{lane.title}: {counted(count, 'run')}, {failed} failed, due {lane.due_count} times"
