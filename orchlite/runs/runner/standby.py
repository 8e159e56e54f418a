"""A run that stands by: prepared in every respect, its program started and held at the gate until the run is ordered.

Two things hold it. The environment's path file waits for the order (`environments/gate.py`); and until then, the file that the program
begins with has another name, so that an interpreter that never comes to the gate, or does not stop there, finds nothing to execute: for
example if another path file has removed the variable, or left no descriptor with which `site` could read ours.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

from . import processes
from .ownership import Refused, Reservation
from .program import Program, start

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any

_VARIABLE = "ORCHLITE_GATE"
# Below 64: the kernel's table of descriptors has that size at first. Above those that path files open and keep.
_DESCRIPTOR = 63
_READY_SECONDS = 1.0
"""How long an ordered run waits for its standby to come to the gate, before it is started cold."""
_POLL_SECONDS = 0.02
_MESSAGE_BYTES = 512
_SWEEP_SECONDS = 10.0
_FIXED = ("command", "working_folder", "env", "memory_bytes", "cpu_seconds", "preload")
"""What the program has had since it was started."""
_NEVER_WITH = ("PYTHONVERBOSE", "PYTHONPROFILEIMPORTTIME")
"""With these, the interpreter prints more, for the gate's sake."""


class Standby:
    """The program of a run that is not ordered yet."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Take the run's locks, and start its program.

        Raises:
            Refused: another owner has the run, or it cannot be prepared.
        """
        self._spec = spec
        self._received = b""
        self._is_released = self._is_closed = False
        _check(spec)
        self.reservation = Reservation(spec)
        try:
            self._seen = _identities(spec)
            _hold(spec)
            self.program = self._start()
        except OSError as error:
            self.reservation.close()
            raise Refused(f"its program could not be started in advance: {error}") from None

    def _start(self) -> Program:
        from socket import socketpair  # 5 ms, while nobody waits

        self._gate, theirs = socketpair()
        with theirs:
            inode = os.fstat(theirs.fileno()).st_ino
            variables = {_VARIABLE: ":".join([f"{os.getpid()}:{_DESCRIPTOR}:{inode}", *self._spec.get("preload", ())])}
            try:
                return start(self._spec, {_DESCRIPTOR: theirs.fileno()}, variables)
            except BaseException:
                self._gate.close()
                raise
            finally:
                self._gate.setblocking(False)

    def fits(self, spec: dict[str, Any]) -> bool:
        """Return whether this program is the one that the spec would start now, and waits at the gate. Block while it comes there."""
        if any(spec.get(key) != self._spec.get(key) for key in _FIXED) or not self._comes_to_the_gate():
            return False
        # What a path file has started is older than a cold start's would be, or a copy of this process that no order reaches.
        if processes.children(self.program.pid) or processes.helpers(self.program.pid):
            return False
        with suppress(OSError):
            folder = os.stat(f"/proc/{self.program.pid}/cwd")
            return _identities(spec) == self._seen and (folder.st_dev, folder.st_ino) == self._seen[0]
        return False

    def failure(self) -> str | None:
        """Return why its modules could not be imported in advance, if that is so."""
        received = self._receive()
        return received[2:].decode("utf-8", "replace") if received.startswith(b"f") else None

    def _comes_to_the_gate(self) -> bool:
        give_up_at = time.monotonic() + _READY_SECONDS
        while not self._receive().startswith(b"r"):
            if self._received or processes.has_ended(self.program.pid) or time.monotonic() > give_up_at:
                return False
            select.select([self._gate], (), (), _POLL_SECONDS)
        return not processes.has_ended(self.program.pid)

    def let_begin(self) -> None:
        """Give the order. Only the run's owner may. From now on, it ends and reaps the process. `has_begun` says whether that was dead."""
        restore(self._spec)
        self._is_released = True
        with suppress(OSError):
            self._gate.send(b"x")

    def has_begun(self) -> bool:
        """Return whether the program's first statement may have been executed. Definite when the process has ended."""
        return self._receive().endswith(b"y")

    def _receive(self) -> bytes:
        with suppress(OSError):
            self._received += self._gate.recv(_MESSAGE_BYTES)
        return self._received

    def close(self) -> None:
        """End the process, and what it has started, unless it was let begin. The locks stay taken. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._is_released:
            processes.end(self.program.pid)
            processes.sweep(_SWEEP_SECONDS)
            os.close(self.program.stdout)
            os.close(self.program.stderr)
        self._gate.close()


def _check(spec: dict[str, Any]) -> None:
    env = spec["env"]
    if found := [name for name in _NEVER_WITH if name in env]:
        raise Refused(f"{found[0]} is set")
    # Python keeps for each entry whether it was there at the start. Relative ones begin in the program's working folder.
    entries = (os.path.join(spec["working_folder"], entry) for entry in env.get("PYTHONPATH", "").split(os.pathsep))
    if missing := [entry for entry in entries if not os.path.exists(entry)]:
        raise Refused(f"PYTHONPATH has {missing[0]!r}, which does not exist")


def _identities(spec: dict[str, Any]) -> list[tuple[int, int]]:
    # An environment's interpreter is a link: the same one in another environment, if that was built again.
    statuses = [os.stat(spec["working_folder"]), os.stat(spec["command"][0]), os.lstat(spec["command"][0])]
    return [(status.st_dev, status.st_ino) for status in statuses]


def _names(spec: dict[str, Any]) -> tuple[str, str]:
    return os.path.join(spec["working_folder"], spec["command"][-1]), f"{spec['folder']}/{spec['attempt']}/held"


def _hold(spec: dict[str, Any]) -> None:
    """Move the file that the program begins with out of the working folder."""
    program, held = _names(spec)
    os.rename(program, held)


def restore(spec: dict[str, Any]) -> None:
    """Move the file back if it is held; never over another. Never raises: without it, the interpreter says so."""
    program, held = _names(spec)
    with suppress(OSError):
        if os.path.lexists(held):
            if os.path.lexists(program):
                os.unlink(held)
            else:
                os.rename(held, program)
