"""What becomes of the slots of a task that is due: on time, late, and far too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchlite.core.records import SchedulePolicy
from orchlite.schedules.misfires import MAX_CATCH_UP_RUNS, MAX_SKIPPED_ROWS, Decision, decide, skip_all
from orchlite.schedules.schedule import Schedule, parse
from tests.schedules.slot_walk import slots_between

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_EVERY_MINUTE = parse("* * * * *")


def _policy(missed: str = "latest", deadline_seconds: float | None = None) -> SchedulePolicy:
    return SchedulePolicy("* * * * *", "UTC", "allow", missed, deadline_seconds)


def _decided(slots: int, policy: SchedulePolicy, late: timedelta = timedelta()) -> Decision:
    """Decide about this many slots from noon on, some time after the last of them."""
    return decide(_EVERY_MINUTE, policy, _NOON, _NOON + (slots - 1) * _MINUTE + late)


def _minutes(decision: Decision) -> tuple[list[int], list[int]]:
    """The minutes after noon that have a run, and those that have a row."""
    runs = [(slot - _NOON) // _MINUTE for slot in decision.runs]
    return runs, [(skipped.slot_at - _NOON) // _MINUTE for skipped in decision.skipped]


@pytest.mark.parametrize("missed", ["latest", "all", "none"])
@pytest.mark.parametrize("late_seconds", [0, 0.5, 59])
def test_a_slot_on_time_has_its_run(missed: str, late_seconds: float) -> None:
    assert _decided(1, _policy(missed), timedelta(seconds=late_seconds)) == ((_NOON,), (), _NOON + _MINUTE)


@pytest.mark.parametrize(
    ("missed", "runs", "skipped"),
    [
        pytest.param("latest", [4], [0, 1, 2, 3], id="latest"),
        pytest.param("all", [0, 1, 2, 3, 4], [], id="all"),
        pytest.param("none", [4], [0, 1, 2, 3], id="none: the last one is on time"),
    ],
)
def test_of_several_slots_the_policy_chooses(missed: str, runs: list[int], skipped: list[int]) -> None:
    decision = _decided(5, _policy(missed))
    assert _minutes(decision) == (runs, skipped)
    assert decision.next_at == _NOON + 5 * _MINUTE


@pytest.mark.parametrize(("missed", "has_run"), [("latest", True), ("all", True), ("none", False)])
def test_one_slot_that_was_missed_is_made_up_for_unless_none_is_to_be(missed: str, has_run: bool) -> None:
    decision = decide(parse("0 12 * * *"), _policy(missed), _NOON, _NOON + timedelta(seconds=61))
    assert _minutes(decision) == (([0], []) if has_run else ([], [0]))
    assert decision.next_at == _NOON + timedelta(days=1)


class TestTheStartingDeadline:
    def test_is_kept_to_the_moment(self) -> None:
        hourly = parse("0 * * * *")
        policy = _policy(deadline_seconds=300)
        assert decide(hourly, policy, _NOON, _NOON + timedelta(seconds=300)).runs == (_NOON,)
        [skipped] = decide(hourly, policy, _NOON, _NOON + timedelta(seconds=300, microseconds=1)).skipped
        assert skipped == (_NOON, "missed: more than 300 s late", 1)

    def test_bounds_what_is_made_up_for(self) -> None:
        decision = _decided(10, _policy("all", 180))
        assert _minutes(decision) == ([6, 7, 8, 9], [0, 1, 2, 3, 4, 5])
        assert {skipped.reason for skipped in decision.skipped} == {"missed: more than 180 s late"}

    def test_tells_what_was_too_late_from_what_was_coalesced(self) -> None:
        reasons = [skipped.reason for skipped in _decided(4, _policy("latest", 120)).skipped]
        coalesced = "missed: coalesced into the slot 2026-03-01T12:03:00+00:00"
        assert reasons == ["missed: more than 120 s late", coalesced, coalesced]


class TestRows:
    @pytest.mark.parametrize("skipped", [1, MAX_SKIPPED_ROWS - 1, MAX_SKIPPED_ROWS, MAX_SKIPPED_ROWS + 1, 525_600])
    def test_are_bounded_and_count_every_slot(self, skipped: int) -> None:
        decision = _decided(skipped + 1, _policy())
        assert len(decision.skipped) == min(skipped, MAX_SKIPPED_ROWS)
        assert sum(row.slots for row in decision.skipped) == skipped

    def test_stand_for_the_newest_slots_and_the_oldest_row_for_all_before_it(self) -> None:
        rows = _decided(MAX_SKIPPED_ROWS + 501, _policy()).skipped
        assert [row.slots for row in rows] == [501, *[1] * (MAX_SKIPPED_ROWS - 1)]
        assert [row.slot_at for row in rows] == [_NOON + minute * _MINUTE for minute in range(500, MAX_SKIPPED_ROWS + 500)]

    def test_are_there_for_what_is_too_much_to_be_made_up_for(self) -> None:
        decision = _decided(MAX_CATCH_UP_RUNS + 3, _policy("all"))
        assert (len(decision.runs), decision.runs[0]) == (MAX_CATCH_UP_RUNS, _NOON + 3 * _MINUTE)
        assert _minutes(decision)[1] == [0, 1, 2]
        assert {row.reason for row in decision.skipped} == {"missed: at most 10000 missed slots are run"}


def test_nothing_is_decided_twice_or_left_out_however_the_time_is_cut() -> None:
    schedule, policy = parse("*/7 * * * *", "America/New_York"), _policy("all")
    begin = datetime(2026, 3, 8, 6, 30, tzinfo=UTC)  # the clocks jump half an hour later
    first, now, runs = schedule.next_after(begin), begin, list[datetime]()
    for minutes in (1, 13, 40, 2, 90, 300):
        now += timedelta(minutes=minutes)
        if first <= now:
            decision = decide(schedule, policy, first, now)
            runs += decision.runs
            first = decision.next_at
    assert runs == slots_between(schedule, begin, now)


class TestSkippingAll:
    def test_leaves_a_row_for_each_slot_up_to_now(self) -> None:
        decision = skip_all(_EVERY_MINUTE, _NOON, _NOON + 2 * _MINUTE, "paused")
        assert _minutes(decision) == ([], [0, 1, 2])
        assert {row.reason for row in decision.skipped} == {"paused"}
        assert decision.next_at == _NOON + 3 * _MINUTE

    def test_is_bounded(self) -> None:
        decision = skip_all(_EVERY_MINUTE, _NOON, _NOON + 366 * timedelta(days=1), "paused")
        assert len(decision.skipped) == MAX_SKIPPED_ROWS
        assert sum(row.slots for row in decision.skipped) == 366 * 24 * 60 + 1


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/30 * * * *"])
def test_a_missed_year_has_as_many_slots_as_one_in_which_none_was_missed(zone: str, expression: str) -> None:
    schedule: Schedule = parse(expression, zone)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    end = begin + timedelta(days=365)
    slots = slots_between(schedule, begin, end)
    decision = decide(schedule, _policy(), slots[0], end)
    assert decision.runs == (slots[-1],)
    assert sum(row.slots for row in decision.skipped) == len(slots) - 1


class TestSlotsThatAreTaken:
    """They were dealt with before the clock was set back."""

    @pytest.mark.parametrize(
        ("missed", "runs", "skipped"),
        [
            pytest.param("latest", [], [0, 2], id="latest: it is one of them"),
            pytest.param("all", [0, 2], [], id="all"),
            pytest.param("none", [], [0, 2], id="none"),
        ],
    )
    def test_have_neither_a_run_nor_a_row_again(self, missed: str, runs: list[int], skipped: list[int]) -> None:
        taken = {_NOON + minute * _MINUTE for minute in (1, 3, 4)}
        decision = decide(_EVERY_MINUTE, _policy(missed), _NOON, _NOON + 4 * _MINUTE, taken)
        assert _minutes(decision) == (runs, skipped)
        assert [one.slots for one in decision.skipped] == [1] * len(skipped)
        assert decision.next_at == _NOON + 5 * _MINUTE

    def test_may_be_all_that_is_due(self) -> None:
        assert decide(_EVERY_MINUTE, _policy(), _NOON, _NOON, {_NOON}) == ((), (), _NOON + _MINUTE)

    def test_are_not_skipped_with_all_others(self) -> None:
        decision = skip_all(_EVERY_MINUTE, _NOON, _NOON + 4 * _MINUTE, "because", {_NOON + _MINUTE})
        assert _minutes(decision) == ([], [0, 2, 3, 4])

    def test_do_not_count_for_the_row_that_stands_for_many(self) -> None:
        taken = {_NOON + minute * _MINUTE for minute in range(10)}
        decision = decide(_EVERY_MINUTE, _policy("none"), _NOON, _NOON + (MAX_SKIPPED_ROWS + 19) * _MINUTE + 2 * _MINUTE, taken)
        assert sum(one.slots for one in decision.skipped) == MAX_SKIPPED_ROWS + 12 - len(decision.runs)
        assert len(decision.skipped) == MAX_SKIPPED_ROWS
