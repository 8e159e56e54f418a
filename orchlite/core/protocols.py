"""The shapes of what a client lets its caller replace: where time comes from, and where runs are executed."""

from __future__ import annotations

from typing import Protocol

from orchlite.core.folders import RunFolder
from orchlite.core.records import Look, RunSpec


class Process(Protocol):
    """Where runs are executed. Every verb may be repeated for the same run without further effect."""

    def warm(self) -> None:
        """Make the next `place` quick; optional work."""

    def place(self, spec: RunSpec) -> None:
        """Hand the run over to an owner. Returns at once."""

    def wait(self, folder: RunFolder) -> Look:
        """Block until the run's owner has let go of it, then look."""

    def look(self, folder: RunFolder) -> Look:
        """What has become of the run; never blocks."""

    def cancel(self, folder: RunFolder, reason: str) -> None:
        """Ask the owner to end the run."""

    def discard(self, folder: RunFolder) -> None:
        """End what a lost run left alive."""

    def close(self) -> None:
        """Let go of all owners: idle ones end, busy ones finish their run (or cancel it, where on a leash)."""
