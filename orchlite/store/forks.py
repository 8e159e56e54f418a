"""No connection to SQLite is open during a fork.

SQLite keeps by process which files it has locked, and a forked child inherits that list, but not the locks: a connection that the child
opened would be unprotected, and what it commits lost when the parent closes (sqlite.org/howtocorrupt.html, section 2.6). So connections
are closed before a fork; the parent's threads open new ones when they need them.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Suspendable(Protocol):
    """What closes its connections before a fork."""

    def suspend(self) -> None:
        """Close every connection, and open none until `resume`. Block for open transactions, but not for a lock of the database."""

    def resume(self) -> None:
        """Allow connections again."""


_all: weakref.WeakSet[Suspendable] = weakref.WeakSet()
_suspended: list[Suspendable] = []
_forking = threading.RLock()


def suspend_at_fork(one: Suspendable) -> None:
    """Suspend this object during every fork of this process, for as long as it exists."""
    with _forking:
        _all.add(one)


def _before_fork() -> None:
    _forking.acquire()
    for one in list(_all):
        one.suspend()
        _suspended.append(one)


def _after_fork() -> None:
    while _suspended:
        _suspended.pop().resume()
    _forking.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
