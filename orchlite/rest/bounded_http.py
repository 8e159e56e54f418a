"""Limits the number of HTTP connections and the time for a request's head, so that no client can take descriptors or memory from runs.

uvicorn has neither limit: a connection that sends nothing, or a byte now and then, would stay open forever.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_MAX_CONNECTIONS = 512
_SHARE_OF_DESCRIPTORS = 4
_LOG_SECONDS = 60.0
_log = logging.getLogger(__name__)


def max_connections() -> int:
    """Return how many connections may be open: a quarter of the descriptors that this process may have; the rest are for runs."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(_MAX_CONNECTIONS, soft // _SHARE_OF_DESCRIPTORS))


class BoundedHttp(H11Protocol):
    """uvicorn's protocol with a limit on connections, and on the time for a head.

    A connection over the limit replaces the one that has been idle longest; if every other one has a request, it is closed.
    """

    head_seconds = 10.0
    """How long a connection may take to send the head of a request."""
    limit = staticmethod(max_connections)
    _logged_at = float("-inf")
    """When any connection of this class has last logged that the limit is reached."""
    _waiting_since = 0.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection; at the limit, close the connection that has been idle longest."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._waiting_since = self.loop.time()
        if len(self.connections) > self.limit():
            self._log_limit()
            idle = [one for one in self.connections if isinstance(one, BoundedHttp) and not one._has_request()]
            oldest = min(idle, key=lambda one: one._waiting_since, default=self)
            oldest.transport.abort()
            self.connections.discard(oldest)  # its `connection_lost` follows in the next turn of the loop
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Pass on the data. The first byte of a later request starts the time for its head; that of the first request runs already."""
        if not self._has_request() and self._head_timer is None:
            self._start_timer()
        super().data_received(data)
        if self._has_request():
            self._stop_timer()

    def on_response_complete(self) -> None:
        """Wait for the next request: idle for as long as uvicorn's keep-alive lasts."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer of the head."""
        self._stop_timer()
        super().connection_lost(exc)

    def _has_request(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._has_request():
            self.transport.abort()

    def _log_limit(self) -> None:
        """Warn that the limit is reached, once a minute at most, so that clients cannot fill the log."""
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            type(self)._logged_at = now
            _log.warning("%d connections are open, which is the limit: those that wait longest without a request are closed", self.limit())
