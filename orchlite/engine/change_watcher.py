"""Notices what other hosts, and programs inside tasks, have changed in the store, that tries are due, and that the clock was set."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from orchlite.core.errors import Closed
from orchlite.core.threads import start_daemon
from orchlite.operations.context import UNUSABLE, Context

_POLL_SECONDS = 0.5
_BUSY_POLL_SECONDS = 0.1
_CLOCK_JUMP_SECONDS = 0.2
_log = logging.getLogger(__name__)


class ChangeWatcher:
    """A daemon thread that asks SQLite whether anything was committed (some microseconds), and reads the store only if so.

    It polls every 0.5 s, and every 0.1 s while runs are in flight here: their programs may submit other runs and wait for them.
    """

    def __init__(self, context: Context, is_busy: Callable[[], bool], on_change: Callable[[], None], on_poll: Callable[[], None]) -> None:
        """On the thread, `on_change` is called after every change, this host's own included, and when tries are due; `on_poll` always."""
        self._context = context
        self._is_busy = is_busy
        self._on_change = on_change
        self._on_poll = on_poll
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._version = (0, 0)
        self._clock_offset = 0.0
        self._next_try_at: datetime | None = None
        """When the next pending try may start, as of the last change; None if none does."""

    def start(self) -> None:
        """Watch until the store is closed; idempotent.

        Raises:
            ResourceExhausted: no thread could be started.
        """
        with self._lock:
            if self._thread is None:
                self._clock_offset = self._offset(self._context.clock.now())
                self._thread = start_daemon(self._watch, "orchlite-change-watcher")

    def _watch(self) -> None:
        while not self._context.closed.wait(_BUSY_POLL_SECONDS if self._is_busy() else _POLL_SECONDS):
            try:
                self._compare()
                self._on_poll()
            except Closed:
                return
            except UNUSABLE as error:
                self._context.give_up(error)  # which ends the loop
            except Exception:
                # Whatever went wrong, later changes must still be noticed.
                _log.warning("the store %s cannot be watched at the moment; trying again", self._context.folder.path, exc_info=True)

    def _compare(self) -> None:
        store, now = self._context.store, self._context.clock.now()
        offset, version = self._offset(now), store.version()
        is_due = self._next_try_at is not None and self._next_try_at <= now
        # Machines sleep, and clocks are set: a thread that waits on the monotonic clock for a time of day must be woken then.
        if offset < self._clock_offset - _CLOCK_JUMP_SECONDS and self._context.controlled_clock is None:
            with store.transaction() as transaction:  # a host that keeps no schedules has no scheduler, which would notice that
                store.tries.bring_forward(transaction, now)
        if is_due or version != self._version or abs(offset - self._clock_offset) > _CLOCK_JUMP_SECONDS:
            self._on_change()
            self._next_try_at = store.tries.next_at(now)
            self._version, self._clock_offset = version, offset  # last, so that a call that failed is repeated

    def _offset(self, now: datetime) -> float:
        return now.timestamp() - self._context.clock.monotonic()
