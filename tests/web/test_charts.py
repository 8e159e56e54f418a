"""Squares and sparklines: where their marks are, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchlite.core.records import RunRow
from orchlite.core.status import RunStatus
from orchlite.web.charts import sparkline, strip
from orchlite.web.run_marks import run_text
from tests.rows import run_row

_FIRST = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


def _time_text(at: datetime) -> str:
    return f"{at:%d %b %H:%M}"


def _run(number: int = 0, status: str = "success", **fields: Any) -> RunRow:
    run_id = f"{number:08}-0000-4000-8000-000000000000"
    return run_row(_FIRST + timedelta(days=number), status, run_id=run_id, **fields)


class TestAStrip:
    def test_has_the_newest_run_at_the_right(self) -> None:
        chart = strip([_run(0), _run(1, "failure")], _time_text)
        assert [(square.symbol, square.x + 14) for square in chart.squares] == [("s", chart.width - 14), ("f", chart.width)]

    def test_has_the_last_thirty_runs(self) -> None:
        chart = strip([_run(number) for number in range(40)], _time_text)
        assert [square.run_id[:8] for square in chart.squares] == [f"{number:08}" for number in range(10, 40)]

    def test_says_how_many_ended_in_which_way(self) -> None:
        runs = [_run(0), _run(1), _run(2, "timed_out"), _run(3, "skipped", reason="missed: no host was running")]
        assert strip(runs, _time_text).text == "Last 4 runs: 2 success, 1 timed out, 1 missed"

    def test_of_a_task_without_runs_says_so(self) -> None:
        assert strip([], _time_text) == ([], "No runs yet", 420)

    def test_tells_a_missed_slot_from_a_skipped_one(self) -> None:
        runs = [_run(0, "skipped", reason="missed: no host was running"), _run(1, "skipped", reason="overlap: a run has not ended")]
        assert [square.symbol for square in strip(runs, _time_text).squares] == ["m", "o"]

    def test_has_a_symbol_for_each_status(self) -> None:
        chart = strip([_run(number, status) for number, status in enumerate(RunStatus)], _time_text)
        assert len({square.symbol for square in chart.squares}) == len(RunStatus)


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (_run(duration_seconds=12.4, exit_code=0), "success 01 Nov 02:30, 12.4 s"),
        (_run(status="failure", duration_seconds=3.0, exit_code=1, reason="a\nb"), "failure 01 Nov 02:30, 3.00 s, exit 1, a"),
        (_run(status="timed_out", duration_seconds=90.0, try_number=2), "timed out 01 Nov 02:30, 1 min 30 s, try 2"),
        (_run(status="running"), "running since 01 Nov 02:30"),
        (_run(status="queued"), "waiting since 01 Nov 02:30"),
        (_run(status="skipped", reason="missed: no host was running"), "missed 01 Nov 02:30, no host was running"),
        (_run(status="skipped", reason="overlap: x", slots=3), "3 slots skipped until 01 Nov 02:30, overlap: x"),
        (_run(status="failure", reason="\u202eevil\x1b[2J"), "failure 01 Nov 02:30,  evil [2J"),
    ],
)
def test_a_mark_says_what_is_known_of_its_run(run: RunRow, text: str) -> None:
    assert run_text(run, _time_text) == text


class TestASparkline:
    def test_ends_at_the_right_and_grows_upwards(self) -> None:
        chart = sparkline([1.0, 2.0])
        assert chart.path.startswith("M189 20h0l7-16")
        assert chart.last == (196, 4)

    def test_has_gaps_where_no_duration_is_known(self) -> None:
        assert sparkline([1.0, None, 1.0, 1.0]).path.count("M") == 2

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            ([], "No durations yet"),
            ([None], "No durations yet"),
            ([2.0], "Durations: 2.00 s"),
            ([2.0, 90.0, 3.0], "Durations: 2.00 s to 1 min 30 s, last 3.00 s"),
        ],
    )
    def test_says_what_it_shows(self, seconds: Sequence[float | None], text: str) -> None:
        assert sparkline(seconds).text == text

    def test_of_runs_that_took_no_time_is_flat(self) -> None:
        assert sparkline([0.0, 0.0]).path == "M189 36h0l7 0"
