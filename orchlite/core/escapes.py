"""Control sequences in the output of programs: which of them a terminal gets.

A program's output can hold what its input held. On a terminal such text could set the title or the clipboard, hide lines, or make the
terminal answer as if the user had typed.
"""

from __future__ import annotations

import re

# ECMA-48, with both the 7-bit and the 8-bit forms of its introducers.
_SEQUENCE = re.compile(
    r"(?P<colours>\x1b\[[0-9;:]*m)"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # strings: title, clipboard, …
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: the cursor, erasing, reports, …
    r"|\x1b[ -/]*[0-~]"  # ESC and a final character
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # single controls, and introducers of incomplete sequences
)


def without_sequences(text: str) -> str:
    """Return the text without control sequences and characters, except colours (SGR), tabs, carriage returns and line ends."""
    return text if text.isprintable() else _SEQUENCE.sub(lambda found: found["colours"] or "", text)


def without_colours(text: str) -> str:
    """Return the text without control sequences and characters, colours included, except tabs, carriage returns and line ends."""
    return text if text.isprintable() else _SEQUENCE.sub("", text)
