"""The lock by which the threads of one process take turns to write."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from orchlite.store.fair_lock import FairLock

_LONG_SECONDS = 10.0


def _waiting(lock: FairLock, then: Callable[[], object]) -> threading.Thread:
    """Start a thread that waits for the lock; return when it does."""
    before = len(lock._waiting)

    def wait() -> None:
        assert lock.acquire(_LONG_SECONDS)
        then()
        lock.release()

    thread = threading.Thread(target=wait)
    thread.start()
    while len(lock._waiting) == before:
        thread.join(0.001)
    return thread


def test_threads_get_it_in_the_order_in_which_they_ask() -> None:
    lock, order = FairLock(), list[int]()
    assert lock.acquire(0)
    threads = [_waiting(lock, lambda number=number: order.append(number)) for number in range(8)]  # type: ignore[misc]
    lock.release()
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_a_thread_that_asks_again_waits_behind_those_that_wait() -> None:
    lock, order = FairLock(), list[str]()
    assert lock.acquire(0)
    other = _waiting(lock, lambda: order.append("other"))
    lock.release()
    assert lock.acquire(_LONG_SECONDS)
    order.append("first again")
    lock.release()
    other.join()
    assert order == ["other", "first again"]


def test_a_thread_that_gives_up_leaves_no_trace() -> None:
    lock, granted = FairLock(), list[bool]()
    assert lock.acquire(0)
    thread = threading.Thread(target=lambda: granted.append(lock.acquire(0.01)))
    thread.start()
    thread.join()
    lock.release()
    assert granted == [False]
    assert lock.acquire(0)


def test_a_release_by_a_thread_without_it_changes_nothing() -> None:
    lock = FairLock()
    assert lock.acquire(0)
    other = threading.Thread(target=lock.release)
    other.start()
    other.join()
    assert not lock.acquire(0.01)


@pytest.mark.parametrize("is_granted", [False, True], ids=["while it waits", "when it was granted"])
def test_a_release_after_an_interrupt_frees_it(is_granted: bool) -> None:
    lock = FairLock()
    assert lock.acquire(0)

    def interrupted() -> None:
        lock.acquire(_LONG_SECONDS if is_granted else 0.01)
        lock.release()  # as in the `finally` of a caller that never learned whether it was granted

    thread = threading.Thread(target=interrupted)
    thread.start()
    if is_granted:
        lock.release()
    thread.join()
    if not is_granted:
        lock.release()
    assert lock.acquire(0)
