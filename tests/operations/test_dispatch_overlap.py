"""A slot whose task has an unfinished run: allow another, forbid it, or replace the old one."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchlite import Client, Orchestration, RunStatus, Task
from orchlite.core.folders import RunFolder
from orchlite.testing import ManualClock, StubProcess, StubRun

OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_REPLACED = "the next run of its task has replaced it"


class _Refusing(StubProcess):
    """Fails to cancel one run, as if no file could be opened."""

    refused: str | None = None

    def cancel(self, folder: RunFolder, reason: str) -> None:
        if folder.run_id == self.refused:
            raise OSError(errno.EMFILE, "Too many open files")
        super().cancel(folder, reason)


def _minutes(task: Task, status: str | None = None) -> list[int]:
    """Return the minutes after the start of the slots whose runs have this status."""
    slots = [slot for run in reversed(task.last_runs(status=status)) if (slot := run.scheduled_at())]
    return [(slot - _START) // timedelta(minutes=1) for slot in slots]


def _every_minute(orchestration: Orchestration, concurrency: str, **policy: object) -> Task:
    return orchestration.run_scheduled("x", "* * * * *", concurrency=concurrency, **policy)  # type: ignore[arg-type]


class TestAllow:
    def test_lets_as_many_runs_overlap_as_there_are_worker_slots(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 150, workers=2), "allow")
        clock.advance(minutes=3, seconds=10)
        assert [run.status() for run in task.last_runs()] == [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.RUNNING]
        clock.advance(seconds=20)
        assert [run.status() for run in task.last_runs()] == [RunStatus.RUNNING, RunStatus.SUCCESS, RunStatus.RUNNING]
        assert task.missed() == 0


class TestForbid:
    def test_skips_what_would_overlap_and_says_with_what(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 90), "forbid")
        clock.advance(minutes=6)
        assert (_minutes(task), _minutes(task, "skipped")) == ([1, 3, 5], [2, 4, 6])
        second = task.last_runs(status="skipped")[-1]
        assert second.reason() == f"overlap: run {task.last_runs()[-1].id()} had not ended"
        assert task.missed() == 3

    def test_permits_a_slot_at_which_the_old_run_ends(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 60), "forbid")
        clock.advance(minutes=5)
        assert (_minutes(task), task.missed()) == ([1, 2, 3, 4, 5], 0)

    @pytest.mark.parametrize("end", ["failure", "timed_out", "killed", "unknown"])
    def test_is_not_blocked_by_a_run_that_ended_in_any_way(self, travel: Travel, clock: ManualClock, end: str) -> None:
        task = _every_minute(travel(end, 30), "forbid")
        clock.advance(minutes=3)
        assert (_minutes(task), task.missed()) == ([1, 2, 3], 0)

    def test_is_not_blocked_by_a_run_that_was_killed(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 3600), "forbid")
        clock.advance(minutes=1)
        assert task.last_runs()[0].kill() is RunStatus.KILLED
        clock.advance(minutes=1)
        assert (_minutes(task), task.missed()) == ([1, 2], 0)

    def test_is_blocked_by_a_run_in_the_queue(self, travel: Travel, clock: ManualClock) -> None:
        orchestration = travel("success", 210, workers=1)
        task = _every_minute(orchestration, "forbid")
        orchestration.run_once()
        clock.advance(minutes=3)
        assert (_minutes(task, "queued"), _minutes(task, "skipped")) == ([1], [2, 3])
        clock.advance(minutes=1)
        assert _minutes(task, "running") == [1]

    def test_catches_up_one_slot_at_a_time(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 90), "forbid", missed="all")
        clock.set(_START + timedelta(minutes=5))
        clock.advance()
        assert (_minutes(task), _minutes(task, "skipped")) == ([1], [2, 3, 4, 5])
        assert {run.reason() for run in task.last_runs(status="skipped")} == {"overlap: the run of 2026-03-01T00:01:00+00:00 had not ended"}


class TestReplace:
    def test_kills_the_old_run_and_starts_the_new_one(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 90), "replace")
        clock.advance(minutes=3)
        assert [run.status() for run in reversed(task.last_runs())] == [RunStatus.KILLED, RunStatus.KILLED, RunStatus.RUNNING]
        old = task.last_runs()[-1]
        assert (old.reason(), old.duration(), old.exit_code()) == (_REPLACED, 60.0, None)
        assert task.missed() == 0

    def test_starts_the_new_run_when_the_old_one_has_ended(
        self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes
    ) -> None:
        client = open_client(clock=clock, process=StubProcess("success", 90), workers=4)
        task = _every_minute(client.upload_orchestration(smallest_bundle), "replace")
        clock.advance(minutes=2)
        names = {run.id(): name for run, name in zip(task.last_runs(), ("new", "old"), strict=True)}
        order = [(names[event.object_id()], event.became()) for event in client.events() if event.object_id() in names]
        assert order == [("old", "queued"), ("old", "running"), ("new", "queued"), ("old", "killed"), ("new", "running")]

    @pytest.mark.parametrize("refusing", [0, 1])
    def test_signals_the_runs_of_other_tasks_if_one_cannot_be_signalled(
        self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes, refusing: int
    ) -> None:
        process = _Refusing("success", 90)
        orchestration = open_client(clock=clock, process=process, workers=4).upload_orchestration(smallest_bundle)
        tasks = [_every_minute(orchestration, "replace") for _ in range(2)]
        clock.advance(minutes=1)
        runs = [task.last_runs()[0].id() for task in tasks]
        process.refused = runs[refusing]
        clock.advance(minutes=1)
        assert (process.cancelled(runs[refusing]), process.cancelled(runs[1 - refusing])) == (None, _REPLACED)

    def test_leaves_a_run_that_has_ended_in_time(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 60), "replace")
        clock.advance(minutes=3)
        assert _minutes(task, "success") == [1, 2]
        assert _minutes(task, "running") == [3]

    def test_ends_old_runs_in_the_queue_too(self, travel: Travel, clock: ManualClock) -> None:
        def decide(run: StubRun) -> tuple[str, float]:
            return "success", 0 if run.slot_at else 200

        orchestration = travel(decide, workers=1)
        task = _every_minute(orchestration, "replace")
        orchestration.run_once()  # occupies the only worker slot
        clock.advance(minutes=3)
        assert (_minutes(task, "killed"), _minutes(task, "queued")) == ([1, 2], [3])
        killed = task.last_runs(status="killed")
        assert {(run.reason(), run.started_at(), run.duration()) for run in killed} == {(_REPLACED, None, None)}
        clock.advance(seconds=30)
        assert _minutes(task, "success") == [3]

    def test_catches_up_with_the_newest_slot_only(self, travel: Travel, clock: ManualClock) -> None:
        task = _every_minute(travel("success", 90), "replace", missed="all")
        clock.set(_START + timedelta(minutes=4))
        clock.advance()
        assert (_minutes(task), _minutes(task, "skipped")) == ([4], [1, 2, 3])
        assert {run.reason() for run in task.last_runs(status="skipped")} == {"overlap: replaced by the slot 2026-03-01T00:04:00+00:00"}

    def test_does_not_touch_the_runs_of_other_tasks(self, travel: Travel, clock: ManualClock) -> None:
        orchestration = travel("success", 90, workers=4)
        _every_minute(orchestration, "replace")
        other = orchestration.run_scheduled("other", "1 0 * * *")
        clock.advance(minutes=4)
        assert _minutes(other, "success") == [1]


class TestAQueuedRunPastItsDeadline:
    """It cannot start any more, so it neither blocks a slot nor is replaced by one."""

    @pytest.fixture
    def busy(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> Orchestration:
        """An orchestration in a client whose only worker is busy for three minutes and a few seconds."""
        stub = StubProcess(lambda run: ("success", 185 if run.task_name == "busy" else 1))
        orchestration = open_client(clock=clock, process=stub).upload_orchestration(smallest_bundle)
        orchestration.run_once("busy")
        return orchestration

    @pytest.mark.parametrize("concurrency", ["forbid", "replace"])
    def test_is_skipped_at_the_next_slot_whose_run_starts_in_time(self, busy: Orchestration, clock: ManualClock, concurrency: str) -> None:
        task = _every_minute(busy, concurrency, starting_deadline_seconds=30)
        clock.advance(minutes=3, seconds=10)
        assert _minutes(task) == [3]
        assert task.last_runs()[0].status() is RunStatus.SUCCESS
        assert _minutes(task, "skipped") == [1, 2]
        assert {run.reason() for run in task.last_runs(status="skipped")} == {
            "missed: it waited in the queue for longer than its starting deadline"
        }
        assert task.missed() == 2

    def test_that_may_still_start_blocks_as_before(self, busy: Orchestration, clock: ManualClock) -> None:
        task = _every_minute(busy, "forbid", starting_deadline_seconds=60)
        clock.advance(minutes=2)
        assert (_minutes(task), _minutes(task, "skipped")) == ([1], [2])
        clock.advance(minutes=1)
        assert (_minutes(task), _minutes(task, "skipped")) == ([3], [2, 1])  # in this order they were skipped
