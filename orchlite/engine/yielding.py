"""Inside a task: lends the place of this run's worker while its program waits for others, so that these can begin.

A program waits in one of two ways: it blocks in a `wait()`, or it asks again and again how what it submitted is doing, as programs for the
platform do. Either way, what it waits for could never begin where there is one worker and this run kept it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchlite.core.errors import Closed, DeviceFailed
from orchlite.operations.context import Context
from orchlite.store.database import Transaction

_AGAIN_SECONDS = 0.1
"""Who asks once, or shows a thing and its runs in one go, wants to know; who asks again after this time waits."""


class WorkerYield:
    """What this run's program waits for. Outside a task nothing happens here."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._blocked = 0
        """How many threads block in a wait."""
        self._asked_at: dict[str, float | None] = {}
        """When the program first asked about each task and orchestration that it submitted and has not seen the end of."""
        self._awaited: set[str] = set()
        """Those of them that it asked about again."""

    @contextmanager
    def while_waiting(self) -> Iterator[None]:
        """Lend while the block lasts."""
        if self._context.own_run_id is None:
            yield
            return
        self._blocked_changed(+1)
        try:
            self.refresh()
            yield
        finally:
            self._blocked_changed(-1)
            with suppress(Closed):
                self.refresh()

    def refresh(self) -> None:
        """Have the store say what is true of this run. Another client of it, which waits no more, may have said otherwise."""
        if self._context.own_run_id is not None and self._is_told_otherwise():
            self._context.commit_eventually(self._say)

    def track(self, object_id: str) -> None:
        """This program submitted a task or an orchestration; it may wait for it by asking."""
        if self._context.own_run_id is not None:
            self._asked_at[object_id] = None

    def polled(self, object_id: str, *, has_ended: bool) -> None:
        """The program asked about a task or an orchestration. One that is not over, and that it asks about again, it waits for."""
        if object_id not in self._asked_at:
            return
        with self._lock:
            self._note(object_id, has_ended)
        with suppress(DeviceFailed):  # a question is answered even so; the next one tries again
            if self._is_told_otherwise():
                with self._context.store.transaction() as transaction:
                    self._say(transaction)

    def _note(self, object_id: str, has_ended: bool) -> None:
        now = self._context.clock.monotonic()
        if has_ended:
            self._asked_at.pop(object_id, None)
            self._awaited.discard(object_id)
        elif object_id in self._asked_at:  # another thread may have seen its end meanwhile
            first_at = self._asked_at[object_id] = self._asked_at[object_id] or now
            if now - first_at >= _AGAIN_SECONDS:
                self._awaited.add(object_id)

    def _blocked_changed(self, change: int) -> None:
        with self._lock:
            self._blocked += change

    def _waits(self) -> bool:
        with self._lock:
            return self._blocked > 0 or bool(self._awaited)

    def _is_told_otherwise(self) -> bool:
        return self._context.store.runs.is_waiting(str(self._context.own_run_id)) != self._waits()

    def _say(self, transaction: Transaction) -> None:
        # Asked inside the transaction: of two threads that say something, the later one says what is true then.
        self._context.store.runs.set_waits(transaction, str(self._context.own_run_id), self._waits())
