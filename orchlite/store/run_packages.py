"""What was installed when runs ran. Runs that saw the same packages share one row."""

from __future__ import annotations

import json

from orchlite.core.records import Packages
from orchlite.store.database import Database, Transaction


class RunPackages:
    """The packages of one store's runs. They are recorded with the outcome of their run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, transaction: Transaction, run_id: str, packages: Packages) -> None:
        """Record the packages that a run has seen."""
        import hashlib

        text = json.dumps(packages._asdict())
        sha = hashlib.sha256(text.encode()).hexdigest()
        transaction.execute("INSERT INTO package_lists (sha, packages) VALUES (?, ?) ON CONFLICT DO NOTHING", (sha, text))
        transaction.execute(
            "UPDATE runs SET package_list_id = (SELECT package_list_id FROM package_lists WHERE sha = ?) WHERE run_id = ?", (sha, run_id)
        )

    def get(self, run_id: str) -> Packages | None:
        """Return the packages that a run has seen; None if they are not known, or not yet recorded."""
        row = self._database.row("SELECT packages FROM runs JOIN package_lists USING (package_list_id) WHERE run_id = ?", (run_id,))
        return None if row is None else Packages.from_json(json.loads(row["packages"]))


def delete_unused(transaction: Transaction) -> None:
    """Delete the packages that no run refers to any more."""
    transaction.execute(
        "DELETE FROM package_lists WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.package_list_id = package_lists.package_list_id)"
    )
