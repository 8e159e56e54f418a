"""The store's rooms together, on one database, as the hands above use them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from orchlite.records import Claim, RunRow
from orchlite.status import TaskStatus
from orchlite.store.database import Database, Transaction
from orchlite.store.migrate import migrate
from orchlite.store.orchestrations import Orchestrations
from orchlite.store.runs import Runs
from orchlite.store.tasks import Tasks
from orchlite.store.workspaces import Workspaces


class Memory:
    """What one store remembers."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`, creating it and bringing its schema up to date as needed.

        Raises:
            StoreTooNew, StoreBusy, StoreDamaged: the file cannot be used.
        """
        self._database = Database(path)
        migrate(self._database)
        self.workspaces = Workspaces(self._database)
        self.orchestrations = Orchestrations(self._database)
        self.tasks = Tasks(self._database)
        self.runs = Runs(self._database)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """One durable step over any of the rooms: all of it, or nothing."""
        return self._database.transaction()

    def claim(self, transaction: Transaction, run_id: str, claim: Claim) -> RunRow:
        """Take a queued run; its task has then started, whatever becomes of the run.

        Raises:
            IllegalMove: it is queued no more.
        """
        run = self.runs.claim(transaction, run_id, claim)
        if self.tasks.status(transaction, run.task_id) is TaskStatus.PENDING:
            self.tasks.move(transaction, run.task_id, TaskStatus.STARTED, claim.at)
        return run

    def end_killed_task(self, transaction: Transaction, task_id: str, at: datetime) -> None:
        """Where the task is to be killed and none of its runs is left, it is killed now."""
        if self.tasks.status(transaction, task_id) is not TaskStatus.PENDING_KILL:
            return
        if not self.runs.unfinished_of_task(transaction, task_id):
            self.tasks.move(transaction, task_id, TaskStatus.KILLED, at)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()
