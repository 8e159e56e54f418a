"""No connection to SQLite is open during a fork.

SQLite keeps a list of the locks of its process. A forked child inherits the list, but not the locks: its connections would not be
protected, and its commits could be lost when the parent closes (sqlite.org/howtocorrupt.html, section 2.6). So connections are closed
before a fork; the parent's threads open new ones when they need them.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Suspendable(Protocol):
    """An object that closes its connections before a fork."""

    def suspend(self) -> None:
        """Close every connection, and open none until `resume`. Block for open transactions, but not for a lock of the database."""

    def resume(self) -> None:
        """Allow connections again."""


_all: weakref.WeakSet[Suspendable] = weakref.WeakSet()
_suspended: list[Suspendable] = []
_forking = threading.RLock()


def suspend_at_fork(suspendable: Suspendable) -> None:
    """Suspend the object during every fork of this process, until it is garbage-collected."""
    with _forking:
        _all.add(suspendable)


def _before_fork() -> None:
    _forking.acquire()
    for suspendable in list(_all):
        suspendable.suspend()
        _suspended.append(suspendable)


def _after_fork() -> None:
    while _suspended:
        _suspended.pop().resume()
    _forking.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
