"""Text as it is: characters that hide, reorder or end text are shown by their escapes. Pure."""

from __future__ import annotations

import json
import re

# Controls without the tab, the marks and embeddings of bidirectional text, what has no width, line separators, tags, lone surrogates.
# The joiners U+200C and U+200D are left: Persian and emoji need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return the text with each hidden character replaced by its escape: `\x1b`, `\u202e`. Tabs are left."""
    return _HIDDEN.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Return what `visible` does, and leave line ends."""
    if text.isascii() and text.isprintable():  # the quick case: a page shows thousands of texts
        return text
    return "\n".join(map(visible, text.replace("\r\n", "\n").split("\n")))


def cut(text: str, most: int) -> str:
    """Return a text, the end of one that is longer than `most` characters replaced by `…`."""
    return text if len(text) <= most else f"{text[:most]}…"


def escaped_json(text: str) -> str:
    """Return a JSON text with each hidden character as an escape, so that it says the same and can be edited."""
    return "\n".join(_HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], line) for line in text.split("\n"))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
