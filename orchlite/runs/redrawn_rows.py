"""The rows that a program redraws: progress bars, which return to the beginning of a line, or to lines above it, and write it again.

A row is one line of a terminal. Only rows that the program has begun with a carriage return can be redrawn, so that ordinary lines can
neither be hidden nor changed once they have ended.
"""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import chain, takewhile

from orchlite.runs.logs import LogLine, UnfinishedLine

_MOVE = re.compile(r"(\r|\x1b\[\d{0,3}A)")
_TORN_MOVE = re.compile(r"\x1b(?:\[\d{0,3})?\Z")
_SETTLED = timedelta(seconds=0.5)


class Row:
    """One row: what was written to it since the last carriage return."""

    def __init__(self) -> None:
        self.is_redrawn = False
        """Whether it was begun, or begun again, with a carriage return."""
        self.length = 0
        """The number of its characters."""
        self.oldest: LogLine | None = None
        """The part of the log with which the text begins that it has now."""
        self.newest: LogLine | None = None
        """The part of the log that was written to it last."""
        self._pieces: list[str] = []
        self._is_returned = False

    def add(self, text: str, line: LogLine) -> None:
        """Append some text or, after `go_to_start`, replace what is there."""
        if self._is_returned:
            self._pieces.clear()
            self.is_redrawn, self._is_returned = True, False
        if not self._pieces:
            self.oldest, self.length = line, 0
        self._pieces.append(text)
        self.length += len(text)
        self.newest = line

    def go_to_start(self) -> None:
        """Let the next text replace what is there."""
        self._is_returned = True

    def end(self, line: LogLine) -> None:
        """End the row: a carriage return before a newline replaces nothing."""
        self._is_returned = False
        self.oldest, self.newest = self.oldest or line, line

    def is_fresh(self) -> bool:
        """Return whether nothing was written to it."""
        return not self._pieces and not self._is_returned

    def is_blank(self) -> bool:
        """Return whether there is nothing to see."""
        return not any(piece.strip() for piece in self._pieces)

    def text(self) -> str:
        """Return all of the text."""
        return "".join(self._pieces)

    def start(self, most: int) -> str:
        """Return the first characters, `most` at most."""
        return "".join(self._pieces[:most])[:most]

    def end_of_text(self, most: int) -> str:
        """Return the last characters, `most` at most."""
        return "".join(self._pieces[-most:])[-most:]


class RedrawnRows:
    """The newest rows of one stream: those that its program may still change."""

    def __init__(self, most: int) -> None:
        """At most `most` rows stay changeable."""
        self._most = most
        self._rows = [Row()]
        self._at = 0
        self._torn = ""
        """The beginning of a move whose rest has not arrived."""

    def are_fresh(self) -> bool:
        """Return whether there is nothing in them."""
        return len(self._rows) == 1 and self._rows[0].is_fresh() and not self._torn

    def feed(self, line: LogLine) -> list[Row]:
        """Write a line, or a part of one, and return the rows that can no longer change, oldest first."""
        text = self._torn + line.text
        self._torn = torn[0] if isinstance(line, UnfinishedLine) and (torn := _TORN_MOVE.search(text)) else ""
        for piece in _MOVE.split(text.removesuffix(self._torn)):
            self._write(piece, line)
        if isinstance(line, UnfinishedLine):
            return []
        self._rows[self._at].end(line)
        self._at += 1
        if self._at == len(self._rows):
            self._rows.append(Row())
        return self._settled()

    def settle(self, line: LogLine) -> list[Row]:
        """Return the rows that can no longer change, because the other stream has this line, which is printed below them.

        They are those above the cursor. Rows that were just written are not: of nested bars, the program first writes the inner one below
        the outer one, and then moves back up.
        """
        above = self._rows[: self._at]
        return self._without(sum(1 for _ in takewhile(lambda row: row.newest is None or line.at - row.newest.at > _SETTLED, above)))

    def finish(self) -> list[Row]:
        """Return the rows that are left, and begin with none. Empty ones at the end are left out."""
        rows = self.current()
        self._rows, self._at, self._torn = [Row()], 0, ""
        return rows

    def current(self) -> list[Row]:
        """Return the rows that may still change, without empty ones at the end."""
        used = len(self._rows)
        while used and self._rows[used - 1].is_blank():
            used -= 1
        return self._rows[:used]

    def _write(self, piece: str, line: LogLine) -> None:
        row = self._rows[self._at]
        if piece == "\r":
            row.go_to_start()
        elif self._at and piece.endswith("A") and _MOVE.fullmatch(piece):
            self._at = max(0, self._at - int(piece[2:-1] or 1))
        elif piece:
            row.add(piece, line)

    def _settled(self) -> list[Row]:
        """Remove and return the rows up to the last one above the cursor that cannot be redrawn, and those that are too many."""
        fixed = (place + 1 for place in range(self._at) if not self._rows[place].is_redrawn)
        return self._without(max(chain(fixed, [len(self._rows) - self._most, 0])))

    def _without(self, count: int) -> list[Row]:
        removed, self._rows = self._rows[:count], self._rows[count:]
        self._at = max(0, self._at - count)
        return removed
