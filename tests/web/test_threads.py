"""The threads that make pages."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

from anyio.from_thread import BlockingPortal
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from orchlite.web.threads import in_thread


def test_pages_that_take_long_leave_threads_to_the_api(portal: BlockingPortal) -> None:
    release = threading.Event()

    async def ask() -> list[bool]:
        app = SimpleNamespace(state=SimpleNamespace(threads=asyncio.Semaphore(2)))
        pages = [asyncio.create_task(in_thread(Request({"type": "http", "app": app}), lambda: release.wait(30))) for _ in range(100)]
        await asyncio.sleep(0)
        await run_in_threadpool(release.set)
        return await asyncio.gather(*pages)

    assert all(portal.call(ask))
