"""Small charts of one line of text, for terminals and mails."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "12345678"
"""For where `BLOCKS` cannot be encoded."""
_NOTHING = "·"


def sparkline(values: Sequence[float | None], encoding: str = "utf-8") -> str:
    """Return a character for each value, higher the larger it is: from 0 to the largest of them. None is a dot.

    encoding: of where the line will be written; if it has no blocks, the characters are digits from 1 to 8.
    """
    levels, nothing = (BLOCKS, _NOTHING) if _can_encode(BLOCKS + _NOTHING, encoding) else (DIGITS, ".")
    largest = max((value for value in values if value is not None), default=0.0)
    return "".join(nothing if value is None else levels[_level(value, largest)] for value in values)


def _level(value: float, largest: float) -> int:
    return min(len(BLOCKS) - 1, int(value / largest * len(BLOCKS))) if largest > 0 else 0


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
