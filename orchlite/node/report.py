"""The content of the line that says how the run has ended: see `runs/job_output.py`."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import Any

from orchlite.core.records import RunRow
from orchlite.core.status import RunStatus
from orchlite.operations.context import Context
from orchlite.runs import job_output
from orchlite.store.database import to_microseconds
from orchlite.store.run_packages import sha_of

_STOPPED = "the cluster has stopped its job"
_SIGNALLED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)


def result_of(context: Context, sent: RunRow, run: RunRow, stopped_at: datetime | None) -> dict[str, Any]:
    """Return the result of a run that has ended in this store.

    sent: the run as its host has sent it.
    stopped_at: when this process was told to stop; then a run that fails afterwards was killed: the cluster ends all its processes. So
    was one that fails by such a signal: the cluster sends it to the program, too, in any order.
    """
    packages = context.store.run_packages.get(run.run_id)
    was_stopped = stopped_at is not None and run.ended_at is not None and (run.ended_at >= stopped_at or run.exit_code in _SIGNALLED)
    is_killed = was_stopped and run.status in (RunStatus.FAILURE, RunStatus.KILLED, RunStatus.UNKNOWN)
    return {
        **_result(sent, RunStatus.KILLED if is_killed else run.status, _STOPPED if is_killed else run.reason, run.ended_at),
        "exit_code": run.exit_code,
        "started_at_ns": None if run.started_at is None else to_microseconds(run.started_at) * 1000,
        "duration_seconds": run.duration_seconds,
        "log_complete": run.log_complete,
        "packages_sha": None if packages is None else sha_of(packages),
        "packages": None if packages is None else packages._asdict(),
        "metrics": context.store.run_metrics.get(run.run_id),
    }


def killed_result(sent: RunRow, started_at_ns: int | None) -> dict[str, Any]:
    """Return the result of a run that was stopped and does not end in time; the end of this process ends it."""
    return {**_result(sent, RunStatus.KILLED, _STOPPED, None), "started_at_ns": started_at_ns}


def failed_result(sent: RunRow, started_at_ns: int | None, error: Exception) -> dict[str, Any]:
    """Return the result of a run that was not started because of this error, or of which nothing more is known."""
    if started_at_ns is None:
        return _result(sent, RunStatus.FAILURE, f"it could not be started: {error}", None)
    reason = f"the node could not supervise it any more, so its outcome is not known: {error}"
    return {**_result(sent, RunStatus.UNKNOWN, reason, None), "started_at_ns": started_at_ns}


def _result(sent: RunRow, status: RunStatus, reason: str | None, ended_at: datetime | None) -> dict[str, Any]:
    ended_at_ns = to_microseconds(ended_at or datetime.now(UTC)) * 1000
    return job_output.bare_result(sent.run_id, sent.attempt, status, reason, ended_at_ns)
