"""Which running runs are executed on a cluster, and what is known of them there before they end."""

from __future__ import annotations

import json
from datetime import datetime

from orchlite.core.records import Placement, RunRow
from orchlite.core.status import RunStatus
from orchlite.store import events
from orchlite.store.database import Database, Transaction
from orchlite.store.runs import to_run_row


class Placements:
    """The placements of the runs of one store. A run that has one keeps it until its end, and is not queued again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, transaction: Transaction, run: RunRow, placement: Placement) -> bool:
        """Record where a claimed run will be executed. Return False if it may not be: its end was requested, or the claim has changed."""
        changed = transaction.execute(
            "UPDATE runs SET placement = ? WHERE run_id = ? AND status = 'running' AND host_id = ? AND attempt = ?"
            " AND placement IS NULL AND NOT kill_requested",
            (json.dumps(placement._asdict()), run.run_id, run.host_id, run.attempt),
        )
        return changed == 1

    def explain_wait(self, transaction: Transaction, run_id: str, text: str) -> None:
        """Record why a run was queued again, as its reason until it is claimed or ends."""
        transaction.execute("UPDATE runs SET reason = ? WHERE run_id = ? AND status = 'queued'", (text, run_id))

    def report(self, transaction: Transaction, run_id: str, text: str | None, now: datetime) -> None:
        """Record what the cluster says of a placed run that has not ended, as its reason until then; None: nothing any more."""
        changed = transaction.execute(
            "UPDATE runs SET reason = ? WHERE run_id = ? AND status = 'running' AND placement IS NOT NULL AND reason IS NOT ?",
            (text, run_id, text),
        )
        if changed and text is not None:
            events.record(transaction, "run", run_id, RunStatus.RUNNING, "reported", now, text)

    def of_host(self, host_id: str) -> list[RunRow]:
        """Return the placed runs that this host executes, oldest first."""
        rows = self._database.rows(
            "SELECT * FROM runs INDEXED BY runs_running WHERE status = 'running' AND host_id = ? AND placement IS NOT NULL ORDER BY number",
            (host_id,),
        )
        return [to_run_row(row) for row in rows]

    def running(self) -> list[RunRow]:
        """Return the placed runs of all hosts, oldest first."""
        rows = self._database.rows(
            "SELECT * FROM runs INDEXED BY runs_running WHERE status = 'running' AND placement IS NOT NULL ORDER BY number"
        )
        return [to_run_row(row) for row in rows]

    def is_killed(self, transaction: Transaction, run_id: str) -> bool:
        """Return whether the run's end was requested, as this transaction sees it."""
        row = transaction.row("SELECT kill_requested FROM runs WHERE run_id = ?", (run_id,))
        return row is not None and bool(row["kill_requested"])
