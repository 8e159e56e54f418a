"""Slots against a reference that reads every UTC minute in the zone, over changes of the clock in zones with odd rules.

The reference shares nothing with the library: no grammar (expressions are built from numbers), no arithmetic with offsets.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, product
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from orchlite.core.errors import BadSchedule
from orchlite.schedules.schedule import Schedule, parse, parse_stored
from tests.properties.held import held
from tests.schedules.slot_walk import slots_between

MINUTE = timedelta(minutes=1)
ZONES = (
    *("America/New_York", "Europe/Berlin", "Europe/Dublin", "Africa/Casablanca", "America/Santiago", "Australia/Lord_Howe"),
    "UTC",
)
YEARS = (2024, 2025)
REACH = timedelta(hours=8)
"""Of a window, to both sides of a change."""
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


class Field(NamedTuple):
    text: str
    values: frozenset[int]


class Expression(NamedTuple):
    """Five fields that were built from numbers: their text, and what they mean by the rule of cron."""

    fields: tuple[Field, ...]

    @property
    def text(self) -> str:
        return " ".join(field.text for field in self.fields)

    @property
    def is_wildcard(self) -> bool:
        return any(field.text.startswith("*") for field in self.fields[:2])

    def has_time(self, minute_of_day: int) -> bool:
        minute, hour = self.fields[:2]
        return minute_of_day % 60 in minute.values and minute_of_day // 60 in hour.values

    def has_day(self, day: date) -> bool:
        days, months, weekdays = self.fields[2:]
        by_day, by_weekday = day.day in days.values, day.isoweekday() % 7 in weekdays.values
        both_set = days.text not in ("*", "*/1") and weekdays.text not in ("*", "*/1")
        return day.month in months.values and (by_day or by_weekday if both_set else by_day and by_weekday)


def field_of(bounds: tuple[int, int], kind: int, one: int, other: int, step: int) -> Field:
    """A field of one of seven kinds from three numbers of any size."""
    low, high = bounds
    size = high - low + 1
    first, last = sorted((low + one % size, low + other % size))
    step = 1 + step % size
    return (
        Field("*", frozenset(range(low, high + 1))),
        Field(f"{first}", frozenset({first})),
        Field(f"{first},{last}", frozenset({first, last})),
        Field(f"{first}-{last}", frozenset(range(first, last + 1))),
        Field(f"{first}-{last}/{step}", frozenset(range(first, last + 1, step))),
        Field(f"*/{step}", frozenset(range(low, high + 1, step))),
        Field(f"{first}/{step},{last}", frozenset({*range(first, high + 1, step), last})),
    )[kind]


def expression_of(numbers: tuple[tuple[int, int, int, int], ...]) -> Expression:
    return Expression(tuple(field_of(bounds, *field) for bounds, field in zip(RANGES, numbers, strict=True)))


def fires(expression: Expression) -> bool:
    """Whether it ever does: a leap year has all the days that there are."""
    return any(expression.has_day(date(2024, 1, 1) + timedelta(days=number)) for number in range(366))


class Window(NamedTuple):
    """The minutes around a change, by the day and the minute of the day that they are read as."""

    timezone: str
    start: datetime
    end: datetime
    real: dict[date, list[tuple[int, datetime]]]
    """As the clock shows them."""
    once: dict[date, list[tuple[int, datetime]]]
    """Each reading once: at its first pass, or at the first minute after the jump that skipped it."""


@cache
def windows() -> tuple[Window, ...]:
    return tuple(window(timezone, change - REACH, change + REACH) for timezone in ZONES for change in changes(timezone))


def changes(timezone: str) -> list[datetime]:
    if timezone == "UTC":
        return [datetime(2024, 2, 29, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)]
    zone, start = ZoneInfo(timezone), datetime(YEARS[0], 1, 1, tzinfo=UTC)
    hours = [start + timedelta(minutes=30 * half) for half in range(2 * 24 * 366 * len(YEARS))]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [hours[number] for number in range(1, len(hours)) if offsets[number] != offsets[number - 1]]


def window(timezone: str, start: datetime, end: datetime) -> Window:
    result = Window(timezone, start, end, {}, {})
    zone = ZoneInfo(timezone)
    at, seen = start, set[datetime]()
    previous = at.astimezone(zone).replace(tzinfo=None)
    while at < end:
        at += MINUTE
        reading = at.astimezone(zone).replace(tzinfo=None)
        put(result.real, reading, at)
        due = [previous + MINUTE * number for number in range(1, (reading - previous) // MINUTE + 1)] or [reading]
        for once in due:
            if once not in seen:
                put(result.once, once, at)
        seen.update(due)
        previous = reading
    return result


def put(readings: dict[date, list[tuple[int, datetime]]], reading: datetime, at: datetime) -> None:
    readings.setdefault(reading.date(), []).append((reading.hour * 60 + reading.minute, at))


def due_in(window: Window, expression: Expression) -> list[datetime]:
    days = window.real if expression.is_wildcard else window.once
    readings = (readings for day, readings in days.items() if expression.has_day(day))
    return sorted({at for minutes in readings for minute, at in minutes if expression.has_time(minute)})


def random_expressions(count: int) -> Iterator[Expression]:
    """Yield seeded expressions, most of them with hours in the night, when clocks change."""
    choose = random.Random(20_240_310)
    while count:
        kinds = [choose.randrange(7), choose.randrange(7), *(choose.choice([0, 0, 0, 0, choose.randrange(7)]) for _ in range(3))]
        numbers = [choose.choice([choose.randrange(4), choose.randrange(60)]) for _ in range(15)]
        expression = expression_of(tuple(zip(kinds, numbers[:5], numbers[5:10], numbers[10:], strict=True)))
        if fires(expression):
            yield expression
            count -= 1


def check(window: Window, expression: Expression) -> None:
    expected = due_in(window, expression)
    schedule = parse_stored(expression.text, window.timezone)
    assert slots_between(schedule, window.start, window.end) == expected, expression.text
    assert schedule.newest_slots(window.start, window.end, 2 * len(expected) + 1) == expected, expression.text
    assert schedule.count_between(window.start, window.end) == len(expected), expression.text


@pytest.mark.slow
def test_the_windows_hold_both_changes_of_every_zone() -> None:
    assert {timezone: sum(window.timezone == timezone for window in windows()) for timezone in ZONES} == {
        timezone: 2 if timezone == "UTC" else 4 for timezone in ZONES
    }
    for window in windows():
        assert (window.real == window.once) == (window.timezone == "UTC")


@pytest.mark.slow
def test_slots_are_those_of_the_reference() -> None:
    for expression, window in product(random_expressions(40), windows()):
        check(window, expression)


@pytest.mark.slow
def test_slots_of_many_expressions_are_those_of_the_reference() -> None:
    for expression, window in product(random_expressions(400), windows()):
        check(window, expression)


expressions = (
    st.tuples(*(st.tuples(st.integers(0, 6), *([st.integers(0, bounds[1])] * 3)) for bounds in RANGES)).map(expression_of).filter(fires)
)
zones = st.sampled_from(ZONES)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
schedules = st.builds(lambda expression, timezone: parse_stored(expression.text, timezone), expressions, zones)


@pytest.mark.slow
@held(25, 100, expressions, st.integers(0, 99), st.integers(0, 960), st.integers(0, 960))
def test_slots_of_a_part_of_a_window_are_those_of_the_reference(expression: Expression, number: int, one: int, other: int) -> None:
    window = windows()[number % len(windows())]
    start, end = (window.start + MINUTE * minute for minute in sorted((one, other)))
    expected = [at for at in due_in(window, expression) if start < at <= end]
    schedule = parse_stored(expression.text, window.timezone)
    assert slots_between(schedule, start, end) == expected
    assert schedule.newest_between(start, end) == (expected[-1] if expected else None)
    assert schedule.count_between(start, end) == len(expected)
    if expected:
        assert schedule.next_after(start) == expected[0]


@pytest.mark.slow
@held(25, 100, schedules, instants, st.integers(1, 200), st.integers(0, 200))
def test_counting_and_searching_back_agree_with_a_walk(schedule: Schedule, after: datetime, count: int, newest: int) -> None:
    slots = list(islice(schedule.slots_after(after), count))
    assert all(earlier < later for earlier, later in pairwise([after, *slots]))
    until = schedule.next_after(slots[-1]) - timedelta(microseconds=1)
    assert schedule.count_between(after, until) == count
    assert schedule.newest_slots(after, until, newest) == slots[max(0, count - newest) :]
    assert schedule.newest_between(after, until) == slots[-1]


@held(15, 60, expressions, zones, instants)
def test_slots_are_readings_that_the_expression_names(expression: Expression, timezone: str, after: datetime) -> None:
    zone = ZoneInfo(timezone)
    for slot in islice(parse_stored(expression.text, timezone).slots_after(after), 50):
        reading = slot.astimezone(zone)
        is_named = expression.has_day(reading.date()) and expression.has_time(reading.hour * 60 + reading.minute)
        is_after_a_gap = (slot - MINUTE).astimezone(zone).utcoffset() < reading.utcoffset()  # type: ignore[operator]
        assert is_named or (is_after_a_gap and not expression.is_wildcard)


@pytest.mark.slow
@held(5, 20, expressions, st.sampled_from([1896, 2020, 2094]))
def test_days_are_those_of_a_calendar_that_is_read_day_by_day(expression: Expression, year: int) -> None:
    noon = Expression((Field("0", frozenset({0})), Field("12", frozenset({12})), *expression.fields[2:]))
    start = datetime(year, 1, 1, tzinfo=UTC)
    days = [start + timedelta(days=number) for number in range(11 * 365)]
    expected = [day.replace(hour=12) for day in days if noon.has_day(day.date())]
    schedule, end = parse_stored(noon.text, "UTC"), days[-1].replace(hour=23)
    assert slots_between(schedule, start, end) == expected
    assert schedule.newest_slots(start, end, 5) == expected[-5:]
    assert schedule.count_between(start, end) == len(expected)


@held(25, 100, expressions, zones)
def test_the_spelling_is_read_as_the_same_schedule(expression: Expression, timezone: str) -> None:
    schedule = parse_stored(expression.text, timezone)
    assert parse_stored(schedule.expression, timezone) == schedule


def refusal_of(expression: str, timezone: str = "UTC") -> BadSchedule | None:
    try:
        parse(expression, timezone)
    except BadSchedule as refusal:
        return refusal
    return None


@held(
    80,
    300,
    st.one_of(st.text(max_size=30), st.lists(st.text("0123456789*/,-?#@ LWRHmonjan", min_size=1, max_size=6), max_size=6).map(" ".join)),
)
def test_any_text_is_refused_properly_or_fires(text: str) -> None:
    if refusal := refusal_of(text):
        assert refusal.hint
        assert refusal.details["field"]
        assert str(refusal).isprintable()
    else:
        assert parse(text).next_after(datetime(2024, 1, 1, tzinfo=UTC)) > datetime(2024, 1, 1, tzinfo=UTC)


@held(15, 60, st.one_of(st.text(max_size=30), st.text("/.EuropeBlinUTC", max_size=15)))
def test_any_zone_is_refused_properly_or_known(timezone: str) -> None:
    if refusal := refusal_of("* * * * *", timezone):
        assert refusal.details["field"] == "timezone"
        assert str(refusal).isprintable()
    else:
        assert ZoneInfo(timezone).key == timezone
