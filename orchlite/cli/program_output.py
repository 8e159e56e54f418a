"""The output of programs, from their logs: lines that have ended, and on a terminal lines that have not, which are redrawn in place.

Whatever the program has written, a line is printed as a terminal would show it last, once the program can no longer redraw it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TextIO

from orchlite.cli.json_models import time_json
from orchlite.cli.output import can_redraw, cut_to_cells, discard
from orchlite.core.escapes import without_sequences
from orchlite.runs.logs import LogLine, UnfinishedLine
from orchlite.runs.redrawn_rows import RedrawnRows, Row

_MOST_ROWS = 20
_MOST_SHOWN = 4096
"""More characters than a row of a terminal has, control sequences included."""
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_SIZE = os.terminal_size((80, 24))


class ProgramOutput:
    """Prints what programs write."""

    def __init__(
        self, targets: Mapping[str, TextIO], *, raw: bool = False, stamped: bool = False, live: bool = True, outlives_readers: bool = False
    ) -> None:
        """`targets` says where the lines of `stdout` and `stderr` go.

        raw: print what was written as it is.
        stamped: print the time of arrival before each line.
        live: print at once what is added; on a terminal, show lines that have not ended.
        outlives_readers: ignore a reader of a target that is gone; else that is a `BrokenPipeError`.
        """
        self._targets = targets
        self._is_raw = raw
        self._is_stamped = stamped
        self._is_live = live
        self._outlives_readers = outlives_readers
        self._is_cut_off = False
        areas = {_device(stream): _Area(stream) for stream in targets.values() if live and can_redraw(stream)} if not raw else {}
        self._areas = {name: areas.get(_device(stream)) for name, stream in targets.items()}
        self._rows = {name: RedrawnRows(area.most_rows() if area else _MOST_ROWS) for name, area in self._areas.items()}
        self._is_plain = True
        """Whether nothing that was printed can be redrawn: an ordinary line can be printed below it."""
        self._terminals = {stream for stream in targets.values() if stream.isatty()}
        self._open: TextIO | None = None
        """With `raw`: where a line has not ended."""

    def add(self, line: LogLine) -> None:
        """Print a line, or a part of one."""
        if self._is_raw:
            self._print_raw(line)
        elif self._is_plain and "\r" not in line and not isinstance(line, UnfinishedLine):  # nearly every line of a long log
            target = self._targets[_name(line)]
            self._print(target, f"{self._text(line.text, line, target)}\n")
        else:
            stream = _name(line)
            if not isinstance(line, UnfinishedLine):
                self._settle_others(stream, line)
            self._show(stream, self._rows[stream].feed(line))
            self._is_plain = all(rows.are_fresh() for rows in self._rows.values())

    def finish(self) -> None:
        """End lines that have not ended, so that what is printed next begins a new one."""
        if self._open is not None:
            self._print(self._open, "\n")
            self._open = None
        left = {stream: rows.finish() for stream, rows in self._rows.items()}
        for stream, ended in left.items():
            self._show(stream, ended)
        self._is_plain = True

    def _settle_others(self, stream: str, line: LogLine) -> None:
        """Print the ended lines of the other stream: they were written before this line."""
        for name, rows in self._rows.items():
            if name != stream and (ended := rows.settle(line)):
                self._show(name, ended)

    def _show(self, stream: str, ended: Sequence[Row]) -> None:
        target, area = self._targets[stream], self._areas[stream]
        texts = [f"{self._text(row.text(), row.newest, target)}\n" for row in ended]
        if area is None:
            self._print(target, *texts)
            return
        self._print(area.stream, area.erased() if texts else "")
        self._print(target, *texts)
        names = [name for name, other in self._areas.items() if other is area]
        rows = [self._live_text(row, target) for name in names for row in self._rows[name].current()]
        self._print(area.stream, area.drawn(rows))

    def _live_text(self, row: Row, target: TextIO) -> str:
        """Return what is shown of a row that may be longer than the terminal is wide: its beginning or, if it only grows, its end."""
        if row.is_redrawn:
            return self._text(row.start(_MOST_SHOWN), row.newest, target)
        width = _size(target).columns - 1
        text = self._text(row.end_of_text(_MOST_SHOWN), row.newest, target)
        return text if len(text) <= width else f"…{_COLOURS.sub('', text)[1 - width :]}"

    def _text(self, text: str, line: LogLine | None, target: TextIO) -> str:
        shown = without_sequences(text) if target in self._terminals else text
        return f"{time_json(line.at)} {shown}" if self._is_stamped and line is not None else shown

    def _print_raw(self, line: LogLine) -> None:
        target = self._targets[_name(line)]
        is_open = isinstance(line, UnfinishedLine)
        stamp = f"{time_json(line.at)} " if self._is_stamped and self._open is not target else ""
        self._open = target if is_open else None
        self._print(target, f"{stamp}{line.text}", "" if is_open else "\n")

    def _print(self, target: TextIO, *texts: str) -> None:
        if self._is_cut_off or not any(texts):
            return
        try:
            target.write("".join(texts))
            if self._is_live:
                target.flush()
        except BrokenPipeError:
            if not self._outlives_readers:
                raise
            self._is_cut_off = True
            discard(target)


class _Area:
    """The last rows of a terminal, where lines stand that have not ended."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._height = 0

    def most_rows(self) -> int:
        """Return how many rows fit."""
        return max(1, min(_MOST_ROWS, _size(self.stream).lines - 2))

    def erased(self) -> str:
        """Return what empties the area and leaves the cursor at its beginning."""
        text = f"{self._to_top()}\x1b[J" if self._height else ""
        self._height = 0
        return text

    def drawn(self, rows: Sequence[str]) -> str:
        """Return what draws these rows over those that stand there."""
        if not rows:
            return self.erased()
        size = _size(self.stream)
        shown = rows[-(size.lines - 1) :]
        lines = "\n".join(f"{cut_to_cells(row, size.columns - 1)}\x1b[K" for row in shown)
        text = f"{self._to_top()}{lines}\x1b[J"
        self._height = len(shown)
        return text

    def _to_top(self) -> str:
        return f"\r\x1b[{self._height - 1}A" if self._height > 1 else "\r" * self._height


def own_targets(*, as_json: bool) -> dict[str, TextIO]:
    """Return the streams of this process by name; both are standard error if standard output is JSON."""
    return {"stdout": sys.stderr if as_json else sys.stdout, "stderr": sys.stderr}


def _name(line: LogLine) -> str:
    return "stderr" if line.stream == "stderr" else "stdout"


def _device(stream: TextIO) -> object:
    with suppress(OSError, ValueError):  # no descriptor, as in a test
        return os.fstat(stream.fileno()).st_rdev
    return id(stream)


def _size(stream: TextIO) -> os.terminal_size:
    with suppress(OSError, ValueError):
        size = os.get_terminal_size(stream.fileno())
        if size.columns > 1 and size.lines > 1:
            return size
    return _SIZE
