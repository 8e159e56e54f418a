"""Sizes in bytes, as people write and read them: `512MiB`, `4 GiB`."""

from __future__ import annotations

import re

from orchlite.core.arguments import checked_count
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})", re.ASCII)


def parsed_size(text: str) -> int | None:
    """Return the bytes; None if it is no size. A bare number is none, nor is `4G`, because their unit would be a guess."""
    found = _SIZE.fullmatch(text)
    return None if found is None else int(float(found[1]) * _UNITS[found[2]])


def checked_size(value: object, argument: str, least_bytes: int, most_bytes: int) -> int:
    """Return the bytes of a size: a number of bytes, or a text such as `"4GiB"`.

    Raises:
        BadArgument: `value` is something else, or too small or too large.
    """
    if isinstance(value, str):
        count = parsed_size(value)
        if count is None:
            raise BadArgument(Argument(argument) + f" is {value!r:.80}.", hint="Write it like 512MiB or 4GiB.", argument=argument)
    else:
        count = checked_count(value, argument, 0)
    if not least_bytes <= count <= most_bytes:
        hint = f"It takes {size_text(least_bytes)} to {size_text(most_bytes)}."
        raise BadArgument(Argument(argument) + f" is {size_text(count)}.", hint=hint, argument=argument)
    return count


def size_text(count: int) -> str:
    """Return a size as text, rounded: `512 B`, `1.5 MiB`, `4 GiB`."""
    unit = max((unit for unit in _UNITS if _UNITS[unit] <= count), key=_UNITS.__getitem__, default=None)
    return f"{count} B" if unit is None else f"{count / _UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}"
