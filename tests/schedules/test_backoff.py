"""When a continuous task starts again, and when its crashes are a loop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchlite.core.records import RunRow
from orchlite.core.status import RunStatus
from orchlite.schedules.backoff import RUNS_CONSIDERED, backoff_seconds, is_crash_loop, was_stable

_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _run(seconds: float | None = 0.0, status: RunStatus = RunStatus.FAILURE, ended_at: datetime | None = _NOW) -> RunRow:
    return RunRow(
        run_id="run",
        task_id="task",
        status=status,
        attempt=1,
        submitted_by="host",
        host_id="host",
        boot_id="boot",
        created_at=_NOW,
        claimed_at=_NOW,
        started_at=_NOW,
        ended_at=ended_at,
        duration_seconds=seconds,
        exit_code=1,
        reason=None,
        kill_requested=False,
        log_complete=True,
    )


@pytest.mark.parametrize(("short_runs", "seconds"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60)])
def test_the_pause_doubles_with_each_short_run_up_to_a_minute(short_runs: int, seconds: int) -> None:
    assert backoff_seconds([*[_run()] * short_runs, _run(60)]) == seconds


def test_the_runs_that_are_looked_at_say_all_there_is_to_say() -> None:
    assert backoff_seconds([_run()] * RUNS_CONSIDERED) == backoff_seconds([_run()] * 1000) == 60


@pytest.mark.parametrize("status", [RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.KILLED, RunStatus.UNKNOWN])
def test_the_pause_asks_how_long_a_run_lasted_and_not_how_it_ended(status: RunStatus) -> None:
    assert backoff_seconds([_run(1, status)] * 3) == 4
    assert backoff_seconds([_run(61, status), *[_run()] * 5]) == 1


@pytest.mark.parametrize(("seconds", "steady"), [(None, False), (0, False), (59.9, False), (60, True), (3600, True)])
def test_a_run_is_steady_from_a_minute_on(seconds: float | None, steady: bool) -> None:
    assert was_stable(_run(seconds)) is steady


class TestACrashLoop:
    @pytest.mark.parametrize("status", [RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.UNKNOWN])
    def test_is_five_crashes(self, status: RunStatus) -> None:
        assert is_crash_loop([_run(status=status)] * 5, _NOW)
        assert not is_crash_loop([_run(status=status)] * 4, _NOW)

    @pytest.mark.parametrize("status", [RunStatus.SUCCESS, RunStatus.KILLED])
    @pytest.mark.parametrize("place", range(5))
    def test_has_no_other_end_among_the_five(self, status: RunStatus, place: int) -> None:
        runs = [_run()] * 6
        runs[place] = _run(status=status)
        assert not is_crash_loop(runs, _NOW)

    def test_happens_within_ten_minutes(self) -> None:
        def five(first_ended_at: datetime) -> list[RunRow]:
            return [*[_run()] * 4, _run(ended_at=first_ended_at)]

        assert is_crash_loop(five(_NOW - timedelta(minutes=10)), _NOW)
        assert not is_crash_loop(five(_NOW - timedelta(minutes=10, microseconds=1)), _NOW)
