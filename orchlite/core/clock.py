"""The system's clocks, and the protocols of their replacements. `schedules/` and `store/` get the time as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol, cast


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall-clock time: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that is never set; only differences are meaningful."""
        return time.monotonic()


class Clock(Protocol):
    """The source of time of a client."""

    def now(self) -> datetime:
        """Return the wall-clock time: aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that is never set; only differences are meaningful."""


class SteppedStore(Protocol):
    """An open store whose clock is moved by hand."""

    @property
    def is_closed(self) -> bool:
        """Whether the store was closed."""

    def next_at(self) -> datetime | None:
        """Return when the next slot, start or end is due: aware, UTC; None if nothing is."""

    def settle(self) -> None:
        """Start and end every run that can start or end at this instant."""

    def step(self) -> None:
        """Dispatch the slots that are due, then settle."""


class ControlledClock(Clock, Protocol):
    """A clock that a caller moves by hand. It steps the stores attached to it; no thread waits for its time."""

    def attach(self, store: SteppedStore) -> None:
        """Step this store whenever the clock is moved."""

    def may_be_moved_elsewhere(self) -> bool:
        """Return whether another thread moves the clock; if not, it stands still while the calling thread waits."""


def controlled(clock: Clock | None) -> ControlledClock | None:
    """Return the clock if a caller moves it by hand, else None."""
    is_controlled = hasattr(clock, "attach") and hasattr(clock, "may_be_moved_elsewhere")  # to check for a protocol takes 0.1 ms
    return cast("ControlledClock", clock) if is_controlled else None
