"""The lines by which the node program reports to the host, through what the cluster keeps of its standard output."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchlite.core.status import RunStatus
from orchlite.runs import job_output

_BATCH_BYTES = 64 * 1024
_RETRY_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0


class Output:
    """Writes to the standard output that this process was started with. What else writes there is sent to standard error."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)
        self._number = 0
        """The number of the newest line."""
        self._lock = threading.Lock()
        self.started_at_ns: int | None = None
        """When the program was started, in nanoseconds since the Unix epoch; None if it was not."""
        self.has_succeeded: bool | None = None
        """Whether the run has; None until the result was written."""
        self._is_torn = False
        """Whether the last line was cut off."""
        self._error = 0
        """The number of the last error."""
        self.is_closed = False
        """Whether the reader is gone."""
        self.is_complete = True
        """Whether every line was written: the disk may be full."""

    def log(self, records: Iterable[bytes]) -> None:
        """Write the lines of these records of the log. What cannot be written is lost."""
        batch, size_bytes = [], 0
        for record in records:
            batch.append(record)
            size_bytes += len(record)
            if size_bytes >= _BATCH_BYTES:
                self._log(batch)
                batch, size_bytes = [], 0
        self._log(batch)

    def _log(self, records: Sequence[bytes]) -> None:
        if records:
            with self._lock:
                lines = [job_output.of_record(number, record) for number, record in enumerate(records, self._number + 1)]
                self._number += len(lines)
                self.is_complete &= self._write(b"".join(lines))

    def starting(self) -> None:
        """Write that the program is started now.

        Raises:
            OSError: that cannot be written.
        """
        with self._lock:
            if self.started_at_ns is not None:
                return
            now_ns = time.time_ns()
            if not self._write(job_output.of_start(self._number + 1, now_ns)):
                raise OSError(self._error, os.strerror(self._error), "standard output")
            self._number += 1
            self.started_at_ns = now_ns

    def result(self, result: Mapping[str, Any], *, is_urgent: bool = False) -> None:
        """Write how the run has ended; only the first time. Try again for 30 s if that fails, unless it is urgent.

        Nothing else tells the host.
        """
        if self.has_succeeded is not None:
            return
        self.has_succeeded = result["status"] == RunStatus.SUCCESS
        give_up_at = time.monotonic() + (0 if is_urgent else _PATIENCE_SECONDS)
        with self._lock:  # nothing follows
            line = job_output.of_result(self._number + 1, result)
            while not self._write(line) and not self.is_closed and time.monotonic() < give_up_at:
                time.sleep(_RETRY_SECONDS)

    def _write(self, lines: bytes) -> bool:
        """Write whole lines; return whether all of them were written."""
        left = b"\n" + lines if self._is_torn else lines
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BrokenPipeError as error:
            self._error, self.is_closed = error.errno or errno.EIO, True
        except OSError as error:
            self._error, self._is_torn = error.errno or errno.EIO, True
        else:
            self._is_torn = False
        return not left
