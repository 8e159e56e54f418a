"""Check that Python can compile a bundle's program, in a child process with limits on time and memory.

What exceeds the limits is accepted with a warning: it may well run, and an upload does not wait for it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import BadBundle
from orchlite.core.text import quoted

SOURCE_BYTES = 1024 * 1024
"""Programs of this size or more are not compiled at upload."""

CPU_SECONDS = 2
MEMORY_BYTES = 512 * 1024 * 1024
_WALL_SECONDS = 10.0
"""For a machine so busy that the child gets no CPU time to exceed."""
_REMEMBERED_BYTES = 16 * 1024
_REMEMBERED = 256
_PROGRAM = Path(__file__).with_name("compiler.py")
_AT_A_TIME = 2


class _Record(NamedTuple):
    kind: str
    line: int | None
    text: str


_places = threading.BoundedSemaphore(_AT_A_TIME)
"""Bounds the memory that many uploads take together."""
_finished: dict[bytes, list[_Record]] = {}
"""What the compiler said of the latest small programs: a test suite uploads the same few a thousand times."""


def check_source(source: bytes, name: str) -> list[str]:
    """Check that Python can compile a program; return warnings about it, the compiler's own included.

    Blocks for about 20 ms, unless the same small program was checked before; at most until the child has used `CPU_SECONDS` of CPU
    time, or 10 s have passed. Threads take turns.

    Raises:
        BadBundle: with `entry` and `line`, which is None if unknown.

    """
    if len(source) >= SOURCE_BYTES:
        return [_unchecked(name, f"it has {SOURCE_BYTES} bytes or more")]
    records, reason = _remembered(source)
    for record in records:
        if record.kind == "error":
            line = record.line or _line_of_nul(source)
            place = quoted(name) if line is None else f"{quoted(name)}, line {line},"
            raise BadBundle(f"{place} {record.text}.", hint="Try `python -m py_compile main.py`.", entry=name, line=line)
    found = [f"{quoted(name)}, line {record.line}: {record.text}" for record in records if record.kind == "warning"]
    if any(record.kind == "empty" for record in records):
        found.append(f"{quoted(name)} is empty: a run of it does nothing.")
    if not any(record.kind == "done" for record in records):
        found.append(_unchecked(name, reason))
    return found


def _unchecked(name: str, reason: str) -> str:
    return f"{quoted(name)} was not checked for syntax errors: {reason}."


def _remembered(source: bytes) -> tuple[list[_Record], str]:
    """Return what `_compiled` does; from memory if the program is small and the compiler has finished it before."""
    if source in _finished:
        return _finished[source], ""
    records, reason = _compiled(source)
    if len(source) <= _REMEMBERED_BYTES and any(record.kind == "done" for record in records):
        while len(_finished) >= _REMEMBERED:
            _finished.pop(next(iter(_finished)), None)
        _finished[source] = records
    return records, reason


def _compiled(source: bytes) -> tuple[list[_Record], str]:
    """Return the compiler's records, and a reason in case the last one is missing."""
    from subprocess import DEVNULL, PIPE, TimeoutExpired, run

    program = getattr(sys, "_base_executable", None) or sys.executable
    # Isolated and without `site`: nothing of the user's or of the working folder is imported.
    command = [program, "-I", "-S", str(_PROGRAM), str(CPU_SECONDS), str(MEMORY_BYTES)]
    limits = f"compiling it takes more than {CPU_SECONDS} s or {MEMORY_BYTES // 1024**2} MiB of memory"
    try:
        with _places:
            # In a session of its own, so that Ctrl-C in a terminal does not end it first.
            done = run(
                command, input=source, stdout=PIPE, stderr=DEVNULL, timeout=_WALL_SECONDS, check=False, start_new_session=True, cwd="/"
            )
    except TimeoutExpired:
        return [], limits
    except (OSError, ValueError, TypeError) as error:
        return [], f"no process could be started for it ({error})"
    return list(_records(done.stdout)), limits


def _records(output: bytes) -> Iterator[_Record]:
    for record in output.decode(errors="replace").split("\x1e")[:-1]:
        kind, line, text = record.split("\x1f", 2)
        yield _Record(kind, int(line) if line else None, text)


def _line_of_nul(source: bytes) -> int | None:
    position = source.find(b"\0")
    return source.count(b"\n", 0, position) + 1 if position >= 0 else None


def _reset_after_fork() -> None:
    global _places
    _places = threading.BoundedSemaphore(_AT_A_TIME)  # another thread of the parent may hold the old one forever


os.register_at_fork(after_in_child=_reset_after_fork)
