"""What /proc shows of programs that stand by."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchlite.runs.spec import RunSpec

_PATIENCE_SECONDS = 20.0


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def processes_of(spec: RunSpec) -> list[int]:
    """Return the processes of the run."""
    found = []
    for pid in filter(str.isdecimal, (each.name for each in Path("/proc").iterdir())):
        with suppress(OSError):
            if f"ORCHLITE_RUN_TOKEN={spec.run_id}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(int(pid))
    return found


def at_the_gate(spec: RunSpec) -> int:
    """Wait until the run's program waits; return its process."""

    def waits() -> bool:
        with suppress(OSError, IndexError):
            pid = processes_of(spec)[0]
            called = Path(f"/proc/{pid}/syscall").read_text().split()
            return called[:2] == ["0", "0x3f"]  # read(63, ...)
        return False

    until(waits)
    return processes_of(spec)[0]
