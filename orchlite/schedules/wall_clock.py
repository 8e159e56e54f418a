"""The readings of a wall clock at which an expression is due: the next one, the one before, how many. No zone; every datetime is naive.

croniter walks the calendar here, and is asked for days only: of its 60-110 µs a step one is needed for each day, not for each reading,
and expressions that differ in minute and hour share its answers. It is imported at the first expression that leaves out a day.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from copy import copy
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from orchlite.schedules.cron import CronText

if TYPE_CHECKING:
    from croniter import croniter

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_EVERY_DAY = "* * *"


def first_from(cron: CronText, reading: datetime) -> datetime | None:
    """The first reading at or after this one; None at the end of the calendar."""
    reading = _rounded_up(reading)
    today = reading.date()
    day = _day_from(cron.day_text, today)
    position = bisect_left(cron.times, _minute_of_day(reading)) if day == today else 0
    if position == len(cron.times):
        day, position = _day_from(cron.day_text, today + _DAY), 0
    return _reading(day, cron.times[position]) if day else None


def last_until(cron: CronText, reading: datetime) -> datetime | None:
    """The last reading at or before this one; None at the beginning of the calendar."""
    today = reading.date()
    day = _day_until(cron.day_text, today)
    position = bisect_right(cron.times, _minute_of_day(reading)) if day == today else len(cron.times)
    if position == 0:
        day, position = _day_until(cron.day_text, today - _DAY), len(cron.times)
    return _reading(day, cron.times[position - 1]) if day else None


def count_readings(cron: CronText, low: datetime, high: datetime) -> int:
    """How many readings there are from `low` to before `high`: by arithmetic, a month a step."""
    low, high = _rounded_up(low), _rounded_up(high)
    if high <= low:
        return 0
    whole_days = _count_days(cron, low.date(), high.date())
    return whole_days * len(cron.times) - _count_on_day_before(cron, low) + _count_on_day_before(cron, high)


def _count_on_day_before(cron: CronText, reading: datetime) -> int:
    if reading.day not in _days_of_month(cron, reading.year, reading.month):
        return 0
    return bisect_left(cron.times, _minute_of_day(reading))


def _count_days(cron: CronText, low: date, high: date) -> int:
    months = range(low.year * 12 + low.month - 1, high.year * 12 + high.month)
    days = [_days_of_month(cron, month // 12, month % 12 + 1) for month in months]
    return sum(map(len, days)) - sum(day < low.day for day in days[0]) - sum(day >= high.day for day in days[-1])


def _days_of_month(cron: CronText, year: int, month: int) -> tuple[int, ...]:
    if month not in cron.months:
        return ()
    first = date(year, month, 1)
    return _days_of_such_a_month(cron.days, cron.weekdays, cron.either, first.isoweekday(), _length(first))


# There are 28 kinds of months.
@lru_cache(maxsize=512)
def _days_of_such_a_month(days: tuple[int, ...], weekdays: tuple[int, ...], either: bool, weekday: int, length: int) -> tuple[int, ...]:
    matches = any if either else all
    return tuple(number for number in range(1, length + 1) if matches((number in days, (weekday + number - 1) % 7 in weekdays)))


def _length(first: date) -> int:
    return 31 if first.month == 12 else (first.replace(month=first.month + 1) - first).days


@lru_cache(maxsize=4096)
def _day_from(days: str, day: date) -> date | None:
    return day if days == _EVERY_DAY else _stepped(days, _midnight(day) - _MINUTE, is_back=False)


@lru_cache(maxsize=4096)
def _day_until(days: str, day: date) -> date | None:
    return day if days == _EVERY_DAY else _stepped(days, _midnight(day) + _MINUTE, is_back=True)


def _stepped(days: str, reading: datetime, *, is_back: bool) -> date | None:
    # A croniter holds its position, and threads share the one that was built: each step walks on a copy.
    stepper = copy(_calendar(days))
    try:
        found: datetime = stepper.get_prev(datetime, reading) if is_back else stepper.get_next(datetime, reading)
    except (ValueError, OverflowError):
        return None  # Past the years 1 to 9999.
    return found.date()


@lru_cache(maxsize=256)
def _calendar(days: str) -> croniter:
    from croniter import croniter

    return croniter(f"0 0 {days}", datetime(2000, 1, 1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _rounded_up(reading: datetime) -> datetime:
    minute = reading.replace(second=0, microsecond=0)
    return minute if minute == reading else minute + _MINUTE


def _minute_of_day(reading: datetime) -> int:
    return reading.hour * 60 + reading.minute


def _reading(day: date, minute_of_day: int) -> datetime:
    return datetime(day.year, day.month, day.day, *divmod(minute_of_day, 60))
