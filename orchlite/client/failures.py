"""Why a run failed, in words of its own: its reason, and what it wrote last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchlite.core.escapes import without_colours
from orchlite.core.status import FAILED
from orchlite.runs.logs import last_state

if TYPE_CHECKING:
    from orchlite.client.task_run import TaskRun

_READ_LINES = 20


def plain_line(text: str) -> str:
    """Return the last state of a line of a log, without control sequences and colours."""
    return without_colours(last_state(text))


def last_lines(run: TaskRun, count: int) -> list[str]:
    """Return the last lines of the log of a failed run, plain; of others, nothing."""
    return [plain_line(line.text) for line in run.logs(count)] if run.status() in FAILED else []


def why_failed(run: TaskRun) -> str:
    """Return the first line of a failed run's reason, else the last line that it wrote, else its exit code."""
    if reason := run.reason():
        return reason.partition("\n")[0]
    written = [line for line in last_lines(run, _READ_LINES) if line.strip()]
    return written[-1].strip() if written else f"exit code {run.exit_code()}"
