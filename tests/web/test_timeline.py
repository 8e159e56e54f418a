"""The timeline: bars, ticks and columns, and the page that has them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import orchlite
from orchlite.client.client import engine_of
from orchlite.client.timeline import Lane, Span, Step, slots_by_step
from orchlite.core.records import RunRow, RunSum
from orchlite.testing import ManualClock
from orchlite.web.rendering import time_text
from orchlite.web.run_marks import LINKED_CHARACTERS
from orchlite.web.timeline_chart import DrawnLane, columns, drawn
from tests.rows import orchestration_row, run_row, task_row
from tests.web.conftest import Browser

_SINCE = datetime(2026, 11, 25, tzinfo=UTC)
_SPAN = Span(_SINCE, _SINCE + timedelta(hours=100), timedelta(hours=1))
"""An hour is one per cent of it."""
_NOW = _SINCE + timedelta(hours=50)
_TASK = task_row(orchestration_row(_SINCE))


def _hours(hours: float) -> datetime:
    return _SINCE + timedelta(hours=hours)


def _run(due: float, start: float | None, end: float | None, status: str = "success", **fields: Any) -> RunRow:
    times = {"claimed_at": None if start is None else _hours(start), "ended_at": None if end is None else _hours(end)}
    return run_row(_hours(due), status, **{**times, "started_at": times["claimed_at"] if end is not None else None, **fields})


def _drawn(*runs: RunRow, **fields: Any) -> DrawnLane:
    lane = Lane(_TASK, "nightly", runs, sums=(), due=(), due_count=0, overdue_at=None)._replace(**fields)
    return drawn(lane, _SPAN, _NOW, "every day at 02:30, UTC", time_text)


class TestALane:
    def test_shows_how_long_a_run_waited_and_how_long_it_ran(self) -> None:
        [bar] = _drawn(_run(10, 13, 17)).bars
        assert (bar.wait_x, bar.wait_width, bar.x, bar.width) == (10.0, 3.0, 13.0, 4.0)
        assert bar.text == "success 2026-11-25 13:00 UTC, 3 h 00 min late"

    def test_shows_a_run_in_progress_up_to_now(self) -> None:
        [bar] = _drawn(_run(48, 48, None, "running")).bars
        assert (bar.x, bar.width, bar.look) == (48.0, 2.0, "running")

    def test_shows_a_queued_run_waiting_up_to_now(self) -> None:
        [bar] = _drawn(_run(45, None, None, "queued")).bars
        assert (bar.wait_x, bar.wait_width, bar.width) == (45.0, 5.0, 0.0)

    def test_puts_runs_that_overlap_into_rows_of_their_own(self) -> None:
        lane = _drawn(_run(10, 10, 20), _run(12, 12, 13), _run(15, 15, 16), _run(21, 21, 22))
        assert [bar.y for bar in lane.bars] == [0, 13, 13, 0]
        assert lane.height == 26

    def test_has_a_free_row_for_a_run_that_began_before_the_span(self) -> None:
        assert [bar.y for bar in _drawn(_run(-5, -2, 3), _run(4, 4, 5)).bars] == [0, 0]

    def test_cuts_what_reaches_out_of_the_span(self) -> None:
        [bar] = _drawn(_run(-5, -2, 3)).bars
        assert (bar.wait_x, bar.wait_width, bar.x, bar.width) == (0.0, 0.0, 0.0, 3.0)

    def test_has_a_hollow_tick_for_each_slot_without_a_run(self) -> None:
        skipped = _run(30, None, 30, "skipped", reason="missed: no host was running", started_at=None)
        lane = _drawn(skipped, due=[_hours(60)], due_count=1, overdue_at=_hours(49))
        assert [(tick.x, tick.look) for tick in lane.ticks] == [(30.0, "missed"), (60.0, "due"), (49.0, "overdue")]
        assert lane.band is None

    def test_has_a_band_for_slots_that_are_too_many(self) -> None:
        band = _drawn(due_count=96).band
        assert band is not None
        assert (band.x, band.text) == (50.0, "every day at 02:30, UTC: due 96 times")

    def test_joins_sums_without_failures_that_follow_each_other(self) -> None:
        sums = [RunSum("task", step, 4, failed, f"run{step}") for step, failed in ((3, 0), (4, 0), (5, 1), (6, 0), (9, 0))]
        lane = _drawn(sums=sums)
        assert [(bar.x, bar.width, bar.look) for bar in lane.bars] == [
            (3.0, 2.0, "success"),
            (5.0, 1.0, "failure"),
            (6.0, 1.0, "success"),
            (9.0, 1.0, "success"),
        ]
        assert [bar.text for bar in lane.bars][:2] == [
            "8 runs from 2026-11-25 03:00 UTC on",
            "4 runs from 2026-11-25 05:00 UTC on, 1 failed",
        ]
        assert lane.text == "nightly: 20 runs, 1 failed, due 0 times"


def test_columns_are_as_high_as_what_piles_up_in_them() -> None:
    steps = [Step(_hours(place), due, failed, late) for place, (due, failed, late) in enumerate([(1, 0, 0), (0, 0, 0), (28, 14, 3)])]
    found = columns(steps, Span(_SINCE, _hours(3), timedelta(hours=1)), _hours(1), time_text)
    assert [(column.due, column.failed, column.is_late, column.is_past) for column in found] == [
        (2.0, 0.0, False, True),
        (56.0, 28.0, True, False),
    ]
    assert found[1].text == "2026-11-25 02:00 UTC and 60 min after: 28 due, 14 failed, 3 late"


@pytest.mark.parametrize(
    ("expression", "slots"),
    [("30 2 * * *", [0, 0, 1] + [0] * 23 + [1]), ("* * * * *", [60] * 100), ("0 0 * * 5", [0] * 48 + [1])],
)
def test_slots_are_counted_by_step(expression: str, slots: list[int]) -> None:
    policy = f'{{"expression": "{expression}", "timezone": "UTC", "concurrency": "", "missed": "", "starting_deadline_seconds": null}}'
    assert list(slots_by_step(policy, _SPAN))[: len(slots)] == slots


@pytest.mark.parametrize("damaged", ["", "{}", '{"expression": "x", "timezone": "UTC", "concurrency": "", "missed": "", "a": 1}'])
def test_a_schedule_that_cannot_be_read_has_no_slots(damaged: str) -> None:
    assert sum(slots_by_step(damaged, _SPAN)) == 0


class TestThePage:
    @pytest.fixture
    def tasks(self, store: orchlite.Client, smallest_bundle: bytes, clock: ManualClock) -> list[orchlite.Task]:
        """Three tasks that are due at half past two, and one that is due every quarter of an hour."""
        orchestration = store.upload_orchestration(smallest_bundle, name="train")
        tasks = [orchestration.run_scheduled(f"nightly {number}", "30 2 * * *", {}) for number in range(3)]
        clock.advance(hours=30)
        return [*tasks, orchestration.run_scheduled("<b>often</b>", "*/15 * * * *", {})]

    def test_shows_every_task_with_its_runs_and_its_slots(self, browser: Browser, tasks: list[orchlite.Task]) -> None:
        page = browser.get("/timeline")
        assert re.findall(r'scope="row"><a href="/tasks/([^"]*)', page) == [tasks[3].id(), *(task.id() for task in tasks[:3])]
        assert page.count("due 2026-03-03 02:30 UTC") == 3
        assert "every 15 minutes, UTC: due 96 times" in page
        shown = set(re.findall(r"/runs/([0-9a-f-]+)", page))
        assert shown == {run.id()[:LINKED_CHARACTERS] for task in tasks[:3] for run in task.last_runs(1)}
        assert "<b>often" not in page

    def test_says_what_piles_up(self, browser: Browser, tasks: list[orchlite.Task]) -> None:
        assert "2026-03-03 02:30 UTC and 30 min after: 5 due" in browser.get("/timeline")  # two of them every quarter

    def test_can_be_shown_around_another_time(self, browser: Browser, tasks: list[orchlite.Task]) -> None:
        page = browser.get("/timeline?hours=2&at=2026-03-02T02:30Z")
        assert "nightly 0: 1 run, 0 failed, due 0 times" in page
        assert 'class="now"' not in page
        assert "2026-03-02 02:30 UTC and 1 min after: 3 due" in page

    @pytest.mark.parametrize("query", ["at=never", "at=0001-01-01", "hours=7", "page=0", "page=99", "hours=x&page=-1", "at=9999-12-31"])
    def test_an_address_that_means_nothing_shows_something(self, browser: Browser, tasks: list[orchlite.Task], query: str) -> None:
        assert "<h1>Timeline</h1>" in browser.get(f"/timeline?{query}")

    def test_of_an_empty_store_says_so(self, browser: Browser, seen: Callable[[str], str]) -> None:
        assert "Nothing has run in this time, and nothing is due." in seen(browser.get("/timeline"))


def test_many_runs_and_slots_are_summed_up(store: orchlite.Client, smallest_bundle: bytes, clock: ManualClock, browser: Browser) -> None:
    task = store.upload_orchestration(smallest_bundle).run_scheduled("minutely", "* * * * *", {})
    slots = [(str(uuid.uuid4()), task.id(), clock.now() - timedelta(minutes=place)) for place in range(1, 421)]
    rows = engine_of(store).store
    with rows.transaction() as transaction:
        rows.runs.insert_slots(transaction, slots, "host", clock.now())
    page = browser.get("/timeline")
    assert "420 runs from 2026-02-28 17:00 UTC on" in page
    assert "every minute, UTC: due 1440 times" in page
