"""Processes as `/proc` shows them. A zombie is dead."""

from __future__ import annotations

import os
from pathlib import Path


def pids() -> list[int]:
    """Return the ids of all processes but this one."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and int(entry.name) != os.getpid()]


def read(pid: int, name: str) -> bytes:
    """Return what a file of the process contains; nothing if it is gone. `environ` and `cmdline` of a zombie are empty."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def link(pid: int, name: str) -> str:
    """Return the target of a link of the process; "" if it is gone."""
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""


def stat(pid: int) -> list[bytes]:
    """Return the fields of `stat` from the state on, which the parent's id follows; none if the process is gone."""
    return read(pid, "stat").rpartition(b")")[2].split()


def is_alive(pid: int) -> bool:
    """Return whether the process is there, and no zombie."""
    return stat(pid)[:1] not in ([], [b"Z"])


def bearing(word: str) -> list[int]:
    """Return the ids of the live processes with this word among their arguments or variables."""
    return [pid for pid in pids() if word.encode() in read(pid, "environ") + read(pid, "cmdline")]


def descendants(pid: int) -> list[int]:
    """Return the ids of a process and of all that descend from it."""
    parents = {each: int(fields[1]) for each in pids() if (fields := stat(each))}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found
