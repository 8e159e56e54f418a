"""Combines the classes for all kinds of rows on one database. What concerns one kind only is in its own file."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchlite.core.errors import OrchliteError
from orchlite.core.records import Claim, RunResult, RunRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskStatus
from orchlite.store.activity import Activity
from orchlite.store.catalogue import Catalogue
from orchlite.store.connections import Connections
from orchlite.store.database import Database, Transaction
from orchlite.store.deployments import Deployments
from orchlite.store.events import Events
from orchlite.store.failures import Failures
from orchlite.store.identity import Identity
from orchlite.store.inference_logs import InferenceLogs
from orchlite.store.lookups import Lookups
from orchlite.store.maintenance import StoreMaintenance
from orchlite.store.migrate import migrate
from orchlite.store.models import Models
from orchlite.store.notifications import Notifications
from orchlite.store.orchestrations import Orchestrations
from orchlite.store.overview import Overview
from orchlite.store.pipelines import Pipelines
from orchlite.store.run_history import RunHistory
from orchlite.store.run_metrics import RunMetrics
from orchlite.store.run_packages import RunPackages
from orchlite.store.runs import Runs
from orchlite.store.task_versions import TaskVersions
from orchlite.store.tasks import Tasks
from orchlite.store.tries import Tries
from orchlite.store.waits import Waits
from orchlite.store.workspaces import Workspaces

if TYPE_CHECKING:
    from orchlite.store.placements import Placements


class Store:
    """The rows of one store. Any thread may use it; a forked child may not.

    Besides what it names, every method here and in the attributes raises `StorageFull`, `StoreBusy`, `StoreDamaged`, `DeviceFailed` or
    `Closed` as `Database` does.
    """

    def __init__(self, path: Path, *, durable: bool = True, may_be_new: bool = True) -> None:
        """Open the file at `path`, creating it and bringing its schema up to date as needed.

        With `may_be_new=False`, a file that is missing, empty or without tables is damaged.

        Raises:
            StoreTooNew: a newer orchlite has written the file.
            StorageFull, StoreBusy, StoreDamaged, DeviceFailed: the file cannot be used.
        """
        self._database = Database(path, durable=durable, may_be_new=may_be_new)
        self._confined_to: int | None = None
        """The workspace of the run that this process is, if it is one on a node."""
        migrate(self._database)
        self.workspaces = Workspaces(self._database)
        self.connections = Connections(self._database)
        self.orchestrations = Orchestrations(self._database)
        self.tasks = Tasks(self._database)
        self.task_versions = TaskVersions(self._database)
        self.runs = Runs(self._database)
        self.run_history = RunHistory(self._database)
        self.run_metrics = RunMetrics(self._database)
        self.run_packages = RunPackages(self._database)
        self.notifications = Notifications(self._database)
        self.tries = Tries(self._database)
        self.waits = Waits(self._database)
        self.models = Models(self._database)
        self.pipelines = Pipelines(self._database)
        self.deployments = Deployments(self._database)
        self.inference_logs = InferenceLogs(self._database)
        self.events = Events(self._database)
        self.maintenance = StoreMaintenance(self._database)
        self.lookups = Lookups(self._database)
        self.catalogue = Catalogue(self._database)
        self.failures = Failures(self._database)
        self.overview = Overview(self._database)
        self.activity = Activity(self._database)
        self.identity = Identity(self._database)

    @property
    def placements(self) -> Placements:
        """The runs that are executed on a cluster."""
        from orchlite.store.placements import Placements  # most hosts have none

        return Placements(self._database)

    def version_if_known(self) -> tuple[int, int] | None:
        """Return `version`, or None if the store cannot be read at the moment."""
        with suppress(OrchliteError):
            return self.version()
        return None

    def transaction(self, *, urgent: bool = False) -> AbstractContextManager[Transaction]:
        """Run the block in a transaction over any kinds of rows; see `Database.transaction`."""
        return self._database.transaction(urgent=urgent)

    def claim(self, transaction: Transaction, run_id: str, claim: Claim) -> RunRow | None:
        """Claim a queued run, and start its task. Return None if the run is past its starting deadline and was skipped instead.

        Raises:
            IllegalMove: the run is not queued any more.
        """
        if self.skip_late(transaction, run_id, claim.at):
            return None
        run = self.runs.claim(transaction, run_id, claim)
        if self.tasks.status(transaction, run.task_id) is TaskStatus.PENDING:
            self.tasks.move(transaction, run.task_id, TaskStatus.STARTED, claim.at)
        return run

    def requeue_packaging(
        self, transaction: Transaction, run_id: str, orchestration_id: str, now: datetime, reason: str, *, attempt: int | None = None
    ) -> None:
        """Queue a claimed packaging run again, and have its orchestration wait for it. It is repeatable, whatever it has done.

        Raises:
            IllegalMove: the run is not running, or not in this attempt.
        """
        self.runs.requeue(transaction, run_id, now, reason, attempt=attempt)
        if self.orchestrations.status(transaction, orchestration_id) is OrchestrationStatus.PACKAGING:
            self.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.PENDING_PACKAGING, now, reason)

    def skip_late(self, transaction: Transaction, run_id: str, now: datetime) -> bool:
        """Skip a queued run that is past its starting deadline. Return False if it is not.

        Raises:
            IllegalMove: it is past its deadline, and not queued any more.
        """
        if not self.runs.is_past_deadline(transaction, run_id, now):
            return False
        reason = "missed: it waited in the queue for longer than its starting deadline"
        self.runs.end(transaction, run_id, RunResult(RunStatus.SKIPPED, None, None, now, None, reason))
        return True

    def confine(self, workspace_id: int) -> None:
        """Refuse every write from now on, and every read but of the connections that came to a node with the run of this workspace.

        The store is one that a node has for this run. What is refused raises `StoreElsewhere`. Call it before any other thread uses the
        store.
        """
        from orchlite.store import sent_rows

        self._database.close()
        for name in [name for name in vars(self) if not name.startswith("_")]:
            setattr(self, name, sent_rows.Elsewhere(workspace_id))
        self._confined_to = workspace_id
        self._database = database = sent_rows.SentDatabase(self._database.path, workspace_id)
        self.workspaces = sent_rows.SentWorkspaces(database, workspace_id)
        self.connections = sent_rows.SentConnections(database, workspace_id)

    def check_changeable(self) -> None:
        """Raise `StoreElsewhere` if nothing may be written, because this process is a run on a node."""
        if self._confined_to is not None:
            from orchlite.store import sent_rows

            raise sent_rows.refusal(self._confined_to)

    def check_usable(self) -> None:
        """Raise `Closed` if it was closed, or opened by the parent of this process."""
        self._database.check_usable()

    def version(self) -> tuple[int, int]:
        """Return a value that changes with every commit by another connection; see `Database.version`."""
        return self._database.version()

    def copy_to(self, path: Path) -> None:
        """Copy all rows to a new file; see `Database.copy_to`."""
        self._database.copy_to(path)

    def close(self) -> None:
        """Close every connection; see `Database.close`."""
        self._database.close()
