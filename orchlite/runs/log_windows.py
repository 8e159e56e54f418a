"""One screen of a run's log as a terminal would show it: rows, of which carriage returns have left the last state.

It reads only the part of the log that it shows, so that a screen takes the same time for a log of any size. A row begins without a colour:
what a screen shows does not depend on what precedes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from orchlite.runs import log_places
from orchlite.runs.log_places import END, Gap, Piece, Place, PlacedLine, PlacedPart
from orchlite.runs.logs import LogLine, UnfinishedLine
from orchlite.runs.redrawn_rows import RedrawnRows, Row

_ROWS = 400
_WEIGHT = 100_000
_ROW_WEIGHT = 60
_READ_BYTES = (64 * 1024, 512 * 1024)
"""How much is read for one screen: more if the first part has but a few rows, as the log of a progress bar."""
_FEW_ROWS = 50
_LONGEST = 8 * 1024
"""A row of this length is ended: a longer line is shown as several."""
_CHANGEABLE_ROWS = 20
_CHANGEABLE_CHARACTERS = 64 * 1024
_TIME = slice(11, 19)
"""Where the time is in the wire form of a line."""
_SHOWN_BEFORE = 5
"""How many rows precede the one that was looked for."""

_Line = PlacedLine | PlacedPart


class LogRow(NamedTuple):
    """One row."""

    text: str
    """With control sequences."""
    stream: Literal["stdout", "stderr", "gap"]
    """`gap`: it stands for dropped segments."""
    time: str
    """When the newest part of it arrived, in UTC: `16:03:19`."""
    place: Place
    """Of the record with which it begins."""
    last_place: Place
    """Of the record with which it ends."""


class LogWindow(NamedTuple):
    """Some consecutive rows."""

    rows: Sequence[LogRow]
    unsettled: Sequence[LogRow]
    """Rows behind these that the program may still change."""
    start: Place
    end: Place
    """Where the next window begins: behind `rows`, and before `unsettled`."""
    has_earlier: bool
    has_later: bool
    found: Place | None = None
    """The place of the row that was looked for."""


def at_end(path: Path, *, has_ended: bool) -> LogWindow:
    """Return the newest rows.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    return _ending(path, END, has_ended=has_ended)


def before(path: Path, place: Place) -> LogWindow:
    """Return the rows that end before a place.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    return _ending(path, place, has_ended=True)


def after(path: Path, place: Place, *, has_ended: bool) -> LogWindow:
    """Return the rows from a place on. While the log has not ended, rows at its end that its program may change are `unsettled`.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    lines: list[_Line] = []
    start = end = place
    read_bytes, has_later = 0, False
    for piece in log_places.after(path, place):
        start = start if read_bytes else piece.start  # later than `place` if its segment was dropped
        lines += piece.lines()
        read_bytes, end = read_bytes + len(piece.data), piece.end
        is_full = sum(isinstance(line, PlacedLine) and "\r" not in line for line in lines) > _ROWS  # each of these is a row
        if has_later := is_full or read_bytes >= _READ_BYTES[-1]:
            break
    has_later = has_later and log_places.bytes_after(path, end) > 0
    screen = _screen(lines)
    if (count := _count(screen.all)) < len(screen.all) and (cut := screen.all[count].place) > start:
        screen, end, has_later = _screen(line for line in lines if line.place < cut), cut, True
    window = LogWindow(screen.all, [], start, end, start > log_places.start_of(path), has_later)
    return window if has_ended or has_later else _without_unsettled(window, screen, lines)


def around(path: Path, place: Place, *, has_ended: bool) -> LogWindow:
    """Return the row of the record at this place as the found one, after some rows before it and with those after it.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    earlier = before(path, place).rows[-_SHOWN_BEFORE:]
    window = after(path, earlier[0].place if earlier else place, has_ended=has_ended)
    found = max((row.place for row in (*window.rows, *window.unsettled) if row.place <= place), default=None)
    return window._replace(found=found)


def _ending(path: Path, place: Place, *, has_ended: bool) -> LogWindow:
    pieces: list[Piece] = []
    for most_bytes in _READ_BYTES:
        pieces = _pieces_before(path, place, most_bytes)
        lines = [line for piece in reversed(pieces) for line in piece.lines()]
        screen = _screen(lines)
        if len(screen.all) >= _FEW_ROWS:
            break
    first = log_places.start_of(path)
    start, end = (pieces[-1].start, pieces[0].end) if pieces else (first, first)
    if (count := _count(reversed(screen.all))) < len(screen.all):
        start = screen.all[-count].place
        lines = [line for line in lines if line.place >= start]
        screen = _screen(lines)
    window = LogWindow(screen.all, [], start, end, start > first, has_later=place != END)
    return window if has_ended else _without_unsettled(window, screen, lines)


def _pieces_before(path: Path, place: Place, most_bytes: int) -> list[Piece]:
    """Return the newest pieces, the newest first."""
    pieces: list[Piece] = []
    for piece in log_places.before(path, place):
        pieces.append(piece)
        most_bytes -= len(piece.data)
        if most_bytes <= 0:
            break
    return pieces


def _without_unsettled(window: LogWindow, screen: _Screen, lines: Sequence[_Line]) -> LogWindow:
    """Return the window at the end of a log that grows, ending before the rows that its program may still change."""
    if not screen.unsettled:
        return window
    cut = min(row.place for row in screen.unsettled)
    for row in sorted(screen.settled, key=lambda row: row.last_place, reverse=True):
        cut = min(cut, row.place) if row.last_place >= cut else cut  # else the next window would show the rest of it again
    if sum(len(line) for line in lines if line.place >= cut) > _CHANGEABLE_CHARACTERS:  # each poll would read them again
        return window
    changeable = [*(row for row in screen.settled if row.place >= cut), *screen.unsettled]
    return window._replace(rows=[row for row in screen.settled if row.place < cut], unsettled=changeable, end=cut)


class _Screen(NamedTuple):
    """What some records show."""

    settled: list[LogRow]
    unsettled: list[LogRow]
    """Rows that later records may change."""

    @property
    def all(self) -> list[LogRow]:
        """All rows, oldest first."""
        return [*self.settled, *self.unsettled] if self.unsettled else self.settled


def _screen(lines: Iterable[_Line]) -> _Screen:
    terminal = _Terminal()
    return _Screen(list(terminal.add(lines)), terminal.rest())


class _Terminal:
    """Makes rows of records, as both streams' terminal would show them."""

    def __init__(self) -> None:
        self._streams = {name: RedrawnRows(_CHANGEABLE_ROWS) for name in ("stdout", "stderr")}
        self._is_plain = True
        """Whether no row can be redrawn."""

    def add(self, lines: Iterable[_Line]) -> Iterator[LogRow]:
        """Yield the rows that can no longer change, oldest first."""
        for line in lines:
            if isinstance(line, Gap):
                yield from self.rest()
                yield LogRow(line.text, "gap", line[_TIME], line.place, line.place)
            elif self._is_plain and isinstance(line, PlacedLine) and "\r" not in line:  # nearly every line
                yield LogRow(line.text, _name(line), line[_TIME], line.place, line.place)
            else:
                yield from self._drawn(line)
                self._is_plain = all(rows.are_fresh() for rows in self._streams.values())

    def _drawn(self, line: _Line) -> Iterator[LogRow]:
        """Draw a line, and yield the rows that can no longer change."""
        if not isinstance(line, UnfinishedLine):
            yield from self._settled(line)
        rows = self._streams[_name(line)]
        yield from _log_rows(rows.feed(line))
        if any(row.length >= _LONGEST for row in rows.current()[-1:]):
            yield from _log_rows(rows.finish())

    def rest(self) -> list[LogRow]:
        """Return the rows that are left, oldest first."""
        self._is_plain = True
        return sorted((row for rows in self._streams.values() for row in _log_rows(rows.finish())), key=lambda row: row.place)

    def _settled(self, line: LogLine) -> Iterator[LogRow]:
        """Yield the rows of the other stream that were written before this line."""
        for name, rows in self._streams.items():
            if name != line.stream:
                yield from _log_rows(rows.settle(line))


def _name(line: LogLine) -> Literal["stdout", "stderr"]:
    return "stderr" if line.stream == "stderr" else "stdout"


def _log_rows(rows: Iterable[Row]) -> Iterator[LogRow]:
    for row in rows:
        if isinstance(row.oldest, _Line) and isinstance(row.newest, _Line):
            yield LogRow(row.text(), _name(row.newest), row.newest[_TIME], row.oldest.place, row.newest.place)


def _count(rows: Iterable[LogRow]) -> int:
    """Return how many of these rows, one at least, a screen has."""
    count, weight = 0, 0
    for row in rows:
        weight += _ROW_WEIGHT + _weight(row.text)
        if count and (count == _ROWS or weight > _WEIGHT):
            break
        count += 1
    return count


def _weight(text: str) -> int:
    """Return about how many bytes a text takes at most once it is escaped."""
    if text.isascii() and text.isprintable():
        return len(text) + 4 * sum(map(text.count, "<>&"))
    return 5 * len(text)
