"""Notices what other hosts, and programs inside tasks, have changed in the store, and that the clock was set."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from orchlite.core.errors import Closed
from orchlite.operations.context import Context

_LOOK_SECONDS = 0.5
_BUSY_LOOK_SECONDS = 0.1
_CLOCK_JUMP_SECONDS = 0.2
_log = logging.getLogger(__name__)


class ChangeWatcher:
    """A daemon thread that asks SQLite now and then whether anything was committed (some microseconds), and only then looks closer.

    It asks twice a second, and more often while runs go on here: these may submit others, and wait for them.
    """

    def __init__(self, context: Context, is_busy: Callable[[], bool], look: Callable[[], None]) -> None:
        """`look` is called on the thread after every change, one's own among them."""
        self._context = context
        self._is_busy = is_busy
        self._look = look
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._version = 0
        self._clock_offset = 0.0

    def start(self) -> None:
        """Watch from now on, until the store is closed; idempotent."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="orchlite-watch", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        while not self._context.closed.wait(_BUSY_LOOK_SECONDS if self._is_busy() else _LOOK_SECONDS):
            try:
                self._compare()
            except Closed:
                return
            except Exception:
                # Whatever it is, what others change must go on being noticed.
                _log.warning("the store %s cannot be watched at the moment", self._context.folder.path, exc_info=True)

    def _compare(self) -> None:
        version, offset = self._context.store.version(), self._offset()
        # Machines sleep, and clocks are set: what waits by the monotonic clock for a time of day must hear of it.
        if version != self._version or abs(offset - self._clock_offset) > _CLOCK_JUMP_SECONDS:
            self._look()
            self._version, self._clock_offset = version, offset  # last: a look that failed is made again

    def _offset(self) -> float:
        return self._context.clock.now().timestamp() - self._context.clock.monotonic()
