"""The limits of a request body, enforced while the application reads it: its size, and how long it may stall."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import Response

from orchlite.core.sizes import size_text
from orchlite.rest.errors import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DRAIN_SECONDS = 2.0


class LimitedBody:
    """The body of one request, between the server and the application."""

    def __init__(self, receive: Receive, send: Send, limit_bytes: int, stall_seconds: float, total_seconds: float) -> None:
        """Pass on at most `limit_bytes`, and wait at most `stall_seconds` for each piece, and `total_seconds` for all of them."""
        self._receive = receive
        self._send = send
        self._limit_bytes = limit_bytes
        self._stall_seconds = stall_seconds
        self._complete_by = asyncio.get_running_loop().time() + total_seconds
        self._seen_bytes = 0
        self._is_complete = False
        self._is_answered = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application, and send 413 instead of its response if the body exceeds the limit before it has responded.

        If a body is too large, stalls, or takes too long, the application sees the client disconnect.
        """
        try:
            await app(scope, self._next, self._pass)
        except Exception:
            if not self._is_refused:
                raise
        if self._is_refused:
            await send_and_close(too_large(self._limit_bytes), scope, self._receive, self._send, drain=True)

    @property
    def _is_refused(self) -> bool:
        return self._seen_bytes > self._limit_bytes and not self._is_answered

    async def _next(self) -> Message:
        if self._is_complete:  # the application now waits for the client to disconnect, which may take any time
            return await self._receive()
        try:
            left_seconds = self._complete_by - asyncio.get_running_loop().time()
            async with asyncio.timeout(min(self._stall_seconds, left_seconds)):
                message = await self._receive()
        except TimeoutError:
            message = {"type": "http.disconnect"}
        self._seen_bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._seen_bytes <= self._limit_bytes:
            return message
        self._is_complete = True
        return {"type": "http.disconnect"}

    async def _pass(self, message: Message) -> None:
        if self._is_refused:
            return  # the application's response to the disconnect that `_next` reported
        self._is_answered = True
        await self._send(message)


async def send_and_close(response: Response, scope: Scope, receive: Receive, send: Send, *, drain: bool) -> None:
    """Send a response and close the connection. With `drain`, first read and drop the body for up to 2 seconds.

    A client that is still sending when the connection is closed sees a reset connection instead of the response.
    """
    response.headers["Connection"] = "close"
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    response.headers["X-Content-Type-Options"] = "nosniff"

    async def send_draining(message: Message) -> None:
        if message["type"] == "http.response.body" and drain:
            await send({**message, "more_body": True})
            await _drain(receive)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    await response(scope, receive, send_draining)


async def _drain(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass


def too_large(limit_bytes: int) -> Response:
    """Return the response to a body over the limit."""
    return error_response(413, f"The body is larger than {size_text(limit_bytes)}.", "TooLarge", {"limit_bytes": limit_bytes})
