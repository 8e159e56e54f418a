"""Observes a run by its files, which a program may have changed, removed or replaced: whatever is found there, the run gets an end."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchlite.core.files import is_locked
from orchlite.core.folders import RunFolder
from orchlite.core.records import Packages, RunResult
from orchlite.core.status import RunStatus
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted, Observation
from orchlite.runs.survivors import processes_of

_ENDS = {RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.KILLED}
_MOST_BYTES = 1024 * 1024
_MOST_ATTEMPTS = 2**31
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def observe(folder: RunFolder) -> Observation:
    """Return what the run's lock and files say now; never block. A run whose folder cannot be read is `Lost`.

    Raises:
        OSError: this process or the machine lacks descriptors or memory. That says nothing about the run: observe it again later.
    """
    try:
        return _observe(folder)
    except OSError as error:
        if error.errno in _SHORTAGES:
            raise
        return Lost(None, f"its folder cannot be read ({error.strerror}), so its outcome is not known")


def _observe(folder: RunFolder) -> Observation:
    # The lock first, then the result: in the other order, a result written in between would be missed, and the run called lost.
    if is_locked(folder.alive_lock):
        return Alive()
    started = _read(folder.started)
    if started is None:
        return _without_start(folder)
    attempt = _parsed(started).get("attempt")
    if not isinstance(attempt, int) or not 0 < attempt < _MOST_ATTEMPTS:
        return Lost(None)
    try:
        return Ended(attempt, checked_result(_parsed(_read(folder.attempt(attempt).result) or b"")))
    except (LookupError, TypeError, ValueError, OverflowError):
        return Lost(attempt)  # no result, or an unreadable one


def _without_start(folder: RunFolder) -> Observation:
    """Return whether a run without `started.json` was never started, or has removed that file and must not be started again."""
    if not folder.is_held() and processes_of(folder):
        # Lock and file again: a slow runner may have started the program since they were read.
        if is_locked(folder.alive_lock):
            return Alive()
        if folder.started.exists():
            return _observe(folder)
        return Lost(None, "its files were removed while it ran, and its runner was killed, so its outcome is not known")
    return NeverStarted()


def checked_result(found: dict[str, Any]) -> RunResult:
    """Return the result that a runner has written or sent.

    Raises:
        LookupError, TypeError, ValueError, OverflowError: it is none; a program can write to its run's folder.
    """
    result = RunResult(
        status=RunStatus(found["status"]),
        exit_code=_number(found["exit_code"]),
        started_at=_at(found["started_at_ns"]),
        ended_at=_at(found["ended_at_ns"]) or datetime.now(UTC),
        duration_seconds=None if found["duration_seconds"] is None else float(found["duration_seconds"]),
        reason=None if found["reason"] is None else str(found["reason"]).encode("utf-8", "replace").decode(),
        log_complete=bool(found["log_complete"]),
        left=tuple(map(int, found["left"])),
        packages_sha=_sha(found),
    )
    if result.status not in _ENDS:
        raise ValueError(result.status)
    return result


def of_result(result: Mapping[str, Any]) -> Ended | Lost:
    """Return what the result that a node has sent says about the run; see `job_output.py`.

    Raises:
        LookupError, TypeError, ValueError, OverflowError, AttributeError: it is none.
    """
    attempt = int(result["attempt"])
    if result["status"] == RunStatus.UNKNOWN:
        return Lost(attempt, None if result["reason"] is None else str(result["reason"]))
    packages = None if result["packages"] is None else Packages.from_json(result["packages"])
    metrics = {str(name): float(value) for name, value in result["metrics"].items() if math.isfinite(value)}
    return Ended(attempt, checked_result(dict(result)), packages, metrics)


def packages_sha(folder: RunFolder, attempt: int) -> str | None:
    """Return `packages_sha` of an attempt that was started and may have no result; None if it has none, or that cannot be read."""
    try:
        started = _parsed(_read(folder.started) or b"")
    except OSError:
        return None
    return _sha(started) if started.get("attempt") == attempt else None


def _sha(found: dict[str, Any]) -> str | None:
    value = found.get("packages_sha")
    return value if isinstance(value, str) and value.isascii() else None


def _number(value: object) -> int | None:
    if value is None or (isinstance(value, int) and abs(value) < 2**31):
        return value
    raise ValueError(value)


def _at(nanoseconds: int | None) -> datetime | None:
    return None if nanoseconds is None else datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _read(path: Path) -> bytes | None:
    """Return the beginning of the file, longer than any of a runner's; None if there is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a named pipe would block
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def _parsed(content: bytes) -> dict[str, Any]:
    """Return the JSON object; an empty one if it is missing or torn."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
