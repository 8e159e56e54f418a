"""What a notebook shows while it waits: one line that says what is waited for, how it stands and for how long, and that stays at the end.

Only where a notebook's kernel runs this process; nowhere else is anything imported, started or shown.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchlite.core.errors import OrchliteError

_QUIET_SECONDS = 0.3
"""What is over so soon shows nothing: a cell that waits for a hundred runs is to stay readable."""
_TURN_SECONDS = 1.0

Describe = Callable[[], str]
Show = Callable[..., Any]


@contextmanager
def live_status(describe: Describe) -> Iterator[None]:
    """In a notebook, show what `describe` says about once a second while the block lasts; it is called on a thread of its own."""
    show = _notebook_display()
    if show is None:
        yield
        return
    line = _Line(show, describe)
    line.start()
    try:
        yield
    finally:
        line.end()


class _Line:
    """One output of a cell, which is replaced again and again."""

    def __init__(self, show: Show, describe: Describe) -> None:
        import contextvars

        self._show = show
        self._describe = describe
        self._began_at = time.monotonic()
        self._over = threading.Event()
        self._handle: Any = None
        # The kernel knows by a context variable to which cell an output belongs.
        keep = contextvars.copy_context().run
        self._thread = threading.Thread(target=keep, args=(self._keep,), name="orchlite-live-status", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Show how it ended, where anything was shown at all."""
        self._over.set()
        self._thread.join()
        if self._handle is not None:
            self._update()

    def _keep(self) -> None:
        seconds = _QUIET_SECONDS
        while not self._over.wait(seconds):
            self._update()
            seconds = _TURN_SECONDS

    def _update(self) -> None:
        try:
            data = _mime_bundle(f"{self._describe()}, {time.monotonic() - self._began_at:.0f} s")
        except OrchliteError:
            return  # the client was closed meanwhile: whoever waits hears of it
        if self._handle is None:
            self._handle = self._show(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _notebook_display() -> Show | None:
    """IPython's `display`, in a kernel whose front end can replace what was shown; None everywhere else."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):  # a terminal's shell has none
        return None
    show: Show = sys.modules["IPython.display"].display
    return show


def _mime_bundle(text: str) -> Mapping[str, str]:
    import html

    return {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
