"""The body of a request on its way to the application: counted as it comes, and given up where it stalls or turns out too large."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import Response

from orchlite.rest.errors import refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DRAIN_SECONDS = 2.0


class BoundedBody:
    """The body on its way to the application: counted, and given up where it stalls."""

    def __init__(self, receive: Receive, send: Send, limit_bytes: int, stalled_seconds: float) -> None:
        """Take so many bytes at most, and wait for the next of them so long."""
        self._receive = receive
        self._send = send
        self._limit_bytes = limit_bytes
        self._stalled_seconds = stalled_seconds
        self._seen_bytes = 0
        self._is_over = False
        self._is_answered = False

    async def hand_to(self, app: ASGIApp, scope: Scope) -> None:
        """Have the application answer, unless the body turns out too large before it does."""
        try:
            await app(scope, self._next, self._pass)
        except Exception:
            if not self._is_refused:
                raise
        if self._is_refused:
            await refuse(too_large(self._limit_bytes), scope, self._receive, self._send, drain=True)

    @property
    def _is_refused(self) -> bool:
        return self._seen_bytes > self._limit_bytes and not self._is_answered

    async def _next(self) -> Message:
        if self._is_over:  # from now on this waits for the client to leave, which it may do late
            return await self._receive()
        try:
            async with asyncio.timeout(self._stalled_seconds):
                message = await self._receive()
        except TimeoutError:
            message = {"type": "http.disconnect"}
        self._seen_bytes += len(message.get("body", b""))
        self._is_over = not message.get("more_body", False)
        if self._seen_bytes <= self._limit_bytes:
            return message
        self._is_over = True
        return {"type": "http.disconnect"}

    async def _pass(self, message: Message) -> None:
        if self._is_refused:
            return  # what the application says about a body that ends too early
        self._is_answered = True
        await self._send(message)


async def refuse(answer: Response, scope: Scope, receive: Receive, send: Send, *, drain: bool) -> None:
    """Answer, and let go of the connection.

    A client that is still sending when the connection is closed would see that and not the answer; so what it sends is read
    for a moment, and dropped.
    """
    answer.headers["Connection"] = "close"

    async def send_first(message: Message) -> None:
        if message["type"] == "http.response.body" and drain:
            await send({**message, "more_body": True})
            await _drain(receive)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    await answer(scope, receive, send_first)


async def _drain(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass


def too_large(limit_bytes: int) -> Response:
    """The refusal of a body over the limit."""
    return refusal(413, f"The body is larger than {limit_bytes} bytes.", "TooLarge", {"limit_bytes": limit_bytes})
