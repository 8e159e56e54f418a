"""The runner's connection to its host: two pipes that may close at any moment, and the signals that arrive meanwhile."""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any

_REQUESTS, _ANSWERS = 0, 1


class Host:
    """Reads requests and signals, writes responses, and notices when the host is gone. `runs/spec.py` describes the messages."""

    def __init__(self, wake_fd: int) -> None:
        self.gone = False
        """True after end of file on standard input."""
        self.stop_requested = False
        """True after SIGTERM: cancel the current run, then exit."""
        self._wake_fd = wake_fd
        self._buffer = b""
        os.set_blocking(_REQUESTS, False)

    @property
    def descriptors(self) -> list[int]:
        """The descriptors to poll; call `receive` when one is readable."""
        return [self._wake_fd] if self.gone else [self._wake_fd, _REQUESTS]

    def receive(self) -> None:
        """Read everything that has arrived. Never blocks."""
        with suppress(BlockingIOError):
            if signal.SIGTERM in os.read(self._wake_fd, 4096):
                self.stop_requested = True
        with suppress(BlockingIOError):
            while not self.gone:
                data = os.read(_REQUESTS, 65536)
                self.gone = not data
                self._buffer += data

    def next_request(self) -> dict[str, Any] | None:
        """Block until a request arrives; None after SIGTERM, or after the last request of a host that is gone."""
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
            self.receive()
        return None

    def answer(self, message: dict[str, Any]) -> None:
        """Send a response. A broken pipe is no failure: the result is in the run's folder."""
        with suppress(OSError):
            os.write(_ANSWERS, json.dumps(message).encode() + b"\n")
