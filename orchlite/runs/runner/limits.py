"""Limits of a program: the memory and the processor time of each of its processes, and their priority; and how it ended by them.

The program inherits them from this process, so that none of its code runs without them. Only soft limits are lowered, since no process
may raise a hard one again. A limit that this process already has, and that is lower, stays.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any

_RESOURCES = {"memory_bytes": "RLIMIT_AS", "cpu_seconds": "RLIMIT_CPU"}
_GIBIBYTE, _MEBIBYTE = 2**30, 2**20
_MAX_NICENESS = 19
_OUT_OF_MEMORY = re.compile(rb"[\w.]*MemoryError(:|$)")


@contextmanager
def lowered(spec: dict[str, Any]) -> Iterator[None]:
    """Lower this process's soft limits to those of the spec while the block runs. Do nothing if it has none.

    Raises:
        OSError: the system refuses such a limit.
    """
    wanted = [name for name in _RESOURCES if spec.get(name) is not None]
    if not wanted:
        yield
        return
    import resource

    before = {number: resource.getrlimit(number) for number in (getattr(resource, _RESOURCES[name]) for name in wanted)}
    # This process may have used more processor time than the limit. A child begins at 0.
    handler = signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    try:
        for name, (number, (_, hard)) in zip(wanted, before.items(), strict=True):
            resource.setrlimit(number, (effective(spec, name), hard))
        yield
    except ValueError as error:
        raise OSError(errno.EINVAL, f"the system does not accept its limits ({error})") from error
    finally:
        for number, limits in before.items():
            resource.setrlimit(number, limits)
        signal.signal(signal.SIGXCPU, handler)


def effective(spec: dict[str, Any], name: str) -> int:
    """Return the limit `name` of the spec or, if that is lower, the soft limit of this process."""
    import resource

    soft, wanted = resource.getrlimit(getattr(resource, _RESOURCES[name]))[0], int(spec[name])
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)


def add_niceness(pid: int, nice: int) -> int:
    """Lower the priority of a program that has just been started as the leader of its session; return its niceness. Never raises.

    Not before it is started: this process could not lower its own niceness again. An interpreter takes milliseconds until it executes the
    program, and the group includes what it may have started by then.
    """
    niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + nice, _MAX_NICENESS)
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, niceness)
    return niceness


def set_autogroup(pid: int, niceness: int) -> bool:
    """Give the program's session this niceness, too: with autogroups (sched(7)), that of a process only counts within its session.

    Return False if it must be tried again: an account other than root may change one session in 0.1 s.
    """
    try:
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
            file.write(str(niceness))
    except OSError as error:
        return error.errno != errno.EAGAIN  # others: a kernel without autogroups, or the program has ended
    return True


def reason(spec: dict[str, Any], ended_by: int | None, last_error: bytes) -> str | None:
    """Return why a program that was not stopped failed, if a limit or the kernel explains it.

    ended_by: the number of the signal, if one ended it.
    last_error: the end of what it wrote to standard error.
    """
    if ended_by == signal.SIGXCPU and spec.get("cpu_seconds") is not None:
        return f"it used more than {effective(spec, 'cpu_seconds')} s of processor time"
    if ended_by == signal.SIGKILL:
        return "SIGKILL ended it, which orchlite did not send: often the kernel does so when the machine's memory is short"
    if spec.get("memory_bytes") is not None and _OUT_OF_MEMORY.match(last_error.rstrip().rpartition(b"\n")[2]):
        return f"it needed more memory than its limit of {_size_text(effective(spec, 'memory_bytes'))}"
    return None


def _size_text(count: int) -> str:
    unit, name = (_GIBIBYTE, "GiB") if count % _GIBIBYTE == 0 else (_MEBIBYTE, "MiB")
    return f"{count / unit:.1f}".removesuffix(".0") + f" {name}"
