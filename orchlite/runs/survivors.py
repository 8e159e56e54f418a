"""Finds and kills the processes of a run whose runner is dead. Needs /proc; finds nothing without it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from orchlite.core.folders import RunFolder

_SWEEP_SECONDS = 10.0
_SPAWN_SECONDS = 0.5
_TOKEN_NAME = b"ORCHLITE_RUN_TOKEN="


def discard(folder: RunFolder) -> None:
    """Kill what a lost run has left: every process with the run's token in its environment. Block for 0.5 to 10 s."""
    begun_at = now = time.monotonic()
    survivors = processes_of(folder)
    # A program that the runner was just spawning shows the token only after its execve, which may follow the runner's death.
    while now < begun_at + (_SWEEP_SECONDS if survivors else _SPAWN_SECONDS):
        for pid in survivors:
            _kill(pid, folder.run_id)
        time.sleep(0.005 if survivors else _SPAWN_SECONDS / 10)
        survivors, now = processes_of(folder), time.monotonic()


def processes_of(folder: RunFolder) -> list[int]:
    """Return the processes that have the run's token in their environment, as they inherited it when they were started."""
    try:
        names = [path.name for path in Path("/proc").iterdir()]
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal() and _belongs_to(int(name), folder.run_id)]


def _belongs_to(pid: int, run_id: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return _TOKEN_NAME + run_id.encode() in environment


def _kill(pid: int, run_id: str) -> None:
    """Send SIGKILL through a pidfd, and check the process again before: its pid may have been reused."""
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if _belongs_to(pid, run_id):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
