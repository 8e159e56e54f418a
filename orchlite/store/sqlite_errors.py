"""Translates the errors of SQLite, and of the operating system below it, into orchlite's: one for each cause."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchlite.core.errors import Closed, DeviceFailed, StorageFull, StoreBusy, StoreDamaged
from orchlite.core.hints import PythonOnly
from orchlite.core.system_errors import device_error

_CLOSED = "This client is closed."
_DESCRIPTORS = 3
"""The number of files that SQLite may have to open at once."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors from the block as orchlite's; `path` is the database's file."""
    try:
        yield
    except sqlite3.Error as error:
        raise translation(error, path) from error


def translation(error: sqlite3.Error, path: Path) -> DeviceFailed | Closed:
    """Return orchlite's error for one of SQLite's."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return busy(path)
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")):  # the latter: no space for the index of the WAL
        return StorageFull(f"The disk that holds {path} is full.", hint="Nothing was written; make room and try again.", store=str(path))
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_READONLY")) and (cause := _cause(path)) is not None:
        if isinstance(cause, FileNotFoundError | NotADirectoryError):
            return StoreDamaged(
                f"The store {path} is gone.", hint="Restore it from a backup, or start a new one elsewhere.", store=str(path)
            )
        return device_error(cause, f"The store {path} cannot be used", store=str(path))
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(f"The store {path} is damaged: {error}.", hint="Restore it from a backup.", store=str(path))
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return Closed(_CLOSED, hint=PythonOnly("Open a new Client on the same store."))
    return DeviceFailed(f"The store {path} failed: {error}.", hint="Nothing was written; try again.", store=str(path))


def busy(path: Path, by: str = "another process") -> StoreBusy:
    """Return the error for a write lock that was not free in time."""
    return StoreBusy(f"The store {path} is locked by {by}.", hint="Nothing was written; try again.", store=str(path))


def _cause(path: Path) -> OSError | None:
    """Return why the database's files cannot be opened, which SQLite does not report; None if they can.

    The file itself is not opened: closing it would release the locks of this process's other connections to it.
    """
    with ExitStack() as opened:
        try:
            if stat.S_ISDIR(path.stat().st_mode):
                return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not os.access(path, os.R_OK | os.W_OK):
                return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            for _ in range(_DESCRIPTORS):
                opened.callback(os.close, os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            return error
    return None
