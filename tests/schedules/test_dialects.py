"""What Debian's cron and Kubernetes read differently, and what only other dialects have: each hint is followed, and its days counted.

The readings here are written after the two programs' sources, and share nothing with the library.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from _pytest.mark import ParameterSet

from orchlite.core.errors import BadSchedule
from orchlite.schedules.schedule import Schedule, parse, parse_stored
from tests.schedules.slot_walk import slots_between

_FIRST, _LAST = date(2023, 1, 1), date(2025, 1, 1)
_DAYS = [_FIRST + timedelta(days=number) for number in range((_LAST - _FIRST).days)]
# A month of each length that begins on each day of the week: what the days of a month are depends on nothing else.
_MONTHS = list({calendar.monthrange(year, month): (year, month) for year in range(2001, 2401) for month in range(1, 13)}.values())
_DAY_FIELDS = ["*", "1", "15-20", "1,*", "*,3", "*/2", "*/31", "*/1", "5,*/2", "*/2,2/2", "1-31", "1/2,2/2", "1-31/2", "?/3"]
_WEEKDAY_FIELDS = ["*", "1", "5-7", "1,*", "*,3", "*/2", "*/7", "*/1", "5,*/2", "*/2,1/2", "0-6", "0/2,1/2", "1-5/2"]


def _values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in field.replace("?", "*").split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def _days(day: str, weekday: str, *, wants_both: bool) -> set[date]:
    days, weekdays = _values(day, 1, 31), {value % 7 for value in _values(weekday, 0, 6)}
    of_month, of_week = {at for at in _DAYS if at.day in days}, {at for at in _DAYS if at.isoweekday() % 7 in weekdays}
    return of_month & of_week if wants_both else of_month | of_week


def _debian(day: str, weekday: str) -> set[date]:
    return _days(day, weekday, wants_both=day[0] in "*?" or weekday[0] in "*?")


def _kubernetes(day: str, weekday: str) -> set[date]:
    items = f"{day},{weekday}".replace("?", "*").split(",")
    return _days(day, weekday, wants_both="*" in items or "*/1" in items)


def _scheduled(schedule: Schedule) -> set[date]:
    begin, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=1) for day in (_FIRST, _LAST))
    return {slot.date() for slot in slots_between(schedule, begin, end)}


_PAIRS = [(day, weekday) for day in _DAY_FIELDS for weekday in _WEEKDAY_FIELDS]
_QUICK_PAIRS = {(_DAY_FIELDS[one], _WEEKDAY_FIELDS[other]) for one in range(14) for other in range(one % 3, 13, 3)}
"""Each field with a third of the others. The rest are slow: croniter takes 20 ms for the two years."""


def _parameters(pairs: list[tuple[str, str]]) -> list[ParameterSet]:
    return [pytest.param(*pair, marks=[] if pair in _QUICK_PAIRS else pytest.mark.slow) for pair in pairs]


class TestBothDayFields:
    @pytest.mark.parametrize(("day", "weekday"), _parameters(_PAIRS))
    def test_are_refused_if_and_only_if_the_dialects_name_different_days(self, day: str, weekday: str) -> None:
        expression = f"0 0 {day} * {weekday}"
        if _debian(day, weekday) == _kubernetes(day, weekday):
            assert _scheduled(parse(expression)) == _debian(day, weekday)
        else:
            with pytest.raises(BadSchedule, match="Debian's cron") as refusal:
                parse(expression)
            assert str(refusal.value.details["field"]).startswith("day of ")
            stored = parse_stored(expression, "UTC")
            assert stored.is_ambiguous
            assert _scheduled(stored) == _kubernetes(day, weekday)
            assert str(refusal.value.hint) in stored.warnings[0]

    @pytest.mark.parametrize(("day", "weekday"), _parameters([pair for pair in _PAIRS if _debian(*pair) != _kubernetes(*pair)]))
    def test_that_are_refused_have_a_rewrite_for_each_meaning(self, day: str, weekday: str) -> None:
        with pytest.raises(BadSchedule) as refusal:
            parse(f"0 0 {day} * {weekday}")
        both, either = re.findall(r"For \w+, write '([^']+)'", str(refusal.value.hint))
        assert _scheduled(parse(either)) == _days(day, weekday, wants_both=False)
        meant, written = _days(day, weekday, wants_both=True), _scheduled(parse(both))
        assert written >= meant
        assert (written == meant) != ("check the day of week in main.py" in str(refusal.value.hint))
        if written != meant:
            weekdays = {value % 7 for value in _values(weekday, 0, 6)}
            assert {at for at in written if at.isoweekday() % 7 in weekdays} == meant

    def test_depend_on_the_months(self) -> None:
        expression = "0 0 */2,2-28/2 2 0-6"
        assert _scheduled(parse(expression)) == {at for at in _DAYS if at.month == 2}
        with pytest.raises(BadSchedule, match="differently"):
            parse(expression.replace(" 2 0", " 2,3 0"))


def _nearest_working_day(year: int, month: int, day: int) -> int | None:
    length = calendar.monthrange(year, month)[1]
    if not 1 <= day <= length:
        return None
    working = [other for other in range(1, length + 1) if date(year, month, other).weekday() < 5]
    return min(working, key=lambda other: abs(other - day))


def _of_weekday(year: int, month: int, weekday: int) -> list[int]:
    length = calendar.monthrange(year, month)[1]
    return [day for day in range(1, length + 1) if date(year, month, day).isoweekday() % 7 == weekday]


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _meant(item: str) -> Iterator[int | None]:
    """Yield the day of each month that an item of Quartz's or croniter's dialect names."""
    for year, month in _MONTHS:
        length = _length(year, month)
        if item == "LW":
            yield _nearest_working_day(year, month, length)
        elif match := re.fullmatch(r"L(?:-(\d+))?(W?)", item):
            day = length - int(match[1] or 0)
            yield _nearest_working_day(year, month, day) if match[2] else (day if day > 0 else None)
        elif match := re.fullmatch(r"(\d+)W|W(\d+)", item):
            yield _nearest_working_day(year, month, int(match[1] or match[2]))
        elif match := re.fullmatch(r"(\d)#(\d)", item):
            yield next(iter(_of_weekday(year, month, int(match[1]) % 7)[int(match[2]) - 1 :]), None)
        elif match := re.fullmatch(r"L?(\d)L?", item):
            yield _of_weekday(year, month, int(match[1]) % 7)[-1]


_OF_MONTH = [
    "L",
    "LW",
    *(f"L-{back}" for back in (1, 3, 10, 27, 28, 30)),
    "L-3W",
    "L-27W",
    "L-30W",
    *(f"{day}W" for day in range(1, 32)),
    "W15",
]
_OF_WEEK = ["0L", "5L", "7L", "L5", *(f"5#{number}" for number in range(1, 6)), "7#1"]


@pytest.mark.parametrize(
    ("item", "expression"), [*((one, f"0 0 {one} * *") for one in _OF_MONTH), *((one, f"0 0 * * {one}") for one in _OF_WEEK)]
)
def test_a_hint_names_exactly_the_days_on_which_the_meant_one_can_lie(item: str, expression: str) -> None:
    with pytest.raises(BadSchedule, match="not supported") as refusal:
        parse(expression)
    [span] = re.findall(r"Use ([0-9-]+) in day of month", str(refusal.value.hint))
    low, _, high = span.partition("-")
    days = {day for day in _meant(item) if day is not None}
    assert (int(low), int(high or low)) == (min(days), max(days))
    is_any_weekday_fine = re.fullmatch(r"L(-\d+)?", item) is not None
    assert ("and * in day of week" not in str(refusal.value.hint)) is is_any_weekday_fine
    parse(f"0 0 {span} * *")


@pytest.mark.parametrize(("item", "words"), [("L", "6 for Saturday"), ("5#6", "15-21"), ("5#0", "15-21"), ("fri#-1", "15-21")])
def test_other_items_of_the_day_of_week_have_a_hint_too(item: str, words: str) -> None:
    with pytest.raises(BadSchedule, match=re.escape(words)):
        parse(f"0 0 * * {item}")


@pytest.mark.parametrize("item", ["0W", "32W", "W", "L-31", "L-99", "L-31W"])
def test_a_day_that_no_month_has_is_called_that(item: str) -> None:
    with pytest.raises(BadSchedule, match="No month has such a day"):
        parse(f"0 0 {item} * *")


@pytest.mark.parametrize(("position", "low", "high"), [(0, 0, 59), (1, 0, 23), (2, 1, 31), (3, 1, 12), (4, 0, 6)])
@pytest.mark.parametrize("step", ["", "/2", "/3"])
def test_the_rewrite_of_a_range_that_goes_backwards_has_its_values(position: int, low: int, high: int, step: str) -> None:
    for first in range(low + 1, high + 1):
        for last in range(low, first):
            fields = ["*"] * 5
            fields[position] = f"{first}-{last}{step}"
            with pytest.raises(BadSchedule) as refusal:
                parse(" ".join(fields))
            written = str(refusal.value.hint).removeprefix("Write ").removesuffix(".")
            wrapping = [*range(first, high + 1), *range(low, last + 1)][:: int(step[1:] or 1)]
            assert _values(written, low, high) == set(wrapping)
