"""Slots that passed while no host was up: which get a run, which get a row and why, and that both are bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchlite import Client, RunStatus, Task
from orchlite.testing import ManualClock, StubProcess

OpenClient = Callable[..., Client]

_HOUR = timedelta(hours=1)
_START = datetime(2026, 3, 1, tzinfo=UTC)


class _Host:
    """A host that keeps one task's schedule, stops, and starts again."""

    def __init__(self, open_client: OpenClient, clock: ManualClock) -> None:
        self._open = open_client
        self.clock = clock
        self.client: Client | None = None
        self.stub = StubProcess()
        self.task_id = ""

    def schedule(self, bundle: bytes, expression: str, **policy: object) -> None:
        self.client = self._open(clock=self.clock, process=self.stub)
        self.task_id = self.client.upload_orchestration(bundle).run_scheduled("x", expression, **policy).id()  # type: ignore[arg-type]

    def is_away(self, until: datetime) -> Task:
        """Stop, set the clock to this time, start again, and keep the schedule."""
        assert self.client is not None
        self.client.close()
        self.clock.set(until)
        self.client = self._open(clock=self.clock, process=self.stub)
        self.clock.advance()
        return self.client.get_task_by_id(self.task_id)


@pytest.fixture
def host(open_client: OpenClient, clock: ManualClock) -> _Host:
    return _Host(open_client, clock)


def _slots(task: Task, status: str | None = None) -> list[datetime]:
    return [slot for run in reversed(task.last_runs(status=status)) if (slot := run.scheduled_at())]


def _reasons(task: Task) -> Counter[str]:
    return Counter((run.reason() or "").split(" the slot")[0] for run in task.last_runs(status="skipped"))


_DEADLINE_SECONDS = 2 * 3600  # the newest slot is half an hour late, the one before an hour and a half


@pytest.mark.parametrize("deadline_seconds", [None, _DEADLINE_SECONDS], ids=["no deadline", "deadline"])
@pytest.mark.parametrize("missed", ["latest", "all", "none"])
@pytest.mark.parametrize("slots", [1, 99, pytest.param(2_000, marks=pytest.mark.slow)])
def test_a_host_that_was_down_catches_up_as_its_policy_says(
    host: _Host, smallest_bundle: bytes, slots: int, missed: str, deadline_seconds: float | None
) -> None:
    host.schedule(smallest_bundle, "0 * * * *", missed=missed, starting_deadline_seconds=deadline_seconds)
    task = host.is_away(_START + slots * _HOUR + _HOUR / 2)
    in_time = slots if deadline_seconds is None else min(slots, 2)
    runs = {"latest": 1, "all": in_time, "none": 0}[missed]
    assert _slots(task) == [_START + number * _HOUR for number in range(slots - runs + 1, slots + 1)]
    assert {run.status() for run in task.last_runs()} == ({RunStatus.SUCCESS} if runs else set())
    assert task.missed() == slots - runs
    assert len(task.last_runs(status="skipped")) == min(slots - runs, 1000)
    assert task.next_run_at() == _START + (slots + 1) * _HOUR


@pytest.mark.parametrize(
    ("policy", "reasons"),
    [
        pytest.param({"missed": "latest"}, {"missed: coalesced into": 4}, id="latest"),
        pytest.param({"missed": "none"}, {"missed: no host was running": 5}, id="none"),
        pytest.param({"missed": "all", "starting_deadline_seconds": 7200}, {"missed: more than 7200 s late": 3}, id="all, deadline"),
        pytest.param(
            {"missed": "latest", "starting_deadline_seconds": 7200},
            {"missed: more than 7200 s late": 3, "missed: coalesced into": 1},
            id="latest, deadline",
        ),
        pytest.param({"missed": "latest", "starting_deadline_seconds": 600}, {"missed: more than 600 s late": 5}, id="all too late"),
    ],
)
def test_every_slot_without_a_run_has_a_row_that_says_why(
    host: _Host, smallest_bundle: bytes, policy: dict[str, object], reasons: dict[str, int]
) -> None:
    host.schedule(smallest_bundle, "0 * * * *", **policy)
    task = host.is_away(_START + 5.5 * _HOUR)
    assert _reasons(task) == reasons
    assert sorted(_slots(task) + _slots(task, "skipped")) == [_START + number * _HOUR for number in range(1, 6)]


class TestASkippedRow:
    def test_is_listed_as_a_run_only_on_request(self, host: _Host, smallest_bundle: bytes) -> None:
        host.schedule(smallest_bundle, "0 * * * *")
        task = host.is_away(_START + 3.5 * _HOUR)
        assert len(task.last_runs()) == 1
        assert {run.status() for run in task.last_runs(status="skipped")} == {RunStatus.SKIPPED}
        assert len(host.stub.runs) == 1

    def test_never_started_and_ended_when_it_was_noticed(self, host: _Host, smallest_bundle: bytes) -> None:
        host.schedule(smallest_bundle, "0 * * * *", missed="none")
        [run] = host.is_away(_START + 1.5 * _HOUR).last_runs(status="skipped")
        assert (run.started_at(), run.ended_at(), run.duration(), run.exit_code()) == (None, _START + 1.5 * _HOUR, None, None)
        assert run.scheduled_at() == _START + _HOUR
        assert str(run.logs()) == "missed: no host was running\n"

    def test_stands_for_all_slots_above_the_limit(self, host: _Host, smallest_bundle: bytes) -> None:
        host.schedule(smallest_bundle, "* * * * *", missed="none")
        for hours in (10, 20, 30, 1000):
            task = host.is_away(_START + hours * _HOUR + timedelta(seconds=59))  # the last slot is on time
            assert task.missed() == hours * 60 - len(task.last_runs())
        assert len(task.last_runs()) == 4
        assert len(task.last_runs(status="skipped")) == 599 * 3 + 1000

    def test_counts_further_slots_until_the_next_run(self, host: _Host, smallest_bundle: bytes) -> None:
        host.schedule(smallest_bundle, "0 * * * *", missed="none")
        for hours in (900, 1800, 2700):
            task = host.is_away(_START + hours * _HOUR + _HOUR / 2)
            assert task.missed() == hours
        rows = task.last_runs(status="skipped")
        assert len(rows) == 1000
        assert rows[0].scheduled_at() == _START + 2700 * _HOUR
        assert len(task.last_runs()) == 0


class TestAClock:
    def test_set_back_repeats_no_slot(self, host: _Host, smallest_bundle: bytes) -> None:
        host.schedule(smallest_bundle, "*/10 * * * *")
        host.clock.advance(hours=2)
        host.clock.set(_START + _HOUR)
        host.clock.advance(hours=2)
        task = host.is_away(host.clock.now())
        assert _slots(task) == [_START + number * _HOUR / 6 for number in range(1, 19)]
        assert task.missed() == 0

    def test_set_back_while_no_host_was_up_repeats_no_slot(self, host: _Host, smallest_bundle: bytes) -> None:
        host.schedule(smallest_bundle, "*/10 * * * *")
        host.clock.advance(hours=2)
        task = host.is_away(_START)
        assert (len(task.last_runs()), task.missed()) == (12, 0)
        host.clock.advance(hours=2, minutes=10)
        assert _slots(task) == [_START + number * _HOUR / 6 for number in range(1, 14)]

    def test_set_a_year_ahead_costs_little(self, host: _Host, smallest_bundle: bytes) -> None:
        host.schedule(smallest_bundle, "* * * * *")
        host.clock.set(_START + timedelta(days=365))
        host.clock.advance()
        task = host.is_away(host.clock.now())
        assert (len(task.last_runs()), task.missed()) == (1, 365 * 24 * 60 - 1)
        assert len(task.last_runs(status="skipped")) == 1000


class TestARunInTheQueue:
    def test_that_waits_beyond_its_deadline_is_skipped(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        stub = StubProcess(lambda run: ("success", 3600 if run.slot_at is None else 1))
        orchestration = open_client(clock=clock, process=stub).upload_orchestration(smallest_bundle)
        task = orchestration.run_scheduled("x", "*/15 * * * *", starting_deadline_seconds=1200)
        orchestration.run_once()  # occupies the only worker slot for an hour
        clock.advance(hours=1, minutes=1)
        assert _slots(task) == [_START + timedelta(minutes=45), _START + _HOUR]
        assert _slots(task, "skipped") == [_START + timedelta(minutes=15), _START + timedelta(minutes=30)]
        assert set(_reasons(task)) == {"missed: it waited in the queue for longer than its starting deadline"}
        assert task.missed() == 2

    def test_without_a_deadline_waits_without_limit(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        stub = StubProcess(lambda run: ("success", 3600 if run.slot_at is None else 1))
        orchestration = open_client(clock=clock, process=stub).upload_orchestration(smallest_bundle)
        task = orchestration.run_scheduled("x", "*/15 * * * *")
        orchestration.run_once()
        clock.advance(hours=1, minutes=1)
        assert (len(task.last_runs(status="success")), task.missed()) == (4, 0)
