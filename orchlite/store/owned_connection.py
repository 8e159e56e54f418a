"""The connection of one thread to a SQLite file, and the files that it uses."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from orchlite.core.errors import OrchliteError
from orchlite.store.closing import close_without_checkpoint
from orchlite.store.database_file import FileIdentity, FolderState, folder_state, identities


class OwnedConnection:
    """A thread's connection. It is closed when its thread ends, and never under a statement that runs: that crashes the process.

    Left to the garbage collector it would stay open for a while: sqlite3's connections are part of a reference cycle.
    """

    def __init__(self, connection: sqlite3.Connection, number: int, path: Path) -> None:
        self.connection = connection
        self.number = number
        self._path = path
        self.files: tuple[FileIdentity | None, ...] = ()
        self._folder: FolderState | None = None
        """How the folder was when these files were last seen in it."""
        self._is_link = path.is_symlink()  # then the files are in another folder
        self.in_use = threading.RLock()
        self.is_open = True
        self._settings: tuple[str, ...] = ()
        """Those that `apply` has executed; empty if that is not known."""

    def apply(self, *settings: str) -> None:
        """Execute these PRAGMA statements, unless they were the last ones: an inference notices what they cost."""
        if settings != self._settings:
            self._settings = ()  # an interrupt may arrive between two of them
            for setting in settings:
                self.connection.execute(setting)
            self._settings = settings

    def close(self) -> None:
        """Close it, without the checkpoint that could lose what others have committed. Idempotent."""
        was_open, self.is_open = self.is_open, False
        if was_open and self.files and self._may_lose_commits():
            close_without_checkpoint(self.connection, self._path)
        else:
            self.connection.close()

    def share_files(self) -> None:
        """Note which files SQLite uses: within a process those of the connections that are open, even if -shm was replaced since."""
        now = identities(self._path)
        with _sharing:
            self.files = next((other.files for other in _all_connections if other.is_open and other.files[0] == now[0]), now)
            _all_connections.add(self)

    def has_its_files(self) -> bool:
        """Return whether the files that SQLite uses still have their names. Called before every statement: one stat(2), as a rule."""
        folder = None if self._is_link else folder_state(self._path.parent)
        if folder is not None and folder == self._folder:
            return True
        has_all = identities(self._path) == self.files
        self._folder = folder if has_all else None  # read before the files were, so a later change shows
        return has_all

    def _may_lose_commits(self) -> bool:
        """Return whether the checkpoint of a close could drop commits of other processes, as a file beside the database was replaced.

        If there is no WAL file, the checkpoint saves what this process has committed.
        """
        with suppress(OrchliteError, OSError):  # the files cannot be seen
            return identities(self._path) != self.files and os.stat(f"{self._path}-wal").st_size > 0  # noqa: PTH116
        return False

    def __del__(self) -> None:
        self.close()


_all_connections: weakref.WeakSet[OwnedConnection] = weakref.WeakSet()
_sharing = threading.Lock()  # taken only by who has a database's `_opening`, so that no fork copies it while it is held
