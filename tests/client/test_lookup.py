"""What is found in a store by what a person remembers of it."""

from __future__ import annotations

from collections.abc import Callable

from orchlite import Orchestration, TaskRun
from orchlite.client.lookup import Lookup
from orchlite.testing import ManualClock

Travel = Callable[..., Orchestration]


def _last_good(orchestration: Orchestration, run: TaskRun) -> TaskRun | None:
    return Lookup(orchestration._engine, orchestration.workspace_id()).last_good(run)


class TestTheLastGoodRun:
    def test_is_the_newest_success_before_a_run_of_its_task(self, travel: Travel, clock: ManualClock) -> None:
        ends = iter(["success", "success", "failure", "failure", "success"])
        orchestration = travel(lambda run: next(ends))
        task = orchestration.run_scheduled("nightly", "@daily")
        clock.advance(days=5)
        first, second, failed, again, newest = reversed(task.last_runs())
        found = [_last_good(orchestration, run) for run in (first, second, failed, again, newest)]
        assert found == [None, first, second, second, second]

    def test_is_that_of_another_task_of_the_name_if_the_task_has_none(self, travel: Travel, clock: ManualClock) -> None:
        ends = iter(["success", "failure", "failure", "failure", "success"])
        orchestration = travel(lambda run: next(ends))
        task = orchestration.run_scheduled("nightly", "@daily")
        clock.advance(days=2)
        failed, good = task.last_runs()
        again = failed.rerun()
        [other] = orchestration.run_once("other").last_runs()
        [named] = orchestration.run_once("nightly").last_runs()
        assert [_last_good(orchestration, run) for run in (again, other, named)] == [good, None, good]

    def test_is_found_by_the_orchestrations_name_if_tasks_have_none(self, travel: Travel) -> None:
        orchestration = travel()
        first, second = (orchestration.run_once().last_runs()[0] for _ in range(2))
        assert (orchestration.name(), _last_good(orchestration, second)) == (None, None)
        assert _last_good(orchestration, first) is None

    def test_of_packaging_does_not_exist(self, travel: Travel) -> None:
        orchestration = travel().wait()
        assert _last_good(orchestration, orchestration.task().last_runs()[0]) is None
