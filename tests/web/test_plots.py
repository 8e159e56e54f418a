"""Durations and metrics over time: where the dots, lines and flags are, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchlite.client.task_history import Change, TaskHistory
from orchlite.core.records import PastRun
from orchlite.operations.comparison import Difference
from orchlite.web.change_texts import change_text
from orchlite.web.plots import durations_plot, metric_plot
from orchlite.web.rendering import time_text
from tests.rows import run_row

_FIRST = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)
_NOW = _FIRST + timedelta(days=3)


def _past(
    day: int, status: str = "success", seconds: float | None = 10.0, metrics: dict[str, float] | None = None, **fields: Any
) -> PastRun:
    at = _FIRST + timedelta(days=day)
    return PastRun(run_row(at, status, duration_seconds=seconds, **fields), "orchestration", None, metrics or {})


def _history(*runs: PastRun, changes: tuple[Change, ...] = ()) -> TaskHistory:
    return TaskHistory(runs, changes)


def test_dots_are_placed_by_time_and_duration() -> None:
    plot = durations_plot(_history(_past(0), _past(1, seconds=20.0), _past(2, "failure", 0.0)), None, _NOW, time_text)
    assert plot is not None
    assert [(dot.x, dot.y, dot.symbol) for dot in plot.dots] == [(1.0, 91.0, "s"), (50.0, 16.0, "s"), (99.0, 166.0, "f")]


def test_a_task_without_a_started_run_has_no_plot() -> None:
    assert durations_plot(_history(_past(0, "skipped", None), _past(1, "queued", None)), None, _NOW, time_text) is None


def test_the_median_is_that_of_successes() -> None:
    plot = durations_plot(_history(_past(0, seconds=30.0), _past(1, "failure", 1.0), _past(2, "failure", 1.0)), None, _NOW, time_text)
    assert plot is not None
    assert plot.median is not None
    assert plot.median.text == "median 30.0 s"


def test_a_run_in_progress_is_as_high_as_it_has_taken_until_now() -> None:
    plot = durations_plot(
        _history(_past(0, seconds=60.0), _past(2, "running", None)), None, _FIRST + timedelta(days=2, seconds=60), time_text
    )
    assert plot is not None
    assert [dot.y for dot in plot.dots] == [16.0, 16.0]


@pytest.mark.parametrize(("limit", "is_drawn"), [(30.0, True), (31.0, False)])
def test_a_time_limit_is_drawn_unless_it_would_flatten_the_rest(limit: float, is_drawn: bool) -> None:
    plot = durations_plot(_history(_past(0)), limit, _NOW, time_text)
    assert plot is not None
    assert (plot.limit is not None) is is_drawn
    assert plot.summary == f"1 run, up to 10.0 s, median 10.0 s, time limit {limit} s"


def test_a_metric_is_drawn_from_its_lowest_to_its_highest_value_over_the_same_times() -> None:
    plot = metric_plot(_history(_past(0), _past(1, metrics={"rmse": 0.5}), _past(2, metrics={"rmse": 0.25})), "rmse", time_text)
    assert [(dot.x, dot.y, dot.text) for dot in plot.dots] == [
        (50.0, 16.0, "0.5, 2026-11-02 02:30 UTC"),
        (99.0, 80.0, "0.25, 2026-11-03 02:30 UTC"),
    ]
    assert plot.summary == "0.25 to 0.5, last 0.25"


def test_a_flag_stands_before_the_first_run_after_a_change() -> None:
    runs = _past(0), _past(1)
    change = Change(*runs, is_code=True, is_packages=False, differences=None)
    plot = durations_plot(_history(*runs, changes=(change,)), None, _NOW, time_text)
    assert plot is not None
    assert [(flag.x, flag.text) for flag in plot.flags] == [(99.0, "Code changed")]


def test_a_change_is_said_in_words() -> None:
    differences = [
        Difference("code", "main.py", "changed", 5, 6),
        Difference("code", "util.py", "added", None, 6),
        Difference("package", "numpy", "changed", "1.26.4", "2.0.1"),
        Difference("package", "torch", "removed", "2.4", None),
        Difference("argument", "n", "changed", 1, [1, 2]),
    ]
    change = Change(_past(0), _past(1), is_code=True, is_packages=True, differences=differences)
    assert change_text(change) == (
        "Code and packages changed: main.py, util.py added, package numpy 1.26.4 → 2.0.1, package torch removed, argument n 1 → [1, 2]"
    )


def test_of_many_differences_some_are_named() -> None:
    differences = [Difference("code", f"{number}.py", "changed", 5, 6) for number in range(50)]
    change = Change(_past(0), _past(1), is_code=True, is_packages=False, differences=differences, more=950)
    assert change_text(change) == "Code changed: 0.py, 1.py, 2.py, 3.py, 4.py, 5.py and 994 more"
