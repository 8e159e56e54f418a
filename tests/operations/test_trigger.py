"""A scheduled task that is run now, outside its slots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchlite import Client, Conflict, IllegalMove, Orchestration, RunStatus, Task
from orchlite.testing import ManualClock, StubProcess

OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]

_START = datetime(2026, 3, 1, tzinfo=UTC)


def _hourly(orchestration: Orchestration, concurrency: str = "allow") -> Task:
    return orchestration.run_scheduled("hourly", "0 * * * *", {"n": 1}, concurrency=concurrency)


class TestTriggering:
    def test_starts_a_run_at_once_that_has_no_slot(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel("success", 60))
        run = task.run_now()
        assert (run.task(), run.status(), run.scheduled_at(), run.started_at()) == (task.id(), "running", None, _START)
        clock.advance(minutes=1)
        assert (run.status(), task.last_runs()) == ("success", [run])

    def test_does_not_change_the_schedule(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel())
        task.run_now()
        assert task.next_run_at() == _START + timedelta(hours=1)
        clock.advance(hours=2)
        assert [run.scheduled_at() for run in task.last_runs()] == [_START + timedelta(hours=2), _START + timedelta(hours=1), None]
        assert task.missed() == 0

    def test_may_be_repeated(self, travel: Travel) -> None:
        task = _hourly(travel())
        assert task.run_now() != task.run_now()
        assert len(task.last_runs()) == 2

    def test_is_recorded_as_the_reason_of_the_run(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        client = open_client(clock=clock, process=StubProcess())
        run = _hourly(client.upload_orchestration(smallest_bundle)).run_now()
        queued, *_ = [event for event in client.events() if event.object_id() == run.id()]
        assert (queued.became(), queued.reason()) == ("queued", "it was triggered, not scheduled")

    def test_works_while_the_task_is_paused_which_it_stays(self, travel: Travel) -> None:
        task = _hourly(travel())
        task.pause()
        assert (task.run_now().status(), task.status()) == ("success", "paused")

    def test_waits_for_packaging_as_any_run_does(self, client: Client, smallest_bundle: bytes) -> None:
        task = _hourly(client.upload_orchestration(smallest_bundle))
        assert task.run_now().wait(20).status() is RunStatus.SUCCESS
        assert task.status() == "started"

    def test_is_waited_for_by_leaving_the_client(self, open_client: OpenClient, smallest_bundle: bytes) -> None:
        with open_client() as client:
            run = _hourly(client.upload_orchestration(smallest_bundle)).run_now()
        assert open_client().get_task_by_id(run.task()).last_runs()[0].status() == "success"


class TestARunInProgress:
    def test_overlaps_with_the_triggered_one_where_that_is_allowed(self, travel: Travel) -> None:
        task = _hourly(travel("success", 60, workers=2), "allow")
        assert [task.run_now().status(), task.run_now().status()] == ["running", "running"]

    def test_refuses_it_where_overlaps_are_forbidden(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel("success", 60), "forbid")
        first = task.run_now()
        with pytest.raises(Conflict, match=f"Run {first.id()} of the task is running"):
            task.run_now()
        clock.advance(minutes=1)
        assert task.run_now().status() == "running"
        assert len(task.last_runs()) == 2

    def test_is_replaced_by_it_where_that_is_the_rule(self, travel: Travel) -> None:
        task = _hourly(travel("success", 60), "replace")
        first, second = task.run_now(), task.run_now()
        assert (first.status(), first.reason()) == ("killed", "the next run of its task has replaced it")
        assert second.status() == "running"

    def test_makes_a_forbidden_slot_be_skipped(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel("success", 5400), "forbid")
        clock.advance(minutes=30)
        run = task.run_now()
        clock.advance(minutes=30)
        [skipped] = task.last_runs(status="skipped")
        assert skipped.reason() == f"overlap: run {run.id()} had not ended"


class TestRefused:
    def test_for_a_task_that_was_killed(self, travel: Travel) -> None:
        task = _hourly(travel())
        task.kill()
        with pytest.raises(IllegalMove, match=r"is killed for good\. Schedule its orchestration .* with run_scheduled"):
            task.run_now()

    def test_for_a_task_without_a_schedule(self, travel: Travel) -> None:
        orchestration = travel()
        for task in (orchestration.run_once(), orchestration.run_continuously("x")):
            with pytest.raises(IllegalMove, match="has no schedule, so it cannot be triggered"):
                task.run_now()
