"""The connections to one SQLite file: each thread has its own, and every write is one IMMEDIATE transaction.

This file knows nothing of tables. SQLite's errors leave it as orchlite's.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from orchlite.core.errors import Closed, DeviceFailed, StoreBusy, StoreDamaged, StoreTooNew
from orchlite.core.hints import PythonOnly
from orchlite.store.database_file import FileIdentity, create, existing_uri, identity
from orchlite.store.fair_lock import FairLock
from orchlite.store.forks import suspend_at_fork
from orchlite.store.owned_connection import OwnedConnection
from orchlite.store.sqlite_errors import busy, translated, translation

Row = sqlite3.Row
Parameters = Sequence[Any] | Mapping[str, Any]
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CLOSE_SECONDS = 0.1
# SQLite waits for a lock in steps of this length, between which a fork may suspend the database.
_STEP_SECONDS = 0.05
_PAUSE_SECONDS = 0.002
# A commit that lengthens the WAL file took 2 to 9 times as long as one that overwrites it, because the file system's own journal must
# follow. A checkpoint every 250 pages keeps the file at 1 MiB, so that nearly all commits overwrite it.
_CHECKPOINTS = "PRAGMA wal_autocheckpoint=250"
_RARE_CHECKPOINTS = "PRAGMA wal_autocheckpoint=5000"
_DURABLE = "FULL"
_OLDEST_SQLITE = (3, 37)  # the first with STRICT tables


def to_microseconds(at: datetime) -> int:
    """Return an aware time as the store keeps it: microseconds since 1970 in UTC."""
    return (at - _EPOCH) // _MICROSECOND


def to_datetime(microseconds: int | None) -> datetime | None:
    """Return a stored time as records have it: aware, UTC; None for None."""
    return None if microseconds is None else known_datetime(microseconds)


def known_datetime(microseconds: int) -> datetime:
    """Return a stored time that is never absent: aware, UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Transaction:
    """The statements inside `Database.transaction()`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; return the number of rows that it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, parameters: Sequence[Parameters]) -> int:
        """Run one statement for each of the parameters; return the number of rows that were changed in all."""
        return self._connection.executemany(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Return all rows of a query, or of a statement with RETURNING."""
        return self._connection.execute(sql, parameters).fetchall()

    def each(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Yield the rows of a query, each read when it is asked for: none are read after the last one that is used."""
        yield from self._connection.execute(sql, parameters)

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """Return the first row; None if there is none."""
        found = self.rows(sql, parameters)
        return found[0] if found else None


class Database:
    """The file of one store. Any thread may use it; a forked child may not."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 10.0, durable: bool = True, may_be_new: bool = True) -> None:
        """Open nothing yet; each thread's connection is made when it is first used.

        With `may_be_new=False` the file must exist and have tables. With `durable=False`, commits survive a killed process, but not a
        machine that goes down.

        Raises:
            DeviceFailed: this Python's SQLite is too old.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise DeviceFailed(
                f"SQLite {sqlite3.sqlite_version} is too old for a store, which needs 3.37 or newer.", hint="Use a newer Python."
            )
        self.path = path
        self.known_version: int | None = None
        """The newest schema that this orchlite knows; while it is None, every schema may be written to."""
        self._may_be_new = may_be_new
        self._busy_timeout_seconds = busy_timeout_seconds
        self._synchronous = _DURABLE if durable else "OFF"
        self._local = threading.local()
        self._connections: weakref.WeakSet[OwnedConnection] = weakref.WeakSet()
        self._opened = 0
        self._turns = FairLock()
        self._opening = threading.RLock()
        self._pid = os.getpid()
        self._is_closed = False
        self._identity: FileIdentity | None = None
        """Device and inode of the file, once it was opened: another file of the same name is another store."""
        suspend_at_fork(self)

    @contextmanager
    def transaction(self, *, urgent: bool = False, durable: bool = True) -> Iterator[Transaction]:
        """Run the block between BEGIN IMMEDIATE and COMMIT: durable when it ends, rolled back if it raises. Threads take turns.

        urgent: leave the checkpoint, more than half of a large commit, to a later transaction, unless the WAL has reached 20 MiB.
        durable: if False, the commit survives a killed process, and a machine that goes down only once a later commit is durable.

        Raises:
            StoreBusy: the write lock was not free within the busy timeout.
            StoreTooNew: a newer orchlite has changed the schema.
            ResourceExhausted, StorageFull, StoreDamaged, DeviceFailed: the file cannot be used.
            Closed: `close` was called before the block ended.
        """
        # In WAL mode only checkpoints are synced with NORMAL, so that the file stays intact (sqlite.org/pragma.html).
        synchronous = "NORMAL" if self._synchronous == _DURABLE and not durable else self._synchronous
        settings = _RARE_CHECKPOINTS if urgent else _CHECKPOINTS, f"PRAGMA synchronous={synchronous}"
        with self._turn() as deadline:
            while True:
                with self._connection() as connection:
                    try:
                        self._local.owned.apply(*settings)
                        # Inside `try`: an interrupt may arrive when the transaction is open already.
                        if self._begin(connection, deadline):
                            yield Transaction(connection)
                            self.check_usable()
                            connection.execute("COMMIT")
                            return
                    except BaseException:
                        with suppress(sqlite3.Error):
                            connection.execute("ROLLBACK")
                        raise

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Return all rows of a query outside any transaction.

        Raises:
            StoreBusy, ResourceExhausted, StorageFull, StoreDamaged, DeviceFailed, Closed: as `transaction`.
        """
        return self._until_free(lambda: self._read(sql, parameters))

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """Return the first row of a query outside any transaction; None if there is none."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def version(self) -> tuple[int, int]:
        """Return a value that changes when another connection, of this process or another, has committed.

        Compare only values that were returned to the same thread. SQLite counts by connection, so the connection is part of the value.
        """
        row = self.row("PRAGMA data_version")
        assert row is not None
        return self._local.owned.number, int(row[0])

    def copy_to(self, path: Path) -> None:
        """Copy all rows, as committed now, to a new file. Block until it is written; others read and write meanwhile.

        Raises:
            StorageFull, DeviceFailed: the new file cannot be written; a part of it may remain.
        """
        create(path)
        with self._connection() as connection, translated(path), closing(sqlite3.connect(existing_uri(path), uri=True)) as copy:
            connection.backup(copy)  # in one step: one snapshot, for which in WAL mode no writer has to wait

    def close(self) -> None:
        """Close the connections of all threads, each as soon as its statement or transaction has ended. Idempotent.

        Later use raises `Closed`. Does nothing in a forked child.
        """
        self._is_closed = True
        if os.getpid() != self._pid:
            return
        with self._opening:
            for owned in list(self._connections):
                # A thread that uses it for longer than this closes it itself.
                if owned.in_use.acquire(timeout=_CLOSE_SECONDS):
                    owned.close()
                    owned.in_use.release()

    def check_usable(self) -> None:
        """Do nothing if this process may use the database.

        Raises:
            Closed: `close` was called, or this process is a forked child.
        """
        if self._is_closed:
            raise Closed("This client is closed.", hint=PythonOnly("Open a new Client on the same store."))
        if os.getpid() != self._pid:
            raise Closed("This client was opened by the parent process.", hint=PythonOnly("Open a Client of its own in a forked process."))

    def suspend(self) -> None:
        """Close every connection, and open none until `resume`. Block for open transactions, but not for SQLite's locks."""
        self._opening.acquire()
        for owned in list(self._connections):
            with owned.in_use:
                owned.close()

    def resume(self) -> None:
        """Allow connections again."""
        self._opening.release()

    @contextmanager
    def _turn(self) -> Iterator[float]:
        """Hold this process's turn to write while the block runs; yield when to give up waiting for other processes."""
        self.check_usable()
        deadline = time.monotonic() + self._busy_timeout_seconds
        try:
            if not self._turns.acquire(self._busy_timeout_seconds):
                raise busy(self.path, "other threads of this process, or by another process")
            yield deadline
        finally:
            self._turns.release()

    def _begin(self, connection: sqlite3.Connection, deadline: float) -> bool:
        """Begin a transaction; return False if another process holds the write lock and there is time to try again."""
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            return False
        if self.known_version is not None and (version := connection.execute("PRAGMA user_version").fetchone()[0]) > self.known_version:
            what = f"{self.path} has got schema version {version} from a newer orchlite; this one knows up to {self.known_version}"
            raise StoreTooNew(f"{what}.", hint="Nothing was written. Restart this program with the newer orchlite.", version=version)
        return True

    def _until_free(self, action: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._busy_timeout_seconds
        while True:
            try:
                return action()
            except StoreBusy:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)  # SQLite does not always wait before it refuses

    def _read(self, sql: str, parameters: Parameters) -> list[Row]:
        with self._connection() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's connection, which no other thread closes while the block runs."""
        while True:
            owned = self._owned_connection()
            with owned.in_use:
                if not owned.is_open:
                    continue  # closed between the two lines above
                self._check_files_beside(owned)
                try:
                    yield owned.connection
                except sqlite3.Error as error:
                    raise translation(error, self.path) from error
                finally:
                    if self._is_closed:
                        owned.close()
                return

    def _owned_connection(self) -> OwnedConnection:
        self.check_usable()
        owned: OwnedConnection | None = getattr(self._local, "owned", None)
        if owned is None or not owned.is_open:
            self._check_file()
            owned = self._local.owned = self._until_free(self._open)
        return owned

    def _check_files_beside(self, owned: OwnedConnection) -> None:
        """Raise if -wal or -shm was deleted. Call it while the connection is in use: SQLite deletes them when the last one is closed."""
        if not owned.has_its_files():
            self._check_file()
            raise StoreDamaged(
                f"A file beside the store {self.path} (-wal or -shm) was deleted or replaced while it was open.",
                hint="Nothing more is written. Close every program that has the store open, then open it again.",
                store=str(self.path),
            )

    def _emptied(self) -> StoreDamaged:
        return StoreDamaged(
            f"The database {self.path} is empty, but bundles, models or runs lie beside it.",
            hint="Restore the store from a backup. If there is none, move its folder away to start a new store.",
            store=str(self.path),
        )

    def _check_file(self) -> None:
        """Raise if the file was deleted or replaced: what is committed to a file without a name is lost."""
        if self._identity is not None and (found := identity(self.path, self.path)) != self._identity:
            what = "gone" if found is None else "replaced by another file"
            raise StoreDamaged(
                f"The store {self.path} is {what}.", hint="Restore it from a backup, then open it again.", store=str(self.path)
            )

    def _open(self) -> OwnedConnection:
        with self._opening, translated(self.path):
            self.check_usable()
            if self._identity is None and self._may_be_new:
                create(self.path)
            connection = sqlite3.connect(
                existing_uri(self.path),
                uri=True,
                timeout=min(_STEP_SECONDS, self._busy_timeout_seconds),
                isolation_level=None,
                check_same_thread=False,
            )
            self._opened += 1
            owned = OwnedConnection(connection, self._opened, self.path)
            try:
                self._set_up(connection)
                owned.share_files()
            except BaseException:
                owned.close()
                raise
            self._identity = self._identity or owned.files[0]
            self._connections.add(owned)
            return owned

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA synchronous={self._synchronous}")  # first: switching to WAL writes, too
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            if not self._may_be_new:
                raise self._emptied()
            # The file stays in WAL mode. One that a newer orchlite made has a version, and must not be changed in any way.
            connection.execute("PRAGMA journal_mode=WAL")  # refused without a wait if several connections do it at once
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1")  # opens the files beside it
