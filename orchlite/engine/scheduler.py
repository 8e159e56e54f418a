"""The cron loop: one thread that sleeps until the next task is due, and has it dispatched then.

The store's index of due times is its heap. What is due next is decided beforehand, so that only a few statements and one commit lie
between a slot and its runs in the queue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from orchlite.core.errors import Closed
from orchlite.operations import dispatch
from orchlite.operations.context import Context
from orchlite.operations.dispatch import Batch

_LONGEST_WAIT_SECONDS = 60.0
_TROUBLE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Scheduler:
    """Dispatches what is due in one store. Any number of hosts may have one; each slot has one run all the same."""

    def __init__(self, context: Context, begin: Callable[[], None]) -> None:
        """`begin` is called when runs were queued."""
        self._context = context
        self._begin = begin
        self._change = threading.Event()
        self._next_at: datetime | None = None
        """What it sleeps for; None while that is not known."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._seen_at = datetime.max.replace(tzinfo=UTC)
        """What the clock said last. At first: it may have been set back while nobody was there."""

    def start(self) -> None:
        """Run the loop from now on, until the store is closed; idempotent. On a clock that is moved by hand nothing happens."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set() and not self._context.clock_is_manual:
                self._thread = threading.Thread(target=self._run, name="orchlite-scheduler", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Dispatch nothing more."""
        self._stopping.set()
        self._change.set()

    def wake(self, at: datetime | None = None) -> None:
        """Tasks, or the clock, may have changed: look again when the next one is due. `at`: all that is new is due only then."""
        if at is None or self._next_at is None or at < self._next_at:
            self._change.set()

    def notice_clock(self) -> None:
        """Where the clock was set back, let nothing wait until the old time comes again, but slots that were dealt with."""
        now = self._context.clock.now()
        if now < self._seen_at:
            dispatch.follow_clock_back(self._context, now)
        self._seen_at = now  # last: what failed is done again

    def dispatch_due(self) -> None:
        """Dispatch everything that is due now."""
        is_full = True
        while is_full:
            batch = dispatch.prepare(self._context, self._context.clock.now())
            self._dispatch(batch)
            is_full = batch.is_full

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._take_turn()
            except Closed:
                return
            except Exception:
                # The store or the disk is in trouble, or something that nobody thought of: other schedules must not end with it.
                _log.warning("the schedules of %s cannot be kept at the moment", self._context.folder.path, exc_info=True)
                self._context.closed.wait(_TROUBLE_SECONDS)

    def _take_turn(self) -> None:
        """Sleep until the next task is due, and dispatch it; or until there is a reason to look again."""
        self.notice_clock()
        self._next_at = None
        self._change.clear()  # before the look: what changes during it is not missed
        if self._stopping.is_set():
            return
        at = self._next_at = self._context.store.tasks.next_due()
        if at is None:
            self._change.wait(_LONGEST_WAIT_SECONDS)
            return
        batch = dispatch.prepare(self._context, at)
        while (early_seconds := (at - self._context.clock.now()).total_seconds()) > 0:
            if self._change.wait(min(early_seconds, _LONGEST_WAIT_SECONDS)):
                self._change.clear()
                self.notice_clock()
                if self._context.store.tasks.next_due() != at:
                    return
            if self._stopping.is_set():
                return
        self._dispatch(batch)

    def _dispatch(self, batch: Batch) -> None:
        dispatch.dispatch(self._context, batch, self._context.clock.now())
        if self._context.stub is None:
            self._begin()
