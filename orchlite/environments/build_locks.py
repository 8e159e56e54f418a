"""The locks of environments on disk, and the errors of a cache folder that cannot be written. `builds` says what each lock means."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep

from orchlite.core.errors import WaitTimeout
from orchlite.core.files import lock_descriptor, make_private_folders
from orchlite.core.system_errors import device_error

_POLL_SECONDS = 0.02


@contextmanager
def device_errors(folder: Path) -> Iterator[None]:
    """Translate an OSError of the block to `DeviceFailed`, `StorageFull` or `ResourceExhausted`."""
    try:
        yield
    except OSError as error:
        failed = f"The environment folder {str(folder)!r} cannot be written"
        raise device_error(error, failed, elsewhere="name another one in ORCHLITE_CACHE") from error


@contextmanager
def builder_lock(lock: Path, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock while the block runs, even if `remove` unlinks the file during the wait; create its folder if needed."""
    while True:
        with opened(lock) as descriptor:
            # Poll, because a blocking flock cannot be interrupted from another thread.
            while not try_lock(descriptor):
                if cancelled():
                    raise WaitTimeout("The wait for another host that builds the same environment was cancelled.")
                sleep(_POLL_SECONDS)
            if is_linked(lock, descriptor):
                yield
                return


@contextmanager
def opened(lock: Path) -> Iterator[int]:
    """Open a lock file while the block runs, creating it and its folder if needed; closed at once in a forked child."""
    with lock_descriptor(_open(lock)) as descriptor:
        yield descriptor


def _open(lock: Path) -> int:
    key_folder = lock.parent
    with device_errors(key_folder):
        while True:
            make_private_folders(key_folder.parents[1], key_folder.parent, key_folder)
            with suppress(FileNotFoundError):  # `remove` may come between the two steps
                return os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)


def is_linked(lock: Path, descriptor: int) -> bool:
    """Return whether the path still names the open file, so that other hosts find the same lock."""
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock without waiting; return False if it is held."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
