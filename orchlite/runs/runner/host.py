"""The host as its runner sees it: two pipes that may close at any moment, and the signals that arrive meanwhile."""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from typing import Any

_REQUESTS, _ANSWERS = 0, 1


class Host:
    """Reads requests and signals, writes answers, and knows whether the host still lives."""

    def __init__(self, wake_fd: int) -> None:
        self.gone = False
        """End of file was seen on standard input."""
        self.stop_requested = False
        """SIGTERM arrived: cancel what runs, then end."""
        self._wake_fd = wake_fd
        self._buffer = b""
        os.set_blocking(_REQUESTS, False)

    @property
    def descriptors(self) -> list[int]:
        """What to poll, so as to call `hear` as soon as there is something to hear."""
        return [self._wake_fd] if self.gone else [self._wake_fd, _REQUESTS]

    def hear(self) -> None:
        """Take in whatever has arrived; never blocks."""
        with suppress(BlockingIOError):
            if signal.SIGTERM in os.read(self._wake_fd, 4096):
                self.stop_requested = True
        with suppress(BlockingIOError):
            while not self.gone:
                data = os.read(_REQUESTS, 65536)
                self.gone = not data
                self._buffer += data

    def next_request(self) -> dict[str, Any] | None:
        """Block until a request is there; None when none will come any more."""
        poll = select.poll()
        while not self.stop_requested:
            line, separator, rest = self._buffer.partition(b"\n")
            if separator:
                self._buffer = rest
                request: dict[str, Any] = json.loads(line)
                return request
            if self.gone:
                return None
            for descriptor in self.descriptors:
                poll.register(descriptor, select.POLLIN)
            poll.poll()
            self.hear()
        return None

    def answer(self, message: dict[str, Any]) -> None:
        """Tell the host; that it is gone is no failure, the result lies in the run's folder."""
        with suppress(OSError):
            os.write(_ANSWERS, json.dumps(message).encode() + b"\n")
