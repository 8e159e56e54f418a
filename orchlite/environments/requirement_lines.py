"""The lines of a requirements file: decoded, joined where they are continued, without comments. Pure rules.

Blank lines and comments cost next to nothing, since a file of 1 MiB may consist of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from orchlite.core.errors import BadRequirement
from orchlite.core.sizes import size_text
from orchlite.core.text import mask_credentials, quoted

CONTENT_BYTES = 1024 * 1024
"""Size limit of a requirements file."""

LINE_CHARACTERS = 64 * 1024
"""Length limit of a line with its continuations: enough for the hashes of several hundred files."""

_TEXT_CHARACTERS = 200

# Texts, compiled at their first use: most processes that import this module never use them.
_UTF16 = rb"\xff\xfe|\xfe\xff"
_NEWLINE = r"\r\n|\r|\n"
# pip splits lines at some of these.
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]"
_COMMENT = r"(?:\A|\s)#.*\Z"


class SourceLine(NamedTuple):
    """A line of a file, with those that continue it."""

    file: str
    number: int
    text: str

    @property
    def place(self) -> str:
        """Where the line begins, for messages."""
        return self.file + f", line {self.number}"

    def error(self, complaint: str, hint: str, **details: Any) -> BadRequirement:
        """Return the error that quotes this line, credentials masked."""
        message = self.place + f": {printable(self.text)!r} {printable(complaint)}."
        return BadRequirement(message, hint=hint, line=self.number, text=mask_credentials(self.text), file=self.file, **details)


def printable(text: str) -> str:
    """Return the text for a message: credentials masked, at most 200 characters."""
    text = mask_credentials(text)
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}…"


def logical_lines(content: bytes, name: str) -> Iterator[SourceLine]:
    """Yield the lines that are neither blank nor comments. As in pip, a comment line cannot be continued, and ends a continuation.

    Raises:
        BadRequirement: the file `name` is too long, is not UTF-8, or has a control character or too long a line.
    """
    text = _decoded(content, name)
    _check_characters(text, name)
    joined, number = "", 0
    for here, physical in enumerate(re.split(_NEWLINE, text), start=1):
        is_comment = physical.lstrip().startswith("#")
        if not joined and (is_comment or not physical or physical.isspace()):
            continue
        number = number if joined else here
        if physical.endswith("\\") and not is_comment:
            joined += physical[:-1] or " "
            continue
        yield from _without_comment(SourceLine(name, number, f"{joined} {physical}" if is_comment else joined + physical))
        joined = ""
    yield from _without_comment(SourceLine(name, number, joined))


def _decoded(content: bytes, name: str) -> str:
    if len(content) > CONTENT_BYTES:
        complaint = f"{name} is longer than {size_text(CONTENT_BYTES)}."
        raise BadRequirement(complaint, hint="Keep only requirements in it.", line=1, text="", file=name, limit_bytes=CONTENT_BYTES)
    if re.match(_UTF16, content):
        raise _bad_bytes(content, 0, name, "is UTF-16, not UTF-8")
    if (position := content.find(b"\0")) >= 0:
        raise _bad_bytes(content, position, name, "contains a NUL")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_bytes(content, error.start, name, "is not valid UTF-8") from error


def _bad_bytes(content: bytes, position: int, name: str, complaint: str) -> BadRequirement:
    begin = max(content.rfind(b"\n", 0, position) + 1, position - _TEXT_CHARACTERS)
    text = content[begin : position + 1].decode(errors="backslashreplace")
    line = SourceLine(name, len(re.findall(_NEWLINE.encode(), content[:position])) + 1, text)
    return line.error(complaint, "Save the file as UTF-8 text (PowerShell's `>` writes UTF-16).")


def _check_characters(text: str, name: str) -> None:
    found = re.search(_CONTROL, text)
    if found:
        before = re.split(_NEWLINE, text[: found.start()])
        line = before[-1] + re.split(_NEWLINE, text[found.start() :], maxsplit=1)[0]
        raise SourceLine(name, len(before), line).error(f"contains the control character {quoted(found[0])}", "Remove it.")


def _without_comment(line: SourceLine) -> Iterator[SourceLine]:
    text = re.sub(_COMMENT, "", line.text).strip()
    if len(text) > LINE_CHARACTERS:
        raise line.error(f"is longer than {LINE_CHARACTERS} characters", "Write one requirement on a line.")
    if text:
        yield SourceLine(line.file, line.number, text)
