"""Text that is safe to show: names of any length and content, ids, counts and numbers, URLs without their passwords."""

from __future__ import annotations

from collections.abc import Sequence

_QUOTED_CHARACTERS = 120
_SHORT = 8
_CREDENTIALS = r"://[^/\s]*@"
_QUERY = r"(://[^\s?#]*\?)[^\s#'\"<>]+"


def quoted(name: str) -> str:
    """Return the name in quotes, unprintable characters escaped, the middle of one longer than 120 characters replaced by `…`."""
    if len(name) > _QUOTED_CHARACTERS:
        name = f"{name[: _QUOTED_CHARACTERS // 2]}…{name[-_QUOTED_CHARACTERS // 2 :]}"
    return repr(name)


def listed(names: Sequence[str], most: int) -> str:
    """Return names separated by commas: all of them, or the first `most` and the number of the others, if those are two or more."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def mask_credentials(text: str) -> str:
    """Replace user and password of every URL in a text, and its query, which often holds a token.

    `https://user:word@host/x?sig=abc` becomes `https://****@host/x?****`.
    """
    import re

    return re.sub(_QUERY, r"\1****", mask_userinfo(text))


def mask_userinfo(text: str) -> str:
    """Replace user and password of every URL in a text, and leave its query: `https://user:word@host` becomes `https://****@host`."""
    import re

    return re.sub(_CREDENTIALS, "://****@", text)


def short_id(whole_id: str) -> str:
    """Return the first eight digits of an id."""
    return whole_id[:_SHORT]


def one_line(text: str) -> str:
    """Return the text with unprintable characters, such as line ends, replaced by spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


def number_text(value: float | None) -> str:
    """Return a number as text, rounded to six digits; None is empty."""
    return "" if value is None else f"{value:g}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 run`, `2 runs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
