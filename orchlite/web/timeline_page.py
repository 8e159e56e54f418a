"""The timeline: what all tasks have done in the last hours, and what is due in the next, so that what piles up is seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from starlette.responses import Response

from orchlite.client.schedule_facts import schedule_words
from orchlite.client.timeline import Span, timeline
from orchlite.core.records import TaskRow
from orchlite.web.rendering import time_text
from orchlite.web.timeline_chart import columns, drawn, now_x
from orchlite.web.visit import Visit, page

_LANES = 50
_HOUR = timedelta(hours=1)


class _Zoom(NamedTuple):
    """How much time is shown."""

    hours: int
    step: timedelta
    """Of the columns over all tasks, and of sums."""
    label: timedelta
    """From one label of the axis to the next."""


_ZOOMS = (
    _Zoom(48, timedelta(minutes=30), 3 * _HOUR),
    _Zoom(12, timedelta(minutes=10), _HOUR),
    _Zoom(2, timedelta(minutes=1), timedelta(minutes=10)),
)


def _show(visit: Visit) -> Response:
    now, zoom = visit.now, _zoom(visit)
    middle = _moment(visit.query("at")) or now
    span = _span(middle, zoom)
    number = max(1, visit.number("page", 1))
    found = timeline(visit.engine, visit.workspace_id, span, (number - 1) * _LANES, _LANES)
    is_shifted = abs(middle - now) > zoom.step
    return visit.render(
        "timeline.html",
        zoom=zoom,
        zooms=_ZOOMS,
        span=span,
        labels=_labels(span, zoom),
        now_x=now_x(span, now),
        columns=columns(found.steps, span, now, time_text),
        most=max((max(step.due, step.failed) for step in found.steps), default=0),
        lanes=[drawn(lane, span, now, _words(lane.task), time_text) for lane in found.lanes],
        tasks=found.tasks,
        number=number,
        last=max(1, -(-found.tasks // _LANES)),
        at=_text(middle) if is_shifted else "",
        address_at=lambda at, hours: visit.url("/timeline", at=_text(at), hours=hours),
        address=lambda number: visit.url("/timeline", at=_text(middle) if is_shifted else "", hours=zoom.hours, page=number),
        middle=middle,
        half=timedelta(hours=zoom.hours) / 2,
    )


def _words(task: TaskRow) -> str:
    return str(task.kind) if task.schedule is None else schedule_words(task.schedule)


def _zoom(visit: Visit) -> _Zoom:
    hours = visit.number("hours", _ZOOMS[0].hours)
    return next((zoom for zoom in _ZOOMS if zoom.hours == hours), _ZOOMS[0])


def _span(middle: datetime, zoom: _Zoom) -> Span:
    """Return the span around a time, which begins at a whole step of the axis' labels or, if those are hours, at a whole hour."""
    unit, length = min(zoom.label, _HOUR), timedelta(hours=zoom.hours)
    since = middle - length / 2
    since -= (since - datetime(since.year, since.month, since.day, tzinfo=UTC)) % unit
    return Span(since, since + length, zoom.step)


def _labels(span: Span, zoom: _Zoom) -> Sequence[datetime]:
    return [span.since + place * zoom.label for place in range((span.until - span.since) // zoom.label)]


def _moment(text: str) -> datetime | None:
    """Return the time of an address; None for none, or one that no calendar has around it."""
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        return found if 1971 <= found.year <= 9000 else None
    except (ValueError, OverflowError):
        return None


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


ROUTES = [page("/timeline", _show)]
