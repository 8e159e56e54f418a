"""The notification commands that this host is running, and whether it may start more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from orchlite.core.clock import Clock
from orchlite.core.threads import start_daemon

_START_SECONDS = 5.0


class Notifier:
    """Runs each notification on a thread of its own. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[threading.Event, threading.Thread | None] = {}
        """By an event that is set once the thread's command has been started; None while the thread is being started."""
        self._is_stopped = False
        self._lock = threading.Lock()

    def start(self, send: Callable[[threading.Event], None], name: str) -> None:
        """Call `send` on a daemon thread; do nothing after `stop`. `send` sets the event once its command has been started.

        Raises:
            ResourceExhausted: no thread could be started.
        """
        started = threading.Event()
        self._running[started] = None
        if self._is_stopped:  # after the line above: `stop` sets this first, and then looks for what is running
            del self._running[started]
            return
        try:
            with self._lock:  # held by the thread, too, when it ends
                self._running[started] = start_daemon(partial(self._run, send, started), name)
        except BaseException:
            del self._running[started]
            raise

    def drain(self, timeout_seconds: float) -> None:
        """Block until every command has ended, `timeout_seconds` at most."""
        deadline = self._clock.monotonic() + timeout_seconds
        for thread in filter(None, list(self._running.values())):
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    def stop(self) -> None:
        """Stop sending notifications; the next host sends the rest. Block up to 5 s for commands that are just being started.

        Without the wait, a command could start without a row that says so, and the next host would start it again.
        """
        self._is_stopped = True
        deadline = self._clock.monotonic() + _START_SECONDS
        for started in list(self._running):
            started.wait(max(0.0, deadline - self._clock.monotonic()))

    def _run(self, send: Callable[[threading.Event], None], started: threading.Event) -> None:
        try:
            send(started)
        finally:
            started.set()
            with self._lock:
                del self._running[started]
