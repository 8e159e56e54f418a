"""Connections of strangers: how many may be open, how long they may take, and that others are served meanwhile."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from orchlite.rest.authentication import Guard
from orchlite.rest.body_rules import BodyRules
from orchlite.rest.bounded_http import BoundedHttp, max_connections

_HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_LIMIT = 4
_opened: list[asyncio.StreamWriter] = []


class _Quick(BoundedHttp):
    head_seconds = 0.3
    limit = staticmethod(lambda: _LIMIT)


class _Patient(_Quick):
    head_seconds = 60.0


async def _application(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def _with_server(protocol: type[BoundedHttp], use: Callable[[int], Awaitable[None]], application: Any = _application) -> None:
    async def run() -> None:
        _opened.clear()
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(application, http=protocol, lifespan="off", log_config=None, timeout_keep_alive=60)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            await use(listener.getsockname()[1])
        finally:
            for writer in _opened:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            server.should_exit = server.force_exit = True
            await serving

    asyncio.run(run())


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _opened.append(writer)
    return reader, writer


async def _answer(port: int) -> bytes:
    reader, writer = await _connect(port)
    writer.write(_HEAD + b"Connection: close\r\n\r\n")
    answer = await reader.read()
    return answer.split(b"\r\n")[0]


async def _end_of(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("sent", [b"", b"G", _HEAD], ids=["nothing", "a byte", "half a head"])
def test_a_connection_without_a_request_is_closed_after_a_while(sent: bytes) -> None:
    async def use(port: int) -> None:
        reader, writer = await _connect(port)
        writer.write(sent)
        assert await _end_of(reader) == b""

    _with_server(_Quick, use)


def test_a_head_that_trickles_in_is_not_waited_for() -> None:
    async def use(port: int) -> None:
        reader, writer = await _connect(port)
        ended = asyncio.create_task(_end_of(reader))
        begun = time.monotonic()
        while not ended.done() and time.monotonic() < begun + 20:
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert ended.done()

    _with_server(_Quick, use)


def test_the_head_of_a_later_request_must_be_in_time_too() -> None:
    async def use(port: int) -> None:
        reader, writer = await _connect(port)
        for _ in range(2):
            writer.write(_HEAD + b"\r\n")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(_HEAD)
        assert await _end_of(reader) == b""

    _with_server(_Quick, use)


def test_a_request_may_take_longer_than_its_head() -> None:
    async def use(port: int) -> None:
        reader, writer = await _connect(port)
        writer.write(_HEAD + b"Content-Length: 2\r\n\r\n")
        await asyncio.sleep(2 * _Quick.head_seconds)
        writer.write(b"{}")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")

    _with_server(_Quick, use)


def test_idle_connections_over_the_limit_make_room_for_requests() -> None:
    async def use(port: int) -> None:
        strangers = [await _connect(port) for _ in range(5 * _LIMIT)]
        for _ in range(3):
            assert await _answer(port) == b"HTTP/1.1 200 OK"
        ended = [asyncio.create_task(_end_of(reader)) for reader, _ in strangers]
        await asyncio.sleep(0.1)
        assert sum(not one.done() for one in ended) <= _LIMIT
        for writer in _opened:
            writer.close()
        await asyncio.gather(*ended)

    _with_server(_Patient, use)


def test_the_limit_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    class Unlogged(BoundedHttp):  # not of a class whose connections have logged it in another test
        limit = staticmethod(lambda: _LIMIT)

    async def use(port: int) -> None:
        for _ in range(3 * _LIMIT):
            await _connect(port)
        assert await _answer(port) == b"HTTP/1.1 200 OK"

    _with_server(Unlogged, use)
    [record] = caplog.records
    assert (record.levelname, record.getMessage().partition(":")[0]) == ("WARNING", f"{_LIMIT} connections are open, which is the limit")


def test_connections_with_a_request_keep_their_places() -> None:
    async def use(port: int) -> None:
        busy = [await _connect(port) for _ in range(_LIMIT)]
        for _, writer in busy:
            writer.write(_HEAD + b"Content-Length: 2\r\n\r\n")
        await asyncio.sleep(0.1)
        reader, _ = await _connect(port)
        assert await _end_of(reader) == b""
        for reader, writer in busy:
            writer.write(b"{}")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")

    _with_server(_Patient, use)


def test_the_limit_leaves_most_descriptors_to_runs() -> None:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 1 <= max_connections() <= max(1, min(512, soft // 4))


def test_a_body_that_trickles_in_is_not_waited_for() -> None:
    guard = Guard(_application, token="a-token-of-tests", rules=BodyRules(1000, 1000, 1000), stall_seconds=0.3)

    async def use(port: int) -> None:
        reader, writer = await _connect(port)
        head = f"POST /v1/api/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer a-token-of-tests\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 900\r\n\r\n".encode())
        ended = asyncio.create_task(reader.readuntil(b"\r\n"))
        begun = time.monotonic()
        while not ended.done() and time.monotonic() < begun + 20:
            writer.write(b" ")
            await asyncio.sleep(0.05)
        assert ended.done()

    _with_server(_Patient, use, guard)
