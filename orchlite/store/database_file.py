"""The files of a SQLite database on disk: creates them for this account only, and identifies them by device and inode.

None of them is ever opened here once it exists: closing any descriptor of a file releases all POSIX locks that the process holds on it, and
the next program to close the database would delete the WAL under this one (sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

from orchlite.core.system_errors import device_error

FileIdentity = tuple[int, int]
"""Device and inode."""

FolderState = tuple[int, int, int]
"""Device and inode of a folder, and the time of its last change, in nanoseconds: no program can set that back."""

_SUFFIXES = ("", "-wal", "-shm")
_SECOND_NS = 1_000_000_000
_TICK_NS = 15_000_000
"""Longer than the clock of any kernel takes from one time that a file system notes to the next."""
_COARSE_TICK_NS = 2 * _SECOND_NS + _TICK_NS
"""The same, where a file system notes whole seconds: ext4 with inodes of 128 bytes, HFS+; FAT every other one."""


def create(path: Path) -> None:
    """Create the database's file if it is missing; SQLite gives the files beside it the same mode.

    Raises:
        ResourceExhausted, StorageFull, DeviceFailed: it cannot be created.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise device_error(error, f"The store {path} cannot be opened", store=str(path)) from error


def existing_uri(path: Path, *, mode: Literal["rw", "ro"] = "rw") -> str:
    """Return a URI with which SQLite never creates the file: a deleted store must not come back empty."""
    return f"{path.absolute().as_uri()}?mode={mode}"


def identities(path: Path) -> tuple[FileIdentity | None, ...]:
    """Return the identity of each of the database's files; None for a missing one.

    Raises:
        ResourceExhausted, DeviceFailed: as `identity`.
    """
    return tuple([identity(f"{path}{suffix}", path) for suffix in _SUFFIXES])


def identity(file: str | Path, store: Path) -> FileIdentity | None:
    """Return the identity of a file of the database `store`; None if there is no such file.

    Raises:
        ResourceExhausted, DeviceFailed: the file system does not say.
    """
    try:
        status = os.stat(file)  # noqa: PTH116 - quicker than Path.stat, before every statement
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise device_error(error, f"The store {store} cannot be used", store=str(store)) from error
    return status.st_dev, status.st_ino


def folder_state(folder: Path) -> FolderState | None:
    """Return a value that changes when a file is created in the folder, deleted from it, or replaced there.

    None: that is not known, because the folder has changed just now, and may change again without another time; or it is missing, or its
    file system keeps no such time. What is mounted over a file in it does not change it.
    """
    try:
        status = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return None
    is_settled = _is_settled(status.st_ctime_ns, time.time_ns())
    return (status.st_dev, status.st_ino, status.st_ctime_ns) if is_settled else None


def _is_settled(changed_ns: int, now_ns: int) -> bool:
    """Return whether a change from now on has another time than that of the last one."""
    return changed_ns != 0 and now_ns - changed_ns > (_TICK_NS if changed_ns % _SECOND_NS else _COARSE_TICK_NS)
