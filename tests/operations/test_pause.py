"""Pausing, resuming and killing scheduled and continuous tasks, in every status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchlite import Client, IllegalMove, Orchestration, RunStatus, Task, TaskStatus
from orchlite.testing import ManualClock, StubProcess

OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_PAUSED = "its task was paused"


def _hours(task: Task, status: str | None = None) -> list[int]:
    """Return the minutes after the start of the slots whose runs have this status."""
    return [(slot - _START) // _HOUR for run in reversed(task.last_runs(status=status)) if (slot := run.scheduled_at())]


class _Watched:
    """A client on the manual clock, and the events of its task."""

    def __init__(self, client: Client, bundle: bytes) -> None:
        self.client = client
        self.orchestration = client.upload_orchestration(bundle)

    def moves(self, task: Task) -> list[str]:
        """Return the statuses that the task passed through."""
        return [event.became() for event in self.client.events() if event.object_id() == task.id()]


@pytest.fixture
def watched(open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> _Watched:
    return _Watched(open_client(clock=clock, process=StubProcess("success", 90)), smallest_bundle)


class TestAPausedSchedule:
    def test_passes_through_its_statuses_and_records_their_events(self, watched: _Watched) -> None:
        task = watched.orchestration.run_scheduled("hourly", "0 * * * *")
        assert (task.pause(), task.status(), task.next_run_at()) == (TaskStatus.PAUSED, TaskStatus.PAUSED, None)
        assert (task.resume(), task.status(), task.next_run_at()) == (TaskStatus.STARTED, TaskStatus.STARTED, _START + _HOUR)
        assert watched.moves(task) == ["started", "pending_pause", "paused", "pending_resume", "started"]

    def test_has_no_runs_and_catches_up_with_none(self, travel: Travel, clock: ManualClock) -> None:
        task = travel().run_scheduled("hourly", "0 * * * *", missed="all")
        clock.advance(hours=2)
        task.pause()
        clock.advance(hours=3.5)
        assert (_hours(task), task.missed()) == ([1, 2], 0)
        task.resume()
        assert (_hours(task, "skipped"), task.missed()) == ([3, 4, 5], 3)
        assert {run.reason() for run in task.last_runs(status="skipped")} == {_PAUSED}
        clock.advance(hours=1)
        assert _hours(task) == [1, 2, 6]

    def test_that_was_paused_for_a_year_leaves_a_bounded_number_of_rows(self, travel: Travel, clock: ManualClock) -> None:
        task = travel().run_scheduled("often", "* * * * *")
        task.pause()
        clock.advance(days=365)
        task.resume()
        assert (len(task.last_runs(status="skipped")), task.missed()) == (1000, 365 * 24 * 60)

    def test_lets_a_started_run_continue(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 90).run_scheduled("hourly", "0 * * * *")
        clock.advance(hours=1)
        task.pause()
        assert task.last_runs()[0].status() is RunStatus.RUNNING
        clock.advance(minutes=2)
        assert task.last_runs()[0].status() is RunStatus.SUCCESS

    def test_stays_paused_in_the_next_host(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        first = open_client(clock=clock, process=StubProcess())
        task = first.upload_orchestration(smallest_bundle).run_scheduled("hourly", "0 * * * *")
        task.pause()
        first.close()
        clock.set(_START + 5.5 * _HOUR)
        found = open_client(clock=clock, process=StubProcess()).get_task_by_id(task.id())
        clock.advance(hours=1)
        assert (found.status(), list(found.last_runs())) == (TaskStatus.PAUSED, [])
        found.resume()
        clock.advance(hours=1)
        assert (_hours(found), found.missed()) == ([7], 6)

    def test_can_be_paused_and_resumed_twice_without_further_effect(self, watched: _Watched) -> None:
        task = watched.orchestration.run_scheduled("hourly", "0 * * * *")
        assert [task.pause(), task.pause(), task.resume(), task.resume()] == ["paused", "paused", "started", "started"]
        assert len(watched.moves(task)) == 5


class TestAPausedContinuousTask:
    def test_has_its_run_ended_and_starts_again_when_it_is_resumed(self, watched: _Watched, clock: ManualClock) -> None:
        task = watched.orchestration.run_continuously("forever")
        assert task.pause() is TaskStatus.PAUSED
        [run] = task.last_runs()
        assert (run.status(), run.reason()) == (RunStatus.KILLED, _PAUSED)
        clock.advance(hours=1)
        assert len(task.last_runs()) == 1
        assert task.resume() is TaskStatus.STARTED
        clock.advance(seconds=1)
        assert [run.status() for run in task.last_runs()] == [RunStatus.RUNNING, RunStatus.KILLED]
        assert watched.moves(task) == ["pending", "started", "pending_pause", "paused", "pending_resume", "started"]

    def test_is_paused_at_once_between_two_runs(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_continuously("forever")
        clock.advance(seconds=10)
        runs = len(task.last_runs())
        assert task.pause() is TaskStatus.PAUSED
        clock.advance(minutes=5)
        assert len(task.last_runs()) == runs

    def test_may_be_in_a_crash_loop(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_continuously("forever")
        clock.advance(minutes=1)
        assert task.status() is TaskStatus.CRASH_LOOP
        assert (task.pause(), task.resume()) == (TaskStatus.PAUSED, TaskStatus.STARTED)

    def test_has_its_program_ended(
        self, client: Client, folder: Callable[..., object], waiting_program: str, until: Callable[..., None]
    ) -> None:
        task = client.upload_orchestration(path=folder(waiting_program)).run_continuously("forever")  # type: ignore[arg-type]
        until(lambda: task.last_runs() and "begun" in task.last_runs()[0].logs())
        assert task.pause() in (TaskStatus.PENDING_PAUSE, TaskStatus.PAUSED)
        run = task.wait(20)
        assert (run.status(), run.reason()) == (RunStatus.KILLED, _PAUSED)
        assert task.status() is TaskStatus.PAUSED


class TestIsRefused:
    @pytest.mark.parametrize("action", [Task.pause, Task.resume], ids=["pause", "resume"])
    def test_for_a_task_that_runs_once(self, travel: Travel, action: Callable[[Task], object]) -> None:
        task = travel("success", 90).run_once()
        with pytest.raises(IllegalMove, match="runs once"):
            action(task)
        assert task.last_runs()[0].status() is RunStatus.RUNNING

    @pytest.mark.parametrize("action", [Task.pause, Task.resume], ids=["pause", "resume"])
    @pytest.mark.parametrize("kind", ["scheduled", "continuous"])
    def test_for_a_task_that_was_killed(self, travel: Travel, kind: str, action: Callable[[Task], object]) -> None:
        task = _task(travel("success", 90), kind)
        task.kill()
        with pytest.raises(IllegalMove, match="is killed"):
            action(task)
        assert task.status() is TaskStatus.KILLED

    def test_for_resuming_a_crash_loop(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_continuously("forever")
        clock.advance(minutes=1)
        with pytest.raises(IllegalMove, match="crash_loop"):
            task.resume()


def _task(orchestration: Orchestration, kind: str) -> Task:
    return orchestration.run_scheduled("x", "0 * * * *") if kind == "scheduled" else orchestration.run_continuously("x")


class TestKilling:
    @pytest.mark.parametrize("kind", ["scheduled", "continuous"])
    @pytest.mark.parametrize("state", ["idle", "running", "paused", "resumed"])
    def test_ends_a_task_in_any_status_for_ever(self, travel: Travel, clock: ManualClock, kind: str, state: str) -> None:
        task = _task(travel("success", 90), kind)
        if state != "idle":
            clock.advance(hours=1)
        if state in ("paused", "resumed"):
            task.pause()
        if state == "resumed":
            task.resume()
        assert task.kill() is TaskStatus.KILLED
        assert task.kill() is TaskStatus.KILLED
        runs = len(task.last_runs())
        assert {run.status() for run in task.last_runs()} <= {RunStatus.KILLED, RunStatus.SUCCESS}
        clock.advance(hours=5)
        assert (len(task.last_runs()), task.next_run_at(), task.missed()) == (runs, None, 0)

    def test_ends_a_crash_loop(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_continuously("forever")
        clock.advance(minutes=1)
        assert task.kill() is TaskStatus.KILLED

    def test_ends_runs_in_the_queue(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 3600 * 5, workers=1).run_scheduled("x", "0 * * * *")
        clock.advance(hours=3)
        assert [run.status() for run in task.last_runs()] == [RunStatus.QUEUED, RunStatus.QUEUED, RunStatus.RUNNING]
        assert task.kill() is TaskStatus.KILLED
        assert {run.status() for run in task.last_runs()} == {RunStatus.KILLED}

    def test_of_one_run_does_not_end_its_schedule(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 90).run_scheduled("x", "0 * * * *")
        clock.advance(hours=1)
        assert task.last_runs()[0].kill() is RunStatus.KILLED
        assert task.status() is TaskStatus.STARTED
        clock.advance(hours=1)
        assert _hours(task, "running") == [2]
