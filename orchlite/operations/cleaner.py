"""The runs whose work folders wait to be cleaned up."""

from __future__ import annotations

import queue
from collections.abc import Iterator


class Cleaner:
    """A queue of run ids. Thread-safe, and never blocks."""

    def __init__(self) -> None:
        self._run_ids: queue.SimpleQueue[str] = queue.SimpleQueue()

    def schedule(self, run_id: str) -> None:
        """Add a run that has ended."""
        self._run_ids.put(run_id)

    def take_all(self) -> Iterator[str]:
        """Yield and remove the run ids, until there are none."""
        while True:
            try:
                yield self._run_ids.get_nowait()
            except queue.Empty:
                return
