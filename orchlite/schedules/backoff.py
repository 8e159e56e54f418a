"""When a continuous task starts again after its run has ended. Pure: past runs in, a pause out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile

from orchlite.core.records import RunRow
from orchlite.core.status import RunStatus

STEADY = timedelta(seconds=60)
"""A run that lasted so long was well: the next pause is the shortest again."""

RUNS_LOOKED_AT = 8
"""The newest runs that say all: after so many short ones the pause is the longest."""

LONGEST = timedelta(seconds=60)
"""No pause is longer, and no time between two looks at a crash loop."""

_FIRST_SECONDS = 1
_CRASHES = 5
_CRASHES_WITHIN = timedelta(minutes=10)
_CRASHED = frozenset({RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.UNKNOWN})


def pause_seconds(newest: Sequence[RunRow]) -> int:
    """How long to wait before the next start: 1 s after the first short run, then twice as long each time, up to a minute.

    `newest` are the task's newest runs, all ended, newest first.
    """
    short = sum(1 for _ in takewhile(lambda run: not was_steady(run), newest))
    return int(min(_FIRST_SECONDS * 2 ** max(0, short - 1), LONGEST.total_seconds()))


def is_crash_loop(newest: Sequence[RunRow], now: datetime) -> bool:
    """Whether the newest five runs have all failed within ten minutes."""
    crashes = [run for run in newest[:_CRASHES] if run.status in _CRASHED and run.ended_at is not None]
    return len(crashes) == _CRASHES and all(now - run.ended_at <= _CRASHES_WITHIN for run in crashes if run.ended_at)


def was_steady(run: RunRow) -> bool:
    """Whether the run lasted for a minute."""
    return run.duration_seconds is not None and run.duration_seconds >= STEADY.total_seconds()
