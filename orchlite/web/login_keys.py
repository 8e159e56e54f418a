"""Keys for one log-in each: made for someone who has the token, redeemed by a browser. Kept in memory, as digests."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable

VALID_SECONDS = 10 * 60
_MOST = 100


class LoginKeys:
    """The keys of one server that were not redeemed yet. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: dict[bytes, tuple[str, float]] = {}

    def new(self, username: str) -> str:
        """Return a key with which this user can log in once, within ten minutes. Of more than 100 unused ones the oldest is dropped."""
        key = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._keys) >= _MOST:
                del self._keys[next(iter(self._keys))]
            self._keys[_digest(key)] = (username, self._monotonic() + VALID_SECONDS)
        return key

    def redeem(self, key: str) -> str | None:
        """Return the user whom a key was made for, and forget it; None if it is unknown, was redeemed or has expired.

        Guesses are not throttled: a key has 256 random bits.
        """
        with self._lock:
            # By its digest: the time of a look-up may reveal how a digest begins, which says nothing about the key.
            username, expires_at = self._keys.pop(_digest(key), ("", float("-inf")))
        return username if self._monotonic() < expires_at else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
