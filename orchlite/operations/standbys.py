"""Which run a host keeps ready before it is submitted, and for how long. `preparation` makes and removes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from orchlite.core.records import OrchestrationRow, RunRow, TaskRow
from orchlite.core.status import TaskKind

_PATIENCE_SECONDS = 5.0
_AT_ONCE_SECONDS = 0.04


class Expected(NamedTuple):
    """What was run last, and will probably be run again."""

    run: RunRow
    task: TaskRow
    orchestration: OrchestrationRow


class Standby(NamedTuple):
    """A prepared run, with the ids that its submission will have."""

    task_id: str
    run_id: str
    orchestration_id: str
    expires_at: float


class Standbys:
    """One standby at most. Thread-safe; only `end` and `close` block. Kept in memory only.

    A run is expected of an orchestration whose last two runs followed each other: most clients submit one run, and would pay for the
    second in vain. It is expected at once, while the last run lasts, if that began as soon as the one before it had ended.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: how long a run stands by; 0: none ever does."""
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.RLock()  # entered by itself: an interrupt inside `Condition.__enter__` would leave it taken for good
        self._condition = threading.Condition(self._lock)
        self._standby: Standby | None = None
        self._taken: dict[str, Standby] = {}
        """By run id: those that a caller has taken and neither submitted nor removed. An interrupt may keep it from doing so."""
        self._expected: Expected | None = None
        self._last_id: str | None = None
        self._last_at = float("-inf")
        self._is_preparing = self._is_closed = False

    def note(self, run: RunRow, task: TaskRow, orchestration: OrchestrationRow) -> None:
        """Note what was run. Only one-shot tasks count, because the others' runs do not get their ids from a submission."""
        if self._seconds and task.kind is TaskKind.ONCE:
            with self._lock:
                is_again = self._last_id == orchestration.orchestration_id
                self._last_id, self._last_at = orchestration.orchestration_id, self._monotonic()
                self._expected = Expected(run, task, orchestration) if is_again else None

    def are_in_a_row(self, orchestration_id: str) -> bool:
        """Return whether a run of this orchestration that begins now follows another at once, so that the next one will, too."""
        return self._last_id == orchestration_id and self._monotonic() - self._last_at < _AT_ONCE_SECONDS

    def begin(self) -> Expected | None:
        """Return what to prepare, for the caller, who must call `finish`; None if that is nothing."""
        with self._lock:
            if self._expected is None or self._standby is not None or self._is_preparing or self._is_closed:
                return None
            self._is_preparing = True
            return self._expected

    def finish(self, task_id: str, run_id: str, orchestration_id: str, is_wanted: Callable[[], bool]) -> bool:
        """Keep what was prepared. Return False if the caller must drop it: it is not wanted, or the store was closed meanwhile.

        What happens after `is_wanted()` has returned true finds it: no other thread takes the standby in between.
        """
        with self._lock:
            self._is_preparing = False
            self._condition.notify_all()
            standby = Standby(task_id, run_id, orchestration_id, self._monotonic() + self._seconds)
            if self._is_closed or not is_wanted():
                self._expected = None
                self._taken[run_id] = standby  # so that `close` finds it if this thread is cut off before it has dropped it
                return False
            self._standby = standby
            return True

    def take(self, orchestration_id: str | None = None) -> Standby | None:
        """Return the standby, if it is of this orchestration, for the caller alone."""
        with self._lock:
            standby = self._standby
            if standby is None or orchestration_id not in (None, standby.orchestration_id):
                return None
            return self._taken_by_caller(standby)

    def _taken_by_caller(self, standby: Standby) -> Standby:
        self._taken[standby.run_id] = standby  # first: an interrupt between the two loses nothing
        self._standby = None
        return standby

    def put_back(self, standby: Standby) -> bool:
        """Keep a standby that was taken in vain. Return False if the caller must remove it: there is another, or the store was closed."""
        with self._lock:
            if self._standby is not None or self._is_preparing or self._is_closed:
                return False
            self._standby = standby
            del self._taken[standby.run_id]
            return True

    def forget(self, run_id: str) -> None:
        """Note that a standby that was taken is submitted or removed. Do nothing for another run."""
        with self._lock:
            self._taken.pop(run_id, None)

    def take_expired(self) -> Standby | None:
        """Return the standby for the caller alone, if it has stood by for long enough; nothing more is expected then."""
        with self._lock:
            standby = self._standby
            if standby is None or standby.expires_at > self._monotonic():
                return None
            self._expected = self._last_id = None
            return self._taken_by_caller(standby)

    def seconds_left(self) -> float | None:
        """Return how long the standby stands by; None if there is none."""
        standby = self._standby
        return None if standby is None else max(0.0, standby.expires_at - self._monotonic())

    def end(self) -> Standby | None:
        """Expect nothing until another run. Return the standby, for the caller alone. Block for up to 5 s while one is prepared."""
        with self._lock:
            self._expected = None
            self._condition.wait_for(lambda: not self._is_preparing, _PATIENCE_SECONDS)
        return self.take()

    def close(self) -> list[Standby]:
        """Keep none from now on; return those that are left. Block while one is being prepared, for 5 s at most."""
        with self._lock:
            self._is_closed = True
        self.end()
        return list(self._taken.values())
