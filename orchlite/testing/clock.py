"""A clock that a test moves, together with the stores that are open on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from orchlite.core.arguments import checked_moment
from orchlite.core.clock import SteppedStore
from orchlite.core.errors import BadArgument, Conflict


class ManualClock:
    """A clock that stops until it is advanced: `Client.temporary(clock=ManualClock(start))`.

    A client with such a clock starts no cron loop: whatever is due happens during `advance`, in the thread that calls it. All times of
    tasks and runs come from this clock; the time limits of real programs and of waits are real.
    """

    def __init__(self, start: datetime) -> None:
        """Set the clock to `start`, an aware datetime.

        Raises:
            BadArgument: `start` is not an aware datetime.
        """
        self._now = checked_moment(start, "start").astimezone(UTC)
        self._stores: list[SteppedStore] = []
        self._lock = threading.RLock()
        self._is_moving = False
        self._movers = {threading.current_thread()}

    def now(self) -> datetime:
        """Return the time that the clock shows: aware, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds of the machine's monotonic clock: waits are real."""
        return time.monotonic()

    def attach(self, store: SteppedStore) -> None:
        """Step `store` whenever this clock moves, until the store is closed. Called by a client when it opens its store."""
        self._stores.append(store)

    def may_be_moved_elsewhere(self) -> bool:
        """Return whether another living thread has created or moved this clock; if not, it stands still while the caller waits."""
        return any(thread.is_alive() for thread in self._movers.copy() if thread is not threading.current_thread())

    def advance(self, by: timedelta = timedelta(), /, **more: float) -> None:
        """Let time pass: `advance(days=7)`, `advance(hours=1, minutes=30)`, or `advance(timedelta(...))`.

        Wait for packaging first. Then stop at every instant at which something is due, in order, and let it happen: slots are dispatched,
        simulated runs end, real runs are waited for. Return when the clock has reached its time and nothing else is due.

        Any thread may advance the clock; threads take turns. A real program that never ends blocks this forever, unless it is killed.

        Raises:
            BadArgument: the time would go back, or beyond the year 9999.
            Conflict: the clock is being advanced by this thread already: a function given to `StubProcess` cannot move the clock.
        """
        with self._moving():
            try:
                until = self._now + by + timedelta(**more)
            except (OverflowError, ValueError) as error:
                hint = "It ends with the year 9999."
                raise BadArgument(f"The clock cannot be advanced so far: {error}.", hint=hint, argument="by") from error
            self._advance_to(until)

    def advance_to(self, until: datetime) -> None:
        """Let time pass up to `until`, an aware datetime; as `advance`.

        Raises:
            BadArgument: `until` has passed, or is not an aware datetime.
            Conflict: the clock is being advanced by this thread already.
        """
        with self._moving():
            self._advance_to(checked_moment(until, "until").astimezone(UTC))

    def set(self, to: datetime) -> None:
        """Set the clock to any time, earlier or later, as when a machine's clock is corrected. Nothing happens until it is advanced.

        Raises:
            BadArgument: `to` is not an aware datetime.
            Conflict: the clock is being advanced by this thread already.
        """
        with self._moving():
            self._now = checked_moment(to, "to").astimezone(UTC)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        with self._lock:
            if self._is_moving:
                hint = "What happens while it is moved cannot move it."
                raise Conflict("The clock is being moved already.", hint=hint)
            self._movers = {*filter(threading.Thread.is_alive, self._movers), threading.current_thread()}
            self._is_moving = True
            try:
                yield
            finally:
                self._is_moving = False

    def _advance_to(self, until: datetime) -> None:
        if until < self._now:
            raise BadArgument(f"It is {self._now.isoformat()} already.", hint="set() sets the clock to any time.", argument="until")
        self._each(lambda store: store.settle())
        while (at := self._next_at()) is not None and at <= until:
            self._now = max(at, self._now)
            self._each(lambda store: store.step())
        self._now = until

    def _each(self, act: Callable[[SteppedStore], None]) -> None:
        self._stores = [store for store in self._stores if not store.is_closed]
        for store in self._stores:
            act(store)

    def _next_at(self) -> datetime | None:
        times = [store.next_at() for store in self._stores if not store.is_closed]
        return min(filter(None, times), default=None)
