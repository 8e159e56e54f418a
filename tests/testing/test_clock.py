"""The clock that a test moves, without a client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from orchlite.core.errors import BadArgument, Conflict
from orchlite.testing import ManualClock

_START = datetime(2026, 3, 1, tzinfo=UTC)


class _Alarms:
    """A traveller that has something to do at certain times."""

    def __init__(self, clock: ManualClock, *minutes: int, does: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._at = [_START + timedelta(minutes=minute) for minute in minutes]
        self._does = does
        self.acted_at: list[datetime] = []
        self.is_closed = False
        self.settled = 0
        clock.attach(self)

    def next_at(self) -> datetime | None:
        return self._at[0] if self._at else None

    def settle(self) -> None:
        self.settled += 1

    def step(self) -> None:
        self._does()
        while self._at and self._at[0] <= self._clock.now():
            self.acted_at.append(self._clock.now())
            del self._at[0]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START)


class TestAManualClock:
    def test_stands_still(self, clock: ManualClock) -> None:
        assert clock.now() == clock.now() == _START

    def test_shows_utc(self) -> None:
        assert ManualClock(datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))).now().isoformat() == "2026-03-01T00:00:00+00:00"

    @pytest.mark.parametrize("start", [datetime(2026, 3, 1), "2026-03-01", None, 0], ids=["no zone", "text", "none", "number"])
    def test_begins_at_a_time_that_says_which_one_it_is(self, start: Any) -> None:
        with pytest.raises(BadArgument, match="start"):
            ManualClock(start)

    def test_stops_wherever_something_is_due_in_order(self, clock: ManualClock) -> None:
        one, other = _Alarms(clock, 1, 3), _Alarms(clock, 2, 5)
        clock.advance(minutes=4)
        assert one.acted_at == [_START + timedelta(minutes=1), _START + timedelta(minutes=3)]
        assert other.acted_at == [_START + timedelta(minutes=2)]
        assert clock.now() == _START + timedelta(minutes=4)

    def test_lets_everything_settle_before_it_moves(self, clock: ManualClock) -> None:
        alarms = _Alarms(clock)
        clock.advance(seconds=1)
        assert alarms.settled == 1

    def test_does_what_is_due_at_the_very_end(self, clock: ManualClock) -> None:
        alarms = _Alarms(clock, 10)
        clock.advance_to(_START + timedelta(minutes=10))
        assert alarms.acted_at == [clock.now()]

    def test_takes_a_timedelta_too(self, clock: ManualClock) -> None:
        clock.advance(timedelta(minutes=4))
        clock.advance(timedelta(minutes=1), seconds=30)
        assert clock.now() == _START + timedelta(minutes=5, seconds=30)

    def test_that_is_set_does_nothing_until_it_is_advanced(self, clock: ManualClock) -> None:
        alarms = _Alarms(clock, 1)
        clock.set(_START + timedelta(hours=1))
        assert alarms.acted_at == []
        clock.advance()
        assert alarms.acted_at == [_START + timedelta(hours=1)]

    def test_goes_back_when_it_is_set_and_at_no_other_time(self, clock: ManualClock) -> None:
        clock.set(_START - timedelta(hours=1))
        assert clock.now() == _START - timedelta(hours=1)
        with pytest.raises(BadArgument, match=r"set\(\)"):
            clock.advance(minutes=-1)
        with pytest.raises(BadArgument, match=r"set\(\)"):
            clock.advance_to(_START - timedelta(hours=2))
        assert clock.now() == _START - timedelta(hours=1)

    @pytest.mark.parametrize("by", [{"days": 10**9}, {"days": 4_000_000}, {"hours": float("nan")}], ids=["overflow", "year 9999", "nan"])
    def test_refuses_what_no_calendar_has(self, clock: ManualClock, by: dict[str, float]) -> None:
        with pytest.raises(BadArgument, match="cannot be advanced so far"):
            clock.advance(**by)
        assert clock.now() == _START

    def test_forgets_a_traveller_that_is_over(self, clock: ManualClock) -> None:
        alarms = _Alarms(clock, 1)
        alarms.is_closed = True
        clock.advance(minutes=2)
        assert (alarms.acted_at, alarms.settled) == ([], 0)

    def test_cannot_be_moved_by_what_happens_on_the_way(self, clock: ManualClock) -> None:
        _Alarms(clock, 1, does=lambda: clock.advance(minutes=1))
        with pytest.raises(Conflict, match="being moved already"):
            clock.advance(minutes=2)

    def test_goes_on_after_an_error_from_where_it_was(self, clock: ManualClock) -> None:
        errors = [ValueError("on the way")]

        def fail() -> None:
            if errors:
                raise errors.pop()

        alarms = _Alarms(clock, 1, does=fail)
        with pytest.raises(ValueError, match="on the way"):
            clock.advance(minutes=2)
        assert clock.now() == _START + timedelta(minutes=1)
        clock.advance(minutes=2)
        assert alarms.acted_at == [_START + timedelta(minutes=1)]
        assert clock.now() == _START + timedelta(minutes=3)

    def test_adds_up_what_several_threads_advance_it_by(self, clock: ManualClock) -> None:
        alarms = _Alarms(clock, *range(1, 81))

        def advance_often() -> None:
            for _ in range(10):
                clock.advance(minutes=1)

        threads = [threading.Thread(target=advance_often) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clock.now() == _START + timedelta(minutes=80)
        assert alarms.acted_at == [_START + timedelta(minutes=minute) for minute in range(1, 81)]

    def test_knows_whether_another_thread_may_move_it(self, clock: ManualClock) -> None:
        assert not clock.may_be_moved_elsewhere()
        moved, done = threading.Event(), threading.Event()

        def move() -> None:
            clock.advance(seconds=1)
            moved.set()
            done.wait(20)

        thread = threading.Thread(target=move)
        thread.start()
        moved.wait(20)
        assert clock.may_be_moved_elsewhere()
        done.set()
        thread.join()
        assert not clock.may_be_moved_elsewhere()
