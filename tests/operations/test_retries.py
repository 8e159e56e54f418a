"""Failed runs that are tried again, each time as a run of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchlite import Client, Conflict, Orchestration, RunStatus, Task, TaskRun
from orchlite.core.clock import SystemClock
from orchlite.testing import ManualClock, StubRun
from tests.operations.notebook import Notebook

OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


def _failing(times: int) -> Callable[[StubRun], str]:
    """Fail this often, then succeed."""
    return lambda run: "failure" if run.number <= times else "success"


def _oldest_first(task: Task) -> list[TaskRun]:
    return sorted(task.last_runs(), key=lambda run: (run.created_at(), run.try_number()))


def _statuses(task: Task) -> list[str]:
    return [str(run.status()) for run in _oldest_first(task)]


def _hourly(orchestration: Orchestration, **options: object) -> Task:
    return orchestration.run_scheduled("hourly", "0 * * * *", **{"retries": 2, "retry_delay": "5m", **options})  # type: ignore[arg-type]


class TestAFailedRun:
    def test_is_tried_again_after_the_delay_by_a_run_that_names_it(self, travel: Travel, clock: ManualClock) -> None:
        task = travel(_failing(1)).run_once(retries=2, retry_delay="5m")
        clock.advance()
        first, second = _oldest_first(task)
        assert (first.status(), second.status(), second.not_before()) == ("failure", "queued", _START + 5 * _MINUTE)
        assert (first.retry_of(), first.try_number(), second.retry_of(), second.try_number()) == (None, 1, first.id(), 2)
        assert (first.next_try(), second.next_try()) == (second, None)
        clock.advance(minutes=5)
        assert (second.status(), second.started_at()) == ("success", _START + 5 * _MINUTE)
        assert len(task.last_runs()) == 2

    def test_is_tried_again_no_more_often_than_asked_for(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_once(retries=2, retry_delay=60)
        clock.advance(hours=1)
        assert _statuses(task) == ["failure"] * 3
        assert [run.try_number() for run in _oldest_first(task)] == [1, 2, 3]

    def test_is_final_by_default(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_once()
        clock.advance(hours=1)
        assert (_statuses(task), task.retries(), task.retry_delay()) == (["failure"], 0, None)

    def test_that_timed_out_is_tried_again_and_its_task_goes_on(self, travel: Travel, clock: ManualClock) -> None:
        task = travel(lambda run: ("success", 90 if run.number == 1 else 5)).run_once(timeout=60, retries=1)
        clock.advance(minutes=1)
        assert (_statuses(task), task.status()) == (["timed_out", "queued"], "started")
        clock.advance(minutes=2)
        assert (_statuses(task), task.status()) == (["timed_out", "success"], "started")

    def test_whose_last_try_times_out_makes_its_task_timed_out(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 90).run_once(timeout=60, retries=1)
        clock.advance(minutes=4)
        assert (_statuses(task), task.status()) == (["timed_out"] * 2, "timed_out")

    @pytest.mark.parametrize(("retry_unknown", "tries"), [(False, 1), (True, 2)])
    def test_whose_outcome_is_unknown_is_tried_again_only_on_request(
        self, travel: Travel, clock: ManualClock, retry_unknown: bool, tries: int
    ) -> None:
        task = travel("unknown").run_once(retries=1, retry_unknown=retry_unknown)
        clock.advance(minutes=5)
        assert _statuses(task) == ["unknown"] * tries

    def test_that_was_killed_is_not_tried_again(self, travel: Travel, clock: ManualClock) -> None:
        orchestration = travel("failure", 60)
        by_run, by_task = orchestration.run_once(retries=1), orchestration.run_once(retries=1)
        clock.advance(seconds=1)
        by_run.last_runs()[0].kill()
        by_task.kill()
        clock.advance(minutes=5)
        assert _statuses(by_run) == _statuses(by_task) == ["killed"]

    def test_is_not_tried_again_once_the_try_was_killed(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_once(retries=2)
        clock.advance()
        task.last_runs(status="queued")[0].kill()
        clock.advance(minutes=5)
        assert _statuses(task) == ["failure", "killed"]

    def test_is_not_tried_again_once_its_task_was_killed(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_once(retries=2)
        clock.advance()
        assert task.kill() == "killed"
        clock.advance(minutes=5)
        assert _statuses(task) == ["failure", "killed"]


class TestWaiting:
    def test_for_a_task_is_waiting_for_its_last_try(self, open_client: OpenClient, folder: Callable[[str], Path]) -> None:
        client = open_client()
        orchestration = client.upload_orchestration(path=folder("raise SystemExit(2)")).wait(60)
        run = orchestration.run_once(retries=2, retry_delay=0).wait(60)
        assert (run.try_number(), run.status(), run.exit_code()) == (3, "failure", 2)

    def test_for_a_run_is_waiting_for_that_only(self, travel: Travel) -> None:
        task = travel("failure").run_once(retries=1)
        run = task.last_runs()[-1]
        assert run.wait(1).status() is RunStatus.FAILURE

    def test_for_a_try_that_only_this_thread_could_start_is_refused(self, travel: Travel) -> None:
        task = travel("failure").run_once(retries=1)
        with pytest.raises(Conflict, match="time does not pass by itself"):
            task.wait()

    def test_never_blocks_for_a_clock_that_nobody_moves(
        self, open_client: OpenClient, clock: ManualClock, folder: Callable[[str], Path]
    ) -> None:
        with open_client(clock=clock) as client:
            task = client.upload_orchestration(path=folder("raise SystemExit(2)")).wait(60).run_once(retries=1)
            with pytest.raises(Conflict, match="is a try that has not started, and time does not pass by itself"):
                task.wait(60)
        assert _statuses(open_client(clock=clock).get_task_by_id(task.id())) == ["failure", "queued"]

    def test_lasts_no_longer_because_the_clock_is_set_back(self, open_client: OpenClient, folder: Callable[[str], Path]) -> None:
        class Clock(SystemClock):
            ahead = timedelta()

            def now(self) -> datetime:
                return super().now() + self.ahead

        clock = Clock()
        clock.ahead = timedelta(hours=3)
        task = open_client(clock=clock).upload_orchestration(path=folder("raise SystemExit(2)")).run_once(retries=1, retry_delay=1)
        task.last_runs()[-1].wait()
        clock.ahead = timedelta()
        assert task.wait(60).try_number() == 2

    def test_is_what_leaving_the_client_does(self, open_client: OpenClient, folder: Callable[[str], Path]) -> None:
        with open_client() as client:
            task = client.upload_orchestration(path=folder("raise SystemExit(2)")).run_once(retries=1, retry_delay=0)
        assert _statuses(open_client().get_task_by_id(task.id())) == ["failure"] * 2

    def test_is_what_run_does(self, open_client: OpenClient, folder: Callable[[str], Path]) -> None:
        flaky = "import os, pathlib\nmark = pathlib.Path(os.environ['MARK'])\nknown = mark.exists()\nmark.touch()\nassert known"
        path = folder(flaky)
        run = open_client().run(path, env={"MARK": str(path.parent / "mark")}, retries=1, retry_delay=0)
        assert (run.status(), run.try_number()) == ("success", 2)


class TestOfASchedule:
    def test_only_the_first_try_has_the_slot(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel(_failing(2)))
        clock.advance(hours=1, minutes=10)
        runs = _oldest_first(task)
        assert [str(run.status()) for run in runs] == ["failure", "failure", "success"]
        assert [run.scheduled_at() for run in runs] == [_START + timedelta(hours=1), None, None]
        assert [run.started_at() for run in runs] == [_START + timedelta(hours=1, minutes=minutes) for minutes in (0, 5, 10)]
        assert (task.missed(), task.next_run_at()) == (0, _START + timedelta(hours=2))

    @pytest.mark.parametrize("concurrency", ["allow", "forbid", "replace"])
    def test_a_new_slot_drops_the_pending_try(self, travel: Travel, clock: ManualClock, concurrency: str) -> None:
        task = _hourly(travel(_failing(1)), concurrency=concurrency, retry_delay="2h")
        clock.advance(hours=4)
        first, dropped, *others = _oldest_first(task)
        assert (first.status(), dropped.status(), dropped.try_number()) == ("failure", "killed", 2)
        assert (dropped.reason(), dropped.started_at()) == ("the next run of its task has replaced it", None)
        assert [(run.status(), run.try_number()) for run in others] == [("success", 1)] * 3
        assert task.missed() == 0

    def test_a_run_that_fails_after_the_next_slot_began_is_not_tried_again(self, travel: Travel, clock: ManualClock) -> None:
        stub: Callable[[StubRun], tuple[str, float]] = lambda run: ("failure", 5400) if run.number == 1 else ("success", 5400)  # noqa: E731
        task = _hourly(travel(stub, workers=3))
        clock.advance(hours=2.9)
        assert _statuses(task) == ["failure", "running"]

    def test_a_pending_try_does_not_make_a_forbidden_overlap(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel("failure"), concurrency="forbid", retries=1, retry_delay="2h")
        clock.advance(hours=1)
        run = task.run_now()
        assert (run.status(), task.missed()) == ("failure", 0)
        assert _statuses(task).count("killed") == 1

    def test_a_running_try_makes_a_forbidden_overlap(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel(lambda run: ("failure", 0) if run.number == 1 else ("success", 5400)), concurrency="forbid")
        clock.advance(hours=2)
        assert (_statuses(task), task.missed()) == (["failure", "running"], 1)
        with pytest.raises(Conflict, match="is running"):
            task.run_now()

    def test_a_triggered_run_is_tried_again_too(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel(_failing(1)))
        run = task.run_now()
        clock.advance(minutes=5)
        following = run.next_try()
        assert following is not None
        assert (run.status(), following.status(), following.scheduled_at()) == ("failure", "success", None)

    def test_a_paused_task_waits_with_its_try(self, travel: Travel, clock: ManualClock) -> None:
        task = _hourly(travel(_failing(1)))
        clock.advance(hours=1)
        task.pause()
        clock.advance(minutes=30)
        assert _statuses(task) == ["failure", "queued"]
        task.resume()
        assert _statuses(task) == ["failure", "success"]
        assert task.last_runs()[0].started_at() == _START + timedelta(minutes=90)

    def test_its_programs_see_the_slot_of_the_first_try(
        self, open_client: OpenClient, clock: ManualClock, folder: Callable[[str], Path]
    ) -> None:
        client = open_client(clock=clock)
        program = "import os\nprint(os.environ['ORCHLITE_SCHEDULED_AT'])\nraise SystemExit(1)"
        task = _hourly(client.upload_orchestration(path=folder(program)).wait(60), retries=1)
        clock.advance(hours=1, minutes=5)
        assert [str(run.logs()) for run in _oldest_first(task)] == ["2026-03-01T01:00:00+00:00\n"] * 2

    def test_its_policy_is_kept_or_changed_by_a_replacement(self, travel: Travel) -> None:
        orchestration = travel()
        task = _hourly(orchestration)
        task.replace(orchestration, json_args={"n": 1})
        assert (task.retries(), task.retry_delay()) == (2, 300)
        task.replace(orchestration, retries=3)
        assert (task.retries(), task.retry_delay()) == (3, 300)
        task.replace(orchestration, retries=0)
        assert (task.retries(), task.retry_delay()) == (0, None)


class TestANotification:
    def test_is_sent_once_after_the_last_try(self, travel: Travel, clock: ManualClock, notebook: Notebook) -> None:
        task = travel("failure").run_once(retries=2, on_failure=notebook.command())
        clock.advance(minutes=1)
        assert notebook.run_ids() == []
        clock.advance(minutes=1)
        assert notebook.run_ids() == [_oldest_first(task)[-1].id()]

    def test_is_not_sent_if_a_try_succeeds(self, travel: Travel, clock: ManualClock, notebook: Notebook) -> None:
        travel(_failing(1)).run_once(retries=2, on_failure=notebook.command())
        clock.advance(hours=1)
        assert notebook.run_ids() == []

    def test_is_sent_for_the_failure_whose_try_a_new_slot_drops(self, travel: Travel, clock: ManualClock, notebook: Notebook) -> None:
        task = _hourly(travel(_failing(1)), retry_delay="2h", on_failure=notebook.command())
        clock.advance(hours=1)
        assert notebook.run_ids() == []
        clock.advance(hours=1)
        assert notebook.run_ids() == [_oldest_first(task)[0].id()]


def test_a_clock_that_is_set_back_makes_a_try_wait_no_longer_than_its_delay(travel: Travel, clock: ManualClock) -> None:
    task = travel(_failing(1)).run_once(retries=1, retry_delay="5m")
    clock.advance()
    clock.set(_START - timedelta(days=1))
    clock.advance(minutes=5)
    assert _statuses(task) == ["failure", "success"]
