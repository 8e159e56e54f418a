"""Examining in the background: one thing at a time, with what was found last and its age."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import orchlite
from orchlite.engine.examination import Examination

Until = Callable[[Callable[[], object]], None]
_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_runs_once_at_a_time_and_keeps_what_was_found(until: Until) -> None:
    gate, count = threading.Event(), iter(range(9))

    def examine() -> int:
        gate.wait(20)
        return next(count)

    one = Examination(examine, lambda: _NOW)
    one.start_if_unknown()
    one.start()
    assert (one.is_running, one.found, one.at) == (True, None, None)
    gate.set()
    until(lambda: not one.is_running)
    one.start_if_unknown()
    assert (one.is_running, one.found, one.at, one.failed) == (False, 0, _NOW, "")


def test_says_why_it_found_nothing(until: Until) -> None:
    def examine() -> int:
        raise orchlite.StoreBusy("The store is busy.")

    one = Examination(examine, lambda: _NOW)
    one.start()
    until(lambda: not one.is_running)
    assert (one.found, one.failed) == (None, "The store is busy.")
