"""What the node program writes to its standard output, and here, once, the format. Both sides use this file.

Each line that is about the run begins with `orchlite:`, a word, and the number of the line among them, from 1 on: whoever reads only the
end of a job's log knows what is missing before it. The rest is JSON. Everything is ASCII, and the only control characters
are the newlines at the ends: a cluster may read a job's log in any encoding, and may take a carriage return for the end of a line. Any
other line is the cluster's, or the traceback of a node program that failed.

`orchlite:log NUMBER TEXT`
    The next record of the run's log, a JSON string without the newline, as `runner/log_writer.py` defines it.
`orchlite:started NUMBER {"started_at_ns": …}`
    Once, just before the program of the run is started: nanoseconds since the Unix epoch, on the node's clock. If a job has ended without
    this line, the program was not started.
`orchlite:result NUMBER {…}`
    Once, the last of these lines. The keys are those of `result.json` (see `spec.py`), whose `attempt` is that of the host; `status` may
    also be `unknown`, if the run was started and its runner was killed. In addition: `packages`, what the program saw installed
    (`python`, `installed`, `host`; null if it was not started), and `metrics`, the numbers that it has left (an object, perhaps empty).
    `observation.of_result` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

_LOG, _STARTED, _RESULT = "orchlite:log ", "orchlite:started ", "orchlite:result "


class NodeLine(NamedTuple):
    """One line of a node program. Besides the number, one of the fields has a value."""

    number: int
    record: str | None = None
    """A record of the run's log, without the newline."""
    started_at_ns: int | None = None
    result: dict[str, Any] | None = None


def of_record(number: int, record: bytes) -> bytes:
    """Return the line for a record of the log."""
    return f"{_LOG}{number} {json.dumps(record.decode('utf-8', 'replace'))}\n".encode("ascii")


def of_start(number: int, started_at_ns: int) -> bytes:
    """Return the line that says that the program is started."""
    return f'{_STARTED}{number} {{"started_at_ns": {started_at_ns}}}\n'.encode("ascii")


def of_result(number: int, result: Mapping[str, Any]) -> bytes:
    """Return the line that says how the run has ended."""
    return f"{_RESULT}{number} {json.dumps(result)}\n".encode("ascii")


def bare_result(run_id: object, attempt: object, status: str, reason: str | None, ended_at_ns: int) -> dict[str, Any]:
    """Return the content of a result line that says no more than a status and a reason."""
    return {
        "run_id": run_id,
        "attempt": attempt,
        "status": status,
        "exit_code": None,
        "started_at_ns": None,
        "ended_at_ns": ended_at_ns,
        "duration_seconds": None,
        "reason": reason,
        "log_complete": True,
        "left": [],
        "packages_sha": None,
        "packages": None,
        "metrics": {},
    }


def parsed(line: str) -> NodeLine | None:
    """Return what a whole line of a job's log says about the run; None if it is none of the node program's, or was cut off."""
    word, _, rest = line.partition(" ")
    digits, _, text = rest.partition(" ")
    if f"{word} " not in (_LOG, _STARTED, _RESULT) or not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    number = int(digits)
    if f"{word} " == _LOG and isinstance(value, str):
        return NodeLine(number, record=value)
    if f"{word} " == _STARTED and isinstance(value, dict) and isinstance(value.get("started_at_ns"), int):
        return NodeLine(number, started_at_ns=value["started_at_ns"])
    return NodeLine(number, result=value) if f"{word} " == _RESULT and isinstance(value, dict) else None
