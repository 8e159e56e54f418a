"""The runner's main loop: read a request from standard input, own that run to its end, respond on standard output, repeat.

`runs/spec.py` describes requests, responses, and what end of file means.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from . import processes
from .host import Host
from .ownership import Refused, own
from .run import Run


def main() -> None:
    """Serve requests until the host is gone or SIGTERM arrives."""
    os.umask(0o077)
    os.chdir("/")
    processes.become_subreaper()
    host = Host(wake_fd=_wake_on_signals())
    while (request := host.next_request()) is not None:
        host.answer(_serve(request, host))
        if host.stop_requested:
            return


def _serve(spec: dict[str, Any], host: Host) -> dict[str, Any]:
    try:
        with own(spec) as ownership:
            result = Run(spec, host, ownership).execute()
            ownership.record(result, durable=lambda: host.gone)
    except Refused as refusal:
        return {"run_id": spec["run_id"], "result": None, "refused": str(refusal)}
    return {"run_id": spec["run_id"], "result": result, "refused": None}


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
