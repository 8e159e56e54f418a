"""What a node prints, made by hand."""

from __future__ import annotations

import json

from orchlite.runs import job_output

BEGINS = (
    b"2026-11-26 16:00:01,000\tINFO job_manager.py:591 -- Runtime env is setting up.\n"
    b"Running entrypoint for job x: exec python -m orchlite.node\n"
)
RESULT = {
    "run_id": "x",
    "attempt": 2,
    "status": "success",
    "exit_code": 0,
    "started_at_ns": 1790000000000000000,
    "ended_at_ns": 1790000001000000000,
    "duration_seconds": 1.0,
    "reason": None,
    "log_complete": True,
    "left": [],
    "packages_sha": None,
    "packages": None,
    "metrics": {},
}


def record(text: str, tag: str = "F") -> bytes:
    """Return a record of a log."""
    return f"2026-11-26T16:00:01.000000001Z stdout {tag} {text}".encode()


def printed(*texts: str, first: int = 1) -> bytes:
    """Return the lines of a node for the lines that a program prints."""
    return b"".join(job_output.of_record(number, record(text)) for number, text in enumerate(texts, first))


def result_line(number: int, **fields: object) -> bytes:
    """Return the last line of a node."""
    return job_output.of_result(number, json.loads(json.dumps({**RESULT, **fields})))
