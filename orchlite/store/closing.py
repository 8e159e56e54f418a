"""Closing a connection whose -wal or -shm file was deleted or replaced, without touching what others have committed since."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from orchlite.store.database_file import existing_uri


def close_without_checkpoint(connection: sqlite3.Connection, database: Path) -> None:
    """Close the connection; keep SQLite from copying the WAL file into the database and deleting it, even if no other is open.

    SQLite does so only when it closes the last connection, and only if that one may write. So one that may only read is open meanwhile
    and closed last. SQLite opens it, too: see `database_file`.
    """
    with ExitStack() as stack:
        with suppress(sqlite3.Error):  # the file is gone, or this process may open no more
            reader = stack.enter_context(closing(sqlite3.connect(existing_uri(database, mode="ro"), uri=True, timeout=0)))
            reader.execute("SELECT 1 FROM sqlite_schema LIMIT 1")  # takes the lock that counts
        connection.close()
