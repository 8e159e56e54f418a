"""The metrics that runs have left."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchlite.store.database import Database, Transaction


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
