"""Which hosts of a store live: each holds the lock of a file of its own for as long as it has the store open."""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

from orchlite.core.files import is_locked


class HostLock:
    """This host's sign of life. The kernel takes it away when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Appear, under a new id."""
        self.host_id = str(uuid.uuid4())
        self._path = folder / f"{self.host_id}.lock"
        self._pid = os.getpid()
        aside = folder / f"{self.host_id}.new"
        self._descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        aside.rename(self._path)  # seen by others only once it is locked
        _presences.add(self)

    def release(self) -> None:
        """Disappear. In a forked child nothing happens."""
        if self._descriptor >= 0 and os.getpid() == self._pid:
            self._path.unlink(missing_ok=True)
            self._let_go()

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_alive(folder: Path, host_id: str) -> bool:
    """Whether the host of this id has the store open."""
    return is_locked(folder / f"{host_id}.lock")


def any_alive(folder: Path) -> bool:
    """Whether any host has the store open."""
    return any(is_alive(folder, path.stem) for path in folder.glob("*.lock"))


def remove_dead(folder: Path) -> None:
    """Remove the files of hosts that are gone."""
    for path in folder.glob("*.lock"):
        if not is_alive(folder, path.stem):
            with suppress(FileNotFoundError):
                path.unlink()


def boot_id() -> str:
    """Names this boot of the machine: what was started in another one is surely gone. Empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


_presences: WeakSet[HostLock] = WeakSet()


def _let_go_in_child() -> None:
    # A forked child shares the lock: as long as it lived, this host would seem alive.
    for presence in list(_presences):
        presence._let_go()


os.register_at_fork(after_in_child=_let_go_in_child)
