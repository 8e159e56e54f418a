"""Text that is safe to show in a message: names of any length and content, URLs without their passwords."""

from __future__ import annotations

from collections.abc import Sequence

_QUOTED_CHARACTERS = 120
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
