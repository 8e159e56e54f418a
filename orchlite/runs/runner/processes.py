"""Processes and the kernel: start a program, see it end, end it together with all its descendants.

On Linux the runner is a child subreaper: processes that a program leaves behind become children of the runner, so none escapes by a
double fork. Elsewhere only the program's process group can be ended.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache

_ALL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_PR_SET_CHILD_SUBREAPER = 36
_END_SECONDS = 0.5
_TRACKERS_SECONDS = 2.0
"""How long resource trackers may outlive all other descendants."""


def become_subreaper() -> None:
    """Make orphaned descendants children of this process (prctl(2), since Linux 3.4). Do nothing on other systems."""
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(command: Sequence[str], env: Mapping[str, str], working_folder: str, descriptors: Mapping[int, int]) -> int:
    """Start the program in a new session, with standard input from /dev/null and default signals; return its pid.

    descriptors: what it inherits: by its number, this process's.

    Raises:
        OSError: the program cannot be executed, or the folder does not exist.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        *((os.POSIX_SPAWN_DUP2, own, number) for number, own in descriptors.items()),
    ]
    # posix_spawn(3) takes neither a working folder nor a umask. This process has one thread, so it can change its own meanwhile.
    os.chdir(working_folder)
    umask = os.umask(_user_umask)
    try:
        return os.posix_spawn(
            command[0], list(command), dict(env), file_actions=actions, setsid=True, setsigdef=_ALL_SIGNALS, setsigmask=()
        )
    finally:
        os.umask(umask)
        os.chdir("/")


_user_umask = os.umask(0o077)  # umask(2) can only be read by setting it
os.umask(_user_umask)


def has_ended(pid: int) -> bool:
    """Reap adopted orphans, and return whether the child `pid` has ended. It stays a zombie: its pid and group cannot be reused."""
    while (info := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
        if info.si_pid == pid:
            return True
        os.waitpid(info.si_pid, 0)
    return False


def reap(pid: int) -> tuple[int, int | None]:
    """Reap the ended child. Return its exit code, 128 + n after signal n, as in Kubernetes; and n."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (code, None) if code >= 0 else (128 - code, -code)


def kill(pid: int) -> None:
    """Send SIGKILL to a child that has not been reaped; without /proc, where `sweep` finds no process, to its whole process group."""
    send = os.kill if os.path.exists("/proc/self/stat") else os.killpg
    with suppress(ProcessLookupError, PermissionError):
        send(pid, signal.SIGKILL)


def end(pid: int) -> None:
    """Kill the child, which has not been reaped, and block while it ends: for milliseconds, or 0.5 s if the kernel holds it."""
    kill(pid)
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            select.select([descriptor], (), (), _END_SECONDS)
        finally:
            os.close(descriptor)


def helpers(pid: int) -> list[int]:
    """Return the living children without the program `pid`; reap those that have ended."""
    return [child for child in children(os.getpid()) if child != pid and not _is_reaped(child)]


def _is_reaped(child: int) -> bool:
    with suppress(ChildProcessError):
        return os.waitpid(child, os.WNOHANG)[0] == child
    return True


def terminate(pid: int) -> None:
    """Send SIGTERM to a child that has not been reaped."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)


def sweep(deadline_seconds: float) -> list[tuple[int, int]]:
    """Kill and reap every descendant; return the ids and start times of those that are alive at the deadline.

    All are stopped before the first is killed: otherwise, processes that fork as fast as they are killed would never end. Resource
    trackers are killed last.
    """
    begun_at = time.monotonic()
    give_up_at = begun_at + deadline_seconds
    stopped: set[tuple[int, int]] = set()
    while _reap_all():
        found = _descendants()
        if time.monotonic() < begun_at + _TRACKERS_SECONDS:
            found = {process for process in found if not _is_resource_tracker(process[0])}
        added = found - stopped
        stopped |= added
        _signal(added, signal.SIGSTOP)
        now = time.monotonic()
        if not added or now > give_up_at:
            _signal(found, signal.SIGKILL)
            time.sleep(0.001)
        if now > give_up_at:
            _reap_all()
            return sorted(_descendants())
    return []


def _signal(processes: set[tuple[int, int]], number: signal.Signals) -> None:
    for pid, started_at_ticks in processes:
        # One that is no child of this process may have been reaped, and its id reused; and a setuid program belongs to another account.
        if start_ticks(pid) == started_at_ticks:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _descendants() -> set[tuple[int, int]]:
    """Return the ids and start times of the living descendants of this process."""
    fields = {pid: found for pid in map(int, filter(str.isdecimal, _proc())) if (found := _stat_fields(pid))}
    pids, generation = set[int](), {os.getpid()}
    while generation:
        generation = {pid for pid, found in fields.items() if int(found[1]) in generation} - pids
        pids |= generation
    return {(pid, int(fields[pid][19])) for pid in pids if fields[pid][0] not in (b"Z", b"X")}


def _is_resource_tracker(pid: int) -> bool:
    """Return whether the process is a resource tracker of multiprocessing or loky.

    It removes shared memory and semaphores when the last process that holds its pipe has ended, which nothing does in its place.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"resource_tracker import main" in file.read()
    except OSError:
        return False


def _reap_all() -> bool:
    """Reap the children that have ended; return False if there is no child at all."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def children(of: int) -> list[int]:
    """Return the children of a process, those of its main thread if it has others; also the ended ones that it has not reaped."""
    with suppress(OSError), open(f"/proc/{of}/task/{of}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]
    return [pid for pid in map(int, filter(str.isdecimal, _proc())) if _parent(pid) == of]


def _proc() -> list[str]:
    try:
        return os.listdir("/proc")
    except OSError:
        return []


def _stat_fields(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on (proc(5)); the second, the name in parentheses, may contain anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else None


@cache
def my_start_ticks() -> int | None:
    """Return the `start_ticks` of this process."""
    return start_ticks(os.getpid())


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks after boot. Boot id, pid and this identify a process forever."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


@cache
def boot_id() -> str | None:
    """Return the id of the machine's current boot; None if the kernel has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
