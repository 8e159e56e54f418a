"""Which hosts of a store are alive: each holds a lock on a file of its own while it has the store open.

A host that keeps schedules writes its process id into that file, and sets the file's time whenever its scheduler has worked.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from orchlite.core.files import is_locked


class HostLock:
    """The lock that shows that this host is alive. The kernel releases it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Create and lock a file under a new host id.

        Raises:
            OSError: the file cannot be created.
        """
        self.host_id = str(uuid.uuid4())
        self._path = folder / f"{self.host_id}.lock"
        self._pid = os.getpid()
        aside = folder / f"{self.host_id}.new"
        self._descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        aside.rename(self._path)  # others see it only once it is locked
        _host_locks.add(self)

    def release(self) -> None:
        """Remove the file and release the lock; idempotent. Does nothing in a forked child."""
        if self._descriptor >= 0 and os.getpid() == self._pid:
            self._path.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_alive(folder: Path, host_id: str) -> bool:
    """Return whether this host has the store open."""
    return is_locked(folder / f"{host_id}.lock")


def any_alive(folder: Path) -> bool:
    """Return whether any host has the store open."""
    return any(is_alive(folder, path.stem) for path in folder.glob("*.lock"))


class SignOfLife(NamedTuple):
    """What a live host that keeps schedules has left in its file."""

    host_id: str
    process_id: int
    """To be shown only: the lock, and not this number, shows that the process is alive."""
    at: datetime
    """When its scheduler last worked: aware, UTC."""


def leave_sign(folder: Path, host_id: str, now: datetime) -> None:
    """Record that this host keeps the store's schedules, and that its scheduler works. Do nothing if the host has closed the store."""
    with suppress(OSError):  # such as a full disk: that must not stop the scheduler
        path = folder / f"{host_id}.lock"
        if not path.stat().st_size:
            with path.open("r+b") as file:  # never created here: nobody would remove it
                file.write(str(os.getpid()).encode("ascii"))
        os.utime(path, (now.timestamp(),) * 2)


def signs_of_life(folder: Path) -> list[SignOfLife]:
    """Return the signs of all live hosts that keep schedules, the newest first."""
    found = []
    for path in folder.glob("*.lock"):
        with suppress(OSError, ValueError):  # it was closed meanwhile; it keeps no schedules
            process_id, at = int(path.read_bytes()), datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if is_alive(folder, path.stem):
                found.append(SignOfLife(path.stem, process_id, at))
    return sorted(found, key=lambda sign: sign.at, reverse=True)


def remove_dead(folder: Path) -> None:
    """Remove the files of dead hosts.

    Raises:
        OSError: one cannot be removed.
    """
    for path in folder.glob("*.lock"):
        if not is_alive(folder, path.stem):
            with suppress(FileNotFoundError):
                path.unlink()


def boot_id() -> str:
    """Return the id of this boot of the machine; empty if the system has none. No process outlives the boot that it was started in."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


_host_locks: WeakSet[HostLock] = WeakSet()


def _close_in_child() -> None:
    # A forked child shares the lock: while it lived, this host would seem alive.
    for host_lock in list(_host_locks):
        host_lock._close()


os.register_at_fork(after_in_child=_close_in_child)
