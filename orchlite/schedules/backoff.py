"""When a continuous task starts again after its run has ended. Pure: ended runs in, a pause out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile

from orchlite.core.records import RunRow
from orchlite.core.status import FAILED

STABLE_AFTER = timedelta(seconds=60)
"""A run that lasted this long was stable: it resets the back-off to its first step."""

MAX_BACKOFF = timedelta(seconds=60)
"""Upper bound on the pause before a start, and on the time between two checks of a crash loop."""

RUNS_CONSIDERED = 8
"""The number of newest runs that determine the back-off: after seven short ones it has reached its maximum."""

_FIRST_SECONDS = 1
_CRASHES = 5
_CRASHES_WITHIN = timedelta(minutes=10)


def backoff_seconds(newest: Sequence[RunRow]) -> int:
    """Return the pause before the next start: 1 s after the first short run, doubled after each further one, at most 60 s.

    `newest` are the task's newest runs, all ended, newest first. How a run ended makes no difference, only how long it lasted.
    """
    short = sum(1 for _ in takewhile(lambda run: not was_stable(run), newest))
    return int(min(_FIRST_SECONDS * 2 ** max(0, short - 1), MAX_BACKOFF.total_seconds()))


def is_crash_loop(newest: Sequence[RunRow], now: datetime) -> bool:
    """Return whether the five newest runs have all failed, timed out or been lost within the last ten minutes."""
    crashes = [run for run in newest[:_CRASHES] if run.status in FAILED and run.ended_at is not None]
    return len(crashes) == _CRASHES and all(now - run.ended_at <= _CRASHES_WITHIN for run in crashes if run.ended_at)


def was_stable(run: RunRow) -> bool:
    """Return whether the run lasted for at least a minute."""
    return run.duration_seconds is not None and run.duration_seconds >= STABLE_AFTER.total_seconds()
