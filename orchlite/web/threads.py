"""The threads that make pages. They are few: whatever browsers ask for, most of the server's threads are left to the API.

Threads take turns with the interpreter's lock, 5 ms each: more of them would also delay the one that starts what is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

T = TypeVar("T")
PAGE_THREADS = 8


async def in_thread(request: Request, make: Callable[[], T]) -> T:
    """Return what `make` returns, in one of the application's threads for pages. Wait while all of them are busy."""
    threads: asyncio.Semaphore = request.app.state.threads
    async with threads:
        return await run_in_threadpool(make)
