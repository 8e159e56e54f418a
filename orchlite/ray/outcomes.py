"""What has become of a run whose job has ended without a result line: read from what Ray says of the job."""

from __future__ import annotations

from datetime import UTC, datetime

from orchlite.core.records import RunResult
from orchlite.core.status import RunStatus
from orchlite.ray.jobs_api import JobInfo, last_line
from orchlite.runs.spec import Ended, Lost, Observation

_REASON_CHARACTERS = 500
_COMMAND_FAILED = "JOB_ENTRYPOINT_COMMAND_ERROR"
_NOT_STARTED = {
    "RUNTIME_ENV_SETUP_FAILURE",
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
    "JOB_SUPERVISOR_ACTOR_START_FAILURE",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
}
"""Errors of Ray before the job's command, if the job was not on a node by then."""


def outcome(attempt: int, info: JobInfo, started_at_ns: int | None, words: str | None, stop_reason: str | None) -> Observation:
    """Return how the run of a job that has ended came out.

    started_at_ns: when the node has started the program; None if it has not said so.
    words: the end of what was printed besides the node's lines; None if the log cannot be read.
    stop_reason: why this host has had the job stopped, if it has.
    """
    if info.status == "STOPPED":
        return _ended(attempt, info, RunStatus.KILLED, started_at_ns, stop_reason or "it was stopped on the cluster")
    if info.status == "SUCCEEDED":
        return Lost(attempt, "its job has ended on the cluster, but its result cannot be read there, so its outcome is not known")
    message = _brief(info.message)
    if info.node_id is None and info.error_type in _NOT_STARTED:
        return _ended(attempt, info, RunStatus.FAILURE, None, f"Ray did not start it: {message}")
    if info.error_type == _COMMAND_FAILED and started_at_ns is None and words is not None:
        if stop_reason is not None:  # its package was emptied
            return _ended(attempt, info, RunStatus.KILLED, None, stop_reason)
        return _ended(attempt, info, RunStatus.FAILURE, None, f"the node did not start it: {words or message}")
    return Lost(attempt, f"Ray has lost it, so its outcome is not known: {message}")


def _brief(message: str) -> str:
    """Return the first and the last line: what has happened, and why. Between them are ids, or a traceback."""
    first, last = message.strip().partition("\n")[0].strip(), last_line(message)
    return first if first == last else f"{first} {last}"[:_REASON_CHARACTERS]


def _ended(attempt: int, info: JobInfo, status: RunStatus, started_at_ns: int | None, reason: str) -> Ended:
    started_at = None if started_at_ns is None else datetime.fromtimestamp(started_at_ns / 1e9, UTC)
    ended_at = info.ended_at or datetime.now(UTC)
    result = RunResult(status=status, exit_code=None, started_at=started_at, ended_at=ended_at, duration_seconds=None, reason=reason)
    return Ended(attempt, result)
