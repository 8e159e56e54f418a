"""What a mark of a chart says about a run: how it looks, and its text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchlite.core.durations import seconds_text
from orchlite.core.records import ListedRun, RunRow
from orchlite.core.status import RunStatus
from orchlite.core.text import counted, one_line
from orchlite.web.visible import cut

MarkedRun = RunRow | ListedRun
TimeText = Callable[[datetime], str]
"""Returns a time as text, in the zone of the page."""

LINKED_CHARACTERS = 13
"""How much of a run's id is in its link: 48 random bits. A page of fifty strips links 1500 runs."""
SYMBOLS = {
    "success": "s",
    "failure": "f",
    "timed_out": "t",
    "unknown": "u",
    "killed": "k",
    "running": "r",
    "queued": "q",
    "skipped": "o",
    "missed": "m",
}
"""By how a mark looks: the id of what it is drawn with, in `templates/charts.html`; short for the same reason."""
_REASON_CHARACTERS = 160
_MISSED = "missed"


def look_of(run: MarkedRun) -> str:
    """Return how the mark of a run looks: its status, or `missed` for a slot at which no host was up."""
    is_missed = run.status is RunStatus.SKIPPED and (run.reason or "").startswith(f"{_MISSED}:")
    return _MISSED if is_missed else str(run.status)


def moment_of(run: MarkedRun) -> datetime:
    """Return when the run started or, if it has not, its slot, or when it was submitted."""
    return run.started_at or run.claimed_at or run.slot_at or run.created_at


def run_text(run: MarkedRun, time_text: TimeText) -> str:
    """Return a run in one line: `failure 26 Nov 02:30, 12.4 s, exit 1, killed by SIGKILL`."""
    if run.status is RunStatus.SKIPPED:
        facts = [f"{_slots_text(run)} {time_text(run.slot_at or run.created_at)}", _skipped_reason(run)]
    else:
        exit_text = "" if run.exit_code in (None, 0) else f"exit {run.exit_code}"
        try_text = f"try {run.try_number}" if run.try_number > 1 else ""
        facts = [
            f"{_word(run)} {time_text(moment_of(run))}",
            seconds_text(run.duration_seconds),
            exit_text,
            try_text,
            _first_line(run.reason),
        ]
    return ", ".join(filter(None, facts))


def _word(run: MarkedRun) -> str:
    if run.status is RunStatus.RUNNING:
        return "running since"
    return "waiting since" if run.status is RunStatus.QUEUED else run.status.replace("_", " ")


def _slots_text(run: MarkedRun) -> str:
    look = look_of(run)
    return look if run.slots == 1 else f"{counted(run.slots, 'slot')} {look} until"


def _skipped_reason(run: MarkedRun) -> str:
    return _first_line(run.reason).removeprefix(f"{_MISSED}: ")


def _first_line(reason: str | None) -> str:
    return cut(one_line((reason or "").partition("\n")[0]), _REASON_CHARACTERS)
