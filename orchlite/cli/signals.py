"""Signals to `orchlite run`: they end the run, not only the command line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal has arrived. It is not an `Exception`, so that `except Exception` does not catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Signals:
    """Raise `Interrupted` in the main thread when a signal arrives: at once, or at the end of a `deferred` block."""

    def __init__(self) -> None:
        self._is_deferred = False
        self._pending: int | None = None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals while the block runs. Signals that are ignored, as under nohup, remain ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._handle) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let the block complete before a signal takes effect: a submitted run must be known before it can be killed."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self._pending is not None:
            number, self._pending = self._pending, None
            raise Interrupted(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_deferred:
            self._pending = number
        else:
            raise Interrupted(number)
