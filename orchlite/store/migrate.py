"""Brings a store's file to the schema of this version: numbered SQL files, all missing ones applied in one transaction.

A new store is created from one file instead, which the migrations' result is written to: every test of a user creates one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from orchlite.core.errors import StoreTooNew
from orchlite.store.database import Database, Transaction

SCHEMA = Path(__file__).with_name("schema.sql")
"""What all migrations together create."""
_FOLDER = Path(__file__).with_name("migrations")


@cache
def migrations() -> tuple[Path, ...]:
    """Return the migration files in order. The number of the last is the version of the schema."""
    return tuple(sorted(_FOLDER.glob("[0-9][0-9][0-9][0-9]_*.sql")))


def migrate(database: Database) -> None:
    """Apply the missing migrations. Any number of processes may call this at once; each migration is applied once.

    Raises:
        StoreTooNew: the file has a schema version that this orchlite does not know; it was not changed.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the file cannot be read or written.
    """
    files = migrations()
    version = _version(database)
    if version < len(files):
        with database.transaction() as transaction:
            version = _version(database)  # another process may have migrated it meanwhile
            if version < len(files):
                _execute(transaction, files[version:] if version else [SCHEMA])
                version = len(files)
                transaction.execute(f"PRAGMA user_version = {version}")
    if version > len(files):
        raise StoreTooNew(
            f"The store {database.path} has schema version {version}; this orchlite knows versions up to {len(files)}.",
            hint="It was not changed. Upgrade orchlite: pip install -U orchlite.",
            version=version,
        )
    database.known_version = len(files)


def _version(database: Database) -> int:
    row = database.row("PRAGMA user_version")
    assert row is not None
    return int(row[0])


def _execute(transaction: Transaction, files: Iterable[Path]) -> None:
    for file in files:
        # No statement or comment in the files contains a semicolon. sqlite3's `executescript` would commit the transaction.
        for statement in file.read_text(encoding="utf-8").split(";"):
            transaction.execute(statement)
