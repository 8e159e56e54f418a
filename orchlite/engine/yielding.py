"""Inside a task: yields the run's worker slot while its program waits for other runs, so that these can start.

A program waits in one of two ways: it blocks in a `wait()`, or it polls what it submitted, as programs written for the platform do. Either
way, with one worker, what it waits for could never start if this run kept its slot.

A recorded wait lapses unless it is renewed: a program that stops polling is working again, and a process that is killed while it waits,
such as a child of the program, cannot withdraw the record.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orchlite.core.errors import Closed, DeviceFailed
from orchlite.core.records import TaskRow
from orchlite.core.status import TaskKind, TaskStatus
from orchlite.operations.context import Context
from orchlite.store.database import Transaction

_POLLING_SECONDS = 0.1
"""Polls closer together than this count as one; a program that polls again later is waiting."""
_WAIT_LAPSE_SECONDS = 10.0
"""After how long a blocking wait lapses; it is renewed every 0.5 s."""
_POLL_LAPSE_SECONDS = 1.0
"""How much longer than twice its last interval a program may take to poll again."""


class WorkerYield:
    """What the program of this run waits for, recorded in the store. Outside a task it does nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._blocked_threads = 0
        """How many threads block in a wait."""
        self._polled_at: dict[str, float | None] = {}
        """When the program last polled each task and orchestration that it submitted and whose end it has not seen; monotonic seconds."""
        self._awaited_until: dict[str, float] = {}
        """Until when it is taken to wait for each of those that it polled again; monotonic seconds."""

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
        """Renew or correct the store's row, which lapses, and which another client in this program may have changed."""
        if self._context.own_run_id is not None and self._is_outdated():
            self._context.commit_eventually(self._record)

    def track(self, *object_ids: str) -> None:
        """Expect this program to poll tasks or an orchestration that it has submitted."""
        if self._context.own_run_id is not None:
            self._polled_at.update(dict.fromkeys(object_ids))

    def polled_task(self, task: TaskRow) -> None:
        """Note that the program has read a task; see `polled`."""
        # A one-shot task stays `started` when its run has ended, so its run is polled for that.
        has_begun = task.kind is not TaskKind.ONCE and task.status is not TaskStatus.PENDING
        has_ended = task.status in (TaskStatus.FAILED, TaskStatus.TIMED_OUT, TaskStatus.KILLED)
        self.polled(task.task_id, has_ended=has_begun or has_ended)

    def polled(self, object_id: str, *, has_ended: bool) -> None:
        """Note that the program has read a task or an orchestration. It waits for one that has not ended and that it reads again.

        Writes to the store when this starts or ends the waiting of the program, or would else lapse.
        """
        if object_id not in self._polled_at:
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
            self._polled_at.pop(object_id, None)
            self._awaited_until.pop(object_id, None)
        elif object_id in self._polled_at:  # another thread may have seen its end meanwhile
            last_at = self._polled_at[object_id]
            if last_at is None:
                self._polled_at[object_id] = now
            elif now - last_at >= _POLLING_SECONDS:
                self._polled_at[object_id] = now
                self._awaited_until[object_id] = now + 2 * (now - last_at) + _POLL_LAPSE_SECONDS

    def _add_blocked(self, change: int) -> None:
        with self._lock:
            self._blocked_threads += change

    def _waits_until(self, now: float) -> float:
        """Return until when this program is taken to wait, in monotonic seconds; not after `now` if it does not."""
        with self._lock:
            blocked_until = now + _WAIT_LAPSE_SECONDS if self._blocked_threads else 0.0
            return max(blocked_until, *self._awaited_until.values(), 0.0)

    def _is_outdated(self) -> bool:
        """Return whether the store says otherwise, or will soon: a renewal is due when half of the time has passed."""
        now = self._context.clock.monotonic()
        recorded_seconds = self._context.store.waits.until(str(self._context.own_run_id)) - now
        actual_seconds = self._waits_until(now) - now
        return recorded_seconds < actual_seconds / 2 if actual_seconds > 0 else recorded_seconds > 0

    def _record(self, transaction: Transaction) -> None:
        # Evaluated inside the transaction: of two threads that record, the later one records what is true then.
        until = self._waits_until(self._context.clock.monotonic())
        self._context.store.waits.record(transaction, str(self._context.own_run_id), until)
