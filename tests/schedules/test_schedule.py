"""Which slots a schedule makes: across changes of the clock, over long times, and on machines without zones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from types import FrameType
from zoneinfo import ZoneInfo

import pytest

from orchlite.core.errors import BadArgument, BadSchedule
from orchlite.schedules.schedule import Schedule, parse, upcoming_after
from tests.schedules.slot_walk import slots_between

_NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
_YEAR = timedelta(days=366)
_EVEN_HOURS = ["00:00+0100", *(f"{hour:02}:00+0200" for hour in range(4, 24, 2))]


def _on(day: str, expression: str, timezone: str) -> list[str]:
    """The slots of one day of a zone, as its clock shows them."""
    zone = ZoneInfo(timezone)
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = (start + timedelta(days=1)).astimezone(UTC) - timedelta(seconds=1)
    slots = slots_between(parse(expression, timezone), start.astimezone(UTC) - timedelta(seconds=1), end)
    return [f"{slot.astimezone(zone):%H:%M%z}" for slot in slots]


class TestAClockThatJumpsForward:
    @pytest.mark.parametrize(
        ("day", "timezone", "expression", "slots"),
        [
            pytest.param("2024-03-10", "America/New_York", "30 2 * * *", ["03:00-0400"], id="New York"),
            pytest.param("2024-03-31", "Europe/Berlin", "30 2 * * *", ["03:00+0200"], id="Berlin"),
            pytest.param("2024-03-31", "Europe/Dublin", "30 1 * * *", ["02:00+0100"], id="Dublin"),
            pytest.param("2024-10-06", "Australia/Lord_Howe", "15 2 * * *", ["02:30+1100"], id="Lord Howe, by half an hour"),
            pytest.param("2024-09-08", "America/Santiago", "0 0 * * *", ["01:00-0300"], id="Santiago, at midnight"),
            pytest.param("2011-12-31", "Pacific/Apia", "0 12 30 12 *", ["00:00+1400"], id="Samoa, by a day"),
        ],
    )
    def test_runs_what_it_skips_at_the_first_minute_after(self, day: str, timezone: str, expression: str, slots: list[str]) -> None:
        assert _on(day, expression, timezone) == slots

    def test_runs_several_skipped_times_once(self) -> None:
        assert _on("2024-03-31", "0,20,40 1-3 * * *", "Europe/Berlin") == [
            *("01:00+0100", "01:20+0100", "01:40+0100"),
            *("03:00+0200", "03:20+0200", "03:40+0200"),
        ]

    @pytest.mark.parametrize(
        ("expression", "slots"),
        [
            ("*/30 2 * * *", []),
            ("*/30 1,2,3 * * *", ["01:00+0100", "01:30+0100", "03:00+0200", "03:30+0200"]),
            ("0 */2 1,31 3 *", _EVEN_HOURS),
        ],
    )
    def test_shows_wildcards_real_readings_only(self, expression: str, slots: list[str]) -> None:
        assert _on("2024-03-31", expression, "Europe/Berlin") == slots

    def test_makes_one_slot_however_it_is_asked_for(self) -> None:
        schedule = parse("0-59 2,3 * * *", "Europe/Berlin")
        change = datetime(2024, 3, 31, 1, tzinfo=UTC)
        before, after = change - timedelta(minutes=5), change + timedelta(minutes=1)
        assert schedule.next_after(before) == change
        assert schedule.next_after(change) == after
        assert schedule.newest_slots(before, after, 5) == [change, after]
        assert schedule.count_between(before, change) == schedule.count_between(before, after) - 1 == 1


class TestAClockThatGoesBack:
    @pytest.mark.parametrize(
        ("day", "timezone", "expression", "slots"),
        [
            pytest.param("2024-11-03", "America/New_York", "30 1 * * *", ["01:30-0400"], id="New York"),
            pytest.param("2024-10-27", "Europe/Berlin", "30 2 * * *", ["02:30+0200"], id="Berlin"),
            pytest.param("2024-10-27", "Europe/Dublin", "30 1 * * *", ["01:30+0100"], id="Dublin, where winter is the daylight saving"),
            pytest.param("2024-04-07", "Australia/Lord_Howe", "45 1 * * *", ["01:45+1100"], id="Lord Howe, by half an hour"),
            pytest.param("2024-03-10", "Africa/Casablanca", "30 2 * * *", ["02:30+0100"], id="Casablanca, for Ramadan"),
            pytest.param("2024-10-27", "Europe/Berlin", "59 2 * * *", ["02:59+0200"], id="the last minute"),
            pytest.param("2024-10-27", "Europe/Berlin", "0 3 * * *", ["03:00+0100"], id="the first minute after"),
        ],
    )
    def test_runs_fixed_times_at_the_first_pass(self, day: str, timezone: str, expression: str, slots: list[str]) -> None:
        assert _on(day, expression, timezone) == slots

    @pytest.mark.parametrize(
        ("expression", "slots"),
        [("*/30 2 * * *", ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100"]), ("30 */12 * * *", ["00:30+0200", "12:30+0100"])],
    )
    def test_runs_wildcards_in_both_passes(self, expression: str, slots: list[str]) -> None:
        assert _on("2024-10-27", expression, "Europe/Berlin") == slots

    def test_repeats_nothing_that_is_asked_for_in_the_second_pass(self) -> None:
        second_pass = datetime(2024, 10, 27, 1, 15, tzinfo=UTC)
        schedule = parse("30 2 * * *", "Europe/Berlin")
        assert schedule.next_after(second_pass) == datetime(2024, 10, 28, 1, 30, tzinfo=UTC)
        assert schedule.newest_between(_NEW_YEAR, second_pass + timedelta(minutes=30)) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)


class TestAClockThatChangesAtTheTurnOfTheYear:
    """In UTC, which is how time is cut into years here."""

    @pytest.mark.parametrize(
        ("timezone", "year", "expression", "slots"),
        [
            pytest.param("Africa/Niamey", 1912, "30 23 * * *", ["31 23:21:32", "02 00:30:00"], id="back just before, by an hour"),
            pytest.param("Antarctica/Palmer", 1965, "0 22 * * *", ["31 22:00:00", "02 01:00:00"], id="back right then, by three hours"),
            pytest.param("Europe/Madrid", 1901, "50 23 * * *", ["01 00:00:00", "01 23:50:00"], id="forward right then, by a quarter"),
            pytest.param("Pacific/Kanton", 1995, "0 12 * * *", ["31 11:00:00", "31 23:00:00", "01 23:00:00"], id="forward, by a day"),
        ],
    )
    def test_neither_skips_nor_repeats(self, timezone: str, year: int, expression: str, slots: list[str]) -> None:
        schedule = parse(expression, timezone)
        start, end = datetime(year - 1, 12, 31, 10, tzinfo=UTC), datetime(year, 1, 2, 10, tzinfo=UTC)
        found = slots_between(schedule, start, end)
        assert [f"{slot:%d %H:%M:%S}" for slot in found] == slots
        assert schedule.newest_slots(start, end, 9) == found
        assert schedule.count_between(start, end) == len(found)


class TestLongTimes:
    @pytest.mark.parametrize(("expression", "count"), [("* * * * *", 366 * 1440), ("0 * * * *", 366 * 24), ("0 0 * * *", 366)])
    @pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/Santiago"])
    def test_are_counted(self, expression: str, count: int, timezone: str) -> None:
        assert parse(expression, timezone).count_between(_NEW_YEAR, _NEW_YEAR + _YEAR) == count

    def test_are_counted_and_searched_without_walking_through_them(self) -> None:
        # A walk through these would take hours.
        schedule, end = parse("* * * * *"), datetime(5000, 1, 1, tzinfo=UTC)
        assert schedule.count_between(_NEW_YEAR, end) == (end - _NEW_YEAR) // timedelta(minutes=1)
        assert schedule.newest_between(_NEW_YEAR, end) == end
        assert schedule.newest_slots(_NEW_YEAR, end, 2) == [end - timedelta(minutes=1), end]

    def test_between_leap_days_are_eight_years_at_most(self) -> None:
        schedule = parse("0 0 29 2 *", "America/New_York")
        leap_days = [datetime(year, 2, 29, 5, tzinfo=UTC) for year in (2096, 2104)]
        assert schedule.next_after(leap_days[0]) == leap_days[1]
        assert schedule.newest_between(_NEW_YEAR, leap_days[1] - timedelta(seconds=1)) == leap_days[0]
        assert schedule.count_between(leap_days[0], leap_days[1]) == 1

    def test_end_with_the_calendar(self) -> None:
        schedule, last = parse("0 0 1 1 *", "Europe/Berlin"), datetime.max.replace(tzinfo=UTC)
        with pytest.raises(BadSchedule, match="9998"):
            schedule.next_after(last)
        assert schedule.newest_between(_NEW_YEAR, last) == datetime(9998, 12, 31, 23, tzinfo=UTC)
        assert schedule.next_after(datetime.min.replace(tzinfo=UTC)) == datetime(2, 12, 31, 23, 6, 32, tzinfo=UTC)


class TestBounds:
    def test_leave_out_the_beginning_and_take_in_the_end(self) -> None:
        schedule, later = parse("* * * * *"), _NEW_YEAR + timedelta(minutes=2)
        assert slots_between(schedule, _NEW_YEAR, later) == [_NEW_YEAR + timedelta(minutes=1), later]
        assert schedule.newest_slots(_NEW_YEAR, later, 9) == [_NEW_YEAR + timedelta(minutes=1), later]
        assert schedule.count_between(_NEW_YEAR, later) == 2

    def test_may_lie_within_minutes(self) -> None:
        schedule, second = parse("* * * * *"), timedelta(seconds=1)
        after, until = _NEW_YEAR - second, _NEW_YEAR + second
        assert schedule.next_after(after) == schedule.newest_between(after, until) == _NEW_YEAR
        assert schedule.count_between(after, until) == 1

    @pytest.mark.parametrize("until", [_NEW_YEAR, _NEW_YEAR - _YEAR], ids=["the same", "turned round"])
    def test_that_hold_nothing_give_nothing(self, until: datetime) -> None:
        schedule = parse("* * * * *")
        assert slots_between(schedule, _NEW_YEAR, until) == schedule.newest_slots(_NEW_YEAR, until, 5) == []
        assert schedule.newest_between(_NEW_YEAR, until) is None
        assert schedule.count_between(_NEW_YEAR, until) == 0

    def test_are_taken_in_any_zone(self) -> None:
        tokyo = _NEW_YEAR.astimezone(ZoneInfo("Asia/Tokyo"))
        assert parse("0 12 * * *").next_after(tokyo) == datetime(2024, 1, 1, 12, tzinfo=UTC)

    @pytest.mark.parametrize("at", [datetime(2024, 1, 1), None, 0.0, "2024-01-01"], ids=repr)
    def test_without_a_zone_are_refused(self, at: object) -> None:
        with pytest.raises(BadArgument, match="aware"):
            parse("* * * * *").next_after(at)  # type: ignore[arg-type]


class TestAnswers:
    def test_are_in_utc(self) -> None:
        assert parse("0 0 * * *", "Asia/Tokyo").next_after(_NEW_YEAR).tzinfo is UTC

    def test_keep_to_readings_where_offsets_have_seconds(self) -> None:
        # Liberia went from -00:44:30 to GMT in 1972.
        slots = slots_between(parse("0 0 * * *", "Africa/Monrovia"), datetime(1972, 1, 5, tzinfo=UTC), datetime(1972, 1, 9, tzinfo=UTC))
        assert [f"{slot:%d %H:%M:%S}" for slot in slots] == ["05 00:44:30", "06 00:44:30", "07 00:44:30", "08 00:00:00", "09 00:00:00"]

    def test_do_not_mix_when_a_thread_asks_in_the_middle_of_anothers_answer(self) -> None:
        # No other test asks for these days, so croniter has to be asked; it is imported by then, since importing takes a lock.
        schedule = parse("0 0 2,9,17,25 * *")
        parse("0 0 1 * *").next_after(_NEW_YEAR)
        later_months = (datetime(2026 + number // 12, number % 12 + 1, 8, tzinfo=UTC) for number in range(100))
        with (
            ThreadPoolExecutor(1) as thread,
            _interrupted("get_next", lambda: thread.submit(schedule.next_after, next(later_months)).result(20)) as others,
        ):
            days = [slot.day for slot in slots_between(schedule, _NEW_YEAR, _NEW_YEAR + timedelta(days=90))]
        assert days == [2, 9, 17, 25] * 3
        assert len(others) >= len(days)
        assert {slot.day for slot in others} == {9}


@contextmanager
def _interrupted(function: str, ask: Callable[[], datetime]) -> Iterator[list[datetime]]:
    """Call `ask` whenever this thread enters the function of croniter with this name, and collect what it returns."""
    found: list[datetime] = []

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == function and frame.f_globals.get("__package__") == "croniter":
            found.append(ask())

    before = sys.getprofile()
    sys.setprofile(interrupt)
    try:
        yield found
    finally:
        sys.setprofile(before)


class TestUpcoming:
    def test_shows_the_zones_own_times(self) -> None:
        slots = upcoming_after(datetime(2024, 3, 29, 12, tzinfo=UTC), "0 9 * * mon-fri", 2, timezone="Europe/Berlin")
        assert [slot.isoformat() for slot in slots] == ["2024-04-01T09:00:00+02:00", "2024-04-02T09:00:00+02:00"]

    def test_tells_the_two_passes_apart(self) -> None:
        slots = upcoming_after(datetime(2024, 10, 26, 12, tzinfo=UTC), "*/30 2 * * *", 4, timezone="Europe/Berlin")
        assert [slot.fold for slot in slots] == [0, 0, 1, 1]

    def test_may_show_nothing(self) -> None:
        assert upcoming_after(_NEW_YEAR, "* * * * *", 0) == []

    @pytest.mark.parametrize("n", [-1, 10_001, 2**70, 1.5, True, None], ids=repr)
    def test_takes_a_sensible_number(self, n: object) -> None:
        with pytest.raises(BadArgument, match="n is"):
            upcoming_after(_NEW_YEAR, "* * * * *", n)  # type: ignore[arg-type]

    def test_reads_the_schedule_first(self) -> None:
        with pytest.raises(BadSchedule):
            upcoming_after(_NEW_YEAR, "60 * * * *", 1)


class TestAMachine:
    def test_whose_zone_has_vanished_says_so(self) -> None:
        with pytest.raises(BadSchedule, match="Mars/Base") as refusal:
            Schedule("0 0 * * *", "Mars/Base").next_after(_NEW_YEAR)
        assert refusal.value.details["field"] == "timezone"

    def test_without_zones_knows_utc_and_the_way_to_the_others(self) -> None:
        program = """
import sys, zoneinfo
zoneinfo.reset_tzpath(to=[])
sys.modules["tzdata"] = None
from orchlite.core.errors import BadSchedule
from orchlite.schedules.schedule import parse
print(parse("* * * * *").timezone)
try:
    parse("* * * * *", "Europe/Berlin")
except BadSchedule as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("UTC\nThere is no time zone 'Europe/Berlin'.")
        assert "pip install tzdata" in done.stdout

    def test_loads_croniter_only_for_schedules_that_leave_out_days(self) -> None:
        program = """
import sys
from datetime import UTC, datetime
from orchlite.schedules.schedule import parse
for expression in ("0 2 * * *", "0 2 * * 1"):
    parse(expression).next_after(datetime(2024, 1, 1, tzinfo=UTC))
    print("croniter" in sys.modules)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["False", "True"]

    def test_may_use_any_fixed_offset_as_its_clock(self) -> None:
        at = datetime(2024, 1, 1, 5, tzinfo=timezone(timedelta(hours=5)))
        assert parse("0 1 * * *").next_after(at) == datetime(2024, 1, 1, 1, tzinfo=UTC)
