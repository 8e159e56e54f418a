"""Says in words when a cron expression is due: `every day at 02:30`, `every 15 minutes from 08:00 to 18:45, Monday to Friday`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from orchlite.schedules.cron import CronExpression, parse_stored_cron

_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_HOUR_MINUTES, _DAY_HOURS = 60, 24
_MOST_TIMES = 5
"""More times of a day than this are described, not listed."""
_SHORTEST_RANGE = 3


@lru_cache(maxsize=1024)
def in_words(expression: str) -> str:
    """Return when an expression of `Schedule` is due, without its zone.

    Raises:
        BadSchedule: the expression is refused.
    """
    cron = parse_stored_cron(expression)
    days = _days(cron)
    if len(cron.minutes_of_day) <= _MOST_TIMES:
        return f"{days or 'every day'} at {_listed([_clock(minute) for minute in cron.minutes_of_day])}"
    return ", ".join(filter(None, (_times(cron.minutes_of_day), days)))


def _times(minutes_of_day: Sequence[int]) -> str:
    """Return in words what would be too many times to list."""
    hours = sorted({minute // _HOUR_MINUTES for minute in minutes_of_day})
    minutes = sorted({minute % _HOUR_MINUTES for minute in minutes_of_day})
    first, last = _clock(minutes_of_day[0]), _clock(minutes_of_day[-1])
    within = f" from {first} to {last}" if _is_range(hours) else f" in {_numbers('hour', hours)}"
    if len(minutes) == 1:
        if step := _step(hours, _DAY_HOURS):
            return _every(step, "hour") + (f", first at {first}" if step > 1 else f" at minute {minutes[0]}" if minutes[0] else "")
        return f"every hour{within}" if _is_range(hours) else f"at minute {minutes[0]}{within}"
    step = _step(minutes, _HOUR_MINUTES)
    every = f"{_every(step, 'minute')}" if step else f"at {_numbers('minute', minutes)}"
    from_minute = f" from minute {minutes[0]} on" if step and minutes[0] else ""
    return every + ((from_minute if step else " of every hour") if len(hours) == _DAY_HOURS else within)


def _days(cron: CronExpression) -> str:
    days, _, weekdays = ([] if field == "*" else list(map(int, field.split(","))) for field in cron.day_fields.split())
    months = "" if len(cron.months) == len(_MONTHS) else _names([_MONTHS[month - 1] for month in cron.months], _is_range(cron.months))
    if not days:
        return " in ".join(filter(None, (_weekdays(weekdays) or ("every day" if months else ""), months)))
    on_days = f"on {_numbers('day', days)} of {months or 'the month'}"
    return f"{on_days} and {_weekdays(weekdays)}{f' in {months}' if months else ''}" if weekdays else on_days


def _weekdays(weekdays: Sequence[int]) -> str:
    """Return the names of weekdays, where 0 is Sunday; a week begins with Monday."""
    numbers = sorted((day - 1) % len(_WEEKDAYS) for day in weekdays)
    text = _names([_WEEKDAYS[number] for number in numbers], _is_range(numbers))
    return f"every {text}" if text and not _is_range(numbers) else text


def _names(names: Sequence[str], is_range: bool) -> str:
    return f"{names[0]} to {names[-1]}" if is_range else _listed(names)


def _numbers(noun: str, numbers: Sequence[int]) -> str:
    if _is_range(numbers):
        return f"{noun}s {numbers[0]} to {numbers[-1]}"
    return f"{noun}{'s' * (len(numbers) > 1)} {_listed(list(map(str, numbers)))}"


def _is_range(numbers: Sequence[int]) -> bool:
    return len(numbers) >= _SHORTEST_RANGE and numbers[-1] - numbers[0] == len(numbers) - 1


def _step(numbers: Sequence[int], size: int) -> int | None:
    """Return the distance between any two of these numbers, if it is the same around the whole cycle of `size`."""
    step = size // len(numbers)
    return step if size % len(numbers) == 0 and list(numbers) == list(range(numbers[0], size, step)) else None


def _every(step: int, noun: str) -> str:
    return f"every {noun}" if step == 1 else f"every {step} {noun}s"


def _clock(minute_of_day: int) -> str:
    hour, minute = divmod(minute_of_day, _HOUR_MINUTES)
    return f"{hour:02}:{minute:02}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
