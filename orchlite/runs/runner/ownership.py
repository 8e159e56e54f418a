"""Ownership of a run: at most one attempt ever starts its program.

The owner locks `alive.lock` for its whole life: its reservation. It creates `started.json` with O_EXCL before it starts the program or
lets it begin; if either fails, it touches nothing. O_EXCL is needed: with the lock alone, a second attempt would start the program after
the first one has released it. `result.json` is written aside and renamed, so that readers see all of it or nothing. `runs/spec.py`
describes these files.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from . import processes

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

_LOCK_PATIENCE_SECONDS = 1.0
_DISK_FULL_SECONDS = 1.0
_REASON_BYTES = 1000
_MARKED = "it was killed on request"


class Refused(Exception):
    """This attempt must not run; nothing was touched."""


class Ownership:
    """The right to run one attempt, and the duty to record its result."""

    def __init__(self, spec: dict[str, Any], lock: int, mark: dict[str, Any]) -> None:
        self._folder: str = spec["folder"]
        self._attempt_folder = f"{spec['folder']}/{spec['attempt']}"
        self._lock = lock
        self._mark = self._noted = mark

    def requested_end(self) -> str | None:
        """Return why the run must end, perhaps an empty text; None if there is no request."""
        try:
            # Opening a named pipe would block.
            descriptor = os.open(f"{self._folder}/cancel", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return _MARKED if os.fstat(self._lock).st_mode & stat.S_IXUSR else None
        try:
            return os.read(descriptor, _REASON_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""  # the file's existence is the request
        finally:
            os.close(descriptor)

    def note_program(self, pid: int) -> None:
        """Add the program's session to `started.json`, for those who must end it if this runner cannot. Never raises.

        A program that is started again, cold, replaces the session of its standby.
        """
        start_ticks = processes.start_ticks(pid)
        if start_ticks is None:
            return
        end = len(json.dumps(self._mark)) - 1
        with suppress(OSError):
            self._noted = {**self._mark, "session": pid, "session_start_ticks": start_ticks, "place": place(self._folder)}
            text = json.dumps(self._noted).encode()
            descriptor = os.open(f"{self._folder}/started.json", os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                os.pwrite(descriptor, text[end:], end)
                os.ftruncate(descriptor, len(text))
            finally:
                os.close(descriptor)

    def record(self, result: dict[str, Any], durable: Callable[[], bool]) -> None:
        """Write `result.json`; if `durable()`, sync file and folder to disk before returning. Block while the disk is full.

        A living host commits the result to its database durably, so the runner syncs only for a host that is gone: one wait for the
        disk per run, not two. `durable` is asked before each sync, because the host may go meanwhile. Never raises: a program may have
        removed the folder, or put something else in its place; a living host still gets the result through the pipe.
        """
        try:
            _patiently(lambda: self._write(result, durable))
        except OSError:
            self._record_anew(result, durable)

    def _record_anew(self, result: dict[str, Any], durable: Callable[[], bool]) -> None:
        try:
            os.makedirs(self._attempt_folder, 0o700, exist_ok=True)
            with suppress(FileExistsError):
                _create_started(self._folder, self._noted)
            _patiently(lambda: self._write(result, durable))
        except OSError as error:
            if durable():
                print(f"the result {result} cannot be written to {self._attempt_folder}: {error}", file=sys.stderr)

    def _write(self, result: dict[str, Any], durable: Callable[[], bool]) -> None:
        path = f"{self._attempt_folder}/result.json"
        aside = f"{path}.new"
        # Neither follow a link nor block on a named pipe: the program can write here, too.
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            _write_all(descriptor, json.dumps(result).encode())
            if durable():
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(aside, path)
        if durable():
            _fsync_folder(self._attempt_folder)


class Reservation:
    """The locks of one attempt that is not started yet: nobody else can own the run, and its environment is not removed."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Take the locks.

        Raises:
            Refused: the run has another owner, its environment is being removed, or a file cannot be opened.
        """
        self._spec = spec
        with ExitStack() as held, _refusing(spec):
            self._lock = _take(spec, held)
            self._held = held.pop_all()

    def own(self) -> Ownership:
        """Create `started.json`.

        Raises:
            Refused: the run was started before, or the file cannot be created.
        """
        with _refusing(self._spec):
            return Ownership(self._spec, self._lock, _mark_started(self._spec))

    def close(self) -> None:
        """Release the locks."""
        self._held.close()

    def covers(self, spec: dict[str, Any]) -> bool:
        """Return whether these are the locks that this spec needs, too."""
        return all(spec[key] == self._spec[key] for key in ("run_id", "attempt", "folder", "environment_lock"))


def place(folder: str) -> str:
    """Return the device and the inode of a run's folder; with the run's id, they name the processes of the run."""
    status = os.stat(folder)
    return f"{status.st_dev}:{status.st_ino}"


@contextmanager
def _refusing(spec: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.filename or spec['folder']}: {error.strerror}") from None


def _take(spec: dict[str, Any], held: ExitStack) -> int:
    if spec["environment_lock"] is not None:
        # The file's time records the last use of the environment: one that is unused for long is removed.
        os.utime(held.enter_context(_locked(spec["environment_lock"], fcntl.LOCK_SH, "its environment is being removed")))
    return held.enter_context(_locked(f"{spec['folder']}/alive.lock", fcntl.LOCK_EX, "another owner is alive"))


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


def _mark_started(spec: dict[str, Any]) -> dict[str, Any]:
    mark = {
        "attempt": spec["attempt"],
        "pid": os.getpid(),
        "start_ticks": processes.my_start_ticks(),
        "boot_id": processes.boot_id(),
        "started_at_ns": time.time_ns(),
        "packages_sha": spec.get("packages_sha"),
    }
    try:
        _create_started(spec["folder"], mark)
    except FileExistsError:
        raise Refused("it was started before") from None
    return mark


def _create_started(folder: str, mark: dict[str, Any]) -> None:
    descriptor = _patiently(lambda: os.open(f"{folder}/started.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
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
