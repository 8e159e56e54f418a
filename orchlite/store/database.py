"""The connections to one SQLite file: a thread has its own, every write is one IMMEDIATE transaction. The only importer of sqlite3.

It knows nothing of tables. SQLite's errors leave here as orchlite's.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchlite.core.errors import Closed, DeviceFailed, StorageFull, StoreBusy, StoreDamaged
from orchlite.core.hints import PythonOnly

Row = sqlite3.Row
Parameters = Sequence[Any] | Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CLOSE_SECONDS = 0.1
# Commits that make the WAL file longer took 2 to 9 times as long as those that write over it, since the file system's own journal has to
# follow. A checkpoint every 250 pages keeps it at 1 MiB, so that nearly all commits write over it.
_CHECKPOINTS = "PRAGMA wal_autocheckpoint=250"
_RARE_CHECKPOINTS = "PRAGMA wal_autocheckpoint=5000"
_OLDEST_SQLITE = (3, 37)  # the first that knows STRICT tables


def to_microseconds(at: datetime) -> int:
    """A time as the store keeps it."""
    return (at - _EPOCH) // _MICROSECOND


def to_datetime(microseconds: int | None) -> datetime | None:
    """A time that may be absent, as records keep it: aware, UTC."""
    return None if microseconds is None else known_datetime(microseconds)


def known_datetime(microseconds: int) -> datetime:
    """A time that is always there."""
    return _EPOCH + timedelta(microseconds=microseconds)


class _Held:
    """A thread's connection, which is closed at once when its thread ends, and never under a statement that runs: that crashes.

    The connection alone would wait for the garbage collector: sqlite3's are part of a reference cycle.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.in_use = threading.RLock()
        self.is_open = True

    def close(self) -> None:
        self.is_open = False
        self.connection.close()

    def __del__(self) -> None:
        self.connection.close()


class Transaction:
    """What may be done inside `Database.transaction()`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; the number of rows that it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, parameters: Sequence[Parameters]) -> int:
        """Run one statement for each of the parameters; the number of rows that were changed in all."""
        return self._connection.executemany(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a query, or of a statement with RETURNING."""
        return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The one row, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None


class Database:
    """One store's file. Any thread may use it; a forked child may not."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 10.0, durable: bool = True) -> None:
        """Nothing is opened yet; each thread's connection is made at its first use.

        What is not durable outlives its processes, but not the machine: for files that nobody wants after that.

        Raises:
            DeviceFailed: this Python's SQLite is too old.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise DeviceFailed(
                f"SQLite {sqlite3.sqlite_version} is too old for a store, which needs 3.37 or newer.", hint="Use a newer Python."
            )
        self.path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._synchronous = "FULL" if durable else "OFF"
        self._local = threading.local()
        self._connections: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._opening = threading.RLock()
        self._pid = os.getpid()
        self._is_closed = False
        self._identity: tuple[int, int] | None = None
        """Device and inode of the file, once it was opened: another one of the same name is another store."""
        with _forking:
            _databases.add(self)

    @contextmanager
    def transaction(self, *, urgent: bool = False) -> Iterator[Transaction]:
        """BEGIN IMMEDIATE … COMMIT: durable (synchronous=FULL) when the block is left, without a trace when it raises.

        urgent: leave it to a later commit to bring what stands in the WAL into the database, which is more than half of a large commit;
        unless there are 20 MiB of it, because no others come.

        Raises:
            StoreBusy: another process held the write lock for longer than the busy time-out.
            StorageFull, StoreDamaged, DeviceFailed: as SQLite says.
            Closed: `close` was called before the end.
        """
        with self._connection() as connection:
            try:
                if urgent:
                    connection.execute(_RARE_CHECKPOINTS)
                # Inside: an interrupt may arrive when the transaction is open already.
                connection.execute("BEGIN IMMEDIATE")
                yield Transaction(connection)
                self._check_usable()
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            finally:
                if urgent:
                    connection.execute(_CHECKPOINTS)

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Read, outside any transaction of one's own."""
        held = self._held()
        with held.in_use:
            if held.is_open:
                try:
                    return held.connection.execute(sql, parameters).fetchall()
                except sqlite3.Error as error:
                    raise _translation(error, self.path) from error
                finally:
                    if self._is_closed:
                        held.close()
        return self.rows(sql, parameters)  # it was closed between the lines above

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """Read the one row, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def version(self) -> int:
        """A number that differs from the one before where another connection, of this process or another, has committed meanwhile.

        Only answers to the same thread can be compared.
        """
        row = self.row("PRAGMA data_version")
        assert row is not None
        return int(row[0])

    def copy_to(self, path: Path) -> None:
        """Write all rows, as they are committed now, to a new file. Others read and write meanwhile.

        Raises:
            StorageFull, DeviceFailed: the new file cannot be written; what there is of it stays.
        """
        _make(path)
        with self._connection() as connection, _translated(path), closing(sqlite3.connect(_existing(path), uri=True)) as copy:
            connection.backup(copy)  # in one step, and in WAL mode: one look at one moment, which no writer has to wait for

    def close(self) -> None:
        """Close every thread's connection, one in use as soon as it is not; later use raises `Closed`. Does nothing in a forked child."""
        self._is_closed = True
        if os.getpid() != self._pid:
            return
        with self._opening:
            for held in list(self._connections):
                # Whoever uses it for longer than this closes it himself.
                if held.in_use.acquire(timeout=_CLOSE_SECONDS):
                    held.close()
                    held.in_use.release()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, which nobody else closes while the block lasts."""
        while True:
            held = self._held()
            with held.in_use:
                if not held.is_open:
                    continue  # closed between the two lines above
                try:
                    yield held.connection
                except sqlite3.Error as error:
                    raise _translation(error, self.path) from error
                finally:
                    if self._is_closed:
                        held.close()
                return

    def _held(self) -> _Held:
        self._check_usable()
        self._check_file()  # what is committed to a file that has no name any more is lost
        held: _Held | None = getattr(self._local, "held", None)
        if held is None or not held.is_open:
            with _translated(self.path):
                held = self._local.held = self._open()
        return held

    def _check_usable(self) -> None:
        if self._is_closed:
            raise Closed("This client is closed.", hint=PythonOnly("Open a new Client on the same store."))
        if os.getpid() != self._pid:
            raise Closed("This client was opened by the parent process.", hint=PythonOnly("Open a Client of its own in a forked process."))

    def _check_file(self) -> None:
        if self._identity is not None and (found := _identity(self.path)) != self._identity:
            what = "gone" if found is None else "replaced by another file"
            raise StoreDamaged(
                f"The store {self.path} is {what}.", hint="Restore it from a backup, and open it anew.", store=str(self.path)
            )

    def _open(self) -> _Held:
        with self._opening:
            self._check_usable()
            if self._identity is None:
                _make(self.path)
            connection = sqlite3.connect(
                _existing(self.path), uri=True, timeout=self._busy_timeout_seconds, isolation_level=None, check_same_thread=False
            )
            held = _Held(connection)
            try:
                self._set_up(connection)
            except BaseException:
                held.close()
                raise
            self._identity = self._identity or _identity(self.path)
            self._connections.add(held)
            return held

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA synchronous={self._synchronous}")  # first: turning to WAL writes, too
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            # The file keeps it from then on; one that a newer orchlite made must not be changed in any way.
            _use_wal(connection, self._busy_timeout_seconds)
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(_CHECKPOINTS)

    def _suspend(self) -> None:
        """Have no connection, and let none be opened until `_resume`; waits for the transactions that are open."""
        self._opening.acquire()
        for held in list(self._connections):
            with held.in_use:
                held.close()

    def _resume(self) -> None:
        self._opening.release()


def _make(path: Path) -> None:
    """Make the file where it is missing, for this account only; SQLite gives the files beside it the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DeviceFailed(f"The store {path} cannot be opened: {error.strerror}.", store=str(path)) from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - quicker than Path.stat, before every commit
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _existing(path: Path) -> str:
    """The URI under which SQLite opens the file and never makes one: a file that was deleted must not come back empty."""
    return f"{path.absolute().as_uri()}?mode=rw"


def _use_wal(connection: sqlite3.Connection, patience_seconds: float) -> None:
    """Turn to WAL. Of several connections that do so at once SQLite refuses all but one, without any wait, lest they deadlock."""
    give_up_at = time.monotonic() + patience_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.002)


# SQLite remembers by process which files it has locked, and a forked child inherits that memory, but not the locks: a connection that
# the child opens would be unprotected, and what it commits lost when the parent closes (sqlite.org/howtocorrupt.html, section 2.6). So
# no connection is open during a fork; the parent's threads open new ones when they need them.

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_suspended: list[Database] = []
_forking = threading.RLock()


def _before_fork() -> None:
    _forking.acquire()
    for database in list(_databases):
        database._suspend()
        _suspended.append(database)


def _after_fork() -> None:
    while _suspended:
        _suspended.pop()._resume()
    _forking.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


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
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")):  # the latter: no room for the index of the WAL
        return StorageFull(f"The disk that holds {path} is full.", hint="Nothing was written; make room and try again.", store=str(path))
    if name.startswith("SQLITE_CANTOPEN"):
        return StoreDamaged(f"The store {path} is gone.", hint="Restore it from a backup, or begin a new one elsewhere.", store=str(path))
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(f"The store {path} is damaged: {error}.", hint="Restore it from a backup.", store=str(path))
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return Closed("This client is closed.", hint=PythonOnly("Open a new Client on the same store."))
    return DeviceFailed(f"The store {path} failed: {error}.", store=str(path))
