"""The text of a schedule: five fields of cron, read strictly, written in one spelling, turned into sets. No clock, zone or calendar.

The grammar is read here and not by croniter, because croniter 7.0.0 takes `5-5` for the whole field, and accepts `22-2`, `*/100`,
random fields, seconds, years, and `0 0 30 2 *`, which never fires. It is the one that Kubernetes reads, made stricter.
"""

from __future__ import annotations

import re
from array import array
from functools import lru_cache
from typing import NamedTuple, NoReturn

from orchlite.core.errors import BadSchedule

_CHARACTERS = 256
_SHOWN_CHARACTERS = 80
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

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
    "@reboot": "For what starts with the host, submit it where the host starts: run_once() or run_continuously().",
    "@every": "Write a step: '*/5 * * * *' is every five minutes, '0 */2 * * *' every two hours.",
}

_ITEM = re.compile(r"(?:(?P<star>[*?])|(?P<first>[0-9]+|[a-z]+)(?:-(?P<last>[0-9]+|[a-z]+))?)(?:/(?P<step>[0-9]+))?")
_ZONE = re.compile(r"(?:cron_)?tz=(?P<zone>\S*)", re.IGNORECASE)

_UNSUPPORTED = (
    (
        re.compile(r".*#.*"),
        "the nth weekday of a month ('#')",
        "Name the days it can fall on in day of month, such as 15-21 for the third, and let main.py look at the weekday.",
    ),
    (
        re.compile(r"l(-?[0-9]+)?|lw|[0-9]l|[a-z]{3}l"),
        "the last day of a month ('L')",
        "Write 28-31 in day of month, and let main.py look whether it is the last one.",
    ),
    (
        re.compile(r"[0-9]*w[0-9]*"),
        "the nearest working day ('W')",
        "Name the days it can fall on in day of month, such as 14-16 for the 15th, and let main.py look at the date.",
    ),
    (
        re.compile(r"[hr](\(.*\))?(/.*)?|.*~.*"),
        "a random time ('R', 'H', '~')",
        "A schedule's slots must be the same on every host: write a number of your own choice.",
    ),
)


class _Field(NamedTuple):
    """What one of the five fields takes."""

    name: str
    low: int
    last: int
    """The largest value that `*` stands for."""
    takes: str
    names: tuple[str, ...] = ()
    """Of the values from `low` on."""

    @property
    def size(self) -> int:
        return self.last - self.low + 1

    @property
    def highest(self) -> int:
        """The largest value that may be written: 7 is a Sunday, too."""
        return 7 if self.names == _WEEKDAY_NAMES else self.last


_FIELDS = (
    _Field("minute", 0, 59, "0-59"),
    _Field("hour", 0, 23, "0-23"),
    _Field("day of month", 1, 31, "1-31"),
    _Field("month", 1, 12, "1-12 or jan-dec", _MONTH_NAMES),
    _Field("day of week", 0, 6, "0-7 (0 and 7 are Sunday) or sun-sat", _WEEKDAY_NAMES),
)
_EVERY_DAY, _EVERY_WEEKDAY = (tuple(range(field.low, field.last + 1)) for field in (_FIELDS[2], _FIELDS[4]))


class _Part(NamedTuple):
    """One field, or one item of its list, as it was read."""

    text: str
    values: tuple[int, ...]
    """Of a whole field: ascending, each once."""
    is_open: bool
    """True where it says `*`, alone or in a list: a day field that says so leaves the choice to the other one."""


class CronText(NamedTuple):
    """An accepted expression."""

    text: str
    """Five fields in one spelling: numbers without leading zeros for names, `*` for `?`, single spaces; macros written out."""
    times: array[int]
    """Minutes of the day, ascending."""
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    """0 is Sunday."""
    either: bool
    """True: a day in `days` or in `weekdays` will do. False: it must be in both."""
    day_text: str
    """`days`, `months` and `weekdays` as fields of cron: lists of numbers, `*` for a full one."""
    is_fixed: bool
    """A fixed-time job, in the words of Debian's cron: neither minute nor hour begins with `*`."""
    warnings: tuple[str, ...]


def read_cron_text(expression: object) -> CronText:
    """Read an expression, or one of the `@` words that stand for one.

    Raises:
        BadSchedule: it is none, is not supported, or never fires. `details["field"]` is the field's name, or "expression".
    """
    if not isinstance(expression, str):
        raise BadSchedule(
            f"The schedule is a {type(expression).__name__}.", hint="It takes a text, such as '*/5 * * * *'.", field="expression"
        )
    return _read(expression)


# Half a kilobyte each, and at most three.
@lru_cache(maxsize=4096)
def _read(expression: str) -> CronText:
    _check_characters(expression)
    _check_prefix(expression)
    words = _MACROS.get(expression.strip().lower(), expression).split()
    if len(words) != len(_FIELDS):
        _refuse_count(expression, len(words))
    return _joined(tuple(map(_read_field, _FIELDS, words)))


def _check_characters(expression: str) -> None:
    if len(expression) > _CHARACTERS:
        raise BadSchedule(
            f"The schedule has {len(expression)} characters; the limit is {_CHARACTERS}.",
            hint="Write ranges and steps where it lists numbers.",
            field="expression",
            limit=_CHARACTERS,
        )
    for position, character in enumerate(expression, 1):
        # Digits, letters and spaces of other scripts look like ours, and int() and split() would take them.
        if not (" " <= character <= "~" or character == "\t"):
            _refuse(
                f"The schedule has {character!a} at position {position}.",
                "It takes ASCII digits, letters and signs, with plain spaces between the fields.",
            )
    if not expression.strip():
        _refuse("The schedule is empty.", "It takes five fields, such as '0 2 * * *': every day at two.")


def _check_prefix(expression: str) -> None:
    if zone := _ZONE.match(expression.strip()):
        _refuse(
            f"The schedule {_shown(expression)} names a time zone, which is not supported there.",
            f"Give it as an argument of its own: timezone={zone['zone'] or 'Europe/Berlin'!r}.",
        )
    word = expression.split()[0].lower()
    if word.startswith("@") and expression.strip().lower() not in _MACROS:
        _refuse(
            f"The schedule {_shown(expression)} is not supported.",
            _OTHER_MACROS.get(word) or f"It takes five fields, or one of {', '.join(_MACROS)}.",
        )


# Different expressions are made of the same fields, `*` above all.
@lru_cache(maxsize=1024)
def _read_field(field: _Field, text: str) -> _Part:
    items = [_read_item(field, item, text) for item in text.split(",")]
    return _Part(
        text=",".join(item.text for item in items),
        values=tuple(sorted({value for item in items for value in item.values})),
        is_open=any(item.is_open for item in items),
    )


def _read_item(field: _Field, item: str, text: str) -> _Part:
    if not item:
        _refuse_field(field, text, "has an empty item")
    match = _ITEM.fullmatch(item.lower())
    if match is None:
        _refuse_item(field, item)
    step = _step(field, item, match["step"])
    written_step = "" if match["step"] is None else f"/{step}"
    if match["star"]:
        return _Part(f"*{written_step}", _values(field, field.low, field.last, step), is_open=step == 1)
    first = _value(field, item, match["first"])
    if match["last"] is not None:
        last = _value(field, item, match["last"])
        if last < first:
            _refuse_backwards(field, item, first, last, step)
        return _Part(f"{first}-{last}{written_step}", _values(field, first, last, step), is_open=False)
    # As Kubernetes and croniter read it: `5/15` begins at 5 and goes on to the field's end.
    last = first if match["step"] is None else max(first, field.last)
    return _Part(f"{first}{written_step}", _values(field, first, last, step), is_open=False)


def _values(field: _Field, first: int, last: int, step: int) -> tuple[int, ...]:
    # Only Sunday is ever folded: the other fields' highest value is their last.
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


def _joined(parts: tuple[_Part, ...]) -> CronText:
    minute, hour, day, month, weekday = parts
    days, weekdays, either = _day_rule(day, month, weekday)
    return CronText(
        text=" ".join(part.text for part in parts),
        times=array("H", [h * 60 + m for h in hour.values for m in minute.values]),
        days=days,
        months=month.values,
        weekdays=weekdays,
        either=either,
        day_text=" ".join(map(_list_text, _FIELDS[2:], (days, month.values, weekdays))),
        is_fixed=not (minute.text.startswith("*") or hour.text.startswith("*")),
        warnings=_warnings(day, weekday),
    )


def _day_rule(day: _Part, month: _Part, weekday: _Part) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """The days, the weekdays, and whether either will do: only where both leave something out and both can come."""
    can_come = day.values[0] <= max(_LONGEST_MONTHS[number - 1] for number in month.values)
    if day.is_open or weekday.is_open:
        if not can_come:
            _refuse_never(day, month)
        return day.values, weekday.values, False
    if day.values == _EVERY_DAY or weekday.values == _EVERY_WEEKDAY:
        return _EVERY_DAY, _EVERY_WEEKDAY, False
    # croniter would look for a 30 February through fifty years at every step.
    return (day.values, weekday.values, True) if can_come else (_EVERY_DAY, weekday.values, False)


def _warnings(day: _Part, weekday: _Part) -> tuple[str, ...]:
    if day.is_open or weekday.is_open:
        return ()
    return (
        f"Day of month ({day.text}) and day of week ({weekday.text}) are both set: it runs on days that match either of them, as in cron. "
        "For days that match both, set one and let main.py look at the other.",
    )


def _list_text(field: _Field, values: tuple[int, ...]) -> str:
    return "*" if len(values) == field.size else ",".join(map(str, values))


def _refuse(message: str, hint: str, field: str = "expression") -> NoReturn:
    raise BadSchedule(message, hint=hint, field=field)


def _refuse_count(expression: str, count: int) -> NoReturn:
    _refuse(
        f"The schedule {_shown(expression)} has {count} field{'s' * (count != 1)}.",
        f"It takes five: {', '.join(field.name for field in _FIELDS)}."
        + " Seconds and years are not supported: leave them out." * (count > len(_FIELDS)),
    )


def _refuse_field(field: _Field, text: str, complaint: str, also: str = "") -> NoReturn:
    _refuse(f"The {field.name} {_shown(text)} {complaint}.", f"The {field.name} takes {field.takes}{also}.", field.name)


def _refuse_item(field: _Field, item: str) -> NoReturn:
    for pattern, what, hint in _UNSUPPORTED:
        if pattern.fullmatch(item.lower()):
            _refuse(f"The {field.name} {_shown(item)} asks for {what}, which is not supported.", hint, field.name)
    _refuse_field(field, item, "is not understood", ", lists (1,2), ranges (1-3) and steps (*/2)")


def _refuse_backwards(field: _Field, item: str, first: int, last: int, step: int) -> NoReturn:
    rewritten = ",".join(_rewritten(field, 0 if first > field.last else first, last, step, has_names=item[:1].isalpha()))
    _refuse(f"The {field.name} {_shown(item)} goes backwards.", f"Write {rewritten}.", field.name)


def _rewritten(field: _Field, first: int, last: int, step: int, *, has_names: bool) -> list[str]:
    """The items that say what a range around the field's end means."""
    if step > 1:
        around = range(first, last + 1 + (field.size if last < first else 0), step)
        return [_spelt(field, (value - field.low) % field.size + field.low, has_names) for value in around]
    spans = [(first, last)] if first <= last else [(first, field.last), (field.low, last)]
    return ["-".join(_spelt(field, value, has_names) for value in sorted({low, high})) for low, high in spans]


def _spelt(field: _Field, value: int, has_names: bool) -> str:
    return field.names[value - field.low] if has_names else str(value)


def _refuse_never(day: _Part, month: _Part) -> NoReturn:
    _refuse(
        f"The schedule never fires: day of month {_shown(day.text)} does not come in month {_shown(month.text)}.",
        "Name a day that the month has.",
        _FIELDS[2].name,
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
