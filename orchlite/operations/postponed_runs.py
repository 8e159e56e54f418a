"""The runs that this host has postponed: one, or all but packaging. Each try follows after 1 s, then after twice as long, up to 30 s."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

_FIRST_DELAY_SECONDS = 1.0
_MAX_DELAY_SECONDS = 30.0
_MAX_DOUBLINGS = 5
_PATIENCE_SECONDS = 600.0


class _Tries(NamedTuple):
    number: int
    first_at: float
    next_at: float


class PostponedRuns:
    """Postponed runs and their next tries. Thread-safe. Kept in memory only."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._tries: dict[str | None, _Tries] = {}
        """By run id; None stands for all runs."""
        self._has_new = False
        self._seen_due: set[str | None] = set()

    def postpone(self, run_id: str, left_seconds: float | None = None) -> float | None:
        """Return the seconds after which to try the run again; None if that is too late.

        left_seconds: the time until the run's starting deadline; without one, ten minutes after the first call for this run.
        """
        now = self._monotonic()
        with self._lock:
            number, first_at, _ = self._tries.get(run_id, _Tries(0, now, now))
            delay_seconds = _delay_seconds(number)
            if delay_seconds >= (first_at + _PATIENCE_SECONDS - now if left_seconds is None else left_seconds):
                return None
            self._tries[run_id] = _Tries(number + 1, first_at, now + delay_seconds)
            self._has_new = True
            return delay_seconds

    def pause(self) -> float:
        """Postpone all runs; return the seconds until the next try. Until then, a further call has no effect."""
        now = self._monotonic()
        with self._lock:
            number, first_at, next_at = self._tries.get(None, _Tries(0, now, now))
            if next_at <= now:
                next_at = now + _delay_seconds(number)
                self._tries[None] = _Tries(number + 1, first_at, next_at)
                self._has_new = True
            return next_at - now

    def resume(self) -> None:
        """Postpone all runs no longer: one could be started."""
        with self._lock:
            self._tries.pop(None, None)

    def are_paused(self) -> bool:
        """Return whether all runs are postponed, and the next try is in the future."""
        tries = self._tries.get(None)
        return tries is not None and tries.next_at > self._monotonic()

    def count(self, run_id: str) -> int:
        """Return how often the run was postponed."""
        tries = self._tries.get(run_id)
        return 0 if tries is None else tries.number

    def forget(self, run_id: str) -> None:
        """Forget a run that has ended."""
        with self._lock:
            self._tries.pop(run_id, None)

    def not_due(self) -> tuple[str, ...]:
        """Return the ids of the runs whose next try is in the future."""
        if not self._tries:  # on the path of every run
            return ()
        now = self._monotonic()
        with self._lock:
            return tuple(run_id for run_id, tries in self._tries.items() if run_id is not None and tries.next_at > now)

    def seconds_until_due(self) -> float | None:
        """Return the seconds until the next try; None if no run waits for one."""
        now = self._monotonic()
        with self._lock:
            waits = [tries.next_at - now for tries in self._tries.values() if tries.next_at > now]
            return min(waits, default=None)

    def take_news(self) -> bool:
        """Return whether a run was postponed, or has become due, since the last call."""
        if not self._tries:
            return False
        now = self._monotonic()
        with self._lock:
            due = {run_id for run_id, tries in self._tries.items() if tries.next_at <= now}
            is_new = self._has_new or not due <= self._seen_due
            self._has_new, self._seen_due = False, due
            return is_new


def _delay_seconds(number: int) -> float:
    delay_seconds: float = _FIRST_DELAY_SECONDS * 2 ** min(number, _MAX_DOUBLINGS)
    return min(delay_seconds, _MAX_DELAY_SECONDS)
