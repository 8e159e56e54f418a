"""Ownership of a run: at most one attempt ever starts its program.

The owner locks `alive.lock` for its whole life, and creates `started.json` with O_EXCL before it starts anything; if either fails, it
touches nothing. O_EXCL is needed: with the lock alone, a second attempt would start the program after the first one has released it.
`result.json` is written aside and renamed, so that readers see all of it or nothing. `runs/spec.py` describes these files.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from . import processes

_LOCK_PATIENCE_SECONDS = 1.0
_DISK_FULL_SECONDS = 1.0
T = TypeVar("T")


class Refused(Exception):
    """This attempt must not run; nothing was touched."""


class Claim:
    """The right to run one attempt, and the duty to record its result."""

    def __init__(self, attempt_folder: str) -> None:
        self._attempt_folder = attempt_folder

    def record(self, result: dict[str, Any], durable: Callable[[], bool]) -> None:
        """Write `result.json`; if `durable()`, sync file and folder to disk before returning. Block while the disk is full.

        A living host commits the result to its database durably, so the runner syncs only for a host that is gone: one wait for the
        disk per run, not two. `durable` is asked before each sync, because the host may go meanwhile.
        """
        _patiently(lambda: self._write(result, durable))

    def _write(self, result: dict[str, Any], durable: Callable[[], bool]) -> None:
        path = f"{self._attempt_folder}/result.json"
        aside = f"{path}.new"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(descriptor, json.dumps(result).encode())
            if durable():
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(aside, path)
        if durable():
            _fsync_folder(self._attempt_folder)


@contextmanager
def own(spec: dict[str, Any]) -> Iterator[Claim]:
    """Own the run while the block runs.

    Raises:
        Refused: the run has another owner or was started before, or its environment is being removed.
        OSError: a file cannot be created, and not because the disk is full.
    """
    with ExitStack() as held:
        if spec["environment_lock"] is not None:
            # The file's time records the last use of the environment: one that is unused for long is removed.
            os.utime(held.enter_context(_locked(spec["environment_lock"], fcntl.LOCK_SH, "its environment is being removed")))
        held.enter_context(_locked(f"{spec['folder']}/alive.lock", fcntl.LOCK_EX, "another owner is alive"))
        _mark_started(spec)
        yield Claim(f"{spec['folder']}/{spec['attempt']}")


@contextmanager
def _locked(path: str, kind: int, otherwise: str) -> Iterator[int]:
    # Observers take a shared lock for microseconds, so only a lock that lasts longer is another owner's.
    give_up_at = time.monotonic() + _LOCK_PATIENCE_SECONDS
    flags = os.O_RDWR | (os.O_CREAT if kind == fcntl.LOCK_EX else 0)
    try:
        descriptor = _patiently(lambda: os.open(path, flags, 0o600))
    except FileNotFoundError:
        raise Refused(otherwise) from None
    try:
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    raise Refused(otherwise) from None
                time.sleep(0.005)
        if not os.fstat(descriptor).st_nlink:  # its last holder has removed the file
            raise Refused(otherwise)
        yield descriptor
    finally:
        os.close(descriptor)


def _mark_started(spec: dict[str, Any]) -> None:
    mark = {
        "attempt": spec["attempt"],
        "pid": os.getpid(),
        "start_ticks": processes.my_start_ticks(),
        "boot_id": processes.boot_id(),
        "started_at_ns": time.time_ns(),
    }
    try:
        descriptor = _patiently(lambda: os.open(f"{spec['folder']}/started.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise Refused("it was started before") from None
    try:
        _patiently(lambda: _overwrite(descriptor, json.dumps(mark).encode()))
    finally:
        os.close(descriptor)


def _patiently(action: Callable[[], T]) -> T:
    """Call `action`; retry every second while the disk or the quota is full, so that no run loses its start or its result."""
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            time.sleep(_DISK_FULL_SECONDS)


def _overwrite(descriptor: int, data: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_all(descriptor, data)


def _write_all(descriptor: int, data: bytes) -> None:
    # write(2) to a nearly full disk writes a part, and fails only when it is called again.
    while data:
        data = data[os.write(descriptor, data) :]


def _fsync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
