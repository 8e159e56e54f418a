"""The cron loop: one thread that sleeps until the next task is due, and then dispatches it.

The store's index of due times is its heap. What is due next is decided in advance, so that only a few statements and one commit lie
between a slot and its runs in the queue.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from orchlite.core.errors import Closed
from orchlite.core.threads import start_daemon
from orchlite.engine.vital_signs import VitalSigns
from orchlite.operations import dispatch, due_times
from orchlite.operations.context import UNUSABLE, Context
from orchlite.operations.dispatch import Batch

_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Scheduler:
    """Dispatches what is due in one store. Any number of hosts may have one; each slot still gets one run."""

    def __init__(self, context: Context, on_queued: Callable[[], None]) -> None:
        """`on_queued` is called after runs were queued."""
        self._context = context
        self._vital_signs = VitalSigns(context)
        self._on_queued = on_queued
        self._change = threading.Event()
        self._next_at: datetime | None = None
        """The time it sleeps until; None while that is not known."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.is_held = False
        """Whether nothing is dispatched: the store is a copy that was not adopted."""
        self._seen_at = datetime.max.replace(tzinfo=UTC)
        """The latest reading of the clock. At first the maximum: the clock may have been set back while no host was up."""
        self._has_read_zones = False

    def start(self) -> None:
        """Run the loop until the store is closed; idempotent. Does nothing on a clock moved by hand.

        Raises:
            ResourceExhausted: no thread could be started.
        """
        with self._lock:
            if self.is_held:
                _log.warning("the schedules of %s wait: it is a copy that was not adopted", self._context.folder.path)
            elif self._thread is None and not self._stopping.is_set():
                self._vital_signs.begin()
                if self._context.controlled_clock is None:
                    self._thread = start_daemon(self._run, "orchlite-scheduler")

    def hold(self) -> None:
        """Dispatch nothing until `release`."""
        self.is_held = True

    def release(self) -> None:
        """Dispatch again."""
        self.is_held = False
        self._change.set()

    def stop(self) -> None:
        """Dispatch nothing more."""
        self._stopping.set()
        self._change.set()

    def wake(self, at: datetime | None = None) -> None:
        """Have the loop read again when the next task is due. With `at`, nothing that has changed is due before then."""
        if at is None or self._next_at is None or at < self._next_at:
            self._change.set()

    def notice_clock(self) -> None:
        """If the clock was set back, bring forward what would otherwise wait until the old time comes again.

        The first call also follows changes of the time zone data.
        """
        now = self._context.clock.now()
        if now < self._seen_at:
            due_times.follow_clock_back(self._context, now)
        if not self._has_read_zones:
            due_times.follow_zone_data(self._context, now)
            self._has_read_zones = True
        self._seen_at = now  # last, so that a call that failed is repeated

    def dispatch_due(self) -> None:
        """Dispatch everything that is due now."""
        is_full = not self.is_held
        while is_full:
            batch = dispatch.prepare(self._context, self._context.clock.now())
            self._dispatch(batch)
            is_full = batch.is_full
        self._vital_signs.show()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._sleep_and_dispatch()
            except Closed:
                return
            except UNUSABLE as error:
                self._context.give_up(error)
                return
            except Exception:
                # The store or the disk is in trouble, or this is a bug: other schedules must still be kept.
                _log.warning("the schedules of %s cannot be kept at the moment; trying again", self._context.folder.path, exc_info=True)
                self._context.closed.wait(_RETRY_SECONDS)

    def _sleep_and_dispatch(self) -> None:
        """Sleep until the next task is due, and dispatch it; return earlier if something else may be due first."""
        self.notice_clock()
        self._next_at = None
        self._change.clear()  # before the query, so that a change during it is not missed
        if self._stopping.is_set():
            return
        at = self._next_at = self._context.store.tasks.next_due()
        if at is None:
            self._wait(math.inf)
            return
        batch = dispatch.prepare(self._context, at)
        while (early_seconds := (at - self._context.clock.now()).total_seconds()) > 0:
            if self._wait(early_seconds):
                self._change.clear()
                self.notice_clock()
                if self._context.store.tasks.next_due() != at:
                    return
            if self._stopping.is_set():
                return
        self._dispatch(batch)

    def _wait(self, seconds: float) -> bool:
        """Wait for a change, for this long at most, and no longer than until a sign of life is due. Return whether there was a change."""
        self._vital_signs.show()
        return self._change.wait(min(seconds, self._vital_signs.seconds_until_due()))

    def _dispatch(self, batch: Batch) -> None:
        now = self._context.clock.now()
        dispatch.dispatch(self._context, batch, now)
        self._seen_at = max(self._seen_at, now)
        self._on_queued()
