"""The geometry of the charts in a row of a table: a square for each run, and a sparkline. Pure: records in, numbers and texts out.

`templates/charts.html` draws them as SVG, `static/charts.css` gives them their colours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from orchlite.core.durations import seconds_text
from orchlite.core.text import counted
from orchlite.web.run_marks import LINKED_CHARACTERS, SYMBOLS, MarkedRun, TimeText, look_of, run_text

STRIP_RUNS = 30
"""How many runs a strip shows."""
_PITCH = 14
_SPARKLINE_WIDTH, _SPARKLINE_HEIGHT = 200, 40
"""In half pixels, so that whole numbers are precise enough."""
_MARGIN = 4


class Square(NamedTuple):
    """One run of a strip."""

    x: int
    symbol: str
    text: str
    run_id: str
    """Its first digits."""


class Strip(NamedTuple):
    """The newest runs of a task, the newest at the right."""

    squares: Sequence[Square]
    text: str
    """All of them in words, for those who cannot see them."""
    width: int = STRIP_RUNS * _PITCH


class Sparkline(NamedTuple):
    """Values over time, from 0 up."""

    path: str
    """The commands of an SVG path; gaps where a value is not known."""
    last: tuple[int, int] | None
    """Where the last known value is."""
    text: str
    width: int = _SPARKLINE_WIDTH
    height: int = _SPARKLINE_HEIGHT


def strip(runs: Sequence[MarkedRun], time_text: TimeText) -> Strip:
    """Return a square for each of the last 30 of these runs, which are the oldest first. Skipped slots may be among them."""
    shown = runs[-STRIP_RUNS:]
    first = STRIP_RUNS - len(shown)
    squares = [
        Square((first + place) * _PITCH, SYMBOLS[look_of(run)], run_text(run, time_text), run.run_id[:LINKED_CHARACTERS])
        for place, run in enumerate(shown)
    ]
    counts = Counter(look_of(run).replace("_", " ") for run in shown)
    ends = ", ".join(f"{count} {look}" for look, count in counts.most_common())
    return Strip(squares, f"Last {counted(len(squares), 'run')}: {ends}" if squares else "No runs yet")


def sparkline(seconds: Sequence[float | None]) -> Sparkline:
    """Return a line through durations, the oldest first; None is a gap."""
    known = [value for value in seconds if value is not None]
    if not known:
        return Sparkline("", None, "No durations yet")
    points = _points(seconds, max(known))
    low, high = seconds_text(min(known)), seconds_text(max(known))
    text = f"{low} to {high}, last {seconds_text(known[-1])}" if low != high else low
    return Sparkline(_path(points), [point for point in points if point is not None][-1], f"Durations: {text}")


def _points(values: Sequence[float | None], largest: float) -> list[tuple[int, int] | None]:
    """Return where each value is, the last one at the right; y grows downwards."""
    step = (_SPARKLINE_WIDTH - 2 * _MARGIN) / (STRIP_RUNS - 1)
    first = _SPARKLINE_WIDTH - _MARGIN - step * (len(values) - 1)
    room = _SPARKLINE_HEIGHT - 2 * _MARGIN
    return [
        None if value is None else (round(first + place * step), round(_SPARKLINE_HEIGHT - _MARGIN - room * value / (largest or 1)))
        for place, value in enumerate(values)
    ]


def _path(points: Sequence[tuple[int, int] | None]) -> str:
    """Return a path through the points: `M4 36h0l7-28`. A point between two gaps is a line of no length, which a round cap makes a dot.

    Lines are relative, which is shorter: a page has fifty paths.
    """
    commands, pen = [], None
    for point in points:
        if point is not None:
            commands.append(f"M{point[0]} {point[1]}h0" if pen is None else f"l{point[0] - pen[0]}{point[1] - pen[1]: d}")
        pen = point
    return "".join(commands)
