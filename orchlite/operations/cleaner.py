"""The runs whose work folders wait to be cleaned up."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from orchlite.core.records import RunRow


class Cleaner:
    """A queue of runs. Thread-safe, and never blocks."""

    def __init__(self) -> None:
        self._runs: queue.SimpleQueue[RunRow] = queue.SimpleQueue()

    def schedule(self, run: RunRow) -> None:
        """Add a run that has ended."""
        self._runs.put(run)

    def take_all(self) -> Iterator[RunRow]:
        """Yield and remove the runs, until there are none."""
        while True:
            try:
                yield self._runs.get_nowait()
            except queue.Empty:
                return
