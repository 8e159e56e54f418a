"""The runner's main loop: read a request from standard input, own that run to its end, respond on standard output, repeat.

`runs/spec.py` describes requests, responses, and what end of file means.
"""

from __future__ import annotations

import os
import signal
from contextlib import closing, nullcontext, suppress

from . import processes
from .host import Host
from .ownership import Refused, Reservation
from .run import Run
from .standby import Standby, restore

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Serve requests until the host is gone or SIGTERM arrives."""
    os.umask(0o077)
    os.chdir("/")
    processes.become_subreaper()
    host = Host(wake_fd=_wake_on_signals())
    service = _Service(host)
    while (request := host.next_request()) is not None:
        if (response := service.serve(request)) is not None:
            host.answer(response)
        if host.stop_requested:
            break
    service.drop()


class _Service:
    """What this process does for its host: it has one run at a time, or one standby."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._standby: Standby | None = None

    def serve(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Do what is requested; return the response, if there is one."""
        order = request.pop("order", "run")
        if order == "prepare":
            self.drop()
            with suppress(Refused):  # then the run is started cold
                self._standby = Standby(request)
            return None
        if order == "drop":
            self.drop()
            return {"run_id": request["run_id"], "dropped": True}
        try:
            return {"run_id": request["run_id"], **self._run(request), "refused": None}
        except Refused as refusal:
            return {"run_id": request["run_id"], "result": None, "refused": str(refusal)}

    def drop(self) -> None:
        """End the standby, and release its locks."""
        standby, self._standby = self._standby, None
        if standby is not None:
            standby.close()
            standby.reservation.close()

    def _run(self, spec: dict[str, Any]) -> dict[str, Any]:
        standby, not_preloaded = self._taken_standby(spec), None
        reservation = Reservation(spec) if standby is None else standby.reservation
        with closing(reservation), nullcontext() if standby is None else closing(standby):
            if standby is not None and not standby.fits(spec):
                not_preloaded = standby.failure()
                standby.close()
                standby = None
            ownership = reservation.own()
            if standby is None:
                restore(spec)
            result = Run(spec, self._host, ownership, standby).execute()
            ownership.record(result, durable=lambda: self._host.gone)
            return {"result": result, "not_preloaded": not_preloaded}

    def _taken_standby(self, spec: dict[str, Any]) -> Standby | None:
        """Return the standby if it is this run's, with its locks; drop that of another run."""
        if self._standby is not None and not self._standby.reservation.covers(spec):
            self.drop()
        standby, self._standby = self._standby, None
        return standby


def _wake_on_signals() -> int:
    """Return a descriptor from which SIGCHLD and SIGTERM can be read, one byte each; ignore SIGINT."""
    wake_fd, write_fd = os.pipe()
    os.set_blocking(wake_fd, False)
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # signals that the host's thread blocked are inherited as blocked
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return wake_fd
