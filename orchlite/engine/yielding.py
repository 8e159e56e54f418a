"""Inside a task: yields the run's worker slot while its program waits for other runs, so that these can start.

A program waits in one of two ways: it blocks in a `wait()`, or it polls what it submitted, as programs written for the platform do. Either
way, with one worker, what it waits for could never start if this run kept its slot.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchlite.core.errors import Closed, DeviceFailed
from orchlite.operations.context import Context
from orchlite.store.database import Transaction

_POLLING_SECONDS = 0.1
"""A program that polls once, or shows a task and its runs in one go, does not wait; one that polls again after this time does."""


class WorkerYield:
    """What the program of this run waits for, recorded in the store. Outside a task it does nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._blocked_threads = 0
        """How many threads block in a wait."""
        self._first_polled_at: dict[str, float | None] = {}
        """When the program first polled each task and orchestration that it submitted and whose end it has not seen."""
        self._awaited: set[str] = set()
        """Those of them that it polled again."""

    @contextmanager
    def while_waiting(self) -> Iterator[None]:
        """Yield the worker slot while the block runs."""
        if self._context.own_run_id is None:
            yield
            return
        self._add_blocked(+1)
        try:
            self.refresh()
            yield
        finally:
            self._add_blocked(-1)
            with suppress(Closed):
                self.refresh()

    def refresh(self) -> None:
        """Correct the store's row, which another client in this program may have changed."""
        if self._context.own_run_id is not None and self._is_outdated():
            self._context.commit_eventually(self._record)

    def track(self, object_id: str) -> None:
        """Expect this program to poll a task or an orchestration that it has submitted."""
        if self._context.own_run_id is not None:
            self._first_polled_at[object_id] = None

    def polled(self, object_id: str, *, has_ended: bool) -> None:
        """Note that the program has read a task or an orchestration. It waits for one that has not ended and that it reads again.

        Writes to the store when this starts or ends the waiting of the program.
        """
        if object_id not in self._first_polled_at:
            return
        with self._lock:
            self._note(object_id, has_ended)
        with suppress(DeviceFailed):  # the read succeeds even so; the next one tries again
            if self._is_outdated():
                with self._context.store.transaction() as transaction:
                    self._record(transaction)

    def _note(self, object_id: str, has_ended: bool) -> None:
        now = self._context.clock.monotonic()
        if has_ended:
            self._first_polled_at.pop(object_id, None)
            self._awaited.discard(object_id)
        elif object_id in self._first_polled_at:  # another thread may have seen its end meanwhile
            first_at = self._first_polled_at[object_id] = self._first_polled_at[object_id] or now
            if now - first_at >= _POLLING_SECONDS:
                self._awaited.add(object_id)

    def _add_blocked(self, change: int) -> None:
        with self._lock:
            self._blocked_threads += change

    def _is_waiting(self) -> bool:
        with self._lock:
            return self._blocked_threads > 0 or bool(self._awaited)

    def _is_outdated(self) -> bool:
        return self._context.store.runs.is_waiting(str(self._context.own_run_id)) != self._is_waiting()

    def _record(self, transaction: Transaction) -> None:
        # Evaluated inside the transaction: of two threads that record, the later one records what is true then.
        self._context.store.runs.set_waiting(transaction, str(self._context.own_run_id), self._is_waiting())
