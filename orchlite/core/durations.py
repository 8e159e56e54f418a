"""Spans of time, as people write them, `90s`, `5m`, `1h30m`, `2d`, `1w`, and read them: `1.52 s`, `2 min 05 s`."""

from __future__ import annotations

import re
from datetime import timedelta

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument

Duration = float | str | timedelta
"""What a caller may pass for a duration: seconds, a `timedelta`, or a text such as `"5m"`."""

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


def plain_seconds(value: object, argument: str) -> object:
    """Return the seconds of a `timedelta` or of a text; anything else as it is.

    Raises:
        BadArgument: the text is no duration.
    """
    if isinstance(value, str):
        value = _of_text(value, argument)
    return value.total_seconds() if isinstance(value, timedelta) else value


def seconds_text(seconds: float | None) -> str:
    """Return a duration as text: `1.52 s`, `2 min 05 s`; None is empty."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _of_text(text: str, argument: str) -> timedelta:
    try:
        duration = parsed_duration(text)
    except OverflowError:
        duration = None
    if duration is None:
        raise BadArgument(Argument(argument) + f" is {text!r:.80}.", hint="Write it like 30s, 5m, 1h30m or 2d.", argument=argument)
    return duration
