"""The store behind all `wallaroo.Client`s of this process, opened once, when the first of them needs it.

Inside a task it is the store that the run belongs to, and this process runs nothing for it; outside, the one that `orchlite.Client()`
opens. It is closed when the interpreter exits, or by `close`.
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
    """Return the folder of the store to open.

    Raises:
        BadArgument: `ORCHLITE_STORE` names a file.
    """
    return paths.store_folder(None).path


def opened(path: Path) -> Client:
    """Return the client of the store in this folder; the first call opens it. A forked child opens it again.

    Raises:
        orchlite.OrchliteError: the store cannot be opened.
    """
    key = os.getpid(), path
    with _lock:
        if key not in _clients or engine_of(_clients[key]).is_closed:
            _clients[key] = Client(path)
        return _clients[key]


def close() -> None:
    """Close the stores opened here without waiting: runs continue, and queued runs stay queued."""
    with _lock:
        for client in _clients.values():
            with suppress(OrchliteError):
                client.close(drain=False)
        _clients.clear()


def _renew_lock_in_child() -> None:
    # Another thread of the parent may have held the lock at the time of the fork.
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock_in_child)
