"""Runs that could not be started for want of a resource: which errors mean that, and when such a run is tried again."""

from __future__ import annotations

import errno

import pytest

from orchlite import BadArgument, PackagingFailed, ResourceExhausted, StorageFull
from orchlite.core.system_errors import is_shortage
from orchlite.operations.postponed_runs import PostponedRuns


class _Seconds:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Seconds:
    return _Seconds()


@pytest.fixture
def postponed(clock: _Seconds) -> PostponedRuns:
    return PostponedRuns(clock)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        *((OSError(number, "x"), True) for number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT)),
        *((OSError(number, "x"), False) for number in (errno.EACCES, errno.ENOENT, errno.EIO, errno.EROFS, errno.ELOOP, errno.E2BIG)),
        *((MemoryError(), True), (ResourceExhausted("x"), True), (StorageFull("x"), True)),
        *((BadArgument("x"), False), (PackagingFailed("x"), False), (RuntimeError("x"), False)),
    ],
    ids=repr,
)
def test_a_shortage_is_what_passes_by_itself(error: Exception, is_one: bool) -> None:
    assert is_shortage(error) is is_one
    outer = RuntimeError("outer")
    outer.__cause__ = error
    assert is_shortage(outer) is is_one


class TestAPostponedRun:
    def test_is_tried_after_a_growing_delay_for_ten_minutes(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        delays = []
        while (delay_seconds := postponed.postpone("run")) is not None:
            delays.append(delay_seconds)
            clock.now += delay_seconds
        assert delays[:7] == [1, 2, 4, 8, 16, 30, 30]
        assert 570 <= sum(delays) < 600

    def test_is_tried_until_its_starting_deadline(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        left_seconds, delays = 20.0, []
        while (delay_seconds := postponed.postpone("run", left_seconds)) is not None:
            delays.append(delay_seconds)
            clock.now += delay_seconds
            left_seconds -= delay_seconds
        assert delays == [1, 2, 4, 8]
        assert postponed.postpone("other", 0.5) is None

    def test_is_due_when_its_delay_is_over(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        postponed.postpone("a")
        clock.now += 0.5
        postponed.postpone("b")
        assert (postponed.not_due(), postponed.seconds_until_due()) == (("a", "b"), 0.5)
        clock.now += 0.5
        assert (postponed.not_due(), postponed.seconds_until_due()) == (("b",), 0.5)
        clock.now += 0.5
        assert (postponed.not_due(), postponed.seconds_until_due()) == ((), None)

    def test_is_news_once_when_it_is_postponed_and_once_when_it_is_due(self, postponed: PostponedRuns, clock: _Seconds) -> None:
        assert not postponed.take_news()
        for _ in range(2):
            delay_seconds = postponed.postpone("a")
            assert delay_seconds is not None
            assert [postponed.take_news() for _ in range(3)] == [True, False, False]
            clock.now += delay_seconds
            assert [postponed.take_news() for _ in range(3)] == [True, False, False]

    def test_is_forgotten_when_it_has_ended(self, postponed: PostponedRuns) -> None:
        postponed.postpone("a")
        assert postponed.count("a") == 1
        postponed.forget("a")
        postponed.forget("unknown")
        assert (postponed.count("a"), postponed.not_due(), postponed.take_news()) == (0, (), False)
