"""Writes a program's output in the log format of Kubernetes' container runtimes (CRI), with an upper bound on its size.

A record is `2024-04-17T16:03:19.756251122Z stdout F text`: the time of arrival, the stream, a tag, the text. The tag is `F` for a full
line, or the last part of one, and `P` for any other part: lines over 16 KiB are split, so are lines that a program writes piece by piece,
such as progress bars, and the last line may lack its newline. The first half of the allowed size goes to `log`, the rest to segments of a
quarter each, `log.1`, `log.2`, …, of which the newest two are kept; so the beginning and the end of any log survive. Once the first half is
full, output is held back until the next call of `write_pending`, and what newer output would remove by then is never written: an empty line
becomes 41 bytes.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain

_PART_BYTES = 16 * 1024
_HELD_BYTES = 4 * 1024 * 1024
"""How much output is held back, as it arrived."""


class LogWriter:
    """Writes the log of one run. Never raises: after an error of the disk, `complete` is False and further output is dropped."""

    def __init__(self, path: str, limit_bytes: int, *, masked: bool = False) -> None:
        """Create the file. With `masked`, credentials in URLs are replaced by asterisks."""
        self.complete = True
        self._masked = masked
        self._path = path
        self._head_bytes = limit_bytes // 2
        self._segment_bytes = limit_bytes // 4
        self._segment = 0
        self._held: deque[tuple[int, bytes, bytes, list[bytes]]] = deque()
        """Output that has not been written, oldest first: how many bytes its records will have at least, how they begin, full lines, and
        the records of parts after them."""
        self._held_bytes = 0
        self._held_record_bytes = 0
        self._is_gap_due = False
        self._pending: dict[str, bytes] = {}
        self._waiting: frozenset[str] = frozenset()
        """The streams that had something pending at the last call of `write_pending`."""
        self._second = -1
        self._second_text = b""
        self._file = -1
        self._written_bytes = 0
        self._guard(self._open)

    def feed(self, stream: str, data: bytes) -> None:
        """Write the full lines of `data`, and keep the rest for the next call."""
        data = self._pending.get(stream, b"") + data
        end = data.rfind(b"\n") + 1
        lines, rest, head = data[:end], data[end:], self._head(stream)
        parts = []
        while len(rest) > _PART_BYTES:
            part, rest = _split_part(rest)
            parts.append(self._record(head, b"P", part))
        self._pending[stream] = rest
        self._hold(head, lines, parts)
        if not self._segment or self._masked or self._held_bytes > _HELD_BYTES:
            self._write_held()

    def write_pending(self) -> None:
        """Write what was pending at the last call, too, as parts of lines that have not ended: readers see a progress bar move.

        Called every 50 ms, so nearly all lines that are written at once stay whole. Does nothing if credentials are masked, since a part
        might end in the middle of one.
        """
        self._write_held()
        if self._masked:
            return
        pending = frozenset(stream for stream, rest in self._pending.items() if rest)
        parts = []
        for stream in pending & self._waiting:
            part, self._pending[stream] = _split_before_torn_character(self._pending[stream])
            parts += [self._record(self._head(stream), b"P", part)] * bool(part)
        self._waiting = pending
        if parts:
            self._guard(lambda: self._write(parts))

    def finish(self, *, durable: bool) -> None:
        """Write the pending rests as unfinished lines, and close the file; with `durable`, sync it to disk first."""
        unfinished = [self._record(self._head(stream), b"P", rest) for stream, rest in self._pending.items() if rest]
        self._pending.clear()
        self._write_held()
        self._guard(lambda: self._write(unfinished))
        if self._file >= 0:
            if not os.fstat(self._file).st_nlink:
                self.complete = False  # the program has removed it
            if durable:
                self._guard(lambda: os.fsync(self._file))
            os.close(self._file)
            self._file = -1

    def _hold(self, head: bytes, lines: bytes, parts: list[bytes]) -> None:
        """Hold output back, and drop the oldest if what came after it fills the two segments that are kept."""
        parts_bytes = sum(map(len, parts))
        # At least: long lines have more than one record, and bytes that are not UTF-8 become more.
        record_bytes = len(lines) + lines.count(b"\n") * (len(head) + len(b"F ")) + parts_bytes
        self._held.append((record_bytes, head, lines, parts))
        self._held_bytes += len(lines) + parts_bytes
        self._held_record_bytes += record_bytes
        while self._segment and not self._masked and self._held_record_bytes - self._held[0][0] >= 2 * self._segment_bytes:
            record_bytes, _, lines, parts = self._held.popleft()
            self._held_bytes -= len(lines) + sum(map(len, parts))
            self._held_record_bytes -= record_bytes
            self._is_gap_due = True

    def _write_held(self) -> None:
        """Write what is held back, behind a gap if some of it was dropped."""
        held, self._held = self._held, deque()
        self._held_bytes = self._held_record_bytes = 0
        if self._is_gap_due:
            self._is_gap_due = False
            self._guard(self._leave_gap)
        self._guard(lambda: self._write(piece for _, head, lines, parts in held for piece in chain(self._full_lines(head, lines), parts)))

    def _full_lines(self, head: bytes, lines: bytes) -> Iterator[bytes]:
        """Yield the records of lines that end with a newline.

        A piece at a time: empty lines become 41 times as many bytes, and memory is quickest if the same is used for each piece.
        """
        start = 0
        while start < len(lines):
            end = lines.rfind(b"\n", start, start + _PART_BYTES + 1) + 1
            if end:
                yield self._short_lines(head, lines[start:end])
            else:
                end = lines.index(b"\n", start) + 1
                yield self._long_line(head, lines[start : end - 1])
            start = end

    def _short_lines(self, head: bytes, lines: bytes) -> bytes:
        """Return one record a line. The cost is that of the bytes, however many lines they are."""
        head += b"F "
        if not lines.strip(b"\n"):
            return (head + b"\n") * len(lines)  # a flood of empty lines, ten times as quickly
        return head + self._clean(lines)[:-1].replace(b"\n", b"\n" + head) + b"\n"

    def _long_line(self, head: bytes, line: bytes) -> bytes:
        records = []
        while len(line) > _PART_BYTES:
            part, line = _split_part(line)
            records.append(self._record(head, b"P", part))
        records.append(self._record(head, b"F", line))
        return b"".join(records)

    def _head(self, stream: str) -> bytes:
        """Return the beginning of each record of what arrives now: it all has the same time."""
        return b"%b %b " % (self._now(), stream.encode())

    def _record(self, head: bytes, tag: bytes, text: bytes) -> bytes:
        return b"%b%b %b\n" % (head, tag, self._clean(text))

    def _clean(self, text: bytes) -> bytes:
        clean = text.decode("utf-8", "replace").encode()
        return _without_credentials(clean) if self._masked else clean

    def _now(self) -> bytes:
        second, nanosecond = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%09dZ" % (self._second_text, nanosecond)

    def _write(self, pieces: Iterable[bytes]) -> None:
        for records in pieces:
            self._write_records(records)

    def _write_records(self, records: bytes) -> None:
        while records:
            room = (self._segment_bytes if self._segment else self._head_bytes) - self._written_bytes
            cut = len(records) if len(records) <= room else records.rfind(b"\n", 0, max(room, 0)) + 1
            if not cut and not self._written_bytes:
                cut = records.index(b"\n") + 1  # a record larger than a segment gets one of its own
            self._put(records[:cut])
            records = records[cut:]
            if records:
                self._next_segment()

    def _put(self, records: bytes) -> None:
        written = os.write(self._file, records)
        self._written_bytes += written
        if written < len(records):
            raise OSError("short write")

    def _next_segment(self) -> None:
        os.close(self._file)
        self._segment += 1
        self._open()
        if self._segment > 2:
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{self._segment - 2}")

    def _leave_gap(self) -> None:
        """Begin a segment whose number does not follow that of the last one, and remove those before it but the first."""
        last = self._segment
        self._segment += 1
        self._next_segment()
        for number in {last - 1, last} - {0}:
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{number}")

    def _open(self) -> None:
        name = f"{self._path}.{self._segment}" if self._segment else self._path
        self._file = -1
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600)  # opening a named pipe would block
        self._written_bytes = os.fstat(self._file).st_size

    def _guard(self, action: Callable[[], None]) -> None:
        if not self.complete:
            return
        try:
            action()
        except OSError:
            # A full disk must not stop the program, so its pipes are still drained.
            self.complete = False


def _split_part(line: bytes) -> tuple[bytes, bytes]:
    """Split off at most 16 KiB, between two characters of UTF-8."""
    cut = _PART_BYTES
    while cut > _PART_BYTES - 4 and line[cut] & 0xC0 == 0x80:
        cut -= 1
    return line[:cut], line[cut:]


def _split_before_torn_character(text: bytes) -> tuple[bytes, bytes]:
    """Split off the beginning of a character of UTF-8 whose rest has not arrived."""
    for length in range(1, min(4, len(text) + 1)):
        lead = text[-length]
        if lead & 0xC0 != 0x80:  # else it continues a character
            expected = 1 + sum(lead >= first for first in (0xC0, 0xE0, 0xF0))
            return (text[:-length], text[-length:]) if expected > length else (text, b"")
    return text, b""


def _without_credentials(text: bytes) -> bytes:
    """Replace `https://user:word@host/x?sig=abc` by `https://****@host/x?****`."""
    before, *behind = text.split(b"://")
    return b"://".join([before, *(_masked_query(_masked_authority(part)) for part in behind)])


def _masked_authority(text: bytes) -> bytes:
    authority = text.partition(b"/")[0]
    first = (authority.split() or [b""])[0]
    end = first.rfind(b"@") if authority.startswith(first) else -1
    return text if end < 0 else b"****" + text[end:]


def _masked_query(text: bytes) -> bytes:
    address = (text.split(maxsplit=1) or [b""])[0].partition(b"#")[0]
    start = address.find(b"?") + 1
    if not start or not text.startswith(address) or start == len(address):
        return text
    closing = len(address.rstrip(b"'\"<>);,"))
    return text[:start] + b"****" + text[max(closing, start) :]
