"""Reads what a job has printed since the last time, copies the records of the run's log in it, and finds the result."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from orchlite.ray.jobs_api import JobsApi
from orchlite.ray.log_copy import LogCopy
from orchlite.runs import job_output
from orchlite.runs.job_output import NodeLine

_BATCH_BYTES = 1024 * 1024
_MARGIN_LINES = 20
_ALL_LINES = -1
_WORDS_LINES = 40
_WORDS_CHARACTERS = 2000
_GAP = " stderr G "


class OutputReader:
    """The output of one job. Its lines are numbered, so only its end is asked for: one line, as long as nothing new is printed."""

    def __init__(self, api: JobsApi, job_id: str, copy: LogCopy) -> None:
        """Read nothing yet."""
        self._api = api
        self._job_id = job_id
        self._copy = copy
        self._asked_lines = 1
        self._number = copy.number
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self.is_complete = True
        """Whether everything that was read could be written."""
        self.result: dict[str, Any] | None = None
        """The content of the result line, once it was read."""

    def read(self, node_id: str) -> None:
        """Copy what is new; a few requests. What cannot be written here is read again the next time.

        Raises:
            ClusterUnreachable, ClusterRefused: the log cannot be read now. What was read is copied.
        """
        before = self._number = self._copy.number
        self.is_complete = True
        lines = self._asked_lines
        while missing := self._read_end(node_id, lines):
            lines = self._more(lines + missing)
        self._asked_lines = 1 + min(1000, self._number - before)

    def _more(self, lines: int) -> int:
        """Return how many lines to ask for if at least these are needed, and more are printed meanwhile."""
        if lines < self._copy.most_lines:
            return lines + lines // 4 + _MARGIN_LINES
        return self._copy.most_lines if self._copy.is_beginning_full else _ALL_LINES

    def find_result(self, node_id: str) -> None:
        """Read the last lines for the result alone.

        Raises:
            ClusterUnreachable, ClusterRefused: the log cannot be read now.
        """
        for raw in self._api.log_tail(node_id, self._job_id, _MARGIN_LINES):
            line = _parsed(raw)
            if line is not None and line.result is not None:
                self.result = line.result
                self.is_complete = line.number == self._copy.number + 1

    def last_words(self, node_id: str) -> str:
        """Return the end of what others have printed: Ray, or what has crashed.

        Raises:
            ClusterUnreachable, ClusterRefused: the log cannot be read now.
        """
        with closing(self._api.log_tail(node_id, self._job_id, _WORDS_LINES)) as tail:
            lines = [raw.decode("utf-8", "replace") for raw in tail]
        return "".join(line for line in lines if job_output.parsed(line.rstrip("\n")) is None)[-_WORDS_CHARACTERS:].strip()

    def _read_end(self, node_id: str, lines: int) -> int:
        """Copy what is new in the last lines. Return 0, or how many more lines have to be read to find where the copy ends.

        Of a log that is longer than what is kept, copy the beginning, and after a gap the end.
        """
        count, is_found = 0, lines in (_ALL_LINES, self._copy.most_lines)
        try:
            with closing(self._api.log_tail(node_id, self._job_id, lines)) as tail:
                for raw in tail:
                    count += 1
                    line = _parsed(raw)
                    if line is None:
                        continue
                    if not is_found and line.number > self._number + 1:
                        return line.number - self._number
                    is_found = True
                    if line.number > self._number:
                        self._take(line)
                    if lines == _ALL_LINES and self._copy.is_beginning_full:
                        return 1
        finally:
            self._flush()
        return 0 if is_found or count < lines else lines

    def _take(self, line: NodeLine) -> None:
        is_gap = line.record is not None and _GAP in line.record[:48]
        if is_gap or line.number > self._number + 1:
            self._leave_gap()
        if line.record is not None and not is_gap:
            self._batch.append(line.record.encode() + b"\n")
            self._batch_bytes += len(self._batch[-1])
        if line.started_at_ns is not None:
            self._copy.started_at_ns = line.started_at_ns
        self.result = line.result or self.result
        self._number = line.number
        if self._batch_bytes > _BATCH_BYTES:
            self._flush()

    def _leave_gap(self) -> None:
        self._flush()
        if self.is_complete:
            try:
                self._copy.skip()
            except OSError:
                self.is_complete = False

    def _flush(self) -> None:
        """Write what was taken. After an error of the disk, nothing more is written until the next `read`."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not self.is_complete or self._number == self._copy.number:
            return
        try:
            self._copy.append(batch, self._number)
        except OSError:
            self.is_complete = False


def _parsed(raw: bytes) -> NodeLine | None:
    """Return what a line of the job's log says; None if it is none of the node's, or torn."""
    return job_output.parsed(raw[:-1].decode("ascii", "replace")) if raw.endswith(b"\n") else None
