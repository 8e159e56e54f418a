"""Reads a run's log: all of it, its end, or as it grows. `runner/log_writer.py` writes it and defines the format.

A log is the file `log` and, after half of the limit, numbered segments, of which the newest two are kept. A reader sees one sequence of
lines, with one marker line where the middle was dropped. A torn last record is left out until the rest of it has been written.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from orchlite.core.system_errors import device_error

_POLL_SECONDS = 0.05
_CHUNK_BYTES = 1024 * 1024
_LINE_BYTES = 256
"""A guess at the size of a record."""
_RECORD_BYTES = 64 * 1024
"""More than any record has: 16 KiB, of which each byte may have become three."""
_TAG, _FULL = slice(37, 40), b" F "
"""Where a record's tag is, behind the time and the stream, and that of a full line."""
_GAP = b"G"
GAP_TEXT = "[orchlite: a part of the log is missing here, it was longer than the limit]"


class LogLine(str):
    """One line in the platform's wire form, `2024-04-17T16:03:19.756251122Z stdout F text`."""

    __slots__ = ()  # a full log has a million of them

    @property
    def at(self) -> datetime:
        """When the line arrived: aware, UTC, in microseconds; the wire form has nanoseconds."""
        return datetime.fromisoformat(self.split(" ", 1)[0][:26] + "+00:00").astimezone(UTC)

    @property
    def stream(self) -> str:
        """`stdout` or `stderr`."""
        return self.split(" ", 2)[1]

    @property
    def text(self) -> str:
        """What the program wrote, without the newline."""
        return self.split(" ", 3)[3]


class UnfinishedLine(LogLine):
    """A line, or a part of one, after which the program has written no newline so far."""

    __slots__ = ()


class Log(list[LogLine]):
    """The lines of a run, in the order of arrival. `str(log)` is their text, and `"words" in log` searches that text."""

    def __str__(self) -> str:
        text = "\n".join(line.text for line in self)
        return text + "\n" if self and not isinstance(self[-1], UnfinishedLine) else text

    def _repr_html_(self) -> str:
        """Return the text as HTML, for notebooks."""
        import html

        return f"<pre>{html.escape(str(self))}</pre>"

    def __contains__(self, item: object) -> bool:
        return item in str(self) if isinstance(item, str) and not isinstance(item, LogLine) else super().__contains__(item)


def read(path: Path, limit: int | None = None) -> Log:
    """Return the newest `limit` lines, all by default, oldest first; empty if there is no log yet.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    if limit is not None and (found := _tail(path, limit)) is not None:
        return found
    lines = _lines(_Segments(path))
    return Log(lines if limit is None else deque(lines, maxlen=limit))


def _lines(segments: _Segments) -> Iterator[LogLine]:
    joiner = _Joiner()
    yield from joiner.join(segments.new_records())
    yield from joiner.rest()


def _tail(path: Path, limit: int) -> Log | None:
    """Return the newest `limit` lines if the end of the log has them, which takes the same time for any log; else None."""
    segments = _Segments(path)
    if not segments.go_to_end(max(_CHUNK_BYTES, limit * _LINE_BYTES)):
        return None
    newest: deque[LogLine] = deque(maxlen=limit)
    streams: set[str] = set()
    for line in _lines(segments):
        if line.stream in streams:
            newest.append(line)
        else:  # its beginning may lie before what was read, so the newest lines must all follow it
            streams.add(line.stream)
            newest.clear()
    return Log(newest) if len(newest) == limit else None


def follow(path: Path, has_ended: Callable[[], bool], limit: int | None = None, *, in_parts: bool = False) -> Iterator[LogLine]:
    """Yield all lines, then new ones as they arrive, until `has_ended()` is true and nothing new is left.

    With `limit`, begin with the newest `limit` of the lines that exist at first. Polls every 50 ms.

    in_parts: do not wait for the ends of lines. What has arrived of a line is yielded as an `UnfinishedLine`, and so is what arrives of it
        later; its end is a `LogLine` with the rest of its text.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    joiner = _Joiner()
    segments = _Segments(path)
    if limit is not None:
        yield from deque(joiner.join(segments.new_records()), maxlen=limit)
    while True:
        ended = has_ended()  # before reading, so that everything written before the end is read
        is_new = False
        for line in joiner.join(segments.new_records()):
            is_new = True
            yield line
        if in_parts or (ended and not is_new):
            yield from joiner.rest()
        if ended and not is_new:
            return
        if not is_new:
            time.sleep(_POLL_SECONDS)


def record_reader(path: Path) -> Callable[[], Iterator[bytes]]:
    """Return a function that yields the records that were written since its last call, whole and without their newlines.

    Where a part of the log was dropped unread, it yields the record of a gap.

    Raises:
        DeviceFailed: calling it, if the log cannot be read.
    """
    return _Segments(path).new_records


def last_state(text: str) -> str:
    """Return what a terminal shows last of a line: what follows its last carriage return that something follows."""
    return text.rstrip("\r").rpartition("\r")[2]


def append(path: Path, at: datetime, text: str) -> None:
    """Append lines of the host to a packaging log, as standard output. Never used while a runner writes the log.

    Raises:
        OSError: the log cannot be written.
    """
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    records = "".join(f"{stamp} stdout F {line}\n" for line in text.splitlines())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(records)


def of_text(at: datetime, text: str) -> Log:
    """Return a log without a file: the reason why a run was not started, as standard error."""
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    return Log(LogLine(f"{stamp} stderr F {line}") for line in text.splitlines())


class _Joiner:
    """Makes lines of records: joins the parts of long lines, separately for each stream."""

    def __init__(self) -> None:
        self._parts: dict[bytes, list[bytes]] = {}
        """The streams with a line that has not ended, in the order in which these lines began."""
        self._stamps: dict[bytes, bytes] = {}
        """When the newest part of each arrived."""

    def join(self, records: Iterable[bytes]) -> Iterator[LogLine]:
        """Yield the lines that end in these records."""
        for record in records:
            if record[_TAG] == _FULL and not self._parts:
                yield LogLine(record, "utf-8", "replace")  # nearly every record of a long log
            else:
                yield from self._join(record)

    def _join(self, record: bytes) -> Iterator[LogLine]:
        stamp, stream, tag, text = record.split(b" ", 3)
        if tag == _GAP:
            yield from self.rest()
            yield _line(LogLine, stamp, stream, text)
        elif tag == b"P":
            self._stamps[stream] = stamp
            self._parts.setdefault(stream, []).append(text)
        else:
            yield _line(LogLine, stamp, stream, *self._parts.pop(stream, []), text)

    def rest(self) -> list[LogLine]:
        """Return the lines without a newline, in the order in which they began."""
        lines = [_line(UnfinishedLine, self._stamps[stream], stream, *parts) for stream, parts in self._parts.items()]
        self._parts.clear()
        return lines


def _line(kind: type[LogLine], stamp: bytes, stream: bytes, *parts: bytes) -> LogLine:
    return kind(b"%b %b F %b" % (stamp, stream, b"".join(parts)), "utf-8", "replace")


class _Segments:
    """Reads the segments of a growing log; each record once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = -1
        self._file = -1
        self._torn = b""

    def __del__(self) -> None:
        self._close()

    def go_to_end(self, size_bytes: int) -> bool:
        """Skip to a record after which about this many bytes follow; return False if there are fewer."""
        with reading(self._path), suppress(FileNotFoundError, ValueError):
            for number in reversed(segments(self._path)):
                self._close()
                self._file = os.open(segment_path(self._path, number), os.O_RDONLY | os.O_NONBLOCK)
                start = os.fstat(self._file).st_size - size_bytes
                if start > 0:
                    os.lseek(self._file, start + os.pread(self._file, _RECORD_BYTES, start).index(b"\n") + 1, os.SEEK_SET)
                    self._number = number
                    return True
                size_bytes = -start
        return False

    def new_records(self) -> Iterator[bytes]:
        """Yield what was written since the last call, with a marker in place of segments that were dropped unread."""
        while True:
            # Listed before reading: a segment with a successor is complete, so nothing of it is missed.
            with reading(self._path):
                later = [number for number in segments(self._path) if number > self._number]
            yield from self._read()
            if not later:
                return
            yield from self._go_to(later)

    def _read(self) -> Iterator[bytes]:
        while self._file >= 0 and (data := self._next_chunk()):
            *records, self._torn = (self._torn + data).split(b"\n")
            yield from filter(_is_whole, records)

    def _next_chunk(self) -> bytes:
        with reading(self._path):
            return os.read(self._file, _CHUNK_BYTES)

    def _go_to(self, later: list[int]) -> Iterator[bytes]:
        """Open the first of these segments that still exists."""
        self._close()
        expected = self._number + 1
        for number in later:
            with reading(self._path), suppress(FileNotFoundError):
                self._file = os.open(segment_path(self._path, number), os.O_RDONLY | os.O_NONBLOCK)  # opening a named pipe would block
            if self._file < 0:
                continue
            self._number = number
            break
        if self._file >= 0 and self._number != expected:
            yield os.pread(self._file, 64, 0).split(b" ", 1)[0] + b" stderr " + _GAP + b" " + GAP_TEXT.encode()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file, self._torn = -1, b""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of the file system in the block into `DeviceFailed`, which names the log."""
    try:
        yield
    except OSError as error:
        raise device_error(error, f"The log {str(path)!r} cannot be read") from error


def _is_whole(record: bytes) -> bool:
    return record.count(b" ") >= 3


def segment_path(path: Path, number: int) -> Path:
    """Return the path of a segment; `path` is that of the log."""
    return path.with_name(f"{path.name}.{number}") if number else path


def segments(path: Path) -> list[int]:
    """Return the numbers of the existing segments, ascending; 0 is `log` itself."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except (FileNotFoundError, NotADirectoryError):  # the latter if the program has replaced its run's folder by a file
        return []
    suffixes = (name.removeprefix(f"{path.name}.") for name in names if name.startswith(f"{path.name}."))
    return sorted([0] * (path.name in names) + [int(suffix) for suffix in suffixes if suffix.isdecimal()])
