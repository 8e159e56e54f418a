"""Copies the records of a run's log from a cluster into the run's log here, within the same bounds as a runner keeps."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchlite.core.errors import Closed
from orchlite.core.files import make_private_folders, private_opener
from orchlite.runs.logs import segment_path, segments

_LEAST_RECORD_BYTES = 41


class ClosableLock:
    """A lock that no thread can take once it is closed. The thread that holds it may take it again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_closed = False

    def __enter__(self) -> None:
        """Raise `Closed` if it is closed."""
        self._lock.acquire()
        if self._is_closed:
            self._lock.release()
            raise Closed("This client is closed.", hint="The next host of the store with this cluster copies the log.")

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def close(self) -> None:
        """Close it. Block while another thread holds it."""
        with self._lock:
            self._is_closed = True


class LogCopy:
    """The copy of one log. One thread of one host at a time uses it.

    A file beside the log, `<log>.copied`, says how far the copy goes. It is written after the records: what lies behind that place, because
    the host died in between, is removed before more is appended, and so arrives once.
    """

    def __init__(self, log: Path, limit_bytes: int, lock: ClosableLock | None = None) -> None:
        """Continue the copy that is there. Whatever is written is written under the lock: once that is closed, another host may write."""
        self._log = log
        self._lock = lock or ClosableLock()
        self._state = log.with_name(f"{log.name}.copied")
        self._limit_bytes = limit_bytes
        self.most_lines = limit_bytes // 2 // _LEAST_RECORD_BYTES + 1
        """More lines than the end of the log can have."""
        self._is_checked = False
        found = self._stored()
        self.number: int = found.get("number", 0)
        """The number of the last line of the job's output that the copy covers."""
        self.is_new = not found
        """Whether nothing was known of the job so far."""
        self.started_at_ns: int | None = found.get("started_at_ns")
        """When the program was started, by the node's clock; None if the node has not said so."""
        self._segment: int = found.get("segment", 0)
        self._written_bytes: int = found.get("bytes", 0)

    @property
    def is_beginning_full(self) -> bool:
        """Whether the first half of the limit is used: of what comes next, only the end is kept."""
        return self._segment > 0

    def append(self, records: list[bytes], number: int) -> None:
        """Append records, each with its newline, and note that the output is covered up to `number`.

        Raises:
            OSError: they cannot be written; the next call starts from the same place.
            Closed: the lock is closed.
        """
        with self._lock:
            self._append(records, number)

    def _append(self, records: list[bytes], number: int) -> None:
        before = (self._segment, self._written_bytes, self.number)
        try:
            self._check()
            self._write(b"".join(records))
            self.number = number
            self.save()
        except OSError:
            self._segment, self._written_bytes, self.number = before
            self._is_checked = False
            raise

    def skip(self) -> None:
        """Leave a gap, where lines are missing that the node does not have any more: readers see a marker."""
        with self._lock:
            self._check()
            self._segment += 2
            self._written_bytes = 0
            self._remove(lambda number: 0 < number < self._segment)

    def save(self) -> None:
        """Write how far the copy goes."""
        state = {
            "number": self.number,
            "started_at_ns": self.started_at_ns,
            "segment": self._segment,
            "bytes": self._written_bytes,
        }
        aside = self._state.with_name(f"{self._state.name}.new")
        with self._lock:
            make_private_folders(self._log.parent)
            with open(aside, "w", encoding="utf-8", opener=private_opener) as file:
                json.dump(state, file)
            aside.replace(self._state)
        self.is_new = False

    def _stored(self) -> dict[str, Any]:
        try:
            found = json.loads(self._state.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _check(self) -> None:
        """Remove what lies behind the place that the state names; begin again if the log is shorter, as after a power failure."""
        if self._is_checked:
            return
        make_private_folders(self._log.parent)
        self._remove(lambda number: number > self._segment)
        path = segment_path(self._log, self._segment)
        size_bytes = path.stat().st_size if path.exists() else 0
        if size_bytes > self._written_bytes:
            os.truncate(path, self._written_bytes)
        self._written_bytes = min(size_bytes, self._written_bytes)
        self._is_checked = True

    def _remove(self, is_removed: Callable[[int], bool]) -> None:
        for number in segments(self._log):
            if is_removed(number):
                with suppress(FileNotFoundError):
                    segment_path(self._log, number).unlink()

    def _write(self, records: bytes) -> None:
        while records:
            room = (self._limit_bytes // 4 if self._segment else self._limit_bytes // 2) - self._written_bytes
            cut = len(records) if len(records) <= room else records.rfind(b"\n", 0, max(room, 0)) + 1
            if not cut and not self._written_bytes:
                cut = records.index(b"\n") + 1  # a record larger than a segment gets one of its own
            self._put(records[:cut])
            records = records[cut:]
            if records:
                self._segment += 1
                self._written_bytes = 0
                self._remove(lambda number: 0 < number < self._segment - 1)

    def _put(self, records: bytes) -> None:
        with open(segment_path(self._log, self._segment), "ab", opener=private_opener) as file:
            file.write(records)
        self._written_bytes += len(records)
