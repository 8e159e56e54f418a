"""The threads that make pages. They are few: whatever browsers ask for, most of the server's threads are left to the API.

Threads take turns with the interpreter's lock, 5 ms each: more of them would also delay the one that starts what is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")
PAGE_THREADS = 8


async def in_thread(request: Request, make: Callable[[], T]) -> T:
    """Return what `make` returns, in one of the application's threads for pages. Wait while all of them are busy.

    Raises:
        ClientDisconnect: meanwhile, the reader of a page has gone.
    """
    threads: asyncio.Semaphore = request.app.state.threads
    has_to_wait = threads.locked()
    async with threads:
        if has_to_wait and request.method == "GET" and await request.is_disconnected():
            raise ClientDisconnect
        return await run_in_threadpool(make)
