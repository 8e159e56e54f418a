"""The store behind every `wallaroo.Client` of this process: opened when the first of them needs it, and once for all of them.

Inside a task it is the store that the run is kept in, and nothing is started here; outside, the one that `orchlite.Client()` opens. It is
closed when the interpreter exits, or by `close`.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from orchlite.client.client import Client, engine_of
from orchlite.core import folders as paths
from orchlite.core.errors import OrchliteError

_lock = threading.Lock()
_clients: dict[tuple[int, Path], Client] = {}


def folder() -> Path:
    """The folder of the store to open."""
    return paths.store_folder(None).path


def opened(path: Path) -> Client:
    """The store in this folder, opened at the first call; a forked child opens its own.

    Raises:
        orchlite.OrchliteError: the store cannot be used.
    """
    key = os.getpid(), path
    with _lock:
        if key not in _clients or engine_of(_clients[key]).is_closed:
            _clients[key] = Client(path)
        return _clients[key]


def close() -> None:
    """Let go of what was opened here, and wait for nothing: what runs goes on, what is queued stays so."""
    with _lock:
        for client in _clients.values():
            with suppress(OrchliteError):
                client.close(drain=False)
        _clients.clear()


def _let_go_in_child() -> None:
    # Another thread may have been opening a store at the moment of the fork.
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_let_go_in_child)
