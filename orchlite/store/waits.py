"""Which running runs wait for other runs, and so yield their worker slots.

Times are monotonic seconds, which all processes of one boot share: setting the clock changes nothing.
"""

from __future__ import annotations

from orchlite.store.database import Database, Transaction


class Waits:
    """The waits of the running runs of one store. A wait lapses unless it is renewed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, transaction: Transaction, run_id: str, until_seconds: float) -> None:
        """Record until when a running run's program waits for another run."""
        transaction.execute("UPDATE runs SET waits = ? WHERE run_id = ? AND status = 'running'", (round(until_seconds * 1e6), run_id))

    def until(self, run_id: str) -> float:
        """Return until when the run's program waits for another run; 0 if it was never recorded, or has ended."""
        row = self._database.row("SELECT waits FROM runs WHERE run_id = ? AND status = 'running'", (run_id,))
        return 0.0 if row is None else row["waits"] / 1e6

    def count(self, host_id: str, now_seconds: float) -> int:
        """Return how many of this host's running runs wait for others at this time."""
        row = self._database.row(
            "SELECT COUNT(*) FROM runs WHERE status = 'running' AND host_id = ? AND waits > ?", (host_id, round(now_seconds * 1e6))
        )
        assert row is not None
        return int(row[0])
