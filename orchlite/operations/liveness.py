"""Which hosts of a store are alive: each holds a lock on a file of its own while it has the store open."""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path
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
