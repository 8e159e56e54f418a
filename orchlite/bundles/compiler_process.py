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
_REMEMBERED_BYTES = 16 * 1024
_REMEMBERED = 256


class Record(NamedTuple):
    """One thing that the child reports; `compiler.py` lists the kinds."""

    kind: str
    line: int | None
    text: str


_places = tuple(threading.Lock() for _ in range(_AT_A_TIME))
"""Bound the memory that many uploads take together. Locks, because an interrupt could leave a semaphore taken for good."""
_finished: dict[tuple[str, bytes], list[Record]] = {}
"""What the child reported of the latest small programs: a test suite uploads the same few a thousand times."""


def compiled(source: bytes) -> tuple[list[Record], str]:
    """Return what the compiler says of a program, and a reason in case the last record, `done`, is missing.

    Blocks for about 20 ms, unless the same small program was compiled before; at most until the child has used `CPU_SECONDS` of CPU
    time, or 10 s have passed. Threads take turns.
    """
    return _remembered("compile", source)


def imports_of(sources: Sequence[bytes]) -> list[Record]:
    """Return the imports in these sources, with a `done` after those of each source; what exceeds the limits is missing.

    Blocks as `compiled` does.
    """
    lengths = " ".join(str(len(source)) for source in sources)
    return _remembered("imports", b"".join((lengths.encode(), b"\n", *sources)))[0]


def _remembered(task: str, content: bytes) -> tuple[list[Record], str]:
    """Return what `_reported` does; from memory if it is about little, and the child has finished it before."""
    if (task, content) in _finished:
        return _finished[task, content], ""
    records, reason = _reported(task, content)
    if not reason and len(content) <= _REMEMBERED_BYTES:
        while len(_finished) >= _REMEMBERED:
            _finished.pop(next(iter(_finished)), None)
        _finished[task, content] = records
    return records, reason


def _reported(task: str, content: bytes) -> tuple[list[Record], str]:
    from subprocess import DEVNULL, PIPE, TimeoutExpired, run

    program = getattr(sys, "_base_executable", None) or sys.executable
    # Isolated and without `site`: nothing of the user's or of the working folder is imported.
    command = [program, "-I", "-S", str(_PROGRAM), str(CPU_SECONDS), str(MEMORY_BYTES), task]
    limits = f"compiling it takes more than {CPU_SECONDS} s or {MEMORY_BYTES // 1024**2} MiB of memory"
    try:
        with next((place for place in _places if not place.locked()), _places[0]):
            # In a session of its own, so that Ctrl-C in a terminal does not end it first.
            done = run(
                command, input=content, stdout=PIPE, stderr=DEVNULL, timeout=_WALL_SECONDS, check=False, start_new_session=True, cwd="/"
            )
        output, is_finished = done.stdout, done.returncode == 0
    except TimeoutExpired as error:
        output, is_finished = error.stdout or b"", False
    except (OSError, ValueError, TypeError) as error:
        return [], f"no process could be started for it ({error})"
    records = list(_records(output))
    return records, "" if is_finished and records and records[-1].kind == "done" else limits


def _records(output: bytes) -> Iterator[Record]:
    for record in output.decode(errors="replace").split("\x1e")[:-1]:
        kind, line, text = record.split("\x1f", 2)
        yield Record(kind, int(line) if line else None, text)


def _reset_after_fork() -> None:
    global _places
    _places = tuple(threading.Lock() for _ in range(_AT_A_TIME))  # another thread of the parent may hold the old one forever


os.register_at_fork(after_in_child=_reset_after_fork)
