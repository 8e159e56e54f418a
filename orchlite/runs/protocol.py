"""The interface through which an engine executes runs. `Runners` implements it; tests may pass another implementation."""

from __future__ import annotations

from typing import Protocol

from orchlite.core.folders import RunFolder
from orchlite.runs.spec import Observation, RunSpec


class Process(Protocol):
    """Where runs are executed. Every method is idempotent for one run, and may be called from any thread."""

    def warm(self) -> None:
        """Make the next `place` fast; may do nothing."""

    def place(self, spec: RunSpec) -> None:
        """Give the run to an owner, which starts it. Return at once."""

    def prepare(self, spec: RunSpec) -> None:
        """Have the run ready for `place`, without executing anything of its program; may do nothing. Return at once."""

    def drop(self, folder: RunFolder) -> None:
        """Undo `prepare`; then the run's folder can be removed. Do nothing if the run is not prepared. Block for milliseconds."""

    def wait(self, folder: RunFolder) -> Observation:
        """Block until the run has no owner, then observe it; never returns `Alive`."""

    def observe(self, folder: RunFolder) -> Observation:
        """Return what has become of the run. Never blocks.

        Raises:
            OSError: a resource is lacking for the moment, which says nothing about the run.
        """

    def cancel(self, folder: RunFolder, reason: str) -> None:
        """Ask the run's owner, now or later, to end it. Return at once.

        Raises:
            OSError: the request cannot be written, and the owner cannot be reached otherwise.
        """

    def discard(self, folder: RunFolder) -> tuple[int, ...]:
        """Kill the processes that a lost run has left; return the ids of those that cannot be killed. Block for up to 10 s."""

    def close(self) -> None:
        """Release all owners: idle ones exit, busy ones finish their run first, or cancel it if it is on a leash."""
