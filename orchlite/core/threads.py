"""Starts threads. A thread that cannot be started raises an error of orchlite's, and leaves nothing half started."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchlite.core.errors import ResourceExhausted


def start_daemon(target: Callable[[], object], name: str) -> threading.Thread:
    """Start a daemon thread and return it.

    Raises:
        ResourceExhausted: the system allows no more threads (RLIMIT_NPROC, or the pids limit of a control group).
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        hint = "Raise the limit of processes and threads (`ulimit -u`, or the container's pids limit), then try again."
        raise ResourceExhausted(f"The thread {name!r} could not be started: {error}.", hint=hint) from error
    return thread
