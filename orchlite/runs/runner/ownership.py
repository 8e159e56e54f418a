"""Who may run what: at most one attempt of a run ever starts its program.

The owner holds `alive.lock` for as long as it lives, and creates `started.json` with O_EXCL before it starts anything. If either
fails it touches nothing. The end is `result.json`, written aside and renamed: the file is the truth about the run.
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
    """The right to run one attempt, and the duty to record how it ended."""

    def __init__(self, attempt_folder: str) -> None:
        self._attempt_folder = attempt_folder

    def record(self, result: dict[str, Any], durable: Callable[[], bool]) -> None:
        """Write `result.json`; with `durable`, only return once it would survive a power cut.

        While a host is there it commits the result itself, so that the disk is waited for once and not twice.
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
    """Become the owner of the run.

    Raises:
        Refused: another owner lives, or the run was started before.
    """
    with ExitStack() as held:
        if spec["environment_lock"] is not None:
            # The file's time tells when the environment was used for the last time.
            os.utime(held.enter_context(_locked(spec["environment_lock"], fcntl.LOCK_SH, "its environment is being removed")))
        held.enter_context(_locked(f"{spec['folder']}/alive.lock", fcntl.LOCK_EX, "another owner is alive"))
        _mark_started(spec)
        yield Claim(f"{spec['folder']}/{spec['attempt']}")


@contextmanager
def _locked(path: str, kind: int, otherwise: str) -> Iterator[int]:
    # Others probe with a shared lock that lasts microseconds, so a refusal is only believed after a while.
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
        if not os.fstat(descriptor).st_nlink:  # removed by who held it before
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
        _patiently(lambda: _write_from_the_beginning(descriptor, json.dumps(mark).encode()))
    finally:
        os.close(descriptor)


def _patiently(action: Callable[[], T]) -> T:
    """Do it, again and again while the disk is full: neither the start nor the end of a run is lost for want of space."""
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            time.sleep(_DISK_FULL_SECONDS)


def _write_from_the_beginning(descriptor: int, data: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_all(descriptor, data)


def _write_all(descriptor: int, data: bytes) -> None:
    # A disk that is nearly full takes a part, and only then says that it is full.
    while data:
        data = data[os.write(descriptor, data) :]


def _fsync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
