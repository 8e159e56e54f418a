"""What was installed when runs ran. Runs that saw the same packages share one row."""

from __future__ import annotations

import json
from functools import lru_cache

from orchlite.core.records import Packages
from orchlite.store.database import Database, Row, Transaction

_REMEMBERED = 256


class RunPackages:
    """The packages of one store's runs: inserted before the run starts, and recorded with its outcome."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, str] = {}
        """Packages that this process has found or inserted, as JSON, by SHA-256. They may be deleted while no run refers to them."""

    def has(self, packages: Packages) -> bool:
        """Return whether these packages were inserted, and remember that."""
        sha, text = _encoded(packages)
        if sha not in self._known and self._database.row("SELECT 1 FROM package_lists WHERE sha = ?", (sha,)) is not None:
            self._remember(sha, text)
        return sha in self._known

    def insert(self, transaction: Transaction, packages: Packages) -> None:
        """Insert these packages, unless another process has done so, and remember that."""
        sha, text = _encoded(packages)
        _insert(transaction, sha, text)
        self._remember(sha, text)

    def _remember(self, sha: str, text: str) -> None:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[sha] = text

    def set(self, transaction: Transaction, run_id: str, sha: str) -> None:
        """Record which packages a run has seen. Nothing is recorded if they were deleted since, and this process does not know them."""
        if (text := self._known.get(sha)) is not None:
            _insert(transaction, sha, text)
        transaction.execute(
            "UPDATE runs SET package_list_id = (SELECT package_list_id FROM package_lists WHERE sha = ?) WHERE run_id = ?", (sha, run_id)
        )

    def get(self, run_id: str) -> Packages | None:
        """Return the packages that a run has seen; None if they are not known, or not yet recorded."""
        return _packages(
            self._database.row("SELECT packages FROM runs JOIN package_lists USING (package_list_id) WHERE run_id = ?", (run_id,))
        )

    def by_sha(self, sha: str) -> Packages | None:
        """Return the packages with this SHA-256; None if they are not in the store."""
        return _packages(self._database.row("SELECT packages FROM package_lists WHERE sha = ?", (sha,)))


def sha_of(packages: Packages) -> str:
    """Return the SHA-256 of packages, by which a run refers to them until its end."""
    return _encoded(packages)[0]


def delete_unused(transaction: Transaction) -> None:
    """Delete the packages that no run refers to any more."""
    transaction.execute(
        "DELETE FROM package_lists WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.package_list_id = package_lists.package_list_id)"
    )


@lru_cache(maxsize=16)
def _encoded(packages: Packages) -> tuple[str, str]:
    """Return the SHA-256 and the JSON of packages."""
    import hashlib

    text = json.dumps(packages._asdict())
    return hashlib.sha256(text.encode()).hexdigest(), text


def _insert(transaction: Transaction, sha: str, text: str) -> None:
    transaction.execute("INSERT INTO package_lists (sha, packages) VALUES (?, ?) ON CONFLICT DO NOTHING", (sha, text))


def _packages(row: Row | None) -> Packages | None:
    return None if row is None else Packages.from_json(json.loads(row["packages"]))
