"""A lock that threads get in the order in which they ask for it."""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """A first-come, first-served lock. SQLite's wait for its write lock is not fair: under load some threads wait until they time out.

    `release` may be called without holding it, so that an interrupt anywhere around `acquire` leaves nothing locked.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._owner: int | None = None
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    def acquire(self, timeout_seconds: float) -> bool:
        """Block until the lock is granted to this thread, `timeout_seconds` at most; return whether it was. Not reentrant."""
        thread = threading.get_ident()
        with self._mutex:
            if self._owner is None:
                self._owner = thread
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((thread, turn))
        if turn.acquire(timeout=timeout_seconds):
            return True
        with self._mutex:
            self._waiting = deque(waiter for waiter in self._waiting if waiter[1] is not turn)
            return turn.acquire(blocking=False)  # it may have been granted at the last moment

    def release(self) -> None:
        """Give the lock to the thread that has waited longest; if this thread does not hold it, stop waiting for it."""
        thread = threading.get_ident()
        with self._mutex:
            if self._owner != thread:
                self._waiting = deque(waiter for waiter in self._waiting if waiter[0] != thread)
            elif self._waiting:
                self._owner, turn = self._waiting.popleft()
                turn.release()
            else:
                self._owner = None
