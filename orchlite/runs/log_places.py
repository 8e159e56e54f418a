"""Places in a run's log, and the records before and after one: what a reader needs who sees one screen of a log of any size.

A place stays valid while the log grows. Where its segment was dropped since, the log begins again behind the gap.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from orchlite.runs.logs import GAP_TEXT, LogLine, UnfinishedLine, reading, segment_path, segments

CHUNK_BYTES = 64 * 1024
"""More than any record has, so that a chunk contains at least one end of a record."""
_SEARCHED_BYTES = 1024 * 1024
_PLACE = re.compile(r"(\d{1,6})\.(\d{1,18})", re.ASCII)
_RECORD = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (?:stdout|stderr) [FP] ")
_TAG = slice(38, 39)
_TRACEBACK = b"Traceback (most recent call last):"


class Place(NamedTuple):
    """Where a record of a log begins, or where the log ends."""

    segment: int
    offset: int

    def __str__(self) -> str:
        return f"{self.segment}.{self.offset}"


START = Place(0, 0)
END = Place(999_999, 0)


def parsed_place(text: str) -> Place | None:
    """Return the place that a text names, as `str(place)` does; None if it names none."""
    found = _PLACE.fullmatch(text)
    return None if found is None else Place(int(found[1]), int(found[2]))


class PlacedLine(LogLine):
    """The end of a line, or all of it, and the place of its record."""

    __slots__ = ("place",)
    place: Place


class PlacedPart(UnfinishedLine):
    """A part of a line, and the place of its record."""

    __slots__ = ("place",)
    place: Place


class Gap(PlacedLine):
    """The line that stands for dropped segments."""

    __slots__ = ()


class Piece(NamedTuple):
    """Some consecutive records of one segment."""

    start: Place
    end: Place
    data: bytes
    follows_gap: bool
    """Whether the segment begins here, and the one before it was dropped."""

    def lines(self) -> Iterator[PlacedLine | PlacedPart]:
        """Yield its records, oldest first. What is not in the log's format, because the program wrote to the file, is left out."""
        segment, offset = self.start
        if self.follows_gap and self.data:
            yield _placed(Gap, self.data[:30] + b" stderr F " + GAP_TEXT.encode(), self.start)
        for record in self.data.split(b"\n")[:-1]:
            if _is_record(record):
                yield _placed(PlacedLine if record[_TAG] == b"F" else PlacedPart, record, Place(segment, offset))
            offset += len(record) + 1


def before(path: Path, place: Place, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Piece]:
    """Yield the records that end before a place, the newest first, in pieces of up to about `chunk_bytes`.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    with reading(path):
        numbers = segments(path)
    for number in reversed([number for number in numbers if number <= place.segment]):
        end = _size_bytes(path, number)
        end = min(end, place.offset) if number == place.segment else end
        while end > 0:
            start = max(0, end - chunk_bytes)
            data = _read(path, number, start, end - start)
            if start and data.find(b"\n") < len(data) - 1:  # else a single line, longer than any record: left out
                first = data.find(b"\n") + 1
                start, data = start + first, data[first:]
            whole = data[: data.rfind(b"\n") + 1]
            yield Piece(Place(number, start), Place(number, start + len(whole)), whole, _follows_gap(numbers, number, start))
            end = start


def after(path: Path, place: Place, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Piece]:
    """Yield the records from a place on, the oldest first, in pieces of up to about `chunk_bytes`.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    with reading(path):
        numbers = segments(path)
    for number in [number for number in numbers if number >= place.segment]:
        start = place.offset if number == place.segment else 0
        while data := _read(path, number, start, chunk_bytes):
            whole = data[: data.rfind(b"\n") + 1]
            if not whole and len(data) < chunk_bytes:  # a torn record at the end
                break
            end = start + (len(whole) or len(data))
            yield Piece(Place(number, start), Place(number, end), whole, _follows_gap(numbers, number, start))
            start = end


def start_of(path: Path) -> Place:
    """Return the place of the first record.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    with reading(path):
        return Place(min(segments(path), default=0), 0)


def bytes_after(path: Path, place: Place) -> int:
    """Return how many bytes of the log follow a place.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    with reading(path):
        sizes = {number: _size_bytes(path, number) for number in segments(path) if number >= place.segment}
    return sum(sizes.values()) - min(place.offset, sizes.get(place.segment, 0))


def find_before(path: Path, words: str, place: Place) -> Place | None:
    """Return the place of the last record before `place` that contains `words`. The case of ASCII letters is ignored.

    It reads up to the whole log. What was written in several parts is not found across their borders.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    return next(_found(before(path, place, _SEARCHED_BYTES), words, _last), None)


def find_after(path: Path, words: str, place: Place | None) -> Place | None:
    """Return the place of the first record behind the one at `place` that contains `words`, as `find_before`; None: the first of all.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    start = START if place is None else next((line.place for line in _lines_after(path, place) if line.place > place), END)
    return next(_found(after(path, start, _SEARCHED_BYTES), words, _first), None)


def last_traceback(path: Path) -> Place | None:
    """Return the place of the first line of the last Python traceback; None if there is none. It reads up to the whole log.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    for piece in before(path, END, _SEARCHED_BYTES):
        if (at := piece.data.rfind(_TRACEBACK)) >= 0:
            return Place(piece.start.segment, piece.start.offset + piece.data.rfind(b"\n", 0, at) + 1)
    return None


def _found(pieces: Iterable[Piece], words: str, find: Callable[[bytes, bytes], int | None]) -> Iterator[Place]:
    wanted = words.encode("utf-8", "replace").lower()
    for piece in pieces:
        if (at := find(piece.data.lower(), wanted)) is not None:
            yield Place(piece.start.segment, piece.start.offset + at)


def _lines_after(path: Path, place: Place) -> Iterator[PlacedLine | PlacedPart]:
    return (line for piece in after(path, place) for line in piece.lines())


def texts(path: Path) -> Iterator[str]:
    """Yield all of the text that the log has, as it was written, in pieces of any length.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    for piece in after(path, START, _SEARCHED_BYTES):
        yield "".join(line.text if isinstance(line, PlacedPart) else f"{line.text}\n" for line in piece.lines())


def _first(data: bytes, wanted: bytes) -> int | None:
    """Return where the first record begins whose text contains the words."""
    at = data.find(wanted)
    while at >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        if at >= (text := start + _TAG.stop + 1):
            return start
        at = data.find(wanted, max(text, at + 1))  # it was in the time or the stream
    return None


def _last(data: bytes, wanted: bytes) -> int | None:
    """Return where the last record begins whose text contains the words."""
    at = data.rfind(wanted)
    while at >= 0:
        start = data.rfind(b"\n", 0, at) + 1
        if at >= start + _TAG.stop + 1:
            return start
        at = data.rfind(wanted, 0, start)
    return None


def _is_record(record: bytes) -> bool:
    if not _RECORD.match(record):
        return False
    with suppress(ValueError):
        datetime.fromisoformat(record[:26].decode())
        return True
    return False


def _placed(kind: type[PlacedLine | PlacedPart], record: bytes, place: Place) -> PlacedLine | PlacedPart:
    line = kind(record, "utf-8", "replace")
    line.place = place
    return line


def _follows_gap(numbers: list[int], number: int, start: int) -> bool:
    return start == 0 and number > 0 and number - 1 not in numbers


def _size_bytes(path: Path, number: int) -> int:
    with suppress(FileNotFoundError):
        return os.stat(segment_path(path, number)).st_size  # noqa: PTH116 - as `os.open` below
    return 0


def _read(path: Path, number: int, offset: int, count: int) -> bytes:
    with reading(path), suppress(FileNotFoundError):
        descriptor = os.open(segment_path(path, number), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a named pipe would block
        try:
            return os.pread(descriptor, count, offset)
        finally:
            os.close(descriptor)
    return b""
