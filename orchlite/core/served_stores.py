"""Where a store is served: a server says so in the store's folder, and its runs read it there.

A server keeps the file locked, so that it counts for nothing once the server has ended, however it ended.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from orchlite.core.files import is_locked, lock_descriptor

_FILE_NAME = "server.json"
_RUN = "run"
_PURPOSE = b"orchlite: a token of the run "


class ServedStore(NamedTuple):
    """A running server of a store."""

    url: str
    """Its address, without a slash at the end."""
    credentials: str
    """The absolute path of the file with its token."""


def find(store: Path) -> ServedStore | None:
    """Return the server of the store in this folder; None if there is none."""
    path = store / _FILE_NAME
    with suppress(OSError, ValueError, TypeError):
        return ServedStore(**json.loads(path.read_bytes())) if is_locked(path) else None
    return None


class Announcement:
    """Names a server in the folder of its store, until it is closed. If another server is named there, that one stays."""

    def __init__(self, store: Path, served: ServedStore) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        self._stack = ExitStack()
        descriptor = self._stack.enter_context(lock_descriptor(os.open(store / _FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(served._asdict()).encode())
        except BlockingIOError:
            self.close()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Withdraw it; idempotent."""
        self._stack.close()


def run_token(secret: str, run_id: str) -> str:
    """Return the token by which the server with this token knows a run. It is valid while the run is in progress, and stored nowhere."""
    digest = hmac.new(secret.encode(), _PURPOSE + run_id.encode(), hashlib.sha256)
    return f"{_RUN}.{run_id}.{digest.hexdigest()}"


def run_of(secret: str, token: str) -> str | None:
    """Return the id of the run that a token was made for; None if it is no such token."""
    kind, _, rest = token.partition(".")
    run_id = rest.rpartition(".")[0]
    if kind != _RUN or not hmac.compare_digest(run_token(secret, run_id).encode(), token.encode()):
        return None
    return run_id
