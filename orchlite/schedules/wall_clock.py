"""The wall times that a cron expression names: the next one, the previous one, how many. No time zones; every datetime is naive.

croniter only decides which days an expression names. Its results are cached for each kind of month (12 months, 7 first weekdays, leap
years), so that a search or a count costs a look-up per month, and threads share no croniter. It is imported when an expression first leaves
out a day, because the import takes 20 ms or more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import isleap, monthrange
from collections.abc import Iterable
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta
from functools import lru_cache

from orchlite.schedules.cron import CronExpression

_MINUTE = timedelta(minutes=1)
_EVERY_DAY = "* * *"
_ALL_KINDS_OF_YEARS = range(2000, 2028)
"""Twenty-eight years in a row without an exception to the leap year rule: every first weekday, with and without a leap day."""


def first_at_or_after(cron: CronExpression, at: datetime) -> datetime | None:
    """Return the first wall time of the expression that is not before `at`; None if the calendar ends first."""
    at = _rounded_up(at)
    position = bisect_left(cron.minutes_of_day, _minute_of_day(at)) if _has_day(cron, at) else len(cron.minutes_of_day)
    if position < len(cron.minutes_of_day):
        return _combined(at.date(), cron.minutes_of_day[position])
    day = _day_after(cron, at.date())
    return _combined(day, cron.minutes_of_day[0]) if day else None


def last_at_or_before(cron: CronExpression, at: datetime) -> datetime | None:
    """Return the last wall time of the expression that is not after `at`; None if the calendar begins first."""
    position = bisect_right(cron.minutes_of_day, _minute_of_day(at)) if _has_day(cron, at) else 0
    if position > 0:
        return _combined(at.date(), cron.minutes_of_day[position - 1])
    day = _day_before(cron, at.date())
    return _combined(day, cron.minutes_of_day[-1]) if day else None


def count_between(cron: CronExpression, low: datetime, high: datetime) -> int:
    """Count the wall times from `low` up to, but without, `high`. Costs one look-up per month."""
    low, high = _rounded_up(low), _rounded_up(high)
    if high <= low:
        return 0
    whole_days = _count_days(cron, low.date(), high.date())
    return whole_days * len(cron.minutes_of_day) - _count_on_day_before(cron, low) + _count_on_day_before(cron, high)


def _count_on_day_before(cron: CronExpression, at: datetime) -> int:
    return bisect_left(cron.minutes_of_day, _minute_of_day(at)) if _has_day(cron, at) else 0


def _count_days(cron: CronExpression, low: date, high: date) -> int:
    """Count the days from `low` up to, but without, `high`."""
    months = range(_month_number(low), _month_number(high) + 1)
    days = [_days_of(cron, number) for number in months]
    return sum(map(len, days)) - bisect_left(days[0], low.day) - len(days[-1]) + bisect_left(days[-1], high.day)


def _has_day(cron: CronExpression, at: datetime) -> bool:
    return cron.day_fields == _EVERY_DAY or at.day in _days_of(cron, _month_number(at))


def _day_after(cron: CronExpression, day: date) -> date | None:
    number = _month_number(day)
    days = _days_of(cron, number)
    if (position := bisect_right(days, day.day)) < len(days):
        return day.replace(day=days[position])
    found = _first_month_with_days(cron, range(number + 1, (MAXYEAR + 1) * 12))
    return None if found is None else _date(found, _days_of(cron, found)[0])


def _day_before(cron: CronExpression, day: date) -> date | None:
    number = _month_number(day)
    days = _days_of(cron, number)
    if (position := bisect_left(days, day.day)) > 0:
        return day.replace(day=days[position - 1])
    found = _first_month_with_days(cron, range(number - 1, MINYEAR * 12 - 1, -1))
    return None if found is None else _date(found, _days_of(cron, found)[-1])


def _first_month_with_days(cron: CronExpression, numbers: Iterable[int]) -> int | None:
    # An accepted expression names a day at least every eight years (29 February around 1900), so this never goes far.
    return next((number for number in numbers if _days_of(cron, number)), None)


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _date(month_number: int, day: int) -> date:
    year, month = divmod(month_number, 12)
    return date(year, month + 1, day)


def _days_of(cron: CronExpression, month_number: int) -> tuple[int, ...]:
    """Return the days of a month that the expression names, ascending."""
    year, month = divmod(month_number, 12)
    return _days_of_kind(cron.day_fields, _similar_year(year), month + 1) if month + 1 in cron.months else ()


# 168 kinds of months for each of 24 expressions; a month takes at most 0.3 KB.
@lru_cache(maxsize=4096)
def _days_of_kind(day_fields: str, year: int, month: int) -> tuple[int, ...]:
    length = monthrange(year, month)[1]
    if day_fields == _EVERY_DAY:
        return tuple(range(1, length + 1))
    from croniter import croniter_range

    return tuple(at.day for at in croniter_range(datetime(year, month, 1), datetime(year, month, length), f"0 0 {day_fields}"))


@lru_cache(maxsize=512)
def _similar_year(year: int) -> int:
    """Return the first year from 2000 on whose days have the same weekdays: croniter is asked about 14 years only."""
    kind = isleap(year), date(year, 1, 1).weekday()
    return next(other for other in _ALL_KINDS_OF_YEARS if (isleap(other), date(other, 1, 1).weekday()) == kind)


def _rounded_up(at: datetime) -> datetime:
    minute = at.replace(second=0, microsecond=0)
    return minute if minute == at else minute + _MINUTE


def _minute_of_day(at: datetime) -> int:
    return at.hour * 60 + at.minute


def _combined(day: date, minute_of_day: int) -> datetime:
    return datetime(day.year, day.month, day.day, *divmod(minute_of_day, 60))
