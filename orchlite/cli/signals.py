"""Signals while a run is followed in the foreground: they end the run, and not only the command line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """One of the signals has come. It is no Exception, so that nothing on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Interrupts:
    """Raises `Interrupted` in the main thread when a signal comes, or, inside of `held_back`, after it."""

    def __init__(self) -> None:
        self._is_held_back = False
        self._came: int | None = None

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Handle the signals while the block lasts; what is ignored (under nohup, for instance) stays so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._take) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let what the block does be done as a whole: a run that is submitted must be known before it can be killed."""
        self._is_held_back = True
        try:
            yield
        finally:
            self._is_held_back = False
        if self._came is not None:
            came, self._came = self._came, None
            raise Interrupted(came)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._is_held_back:
            self._came = number
        else:
            raise Interrupted(number)
