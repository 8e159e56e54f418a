"""Watches the job of one run: its status, its output, and what is to be concluded if the cluster does not respond."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from orchlite.core.durations import seconds_text
from orchlite.core.errors import DeviceFailed
from orchlite.core.status import RunStatus
from orchlite.ray.jobs_api import JobInfo, JobsApi, NoResponse
from orchlite.ray.log_copy import ClosableLock, LogCopy
from orchlite.ray.outcomes import outcome
from orchlite.ray.output_reader import OutputReader
from orchlite.runs import job_output
from orchlite.runs.cluster import PlacedRun
from orchlite.runs.observation import of_result
from orchlite.runs.spec import Lost, NeverStarted, Observation

_LOG_PATIENCE_SECONDS = 5.0
"""How long the log of a job that has ended is asked for; that of a dead node is gone."""
_RESULT_PATIENCE_SECONDS = 60.0
"""How long the result of a job that has succeeded is asked for: its node has one, and was alive."""
_LOG_PAUSE_SECONDS = 5.0
"""How long a log is left alone that could not be read: a node that is out of reach costs seconds."""
_STOP_PATIENCE_SECONDS = 10.0
"""How long a job is watched that was stopped before it was on a node: it may just be on its way. Later, it finds an empty package there."""
_SLOW_SECONDS = 1.0
"""A node that has taken longer to give no log is not asked for those of other runs either, which wait for this one."""
_PENDING_SECONDS = 15.0
"""After this time, the user is told why a job has not started."""
_SIGNALLED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)


class StopOrder(NamedTuple):
    """What this host has asked for to stop a job."""

    reason: str
    is_accepted: bool
    """Whether Ray has said that it passes this on."""


class Watch:
    """One run on the cluster, for one thread at a time."""

    def __init__(
        self,
        api: JobsApi,
        run: PlacedRun,
        lost_after_seconds: float,
        report: Callable[[str], None],
        stop_order: Callable[[], StopOrder | None] = lambda: None,
        lock: ClosableLock | None = None,
    ) -> None:
        """Ask for nothing yet. `stop_order` returns what this host has asked for to stop the job; the log is written under `lock`."""
        self.run = run
        self._api = api
        self._lost_after_seconds = lost_after_seconds
        self._report = report
        self._stop_order = stop_order
        self._reported = ""
        self._copy = LogCopy(run.log, run.log_bytes, lock)
        self._output = OutputReader(api, run.placement.job_id, self._copy)
        self._begun = time.monotonic()
        self._silent_since: float | None = None
        self._silent_at = datetime.now(UTC)
        self._ended_since: float | None = None
        self._stopped_since: float | None = None
        self._log_not_before = 0.0

    def poll(self) -> Observation | None:
        """Ask once, and copy what is new of the log. Return the outcome; None if there is none yet.

        Raises:
            NoResponse: the cluster does not respond. Call `silent` then.
            Closed: the log may not be copied any more.
        """
        try:
            info = self._api.job(self.run.placement.job_id)
            if info is None:
                return self._missing()
        except NoResponse:
            raise
        except DeviceFailed as error:
            return self.silent(error)
        self._silent_since = None
        if self._copy.is_new:
            with suppress(OSError):  # tried again in the next poll; the host has a mark of its own
                self._copy.save()
        return self._seen(info)

    def silent(self, error: DeviceFailed) -> Observation | None:
        """Note that the cluster does not respond as it should, and tell the user. Return that the run is lost if that lasts too long."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since, self._silent_at = now, datetime.now(UTC)
        silent_seconds = now - self._silent_since
        if silent_seconds < self._lost_after_seconds:
            since, limit = f"{self._silent_at:%Y-%m-%d %H:%M:%S} UTC", seconds_text(self._lost_after_seconds)
            self._tell(f"{error.message} The run may continue there; it becomes unknown if that lasts {limit} from {since}.")
            return None
        reason = (
            f"{error.message} That lasted {seconds_text(silent_seconds)}: its outcome is not known, and its program may still be running"
        )
        return Lost(self.run.attempt, reason)

    def _missing(self) -> Observation | None:
        """Conclude why the cluster does not know the job."""
        session = self._api.session()
        if session != self.run.placement.session:
            what = "so its outcome is not known, and its program may still be running"
            return Lost(self.run.attempt, f"Ray at {self._api.url} was started again and does not have it, {what}")
        if self._copy.is_new:
            return NeverStarted("the cluster does not have it")
        return Lost(self.run.attempt, f"Ray at {self._api.url} does not know it any more, so its outcome is not known")

    def _seen(self, info: JobInfo) -> Observation | None:
        is_read = self._read(info)
        if (found := self._output.result) is not None:
            return self._ended(found)
        if not info.has_ended:
            return self._unfinished(info)
        if self._ended_since is None:
            self._ended_since = time.monotonic()
        ended_seconds = time.monotonic() - self._ended_since
        if not is_read and ended_seconds < _LOG_PATIENCE_SECONDS:
            return None
        if (found := self._last_result(info)) is not None:
            return self._ended(found)
        if info.status == "SUCCEEDED" and ended_seconds < _RESULT_PATIENCE_SECONDS:
            return None
        words = self._last_words(info) if is_read else None
        return outcome(self.run.attempt, info, self._copy.started_at_ns, words, self._stop_reason())

    def _stop_reason(self) -> str | None:
        order = self._stop_order()
        return None if order is None else order.reason

    def _unfinished(self, info: JobInfo) -> Observation | None:
        if info.status != "PENDING":
            self._tell("")
            return None
        now, stop = time.monotonic(), self._stop_order()
        if stop is not None and stop.is_accepted:
            self._stopped_since = now if self._stopped_since is None else self._stopped_since
            if now - self._stopped_since >= _STOP_PATIENCE_SECONDS:
                return outcome(self.run.attempt, info._replace(status="STOPPED"), None, None, stop.reason)
        self._tell(f"Ray has not started it: {info.message}" if now - self._begun > _PENDING_SECONDS else "")
        return None

    def _read(self, info: JobInfo) -> bool:
        """Copy what is new. Return whether the log could be read; True if there is none."""
        if info.node_id is None:
            return True
        begun, before = time.monotonic(), self._copy.number
        if begun < max(self._log_not_before, self._api.slow_nodes.get(info.node_id, 0.0)) and not info.has_ended:
            return False
        try:
            self._output.read(info.node_id)
        except DeviceFailed:
            if self._copy.number == before:
                now = time.monotonic()
                self._log_not_before = now + _LOG_PAUSE_SECONDS
                if now - begun > _SLOW_SECONDS:
                    self._api.slow_nodes[info.node_id] = now + max(_LOG_PAUSE_SECONDS, now - begun)
            else:  # a part of a long log has arrived in the time of one request
                self._ended_since = None
            return False
        return True

    def _last_result(self, info: JobInfo) -> dict[str, object] | None:
        """Return the result of a job whose log cannot be read as a whole."""
        with suppress(DeviceFailed):
            if info.node_id is not None:
                self._output.find_result(info.node_id)
        return self._output.result or _result_in(info.message)

    def _last_words(self, info: JobInfo) -> str | None:
        if info.node_id is None:
            return ""
        try:
            return self._output.last_words(info.node_id)
        except DeviceFailed:
            return None

    def _ended(self, found: dict[str, object]) -> Observation:
        try:
            observed = of_result(found)
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
            return Lost(self.run.attempt, "the result that the node has sent cannot be read, so its outcome is not known")
        if isinstance(observed, Lost):
            return observed
        result = observed.result
        # Ray signals all processes of the job, and may end the program before its node program has heard of it.
        is_ended_by_signal = result.status == RunStatus.FAILURE and result.exit_code in _SIGNALLED
        if (reason := self._stop_reason()) is not None and (result.status == RunStatus.KILLED or is_ended_by_signal):
            result = result._replace(status=RunStatus.KILLED, reason=reason)
        return observed._replace(result=result._replace(log_complete=result.log_complete and self._output.is_complete))

    def _tell(self, text: str) -> None:
        if text != self._reported:
            self._reported = text
            self._report(text)


def _result_in(message: str) -> dict[str, object] | None:
    """Return the result line among the last lines of output, which Ray puts into the message about a command that has failed."""
    lines = (job_output.parsed(line) for line in reversed(message.splitlines()))
    return next((line.result for line in lines if line is not None and line.result is not None), None)
