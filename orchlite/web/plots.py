"""The geometry of values over time: a dot a run, lines across, and flags where something changed. Pure: records in, numbers and texts out.

Horizontal places are percentages, so that a chart is as wide as its page without any distortion; vertical ones are pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from orchlite.client.task_history import Change, TaskHistory
from orchlite.core.durations import seconds_text
from orchlite.core.records import PastRun
from orchlite.core.text import counted, number_text
from orchlite.web.change_texts import change_text
from orchlite.web.run_marks import LINKED_CHARACTERS, SYMBOLS, TimeText, look_of, moment_of, run_text

_TOP = 16.0
"""Room above the highest value, for its label."""
_TALL, _LOW = 150.0, 64.0
_FAR = 3
"""A time limit more than this many times the longest duration is not drawn: it would flatten the rest."""


class Dot(NamedTuple):
    """One run of a plot."""

    x: float
    y: float
    symbol: str
    text: str
    run_id: str
    """Its first digits."""


class Level(NamedTuple):
    """A line across a plot."""

    y: float
    text: str


class Flag(NamedTuple):
    """A line down a plot, before the first run after a change."""

    x: float
    text: str
    run_id: str


class Plot(NamedTuple):
    """Values over time."""

    title: str
    summary: str
    """What it shows, in words."""
    dots: Sequence[Dot]
    height: float
    """Of the area below the highest value's label."""
    highest: str
    lowest: str
    first_at: datetime
    last_at: datetime
    median: Level | None = None
    limit: Level | None = None
    flags: Sequence[Flag] = ()
    links: bool = False
    """Whether each dot leads to its run; the plots below it, over the same times, need not."""


class _Scale(NamedTuple):
    """Places of times and values."""

    first: datetime
    last: datetime
    low: float
    high: float
    height: float

    def x(self, at: datetime) -> float:
        span = (self.last - self.first).total_seconds()
        share = (at - self.first).total_seconds() / span if span > 0 else 0.5
        return round(1 + 98 * share, 2)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(_TOP + self.height * (1 - share), 1)


def durations_plot(history: TaskHistory, timeout_seconds: float | None, now: datetime, time_text: TimeText) -> Plot | None:
    """Return the durations of the runs that were started, those of running ones so far; None if there is none."""
    seconds = {past.run.run_id: found for past in history.started if (found := _seconds(past, now)) is not None}
    if not seconds:
        return None
    longest = max(seconds.values())
    is_near = timeout_seconds is not None and timeout_seconds <= _FAR * longest
    scale = _scale(history, 0.0, max(longest, timeout_seconds or 0.0) if is_near else longest, _TALL)
    median = history.median_seconds
    median_text = "" if median is None else f", median {seconds_text(median)}"
    limit_text = "" if timeout_seconds is None else f", time limit {seconds_text(timeout_seconds)}"
    return Plot(
        title="Durations",
        summary=f"{counted(len(seconds), 'run')}, up to {seconds_text(longest)}{median_text}{limit_text}",
        dots=_dots(history, seconds, scale, lambda past: run_text(past.run, time_text)),
        height=scale.height,
        highest=seconds_text(scale.high),
        lowest="0 s",
        first_at=scale.first,
        last_at=scale.last,
        median=None if median is None else Level(scale.y(median), f"median {seconds_text(median)}"),
        limit=Level(scale.y(timeout_seconds), f"time limit {seconds_text(timeout_seconds)}") if timeout_seconds and is_near else None,
        flags=[_flag(change, scale) for change in history.changes],
        links=True,
    )


def metric_plot(history: TaskHistory, name: str, time_text: TimeText) -> Plot:
    """Return one metric of the runs that have left it, over the same times as their durations."""
    values = {past.run.run_id: past.metrics[name] for past in history.started if name in past.metrics}
    low, high, last = min(values.values()), max(values.values()), list(values.values())[-1]
    scale = _scale(history, low, high, _LOW)
    return Plot(
        title=name,
        summary=f"{number_text(low)} to {number_text(high)}, last {number_text(last)}" if low != high else number_text(low),
        dots=_dots(history, values, scale, lambda past: f"{number_text(past.metrics[name])}, {time_text(moment_of(past.run))}"),
        height=scale.height,
        highest=number_text(high),
        lowest=number_text(low),
        first_at=scale.first,
        last_at=scale.last,
        flags=[_flag(change, scale) for change in history.changes],
    )


def _scale(history: TaskHistory, low: float, high: float, height: float) -> _Scale:
    moments = [moment_of(past.run) for past in history.started]
    return _Scale(min(moments), max(moments), low, high, height)


def _seconds(past: PastRun, now: datetime) -> float | None:
    run = past.run
    if run.status.is_final or run.claimed_at is None:
        return run.duration_seconds
    return max(0.0, (now - run.claimed_at).total_seconds())


def _dots(history: TaskHistory, values: Mapping[str, float], scale: _Scale, text: Callable[[PastRun], str]) -> list[Dot]:
    return [
        Dot(
            scale.x(moment_of(past.run)),
            scale.y(values[past.run.run_id]),
            SYMBOLS[look_of(past.run)],
            text(past),
            past.run.run_id[:LINKED_CHARACTERS],
        )
        for past in history.started
        if past.run.run_id in values
    ]


def _flag(change: Change, scale: _Scale) -> Flag:
    return Flag(scale.x(moment_of(change.after.run)), change_text(change), change.after.run.run_id[:LINKED_CHARACTERS])
