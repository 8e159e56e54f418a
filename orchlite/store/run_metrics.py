"""The metrics that runs have left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from orchlite.core.records import MeasuredRun
from orchlite.store.database import Database, Transaction, known_datetime


class RunMetrics:
    """The metrics of one store's runs. They are recorded with the outcome of their run, and deleted with it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, transaction: Transaction, run_id: str, metrics: Mapping[str, float]) -> None:
        """Record the metrics of a run that has none yet."""
        transaction.execute("INSERT INTO run_metrics (run_id, metrics) VALUES (?, ?)", (run_id, json.dumps(metrics)))

    def get(self, run_id: str) -> dict[str, float]:
        """Return the metrics of a run; empty if it has left none."""
        row = self._database.row("SELECT metrics FROM run_metrics WHERE run_id = ?", (run_id,))
        found: dict[str, float] = {} if row is None else json.loads(row["metrics"])
        return found

    def of_runs(self, run_ids: Iterable[str]) -> list[MeasuredRun]:
        """Return those of these runs that have left metrics, oldest first."""
        rows = self._database.rows(
            "SELECT run_id, COALESCE(slot_at, repeated_slot_at, created_at) AS at, metrics FROM json_each(?)"
            " JOIN run_metrics ON run_id = value JOIN runs USING (run_id) ORDER BY number",
            (json.dumps(list(run_ids)),),
        )
        return [MeasuredRun(row["run_id"], known_datetime(row["at"]), json.loads(row["metrics"])) for row in rows]
