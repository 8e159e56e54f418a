"""Finds and kills the processes of a run whose runner is dead. Needs /proc; finds nothing without it.

A process belongs to a run if its environment, as it inherited it, has the run's id and the device and inode of the run's folder: those of a
copied store have another folder. A program can clear its environment or overwrite it, as setproctitle does. So a process also belongs to
the run if it is in the session of the run's program, whose id and start time `started.json` has, or is a child of one that belongs to it.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchlite.core.folders import RunFolder

_SWEEP_SECONDS = 10.0
_SPAWN_SECONDS = 0.5
_TRACKERS_SECONDS = 2.0
"""How long resource trackers may outlive all other processes of the run."""
_MOST_BYTES = 1024 * 1024
_RUN_ID = b"ORCHLITE_RUN_TOKEN="
_PLACE = b"ORCHLITE_RUN_PLACE="


class ProcessStat(NamedTuple):
    """What /proc shows of a process at one moment. Its id and start time identify it until the machine goes down."""

    pid: int
    parent: int
    session: int
    start_ticks: int
    is_dead: bool
    """True for a zombie, which cannot be killed."""


def discard(folder: RunFolder) -> tuple[int, ...]:
    """Kill the processes that a lost run has left, resource trackers last; return the ids of those that are alive after 10 s.

    Block for 0.5 to 10 s.
    """
    begun_at = now = time.monotonic()
    session = _session_of(folder)
    survivors = _members(folder, session)
    # A program that the runner was just spawning shows the run's id only after its execve, which may follow the runner's death.
    while now < begun_at + (_SWEEP_SECONDS if survivors else _SPAWN_SECONDS):
        is_early = now < begun_at + _TRACKERS_SECONDS
        kill_all(process for process in survivors if not (is_early and _is_resource_tracker(process.pid)))
        time.sleep(0.005 if survivors else _SPAWN_SECONDS / 10)
        survivors, now = _members(folder, session), time.monotonic()
    return tuple(process.pid for process in survivors)


def processes_of(folder: RunFolder) -> list[int]:
    """Return the ids of the live processes that belong to the run."""
    return [process.pid for process in _members(folder, _session_of(folder))]


def run_ids() -> set[str]:
    """Return the ids of all runs, of any store, that have processes with the run's id in their environment."""
    found = (_environment(process.pid) for process in _processes())
    return {value.removeprefix(_RUN_ID).decode("utf-8", "replace") for values in found for value in values if value.startswith(_RUN_ID)}


def still_alive(left: Iterable[tuple[int, int]]) -> list[int]:
    """Return the ids of those of these processes, given with their start times, that are alive."""
    found = ((start_ticks, _process(pid)) for pid, start_ticks in left)
    return [process.pid for start_ticks, process in found if process and process.start_ticks == start_ticks and not process.is_dead]


class _Session:
    """The session that the run's program has begun. Once it was recognized, it stays so while `discard` is at work."""

    def __init__(self, number: int, start_ticks: int) -> None:
        self._number = number
        self._start_ticks = start_ticks
        self._is_recognized = False

    def members(self, processes: Mapping[int, ProcessStat], known: Iterable[int], folder: RunFolder) -> list[int]:
        """Return the ids of its processes.

        The kernel does not reuse the id of a session that still has a process. So all of them belong to the run if its leader is the
        recorded one or, where the leader is dead, if any of them is `known` to belong to the run or works in the run's folder.
        """
        found = [process.pid for process in processes.values() if process.session == self._number]
        leader = processes.get(self._number)
        if leader is not None:
            self._is_recognized = leader.start_ticks == self._start_ticks
        elif not self._is_recognized:
            self._is_recognized = any(pid in known or _works_in(pid, folder) for pid in found)
        return found if self._is_recognized else []


def _session_of(folder: RunFolder) -> _Session | None:
    """Return the session of the run's program; None if it was not recorded, or in another boot or for the folder that this is a copy of."""
    try:
        started = json.loads(folder.started.read_bytes()[:_MOST_BYTES])
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        is_recorded = started["boot_id"] == boot_id and started["place"] == _place_of(folder)
        return _Session(int(started["session"]), int(started["session_start_ticks"])) if is_recorded else None
    except (OSError, LookupError, TypeError, ValueError, RecursionError):
        return None


def _members(folder: RunFolder, session: _Session | None) -> list[ProcessStat]:
    """Return the live processes that belong to the run, without this one."""
    processes = {process.pid: process for process in _processes() if process.pid != os.getpid()}
    wanted = _names_in_environment(folder)
    found = {pid for pid in processes if wanted <= _environment(pid)}
    if session is not None:
        found.update(session.members(processes, found, folder))
    while added := {process.pid for process in processes.values() if process.parent in found} - found:
        found |= added
    return [processes[pid] for pid in found if not processes[pid].is_dead]


def kill_all(processes: Iterable[ProcessStat]) -> None:
    """Send SIGKILL to each, through a pidfd and only if it is still the same process: its id may have been reused."""
    for process in processes:
        with suppress(OSError):
            descriptor = os.pidfd_open(process.pid)
            try:
                if (now := _process(process.pid)) is not None and now.start_ticks == process.start_ticks:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


def _processes() -> list[ProcessStat]:
    try:
        names = [path.name for path in Path("/proc").iterdir()]
    except OSError:
        return []
    return [process for process in map(_process, map(int, filter(str.isdecimal, names))) if process is not None]


def _process(pid: int) -> ProcessStat | None:
    """Read proc(5)'s stat; the second field, the name in parentheses, may contain anything."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, parent, session, start_ticks = fields[0], fields[1], fields[3], fields[19]
    return ProcessStat(pid, int(parent), int(session), int(start_ticks), state in (b"Z", b"X"))


def _is_resource_tracker(pid: int) -> bool:
    """Return whether the process is a resource tracker of multiprocessing or loky.

    It removes shared memory and semaphores when the last process that holds its pipe has ended, which nothing does in its place.
    """
    try:
        return b"resource_tracker import main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _names_in_environment(folder: RunFolder) -> set[bytes]:
    run_id = _RUN_ID + folder.run_id.encode()
    try:
        return {run_id, _PLACE + _place_of(folder).encode()}
    except OSError:  # the program has removed or replaced it: then the run's id must do
        return {run_id}


def _place_of(folder: RunFolder) -> str:
    status = folder.path.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(folder.path)
    return f"{status.st_dev}:{status.st_ino}"


def _environment(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def _works_in(pid: int, folder: RunFolder) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder.path.resolve())
    except OSError:
        return False
