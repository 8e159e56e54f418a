"""Brings a store's file to the schema of this version: numbered SQL files, all missing ones applied in one transaction."""

from __future__ import annotations

from pathlib import Path

from orchlite.core.errors import StoreTooNew
from orchlite.store.database import Database

_FOLDER = Path(__file__).with_name("migrations")


def migrations() -> list[Path]:
    """Return the migration files in order. The number of the last is the version of the schema."""
    return sorted(_FOLDER.glob("[0-9][0-9][0-9][0-9]_*.sql"))


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
            for number, file in enumerate(files[version:], start=version + 1):
                for statement in _statements(file.read_text(encoding="utf-8")):
                    transaction.execute(statement)
                transaction.execute(f"PRAGMA user_version = {number}")
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


def _statements(script: str) -> list[str]:
    # No statement or comment in the files contains a semicolon. sqlite3's `executescript` would commit the transaction.
    return [statement for statement in script.split(";") if statement.strip()]
