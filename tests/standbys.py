"""What /proc shows of programs that stand by."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import orchlite
from orchlite.core.folders import RunFolder, StoreFolder

PROGRAM = "import os, sys; print('standby' if 'ORCHLITE_GATE' in open('/proc/self/environ').read() else 'cold')\n"
"""Prints how it was started: what it was started with shows the gate, and nothing else does."""

_PATIENCE_SECONDS = 20.0


class HasRunId(Protocol):
    """A run's spec, or its folder."""

    @property
    def run_id(self) -> str: ...


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def processes_of(run: HasRunId) -> list[int]:
    """Return the processes of the run."""
    found = []
    for pid in filter(str.isdecimal, (each.name for each in Path("/proc").iterdir())):
        with suppress(OSError):
            if f"ORCHLITE_RUN_TOKEN={run.run_id}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(int(pid))
    return found


def at_the_gate(run: HasRunId) -> int:
    """Wait until the run's program waits; return its process."""

    def waits() -> bool:
        with suppress(OSError, IndexError):
            pid = processes_of(run)[0]
            called = Path(f"/proc/{pid}/syscall").read_text().split()
            return called[:2] == ["0", "0x3f"]  # read(63, ...)
        return False

    until(waits)
    return processes_of(run)[0]


def runner_of(pid: int) -> int:
    """Return the parent of a process: of a program that stands by, its runner."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def markers(store: Path) -> list[Path]:
    """Return the files that lead to the standbys of a store."""
    return list(StoreFolder(store).hosts.glob("*.standby"))


def stand_by(orchestration: orchlite.Orchestration, store: Path) -> RunFolder:
    """Run it twice, and wait until the next run stands by; return that run's folder."""
    for _ in range(2):
        orchestration.run_once().wait()
    return standby_of(store)


def standby_of(store: Path) -> RunFolder:
    """Wait until a run stands by; return its folder."""
    until(lambda: markers(store))
    folder = StoreFolder(store).run(markers(store)[0].name.split(".")[1])
    at_the_gate(folder)
    return folder


def is_gone(folder: RunFolder) -> bool:
    """Return whether nothing is left of a standby."""
    is_marked = any(folder.run_id in marker.name for marker in markers(folder.path.parents[1]))
    return not folder.path.exists() and not is_marked and not processes_of(folder)
