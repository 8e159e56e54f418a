"""What other dialects of cron mean by items that are not supported, and the days that contain those meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

_WEEKDAYS = 7
_SATURDAY = 5
_MONTHS = tuple(product(range(28, 32), range(_WEEKDAYS)))
"""Every kind of month: its length, and the weekday of its first day; 0 is Monday."""

_DayOf = Callable[[int, int], int]
"""From a kind of month to the day in question; a day outside the month if that month has none."""

_CHECK = "and check in main.py whether it is the day"


def unsupported(field: str, item: str) -> tuple[str, str] | None:
    """Return what an item means in other dialects, and the hint that replaces it; None if it means nothing. `item` is in lower case."""
    if re.fullmatch(r"[hr](\(.*\))?(/.*)?|.*~.*", item):
        return "a random time ('R', 'H', '~')", "A schedule must have the same slots on every host: write a number of your own choice."
    if not field.startswith("day of"):
        return None
    if item == "l" and field == "day of week":
        return "the last day of a week ('L')", "Write 6 for Saturday, or 0 for Sunday."
    return _working_day(item) or _last(field, item) or _nth_weekday(item)


def _last(field: str, item: str) -> tuple[str, str] | None:
    last_weekday = r"([0-7]|[a-z]{3})l|l-?[0-7]" if field == "day of week" else r"([0-7]|[a-z]{3})l"
    if re.fullmatch(last_weekday, item):
        return "the last such weekday of a month ('L')", _instead(lambda length, _: length - 6, lambda length, _: length)
    match = re.fullmatch(r"l(?:-([0-9]{1,2}))?", item)
    if match is None:
        return None
    back = int(match[1] or 0)
    what = f"a day before the last of a month ('L-{back}')" if back else "the last day of a month ('L')"
    return what, _instead(lambda length, _: length - back, needs_any_weekday=False)


def _nth_weekday(item: str) -> tuple[str, str] | None:
    if "#" not in item:
        return None
    what = "the nth weekday of a month ('#')"
    if not (match := re.fullmatch(r"[0-9a-z]+#([1-5])", item)):
        return what, f"List the possible days in day of month, such as 15-21 for the third, with * in day of week, {_CHECK}."
    last = int(match[1]) * _WEEKDAYS
    return what, _instead(lambda _, first: last - first)


def _working_day(item: str) -> tuple[str, str] | None:
    if item in ("lw", "wl"):
        return "the last working day of a month ('LW')", _instead(lambda length, first: _nearest(length, first, length))
    if match := re.fullmatch(r"l-([0-9]{1,2})w", item):
        back = int(match[1])
        return "the working day nearest to a day before the last ('W')", _instead(
            lambda length, first: _nearest(length, first, length - back)
        )
    if match := re.fullmatch(r"([0-9]*)w([0-9]*)", item):
        day = int(match[1] or match[2] or 0)
        return "the nearest working day ('W')", _instead(lambda length, first: _nearest(length, first, day))
    return None


def _instead(*days_of: _DayOf, needs_any_weekday: bool = True) -> str:
    """Return a hint with the range of days that contains these days of all months."""
    days = {day for day_of in days_of for length, first in _MONTHS if 1 <= (day := day_of(length, first)) <= length}
    if not days:
        return "No month has such a day. Use numbers from 1 to 31 in day of month."
    span = "-".join(map(str, sorted({min(days), max(days)})))
    return f"Use {span} in day of month{' and * in day of week' * needs_any_weekday}, {_CHECK}."


def _nearest(length: int, first: int, day: int) -> int:
    """Return the working day of the same month that is nearest to a day; 0 if the month does not have the day."""
    if not 1 <= day <= length:
        return 0
    after_friday = (first + day - 1) % _WEEKDAYS - _SATURDAY + 1
    if after_friday == 1:
        return day - 1 if day > 1 else day + 2
    if after_friday == 2:
        return day + 1 if day < length else day - 2
    return day
