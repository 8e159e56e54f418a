"""The interface to a cluster on which runs are executed instead of on this machine, and the records that are exchanged with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from orchlite.core.errors import DeviceFailed
from orchlite.core.records import Placement
from orchlite.runs.spec import Observation


class ClusterUnreachable(DeviceFailed):
    """The cluster does not respond. Runs that it has continue."""


class ClusterRefused(DeviceFailed):
    """The cluster does not accept this client, or the run."""


class Job(NamedTuple):
    """What a node needs to execute one run."""

    run_id: str
    attempt: int
    document: bytes
    """The run, its task and orchestration, arguments, variables and connections, as JSON: `orchlite.node` reads it. May hold secrets."""
    bundle: Path
    """The stored ZIP."""
    sha: str
    """Its SHA-256."""


class PlacedRun(NamedTuple):
    """A run that was, or is about to be, placed on a cluster."""

    run_id: str
    attempt: int
    placement: Placement
    log: Path
    """Where the first segment of its log is on this machine."""
    log_bytes: int
    """Upper bound on the size of the log."""


class Cluster(Protocol):
    """Where runs are executed if not on this machine. Every method is idempotent for one run, and may be called from any thread."""

    name: str
    """What a placement calls this cluster: `ray at http://head:8265`. Hosts with clusters of other names leave its runs alone."""
    max_runs: int | None
    """How many runs one host has there at a time; None: as many as it has workers."""

    def reserve(self, run_id: str, attempt: int) -> Placement:
        """Return where the run would be placed, without placing it. Block for one request.

        Raises:
            ClusterUnreachable: the cluster does not respond.
            ClusterRefused: it does not accept this client.
        """

    def place(self, job: Job, placement: Placement) -> None:
        """Have the run executed; do nothing if it was placed there before. Block until the cluster has accepted it.

        A cluster with another session than the placement's must not accept it: raise `ClusterUnreachable`, and `wait` says that it is lost.

        Raises:
            ClusterUnreachable: the cluster does not respond; it may have accepted the run.
            ClusterRefused: it does not accept the run.
        """

    def wait(self, run: PlacedRun, report: Callable[[str], None]) -> Observation:
        """Block until the run has ended or is lost; never return `Alive`. Copy its log meanwhile.

        Return `NeverStarted` only if the cluster, in the session of the placement, does not know the run: then the caller places it again.

        Pass to `report` what the user should know before the end, such as that the cluster cannot be reached, each once; and the empty text
        when that has passed.

        Raises:
            Closed: `close` was called.
        """

    def cancel(self, run: PlacedRun, reason: str) -> None:
        """Ask the cluster to end the run. Do nothing if it has ended, or was not placed. Block for one request at most.

        Raises:
            ClusterUnreachable: the cluster does not respond; ask again.
        """

    def close(self) -> None:
        """Let `wait` raise `Closed`. What was placed continues on the cluster."""
