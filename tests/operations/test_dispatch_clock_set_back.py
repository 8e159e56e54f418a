"""A clock that was far ahead and is right again: schedules follow it at once, and no slot has two runs."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from orchlite import Client, Orchestration, Task
from orchlite.testing import ManualClock, StubProcess

OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_AHEAD = timedelta(days=365)


def _slots(task: Task) -> list[datetime]:
    """Return the slots of the task's runs, by the time at which these ended."""
    return [slot for run in reversed(task.last_runs()) if (slot := run.scheduled_at())]


def _hours(until: int) -> list[datetime]:
    return [_START + hour * _HOUR for hour in range(1, until + 1)]


def _go_ahead_and_back(clock: ManualClock, back_to: datetime, ahead: timedelta = _AHEAD) -> None:
    clock.set(clock.now() + ahead)
    clock.advance()
    clock.set(back_to)
    clock.advance()


class TestAScheduleWhoseClockWasAYearAhead:
    def test_continues_when_the_clock_is_right_again(self, travel: Travel, clock: ManualClock) -> None:
        task = travel().run_scheduled("x", "0 * * * *")
        clock.advance(hours=3)
        _go_ahead_and_back(clock, _START + 4.5 * _HOUR)
        assert task.next_run_at() == _START + 5 * _HOUR
        clock.advance(hours=2)
        assert _slots(task) == [*_hours(3), _START + 5 * _HOUR, _START + 6 * _HOUR, _START + 3 * _HOUR + _AHEAD]

    def test_continues_with_a_new_host_too(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        stub = StubProcess()
        with open_client(clock=clock, process=stub) as first:
            task_id = first.upload_orchestration(smallest_bundle).run_scheduled("x", "0 * * * *").id()
            clock.set(_START + _AHEAD)
            clock.advance()
        clock.set(_START + _HOUR / 2)
        second = open_client(clock=clock, process=stub)
        clock.advance(hours=1)
        assert _slots(second.get_task_by_id(task_id)) == [_START + _HOUR, _START + _AHEAD]

    def test_continues_although_one_before_it_cannot_be_kept(
        self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes
    ) -> None:
        client = open_client(clock=clock, process=StubProcess())
        orchestration = client.upload_orchestration(smallest_bundle)
        broken, well = (orchestration.run_scheduled(name, "0 * * * *") for name in ("broken", "well"))
        clock.set(_START + _AHEAD)
        clock.advance()
        with closing(sqlite3.connect(client.path() / "store.sqlite")) as database, database:
            database.execute(
                "UPDATE tasks SET schedule = json_set(schedule, '$.timezone', 'Mars/Olympus') WHERE task_id = ?", (broken.id(),)
            )
        clock.set(_START + _HOUR / 2)
        clock.advance(hours=1)
        assert _slots(well) == [_START + _HOUR, _START + _AHEAD]

    def test_continues_if_it_was_created_meanwhile(self, travel: Travel, clock: ManualClock) -> None:
        clock.set(_START + _AHEAD)
        task = travel().run_scheduled("x", "0 * * * *")
        clock.set(_START)
        clock.advance(hours=2)
        assert _slots(task) == _hours(2)

    def test_continues_if_it_was_paused_meanwhile(self, travel: Travel, clock: ManualClock) -> None:
        task = travel().run_scheduled("x", "0 * * * *")
        clock.set(_START + _AHEAD)
        clock.advance()
        task.pause()
        clock.set(_START)
        clock.advance()
        task.resume()
        assert task.next_run_at() == _START + _HOUR
        clock.advance(hours=2)
        assert _slots(task) == [*_hours(2), _START + _AHEAD]

    @pytest.mark.parametrize("concurrency", ["allow", "forbid", "replace"])
    @pytest.mark.parametrize("missed", ["latest", "all", "none"])
    def test_passes_over_the_slots_dispatched_meanwhile(self, travel: Travel, clock: ManualClock, missed: str, concurrency: str) -> None:
        task = travel(duration_seconds=600).run_scheduled("x", "0 0 * * *", missed=missed, concurrency=concurrency)
        _go_ahead_and_back(clock, _START + _HOUR, timedelta(days=10))
        clock.advance(days=20)
        rows = Counter(run.scheduled_at() for status in (None, "skipped") for run in task.last_runs(status=status))
        assert rows == Counter({_START + day * _DAY: 1 for day in range(1, 21)})
        assert set(_slots(task)) >= {_START + day * _DAY for day in range(11, 21)}


class TestSlotsThatWereOnlySkippedUnderAClockThatWasAhead:
    @pytest.mark.parametrize("concurrency", ["allow", "forbid", "replace"])
    @pytest.mark.parametrize("missed", ["latest", "none"])
    def test_have_their_runs_when_it_is_right_again(self, travel: Travel, clock: ManualClock, missed: str, concurrency: str) -> None:
        task = travel().run_scheduled("x", "0 3 * * *", missed=missed, concurrency=concurrency)
        clock.advance(days=2)
        _go_ahead_and_back(clock, _START + 2 * _DAY + _HOUR, 30 * _DAY)
        assert task.next_run_at() == _START + 2 * _DAY + 3 * _HOUR
        clock.advance(days=32)
        nights = [_START + day * _DAY + 3 * _HOUR for day in range(34)]
        assert Counter(_slots(task)) == Counter(nights)
        assert task.missed() == 0

    def test_have_an_event_that_says_so(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        client = open_client(clock=clock, process=StubProcess())
        client.upload_orchestration(smallest_bundle).run_scheduled("x", "0 * * * *")
        _go_ahead_and_back(clock, _START, 3 * _HOUR)
        given_back = [event for event in client.events() if event.became() == "given_back"]
        assert [(event.was(), event.reason()) for event in given_back] == [
            ("skipped", "the clock that skipped it was ahead, and was set back")
        ] * 2

    def test_are_given_back_to_a_task_that_is_resumed(self, travel: Travel, clock: ManualClock) -> None:
        task = travel().run_scheduled("x", "0 * * * *")
        clock.set(_START + 5 * _HOUR)
        clock.advance()
        task.pause()
        clock.set(_START)
        task.resume()
        clock.advance(hours=6)
        assert _slots(task) == _hours(6)
        assert task.missed() == 0

    def test_stay_skipped_if_they_have_passed(self, travel: Travel, clock: ManualClock) -> None:
        task = travel().run_scheduled("x", "* * * * *")
        clock.advance(minutes=5)
        _go_ahead_and_back(clock, _START + timedelta(minutes=20), 2 * _DAY)  # more slots than rows: one row stands for many
        assert task.missed() == 15
        clock.advance(minutes=10)
        minutes = [(slot - _START) // timedelta(minutes=1) for slot in _slots(task)]
        assert minutes == [1, 2, 3, 4, 5, *range(21, 31), 2 * 24 * 60 + 5]
        assert task.missed() == 15

    def test_are_given_back_when_it_is_set_to_a_moment_within_the_last_advance(self, travel: Travel, clock: ManualClock) -> None:
        task = travel(duration_seconds=30 * 3600).run_scheduled("x", "0 0 * * *", concurrency="forbid")
        clock.advance(days=3, hours=1)
        assert (_slots(task), task.missed()) == ([_START + _DAY, _START + 3 * _DAY], 1)
        clock.set(_START + 2 * _DAY - _HOUR)
        clock.advance()
        assert (task.missed(), task.next_run_at()) == (0, _START + 2 * _DAY)


def test_the_next_run_is_never_one_that_a_slot_had_before_the_clock_was_set_back(travel: Travel, clock: ManualClock) -> None:
    task = travel().run_scheduled("x", "0 * * * *")
    clock.set(_START + 3 * _HOUR)
    clock.advance()
    clock.set(_START)
    clock.advance(hours=2)
    assert task.next_run_at() == _START + 4 * _HOUR
    clock.advance(hours=1, minutes=30)
    assert _slots(task) == _hours(3)


@pytest.mark.slow
def test_slots_whose_rows_were_pruned_are_not_run_again(open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
    client = open_client(clock=clock, process=StubProcess())
    task = client.upload_orchestration(smallest_bundle).run_scheduled("x", "0 * * * *")
    clock.advance(days=3)
    assert client.prune(_DAY).runs == 47
    clock.set(_START)  # a day before the oldest slot that still has a row
    clock.advance(days=4)
    assert _slots(task) == [_START + hour * _HOUR for hour in range(48, 97)]


@pytest.mark.slow
def test_rows_of_slots_that_will_come_again_are_not_pruned(open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
    client = open_client(clock=clock, process=StubProcess())
    clock.set(_START + 4 * _DAY)
    task = client.upload_orchestration(smallest_bundle).run_scheduled("x", "0 0 * * *", missed="all")
    clock.advance(days=5)
    clock.set(_START)
    clock.advance()
    assert task.next_run_at() == _START + _DAY
    clock.set(_START + 11.5 * _DAY)
    assert client.prune(_HOUR).runs == 0  # while the due slots have not been dispatched
    clock.advance()
    assert _slots(task) == [_START + day * _DAY for day in (5, 6, 7, 8, 9, 1, 2, 3, 4, 10, 11)]
    assert client.prune(_HOUR).runs > 0
