"""One run from start to end: start the program, copy its output to the log, stop it on request, kill what it has left behind."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from . import explanations, limits, processes
from .host import Host
from .log_writer import LogWriter
from .ownership import Ownership
from .program import Program, start
from .standby import Standby

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any

_CANCEL_CHECK_SECONDS = 0.05
_HELPERS_SECONDS = 2.0
"""How long processes that a program has started may outlive it."""
_TERMINATED_SECONDS = 0.25
"""How long they have at least after SIGTERM."""
_EMPTY_PIPE_SECONDS = 0.5
"""How long the pipes are read after all descendants were killed, for what is in them by then."""
_SWEEP_SECONDS = 10.0
_NAMED = 10
_READ_BYTES = 256 * 1024
_LAST_ERROR_BYTES = 4096


class Run:
    """One program. `execute()` is called once."""

    def __init__(self, spec: dict[str, Any], host: Host, ownership: Ownership, standby: Standby | None = None) -> None:
        """`standby`: the program, if it was prepared. The caller closes it."""
        self._spec = spec
        self._standby = standby
        self._host = host
        self._ownership = ownership
        self._log = LogWriter(spec["log"], spec["log_bytes"], masked=spec.get("masked", False))
        self._poll = select.poll()
        self._streams: dict[int, str] = {}
        self._last_error = b""
        """The end of what it has written to standard error."""
        self._stopping: str | None = None
        """After SIGTERM: the status that the run will have, because it was stopped."""
        self._reason: str | None = None
        self._kill_at = float("inf")
        self._niceness: int | None = None
        """What the program's session must still be given."""

    def execute(self) -> dict[str, Any]:
        """Run the program to its end; return the content of `result.json`."""
        started_ns, started = time.time_ns(), time.monotonic()
        if self._is_cancelled():
            return self._result("killed", None, None, None)
        try:
            pid = self._start()
        except OSError as error:
            self._reason = f"could not start {self._spec['command'][0]}: {error.strerror}"
            return self._result("failure", None, None, None)
        try:
            self._supervise(pid, started)
        except Exception as error:  # a fault of ours, or of the kernel: the program must not run on without an owner
            sys.excepthook(type(error), error, error.__traceback__)
            self._stopping, self._reason = "failure", f"its runner failed: {error!r}"
        if self._stopping is None and self._standby is not None and not self._standby.has_begun():
            return self._execute_cold()
        duration_seconds = time.monotonic() - started
        self._let_helpers_end(pid)
        processes.kill(pid)  # which runs still if supervising it has failed
        code, ended_by = processes.reap(pid)
        left = processes.sweep(_SWEEP_SECONDS)
        self._drain(_EMPTY_PIPE_SECONDS)
        if code and self._stopping is None:
            self._reason = limits.reason(self._spec, ended_by, self._last_error) or explanations.reason(ended_by, self._last_error)
        if left:
            self._reason = "; ".join(filter(None, [self._reason, _unended([pid for pid, _ in left])]))
        status = self._stopping or ("failure" if code else "success")
        return self._result(status, code, started_ns, duration_seconds, left)

    def _execute_cold(self) -> dict[str, Any]:
        """The program ended before its first statement: start it once more, as if it had not stood by."""
        self._standby = None
        processes.sweep(_SWEEP_SECONDS)
        for descriptor in self._streams:
            self._poll.unregister(descriptor)
            os.close(descriptor)
        self._streams, self._last_error = {}, b""
        return self.execute()

    def _start(self) -> int:
        program = start(self._spec) if self._standby is None else self._standby.program
        self._watch(program)
        self._ownership.note_program(program.pid)
        if self._spec.get("nice"):
            self._niceness = limits.add_niceness(program.pid, self._spec["nice"])
            self._set_autogroup(program.pid)
        if self._standby is not None:
            self._standby.let_begin()
        return program.pid

    def _watch(self, program: Program) -> None:
        for descriptor, stream in ((program.stdout, "stdout"), (program.stderr, "stderr")):
            self._streams[descriptor] = stream
            self._poll.register(descriptor, select.POLLIN)

    def _set_autogroup(self, pid: int) -> None:
        if self._niceness is not None and limits.set_autogroup(pid, self._niceness):
            self._niceness = None

    def _supervise(self, pid: int, started: float) -> None:
        """Read the program's output until it has ended; stop it when it is cancelled or times out."""
        timeout_seconds = self._spec["timeout_seconds"]
        deadline = float("inf") if timeout_seconds is None else started + timeout_seconds
        while True:
            now = time.monotonic()
            check_at = min(now + _CANCEL_CHECK_SECONDS, self._kill_at if self._stopping else deadline)
            while now < check_at:
                self._read_for(check_at - now)
                if processes.has_ended(pid):
                    return
                now = time.monotonic()
            if processes.has_ended(pid):
                return
            self._log.write_pending()
            self._set_autogroup(pid)
            self._stop_if_due(pid, now, deadline)

    def _stop_if_due(self, pid: int, now: float, deadline: float) -> None:
        """Send SIGTERM if the run is cancelled or has timed out, and SIGKILL when the grace period has passed."""
        if now >= self._kill_at:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            self._kill_at = float("inf")
        elif self._stopping is not None:
            return
        elif now >= deadline:
            self._reason = f"it ran for longer than its timeout of {self._spec['timeout_seconds']:g} s"
            self._stop(pid, "timed_out")
        elif self._is_cancelled():
            self._stop(pid, "killed")

    def _stop(self, pid: int, status: str) -> None:
        self._stopping = status
        self._kill_at = time.monotonic() + self._spec["grace_seconds"]
        processes.terminate(pid)

    def _let_helpers_end(self, pid: int) -> None:
        """After the program's end, let the processes that it started end: by themselves unless the run was stopped, then on SIGTERM.

        CPython's resource tracker ignores SIGTERM; it removes shared memory and semaphores when the last process that uses them is gone.
        """
        give_up_at = time.monotonic() + _HELPERS_SECONDS
        if self._stopping is None:
            self._drain(_HELPERS_SECONDS)
            give_up_at = max(give_up_at, time.monotonic() + _TERMINATED_SECONDS)
        told: set[int] = set()
        while (helpers := set(processes.helpers(pid))) and (left_seconds := give_up_at - time.monotonic()) > 0:
            for helper in helpers - told:  # the children of one that has ended become this process's
                processes.terminate(helper)
            told |= helpers
            self._read_for(min(left_seconds, _CANCEL_CHECK_SECONDS))

    def _is_cancelled(self) -> bool:
        """Return whether the run must end, and keep the reason."""
        if self._host.stop_requested:
            self._reason = "its runner received SIGTERM"
        elif self._host.gone and self._spec["leash"]:
            self._reason = "its host is gone"
        else:
            reason = self._ownership.requested_end()
            if reason is None:
                return False
            self._reason = reason
        return True

    def _drain(self, patience_seconds: float) -> None:
        """Read the pipes to their end; wait at most this long for descendants that hold them open."""
        left_seconds = patience_seconds
        give_up_at = time.monotonic() + patience_seconds
        while self._streams and left_seconds > 0:
            self._read_for(left_seconds)
            left_seconds = give_up_at - time.monotonic()

    def _read_for(self, patience_seconds: float) -> None:
        """Block until output, a message or a signal arrives, or the time has passed; read what has arrived."""
        control = self._host.descriptors
        for descriptor in control:
            self._poll.register(descriptor, select.POLLIN)
        ready = self._poll.poll(patience_seconds * 1000 + 1)
        for descriptor in control:
            self._poll.unregister(descriptor)
        self._host.receive()
        for descriptor, _ in ready:
            if descriptor in self._streams:
                self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        data = os.read(descriptor, _READ_BYTES)
        if data:
            self._log.feed(self._streams[descriptor], data)
            if self._streams[descriptor] == "stderr":
                self._last_error = (self._last_error + data[-_LAST_ERROR_BYTES:])[-_LAST_ERROR_BYTES:]
            return
        self._poll.unregister(descriptor)
        os.close(descriptor)
        del self._streams[descriptor]

    def _result(
        self,
        status: str,
        code: int | None,
        started_ns: int | None,
        duration_seconds: float | None,
        left: Sequence[tuple[int, int]] = (),
    ) -> dict[str, Any]:
        for descriptor in self._streams:
            os.close(descriptor)
        self._log.finish(durable=self._host.gone)
        return {
            "run_id": self._spec["run_id"],
            "attempt": self._spec["attempt"],
            "status": status,
            "exit_code": code,
            "started_at_ns": started_ns,
            "ended_at_ns": time.time_ns(),
            "duration_seconds": duration_seconds,
            "reason": self._reason or None,
            "log_complete": self._log.complete,
            "left": [pid for pid, _ in left],
            "left_start_ticks": [start_ticks for _, start_ticks in left],
            "packages_sha": None if started_ns is None else self._spec.get("packages_sha"),
        }


def _unended(pids: Sequence[int]) -> str:
    more = f" and {len(pids) - _NAMED} more" if len(pids) > _NAMED else ""
    return f"processes that it started could not be ended: {', '.join(map(str, pids[:_NAMED]))}{more}"
