"""Start `compiler.py`, which reads programs in a child process with limits on time and memory, and return what it reports."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CPU_SECONDS = 2
MEMORY_BYTES = 512 * 1024 * 1024
_WALL_SECONDS = 10.0
"""For a machine so busy that the child gets no CPU time to exceed."""
_PROGRAM = Path(__file__).with_name("compiler.py")
_AT_A_TIME = 2


class Record(NamedTuple):
    """One thing that the child reports; `compiler.py` lists the kinds."""

    kind: str
    line: int | None
    text: str


_places = threading.BoundedSemaphore(_AT_A_TIME)
"""Bounds the memory that many uploads take together."""


def compiled(source: bytes) -> tuple[list[Record], str]:
    """Return what the compiler says of a program, and a reason in case the last record, `done`, is missing.

    Blocks for about 20 ms; at most until the child has used `CPU_SECONDS` of CPU time, or 10 s have passed. Threads take turns.
    """
    return _reported("compile", source)


def imports_of(sources: Sequence[bytes]) -> list[Record]:
    """Return the imports in these sources, with a `done` after those of each source; what exceeds the limits is missing.

    Blocks as `compiled` does.
    """
    lengths = " ".join(str(len(source)) for source in sources)
    return _reported("imports", b"".join((lengths.encode(), b"\n", *sources)))[0]


def _reported(task: str, content: bytes) -> tuple[list[Record], str]:
    from subprocess import DEVNULL, PIPE, TimeoutExpired, run

    program = getattr(sys, "_base_executable", None) or sys.executable
    # Isolated and without `site`: nothing of the user's or of the working folder is imported.
    command = [program, "-I", "-S", str(_PROGRAM), str(CPU_SECONDS), str(MEMORY_BYTES), task]
    limits = f"compiling it takes more than {CPU_SECONDS} s or {MEMORY_BYTES // 1024**2} MiB of memory"
    try:
        with _places:
            # In a session of its own, so that Ctrl-C in a terminal does not end it first.
            done = run(
                command, input=content, stdout=PIPE, stderr=DEVNULL, timeout=_WALL_SECONDS, check=False, start_new_session=True, cwd="/"
            )
        output: bytes = done.stdout
    except TimeoutExpired as error:
        output = error.stdout or b""
    except (OSError, ValueError, TypeError) as error:
        return [], f"no process could be started for it ({error})"
    return list(_records(output)), limits


def _records(output: bytes) -> Iterator[Record]:
    for record in output.decode(errors="replace").split("\x1e")[:-1]:
        kind, line, text = record.split("\x1f", 2)
        yield Record(kind, int(line) if line else None, text)


def _reset_after_fork() -> None:
    global _places
    _places = threading.BoundedSemaphore(_AT_A_TIME)  # another thread of the parent may hold the old one forever


os.register_at_fork(after_in_child=_reset_after_fork)
