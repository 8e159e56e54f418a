"""Why a run failed, in words of its own: its reason, else the error at the end of its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchlite.core.errors import DeviceFailed
from orchlite.core.escapes import without_colours
from orchlite.core.status import FAILED
from orchlite.runs.log_places import END, before
from orchlite.runs.logs import last_state

if TYPE_CHECKING:
    from orchlite.client.task_run import TaskRun
    from orchlite.core.records import ListedRun
    from orchlite.engine.engine import Engine
    from orchlite.store.failures import FailedRun

_ENDING_BYTES = 16 * 1024
"""How much of the end of a log is searched for an error."""
_READ_LINES = 20
_REMEMBERED = 4096
_TRACEBACK = "Traceback (most recent call last):"
_GROUP_MARGIN = re.compile(r"^ *[|+] ?(?!-)")
"""What Python draws before the lines of an exception group."""
_RULE = re.compile(r"[-+= .\d]*")
"""A line that says nothing: empty, or a border of an exception group."""


def plain_line(text: str) -> str:
    """Return the last state of a line of a log, without control sequences and colours."""
    return without_colours(last_state(text))


def last_lines(run: TaskRun, count: int) -> list[str]:
    """Return the last lines of the log of a failed run, plain; of others, nothing."""
    return [plain_line(line.text) for line in run.logs(count)] if run.status() in FAILED else []


def why_failed(run: TaskRun) -> str:
    """Return the first line of a failed run's reason, else the error at the end of its log, else its exit code."""
    from orchlite.client.task_run import log_path_of  # the command line's help needs none of its imports

    return _cause(run.reason(), log_path_of(run), run.exit_code())


def cause_of(engine: Engine, run: ListedRun | FailedRun) -> str:
    """Return what `why_failed` does, from a row. Each log is read once, since a run that has ended writes no more."""
    log = engine.context.folder.run(run.run_id).attempt(run.attempt).log
    try:
        return _remembered_cause(run.reason, log, run.exit_code)
    except DeviceFailed:
        return f"exit code {run.exit_code}, and its log cannot be read"


def _cause(reason: str | None, log: Path, exit_code: int | None) -> str:
    """Return what `why_failed` does, from the facts about a run. At most 16 KiB of the log are read.

    Raises:
        DeviceFailed: the log cannot be read.
    """
    return (reason or "").partition("\n")[0] or error_line(_ending(log)) or f"exit code {exit_code}"


_remembered_cause = lru_cache(_REMEMBERED)(_cause)


def error_line(lines: Sequence[str]) -> str:
    """Return the line below the frames of the last traceback, which names the exception; without a traceback, the last line that has words.

    It is empty if there is none.
    """
    plain = [_GROUP_MARGIN.sub("", line) for line in lines]
    starts = [number for number, line in enumerate(plain) if line.endswith(_TRACEBACK)]
    below = plain[starts[-1] + 1 :] if starts else []
    named = next((line for line in below if line.strip() and not line.startswith(" ")), "")
    return (named or next((line for line in reversed(plain) if not _RULE.fullmatch(line)), "")).strip()


def _ending(log: Path) -> list[str]:
    """Return the lines from the last traceback on or, without one, the last 20."""
    newest = next(iter(before(log, END, _ENDING_BYTES)), None)
    if newest is None:
        return []
    # Only these are decoded: a page shows the ends of 300 logs.
    records = newest.data.split(b"\n")
    starts = [number for number, record in enumerate(records) if _TRACEBACK.encode() in record]
    wanted = records[starts[-1] :] if starts else records[-_READ_LINES:]
    return [plain_line(line.text) for line in newest._replace(data=b"\n".join(wanted)).lines()]
