"""The line that a notebook shows during a wait: what it waits for, the status, and for how long. It stays when the wait has ended.

Outside of a notebook's kernel nothing is imported, started or shown.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchlite.core.errors import OrchliteError
from orchlite.core.tables import preformatted

_DELAY_SECONDS = 0.3
"""A wait that ends sooner shows nothing, so that a cell that waits for a hundred short runs stays readable."""
_REFRESH_SECONDS = 1.0

Describe = Callable[[], str]
Show = Callable[..., Any]


@contextmanager
def live_status(describe: Describe) -> Iterator[None]:
    """In a notebook, show what `describe` returns while the block runs, refreshed every second. A thread of its own calls it."""
    show = _notebook_display()
    if show is None:
        yield
        return
    line = _StatusLine(show, describe)
    line.start()
    try:
        yield
    finally:
        line.end()


class _StatusLine:
    """One output of a cell, replaced at each refresh."""

    def __init__(self, show: Show, describe: Describe) -> None:
        import contextvars

        self._show = show
        self._describe = describe
        self._began_at = time.monotonic()
        self._ended = threading.Event()
        self._handle: Any = None
        # The kernel finds the cell of an output by a context variable.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._refresh,), name="orchlite-live-status", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Stop the thread. If anything was shown, show the final status."""
        self._ended.set()
        self._thread.join()
        if self._handle is not None:
            self._update()

    def _refresh(self) -> None:
        seconds = _DELAY_SECONDS
        while not self._ended.wait(seconds):
            self._update()
            seconds = _REFRESH_SECONDS

    def _update(self) -> None:
        try:
            data = _mime_bundle(f"{self._describe()}, {time.monotonic() - self._began_at:.0f} s")
        except OrchliteError:
            return  # the client was closed: the waiting thread raises that
        if self._handle is None:
            self._handle = self._show(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _notebook_display() -> Show | None:
    """Return IPython's `display` in a notebook's kernel, whose front end can replace outputs; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):  # IPython in a terminal has no kernel
        return None
    show: Show = sys.modules["IPython.display"].display
    return show


def _mime_bundle(text: str) -> Mapping[str, str]:
    return {"text/plain": text, "text/html": preformatted(text)}
