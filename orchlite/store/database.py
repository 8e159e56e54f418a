"""The connections to one SQLite file: a thread has its own, every write is one IMMEDIATE transaction. The only importer of sqlite3.

It knows nothing of tables. SQLite's errors leave here as orchlite's.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchlite.errors import Closed, DeviceFailed, StorageFull, StoreBusy, StoreDamaged

Row = sqlite3.Row
Parameters = Sequence[Any] | Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """A time as the store keeps it."""
    return (at - _EPOCH) // _MICROSECOND


def to_datetime(microseconds: int | None) -> datetime | None:
    """A time that may be absent, as records keep it: aware, UTC."""
    return None if microseconds is None else known_datetime(microseconds)


def known_datetime(microseconds: int) -> datetime:
    """A time that is always there."""
    return _EPOCH + timedelta(microseconds=microseconds)


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly, and is closed with the thread that it belongs to."""

    def __del__(self) -> None:
        self.close()


class Transaction:
    """What may be done inside `Database.transaction()`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; the number of rows that it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a query, or of a statement with RETURNING."""
        return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The one row, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None


class Database:
    """One store's file. Any thread may use it; a forked child may not."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 10.0) -> None:
        """Nothing is opened yet; each thread's connection is made at its first use."""
        self.path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._local = threading.local()
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._is_closed = False

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """BEGIN IMMEDIATE … COMMIT: durable (synchronous=FULL) when the block is left, without a trace when it raises.

        Raises:
            StoreBusy: another process held the write lock for longer than the busy time-out.
            StorageFull, StoreDamaged, DeviceFailed: as SQLite says.
        """
        connection = self._connection()
        with _translated(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Read, outside any transaction of one's own."""
        with _translated(self.path):
            return Transaction(self._connection()).rows(sql, parameters)

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """Read the one row, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def close(self) -> None:
        """Close every thread's connection; later use raises `Closed`. In a forked child nothing is touched."""
        self._is_closed = True
        if os.getpid() != self._pid:
            return
        with self._lock:
            for connection in list(self._connections):
                connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if self._is_closed:
            raise Closed("This client is closed.", hint="Open a new Client on the same store.")
        if os.getpid() != self._pid:
            # SQLite forbids using a connection across a fork: the child's writes could corrupt the file.
            raise Closed("This client was opened by the parent process.", hint="Open a Client of its own in a forked process.")
        if connection is None:
            with _translated(self.path):
                connection = self._local.connection = self._open()
        return connection

    def _open(self) -> _Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_seconds, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        with self._lock:
            self._connections.add(connection)
        return connection


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _translation(error, path) from error


def _translation(error: sqlite3.Error, path: Path) -> DeviceFailed | Closed:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusy(f"The store {path} is locked by another process.", hint="Nothing was written; try again.", store=str(path))
    if name.startswith("SQLITE_FULL"):
        return StorageFull(f"The disk that holds {path} is full.", hint="Nothing was written; make room and try again.", store=str(path))
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(f"The store {path} is damaged: {error}.", hint="Restore it from a backup.", store=str(path))
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return Closed("This client is closed.", hint="Open a new Client on the same store.")
    return DeviceFailed(f"The store {path} failed: {error}.", store=str(path))
