"""Parses a cron expression of five fields strictly, and writes it in one spelling. Knows no clock, time zone or calendar.

The grammar is that of Kubernetes (robfig/cron), made stricter. It is parsed here and not by croniter, because croniter 7.0.0 reads `5-5` as
the whole field, and accepts `22-2`, `*/100`, random fields, seconds, years, and `0 0 30 2 *`, which never fires.
"""

from __future__ import annotations

import re
from array import array
from functools import lru_cache
from typing import NamedTuple, NoReturn

from orchlite.core.errors import BadSchedule
from orchlite.core.hints import Api
from orchlite.schedules.day_fields import Disagreement, ParsedField, disagreement, longest
from orchlite.schedules.dialects import unsupported

_CHARACTERS = 256
_SHOWN_CHARACTERS = 80
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_OTHER_MACROS = {
    "@reboot": "For a program that runs for as long as a host does, use " + Api.RUN_CONTINUOUSLY + ".",
    "@every": "Use a step: '*/5 * * * *' is every five minutes, '0 */2 * * *' every two hours.",
}

_ITEM = re.compile(r"(?:(?P<star>[*?])|(?P<first>[0-9]+|[a-z]+)(?:-(?P<last>[0-9]+|[a-z]+))?)(?:/(?P<step>[0-9]+))?")
_ZONE = re.compile(r"(?:cron_)?tz=(?P<zone>\S*)", re.IGNORECASE)


class _Field(NamedTuple):
    """The syntax of one of the five fields."""

    name: str
    low: int
    last: int
    """The last value that `*` stands for."""
    takes: str
    """The accepted values, for messages."""
    names: tuple[str, ...] = ()
    """Names of the values, from `low` on."""

    @property
    def size(self) -> int:
        return self.last - self.low + 1

    @property
    def highest(self) -> int:
        """The largest value that may be written: 7 is a second name for Sunday (crontab(5))."""
        return 7 if self.names == _WEEKDAY_NAMES else self.last


_FIELDS = (
    _Field("minute", 0, 59, "0-59"),
    _Field("hour", 0, 23, "0-23"),
    _Field("day of month", 1, 31, "1-31"),
    _Field("month", 1, 12, "1-12 or jan-dec", _MONTH_NAMES),
    _Field("day of week", 0, 6, "0-7 (0 and 7 are Sunday) or sun-sat", _WEEKDAY_NAMES),
)
_EVERY_DAY, _EVERY_WEEKDAY = (tuple(range(field.low, field.last + 1)) for field in (_FIELDS[2], _FIELDS[4]))


class CronExpression(NamedTuple):
    """An accepted expression."""

    text: str
    """Five fields in one spelling: numbers without leading zeros for names, `*` for `?`, single spaces, macros written out."""
    minutes_of_day: array[int]
    """Ascending."""
    months: tuple[int, ...]
    day_fields: str
    """Day of month, month and day of week as fields of cron: lists of numbers, or `*` for all values.

    If neither day field is `*`, a day has to match only one of them, as in cron.
    """
    is_fixed: bool
    """True for a fixed-time job, as cron(8) of Debian calls it: neither minute nor hour begins with `*`."""
    warnings: tuple[str, ...]
    disagreement: Disagreement | None = None
    """Set if Debian's cron and Kubernetes name different days; then these are the days of Kubernetes."""


def parse_cron(expression: object) -> CronExpression:
    """Parse five fields of cron, or a macro such as `@daily`.

    Raises:
        BadSchedule: the expression is invalid, is not supported, never fires, or means different days in Debian's cron and Kubernetes.
            `details["field"]` is the field's name, or "expression".
    """
    cron = parse_stored_cron(expression)
    if cron.disagreement is not None:
        _refuse(cron.disagreement.message, cron.disagreement.hint, cron.disagreement.field)
    return cron


def parse_stored_cron(expression: object) -> CronExpression:
    """Parse as `parse_cron`; accept also what the dialects read differently, with a warning: earlier versions stored such expressions.

    Raises:
        BadSchedule: the expression is invalid, is not supported, or never fires.
    """
    if not isinstance(expression, str):
        raise BadSchedule(
            f"The schedule is a {type(expression).__name__}.", hint="It must be a string, such as '*/5 * * * *'.", field="expression"
        )
    return _parse(expression)


# About 0.5 KB each, 3 KB at most.
@lru_cache(maxsize=4096)
def _parse(expression: str) -> CronExpression:
    _check_characters(expression)
    _check_prefix(expression)
    words = _MACROS.get(expression.strip().lower(), expression).split()
    if len(words) != len(_FIELDS):
        _refuse_count(expression, len(words))
    return _joined(tuple(map(_parse_field, _FIELDS, words)))


def _check_characters(expression: str) -> None:
    if len(expression) > _CHARACTERS:
        raise BadSchedule(
            f"The schedule has {len(expression)} characters; the limit is {_CHARACTERS}.",
            hint="Replace lists of numbers by ranges and steps.",
            field="expression",
            limit=_CHARACTERS,
        )
    for position, character in enumerate(expression, 1):
        # int() and split() would accept digits and spaces of other scripts, which look like ASCII ones.
        if not (" " <= character <= "~" or character == "\t"):
            _refuse(
                f"The schedule has {character!a} at position {position}.",
                "Use ASCII digits, letters and signs, with plain spaces between the fields.",
            )
    if not expression.strip():
        _refuse("The schedule is empty.", "It needs five fields, such as '0 2 * * *': every day at two.")


def _check_prefix(expression: str) -> None:
    if zone := _ZONE.match(expression.strip()):
        _refuse(
            f"The schedule {_shown(expression)} names a time zone, which is not supported there.",
            "Pass it separately: " + Api.TIMEZONE + f"{zone['zone'] or 'Europe/Berlin'!r}.",
        )
    word = expression.split()[0].lower()
    if word.startswith("@") and expression.strip().lower() not in _MACROS:
        _refuse(
            f"The schedule {_shown(expression)} is not supported.",
            _OTHER_MACROS.get(word) or f"It must be five fields, or one of {', '.join(_MACROS)}.",
        )


# Different expressions share most of their fields.
@lru_cache(maxsize=1024)
def _parse_field(field: _Field, text: str) -> ParsedField:
    items = [_parse_item(field, item, text) for item in text.split(",")]
    return ParsedField(
        text=",".join(item.text for item in items),
        values=tuple(sorted({value for item in items for value in item.values})),
        is_open=any(item.is_open for item in items),
    )


def _parse_item(field: _Field, item: str, text: str) -> ParsedField:
    if not item:
        _refuse_field(field, text, "has an empty item")
    match = _ITEM.fullmatch(item.lower())
    if match is None:
        _refuse_item(field, item)
    step = _step(field, item, match["step"])
    written_step = "" if match["step"] is None else f"/{step}"
    if match["star"]:
        return ParsedField(f"*{written_step}", _values(field, field.low, field.last, step), is_open=step == 1)
    first = _value(field, item, match["first"])
    if match["last"] is not None:
        last = _value(field, item, match["last"])
        if last < first:
            _refuse_backwards(field, item, first, last, step)
        return ParsedField(f"{first}-{last}{written_step}", _values(field, first, last, step), is_open=False)
    # As in Kubernetes and croniter, `5/15` is every 15 from 5 to the end of the field.
    last = first if match["step"] is None else max(first, field.last)
    return ParsedField(f"{first}{written_step}", _values(field, first, last, step), is_open=False)


def _values(field: _Field, first: int, last: int, step: int) -> tuple[int, ...]:
    # Only 7, Sunday, is above its field's last value.
    return tuple(value if value <= field.last else field.low for value in range(first, last + 1, step))


def _value(field: _Field, item: str, word: str) -> int:
    if word in field.names:
        return field.low + field.names.index(word)
    if not word.isdigit():
        _refuse_item(field, item)
    if not field.low <= int(word) <= field.highest:
        _refuse_field(field, item, "is out of range")
    return int(word)


def _step(field: _Field, item: str, digits: str | None) -> int:
    step = 1 if digits is None else int(digits)
    if step > field.size:
        _refuse_field(
            field, item, f"has a step that is larger than the field, which has {field.size} values", f" and steps of 1-{field.size}"
        )
    if step == 0:
        _refuse_field(field, item, "has a step of 0", f" and steps of 1-{field.size}")
    return step


def _joined(parts: tuple[ParsedField, ...]) -> CronExpression:
    minute, hour, day, month, weekday = parts
    days, weekdays = _day_values(day, month, weekday)
    differs = disagreement(parts)
    return CronExpression(
        text=" ".join(part.text for part in parts),
        minutes_of_day=array("H", [h * 60 + m for h in hour.values for m in minute.values]),
        months=month.values,
        day_fields=" ".join(map(_list_text, _FIELDS[2:], (days, month.values, weekdays))),
        is_fixed=not (minute.text.startswith("*") or hour.text.startswith("*")),
        warnings=_warnings(day, weekday, differs),
        disagreement=differs,
    )


def _day_values(day: ParsedField, month: ParsedField, weekday: ParsedField) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the values of both day fields in the spelling that croniter reads as cron does; refuse an expression that never fires."""
    exists = day.values[0] <= longest(month.values)
    if day.is_open or weekday.is_open:
        if not exists:
            _refuse_never(day, month)
        return day.values, weekday.values
    if day.values == _EVERY_DAY or weekday.values == _EVERY_WEEKDAY:
        return _EVERY_DAY, _EVERY_WEEKDAY  # either field is enough, and one of them matches every day
    # Either field is enough, so a day that no month has adds nothing; croniter would search for it at every step.
    return (day.values if exists else _EVERY_DAY), weekday.values


def _warnings(day: ParsedField, weekday: ParsedField, differs: Disagreement | None) -> tuple[str, ...]:
    if differs is not None:
        return (f"{differs.message} It runs as in Kubernetes. {differs.hint}",)
    if day.is_open or weekday.is_open:
        return ()
    return (
        f"Day of month ({day.text}) and day of week ({weekday.text}) are both set: it runs on days that match either of them, as in cron. "
        "To run on days that match both, set one and check the other in main.py.",
    )


def _list_text(field: _Field, values: tuple[int, ...]) -> str:
    return "*" if len(values) == field.size else ",".join(map(str, values))


def _refuse(message: str, hint: str, field: str = "expression") -> NoReturn:
    raise BadSchedule(message, hint=hint, field=field)


def _refuse_count(expression: str, count: int) -> NoReturn:
    _refuse(
        f"The schedule {_shown(expression)} has {count} field{'s' * (count != 1)}.",
        f"It needs five: {', '.join(field.name for field in _FIELDS)}."
        + " Seconds and years are not supported: leave them out." * (count > len(_FIELDS)),
    )


def _refuse_field(field: _Field, text: str, complaint: str, also: str = "") -> NoReturn:
    _refuse(f"The {field.name} {_shown(text)} {complaint}.", f"The {field.name} takes {field.takes}{also}.", field.name)


def _refuse_item(field: _Field, item: str) -> NoReturn:
    if meaning := unsupported(field.name, item.lower()):
        what, hint = meaning
        _refuse(f"The {field.name} {_shown(item)} means {what}, which is not supported.", hint, field.name)
    _refuse_field(field, item, "is not valid", ", lists (1,2), ranges (1-3) and steps (*/2)")


def _refuse_backwards(field: _Field, item: str, first: int, last: int, step: int) -> NoReturn:
    rewritten = ",".join(_rewritten(field, 0 if first > field.last else first, last, step, has_names=item[:1].isalpha()))
    _refuse(f"The {field.name} {_shown(item)} goes backwards.", f"Write {rewritten}.", field.name)


def _rewritten(field: _Field, first: int, last: int, step: int, *, has_names: bool) -> list[str]:
    """Return the items that mean the same as a range that wraps around the end of its field."""
    if step > 1:
        wrapping = range(first, last + 1 + (field.size if last < first else 0), step)
        return [_spelled(field, (value - field.low) % field.size + field.low, has_names) for value in wrapping]
    spans = [(first, last)] if first <= last else [(first, field.last), (field.low, last)]
    return ["-".join(_spelled(field, value, has_names) for value in sorted({low, high})) for low, high in spans]


def _spelled(field: _Field, value: int, has_names: bool) -> str:
    return field.names[value - field.low] if has_names else str(value)


def _refuse_never(day: ParsedField, month: ParsedField) -> NoReturn:
    _refuse(
        f"The schedule never fires: day of month {_shown(day.text)} does not exist in month {_shown(month.text)}.",
        "Name a day that the month has.",
        _FIELDS[2].name,
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
