"""Day of month and day of week together: a day matches both of them, or either. The dialects of cron differ there.

Kubernetes (robfig/cron), and orchlite, want both if one of the fields, or an item of its list, is `*`. Debian's cron wants both if one of
the fields begins with `*`, so also for `*/2` (entry.c: DOM_STAR, DOW_STAR). What the two read differently is not accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EVERY_WEEKDAY = tuple(range(7))


class ParsedField(NamedTuple):
    """A parsed field, or one item of its list."""

    text: str
    values: tuple[int, ...]
    """For a whole field: ascending and distinct."""
    is_open: bool
    """True if `*` is the field or one of its items: a day field like that leaves the choice to the other day field."""


class Disagreement(NamedTuple):
    """How the dialects differ about an expression."""

    field: str
    """The name of the field that makes the difference."""
    message: str
    hint: str
    """An expression for each of the two meanings."""


def longest(months: Sequence[int]) -> int:
    """Return the number of days of the longest of these months, in any year."""
    return max(_LONGEST_MONTHS[month - 1] for month in months)


def disagreement(fields: Sequence[ParsedField]) -> Disagreement | None:
    """Return how Debian's cron and Kubernetes differ about the days of five parsed fields; None if they agree."""
    _, _, day, month, weekday = fields
    is_every_day, is_every_weekday = set(range(1, longest(month.values) + 1)) <= {*day.values}, weekday.values == _EVERY_WEEKDAY
    debian_wants_both = day.text.startswith("*") or weekday.text.startswith("*")
    if debian_wants_both == (day.is_open or weekday.is_open) or (is_every_day and is_every_weekday):
        return None
    of_both, of_either = ("Debian's cron", "Kubernetes") if debian_wants_both else ("Kubernetes", "Debian's cron")
    is_day_odd = day.text.startswith("*") if debian_wants_both else day.is_open
    return Disagreement(
        "day of month" if is_day_odd else "day of week",
        f"Day of month {day.text!r} and day of week {weekday.text!r} are read differently: "
        f"{of_both} runs the schedule on days that match both, {of_either} on days that match either.",
        f"For both, write {_both(fields, is_every_day, is_every_weekday)}. "
        f"For either, write {_either(fields, is_every_day or is_every_weekday)}.",
    )


def _both(fields: Sequence[ParsedField], is_every_day: bool, is_every_weekday: bool) -> str:
    _, _, day, _, weekday = fields
    if is_every_day:
        return _written(fields, "*", weekday.text)
    check = "" if is_every_weekday else " and check the day of week in main.py"
    return _written(fields, day.text, "*") + check


def _either(fields: Sequence[ParsedField], is_every_day: bool) -> str:
    if is_every_day:
        return _written(fields, "*", "*")
    _, _, day, _, weekday = fields
    return _written(fields, day.text.replace("*", "1-31"), weekday.text.replace("*", "0-6"))


def _written(fields: Sequence[ParsedField], day: str, weekday: str) -> str:
    minute, hour, _, month, _ = fields
    return repr(f"{minute.text} {hour.text} {day} {month.text} {weekday}")
