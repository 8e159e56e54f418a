"""The runs whose work folders wait to be cleaned up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from orchlite.core.records import RunRow


class Cleaner:
    """A queue of runs. Thread-safe, and never blocks."""

    def __init__(self) -> None:
        self._runs: deque[RunRow] = deque()

    def schedule(self, run: RunRow) -> None:
        """Add a run that has ended."""
        self._runs.append(run)

    def take_all(self) -> Iterator[RunRow]:
        """Yield and remove the runs, until there are none."""
        with suppress(IndexError):  # rather than asking for its length: several threads may take
            while True:
                yield self._runs.popleft()
