"""The threads that make pages."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from anyio.from_thread import BlockingPortal
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from orchlite.web.threads import in_thread


def test_pages_that_take_long_leave_threads_to_the_api(portal: BlockingPortal) -> None:
    release = threading.Event()

    async def ask() -> list[bool]:
        app = SimpleNamespace(state=SimpleNamespace(threads=asyncio.Semaphore(2)))
        request = Request({"type": "http", "method": "POST", "app": app})
        pages = [asyncio.create_task(in_thread(request, lambda: release.wait(30))) for _ in range(100)]
        await asyncio.sleep(0)
        await run_in_threadpool(release.set)
        return await asyncio.gather(*pages)

    assert all(portal.call(ask))


def test_no_page_is_made_for_a_reader_who_has_gone_while_waiting(portal: BlockingPortal) -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def ask() -> None:
        threads = asyncio.Semaphore(1)
        app = SimpleNamespace(state=SimpleNamespace(threads=threads))
        await threads.acquire()
        page = asyncio.create_task(in_thread(Request({"type": "http", "method": "GET", "app": app}, receive), list[str]))
        await asyncio.sleep(0)
        threads.release()
        await page

    with pytest.raises(ClientDisconnect):
        portal.call(ask)
