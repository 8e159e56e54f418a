"""The lines by which the node program reports to the host, through what the cluster keeps of its standard output."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

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
        self._is_torn = False
        """Whether the last line was cut off."""
        self.is_closed = False
        """Whether the reader is gone."""
        self.is_complete = True
        """Whether every line was written: the disk may be full."""

    def log(self, records: Iterable[bytes]) -> None:
        """Write the lines of these records of the log. What cannot be written is lost."""
        batch, size_bytes = [], 0
        for record in records:
            batch.append(job_output.of_record(self._next(), record))
            size_bytes += len(batch[-1])
            if size_bytes >= _BATCH_BYTES:
                self.is_complete &= self._write(b"".join(batch))
                batch, size_bytes = [], 0
        if batch:
            self.is_complete &= self._write(b"".join(batch))

    def started(self, started_at_ns: int) -> None:
        """Write that the program was started."""
        self._write(job_output.of_start(self._next(), started_at_ns))

    def result(self, result: Mapping[str, Any]) -> None:
        """Write how the run has ended. Try again for 30 s if that fails: nothing else tells the host."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        line = job_output.of_result(self._next(), result)
        while not self._write(line) and not self.is_closed and time.monotonic() < give_up_at:
            time.sleep(_RETRY_SECONDS)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _write(self, lines: bytes) -> bool:
        """Write whole lines; return whether all of them were written."""
        left = b"\n" + lines if self._is_torn else lines
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BrokenPipeError:
            self.is_closed = True
        except OSError:
            self._is_torn = True
        else:
            self._is_torn = False
        return not left
