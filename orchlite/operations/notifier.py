"""The notification commands that this host is running, and whether it may start more."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchlite.core.clock import Clock

_START_SECONDS = 5.0


class Notifier:
    """Runs each notification on a thread of its own. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[threading.Thread, threading.Event] = {}
        """Each event is set once the thread's command has been started."""
        self._is_stopped = False

    def start(self, send: Callable[[threading.Event], None], name: str) -> None:
        """Call `send` on a daemon thread; do nothing after `stop`. `send` sets the event once its command has been started."""
        started = threading.Event()
        thread = threading.Thread(target=self._run, args=(send, started), name=name, daemon=True)
        self._running[thread] = started
        if self._is_stopped:  # after the line above: `stop` sets this first, and then looks for running threads
            del self._running[thread]
        else:
            thread.start()

    def drain(self, timeout_seconds: float) -> None:
        """Block until every command has ended, `timeout_seconds` at most."""
        deadline = self._clock.monotonic() + timeout_seconds
        for thread in filter(threading.Thread.is_alive, list(self._running)):
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    def stop(self) -> None:
        """Stop sending notifications; the next host sends the rest. Block up to 5 s for commands that are just being started.

        Without the wait, a command could start without a row that says so, and the next host would start it again.
        """
        self._is_stopped = True
        deadline = self._clock.monotonic() + _START_SECONDS
        for started in list(self._running.values()):
            started.wait(max(0.0, deadline - self._clock.monotonic()))

    def _run(self, send: Callable[[threading.Event], None], started: threading.Event) -> None:
        try:
            send(started)
        finally:
            started.set()
            del self._running[threading.current_thread()]
