"""Closing a connection whose -wal or -shm file was deleted or replaced, without touching what others have committed since."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
from contextlib import suppress
from pathlib import Path

_SHARED_FIRST = 0x40000002
_SHARED_BYTES = 510


def close_without_checkpoint(connection: sqlite3.Connection, database: Path) -> None:
    """Close the connection; keep SQLite from copying the WAL file into the database and deleting it, even if no other is open.

    SQLite does so only under an exclusive lock on these bytes (sqlite.org/lockingv3.html). A lock of an open file description, unlike
    SQLite's own, counts within a process, too (fcntl(2)), and refuses it that. macOS has none: there it is closed as usual.
    """
    try:
        descriptor = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        connection.close()
        return
    try:
        with suppress(OSError, AttributeError):
            lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_BYTES, 0)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
        connection.close()
    finally:
        os.close(descriptor)
