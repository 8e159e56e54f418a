"""Spans of time, as people write them: `90s`, `5m`, `1h30m`, `2d`, `1w`."""

from __future__ import annotations

import re
from datetime import timedelta

from orchlite.core.arguments import checked_seconds
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


def parsed_duration(text: str) -> timedelta | None:
    """Return the duration; None if it is none. A bare number is none, because its unit would be a guess.

    Raises:
        OverflowError: it is too long.
    """
    if not _DURATION.fullmatch(text):
        return None
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def checked_duration(value: object, argument: str, most_seconds: float) -> float:
    """Return the seconds of a duration: a number of seconds, a `timedelta`, or a text such as `"5m"`; from 0 to `most_seconds`.

    Raises:
        BadArgument: `value` is something else.
    """
    if isinstance(value, str):
        value = _of_text(value, argument)
    seconds = checked_seconds(value.total_seconds() if isinstance(value, timedelta) else value, argument)
    if seconds > most_seconds:
        hint = f"It takes {most_seconds:g} seconds ({most_seconds / 86_400:g} days) at most."
        raise BadArgument(Argument(argument) + f" is {seconds:g} seconds.", hint=hint, argument=argument)
    return seconds


def _of_text(text: str, argument: str) -> timedelta:
    try:
        duration = parsed_duration(text)
    except OverflowError:
        duration = None
    if duration is None:
        raise BadArgument(Argument(argument) + f" is {text!r:.80}.", hint="Write it like 30s, 5m, 1h30m or 2d.", argument=argument)
    return duration
