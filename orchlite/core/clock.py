"""The only reader of time, and what a replacement for it must offer. `schedules/` and `store/` are passed the time as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that is never set; only differences mean anything."""
        return time.monotonic()


class Clock(Protocol):
    """The source of time of a client."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class SteppedStore(Protocol):
    """An open store whose clock is moved by hand."""

    @property
    def is_closed(self) -> bool:
        """Whether the store was closed."""

    def next_at(self) -> datetime | None:
        """When something happens next."""

    def settle(self) -> None:
        """Let everything that can go on at this instant do so."""

    def step(self) -> None:
        """Let happen what is due by now."""


@runtime_checkable
class ControlledClock(Clock, Protocol):
    """A clock that somebody moves by hand: nothing waits for it, and it moves the stores along."""

    def attach(self, store: SteppedStore) -> None:
        """Move this store along from now on."""

    def may_be_moved_elsewhere(self) -> bool:
        """Whether another thread moves it, too: else it stands still while this one waits."""
