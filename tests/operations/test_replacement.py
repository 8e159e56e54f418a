"""Replacing what a task runs: in one step, with no slot lost or run twice, and without touching what runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, BadSchedule, Client, Conflict, IllegalMove, Orchestration, PackagingFailed, Task, TaskStatus
from orchlite.operations import dispatch
from orchlite.testing import ManualClock, StubProcess

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


class _Stage:
    """A client on the manual clock whose runs last 90 s, and two orchestrations to run."""

    def __init__(self, client: Client, folder: MakeFolder) -> None:
        self.client = client
        self.folder = folder
        self.old, self.new = self.upload("print('old')"), self.upload("print('new')")

    def upload(self, program: str) -> Orchestration:
        return self.client.upload_orchestration(path=self.folder(program)).wait()

    def runs(self, task: Task) -> list[tuple[float, str]]:
        """Return what was run for each slot, by hours after the start, oldest first."""
        names = {self.old.id(): "old", self.new.id(): "new"}
        slots = [(run.scheduled_at() or _START, run.orchestration()) for run in task.last_runs()]
        return sorted(((slot - _START) / _HOUR, names[key]) for slot, key in slots)


@pytest.fixture
def stage(open_client: OpenClient, clock: ManualClock, folder: MakeFolder) -> _Stage:
    return _Stage(open_client(clock=clock, process=StubProcess("success", 90), workers=1), folder)


@pytest.fixture
def hourly(stage: _Stage) -> Task:
    return stage.old.run_scheduled("hourly", "0 * * * *", {"n": 1}, 600, env={"LEVEL": "1"})


class TestAReplacedSchedule:
    def test_runs_the_replacement_from_the_next_slot_on(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        clock.advance(hours=2)
        assert hourly.replace(stage.new) is hourly
        clock.advance(hours=2)
        assert stage.runs(hourly) == [(1, "old"), (2, "old"), (3, "new"), (4, "new")]
        assert (hourly.orchestration(), hourly.missed(), stage.client.check()) == (stage.new.id(), 0, [])

    def test_keeps_everything_that_is_not_given(self, stage: _Stage, hourly: Task) -> None:
        hourly.replace(stage.new)
        assert (hourly.name(), hourly.schedule(), hourly.timezone(), hourly.next_run_at()) == ("hourly", "0 * * * *", "UTC", _START + _HOUR)
        assert (hourly.input_data(), hourly.timeout(), list(hourly.env())) == ({"n": 1}, 600, ["LEVEL"])

    def test_takes_everything_that_is_given(self, stage: _Stage, hourly: Task) -> None:
        policy: dict[str, Any] = {"concurrency": "forbid", "missed": "all", "starting_deadline_seconds": 90}
        times: dict[str, Any] = {"schedule": "30 2 * * *", "timezone": "Europe/Berlin"}
        hourly.replace(stage.new, json_args={"n": 2}, timeout=None, env={"DEPTH": "2"}, debug=True, on_failure=["true"], **policy, **times)
        assert (hourly.input_data(), hourly.timeout(), list(hourly.env())) == ({"n": 2}, None, ["DEPTH"])
        assert (hourly.schedule(), hourly.timezone()) == ("30 2 * * *", "Europe/Berlin")
        row = hourly._row()
        assert row.schedule is not None
        assert (row.schedule._asdict() | policy, row.debug, row.on_failure) == (row.schedule._asdict(), True, ("true",))

    def test_has_an_event_that_says_what_was_replaced(self, stage: _Stage, hourly: Task) -> None:
        hourly.replace(stage.new, json_args={}, schedule="@daily")
        event = [event for event in stage.client.events() if event.object_id() == hourly.id()][-1]
        assert (event.kind(), event.was(), event.became()) == ("task", "started", "replaced")
        assert event.reason() == f"orchestration {stage.new.id()} instead of {stage.old.id()}; other arguments, schedule"

    def test_is_not_replaced_by_what_it_is_already(self, stage: _Stage, hourly: Task) -> None:
        known = len(stage.client.events())
        hourly.replace(stage.old, json_args={"n": 1}, schedule="0 * * * *")
        assert len(stage.client.events()) == known

    def test_is_seen_by_handles_that_were_made_before(self, stage: _Stage, hourly: Task) -> None:
        other = stage.client.get_task_by_id(hourly.id())
        hourly.replace(stage.new, json_args={"n": 2}, schedule="@daily")
        assert (other.orchestration(), other.input_data(), other.schedule()) == (stage.new.id(), {"n": 2}, "0 0 * * *")

    def test_that_is_paused_stays_so(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        hourly.pause()
        hourly.replace(stage.new)
        clock.advance(hours=2)
        assert (hourly.status(), hourly.last_runs()) == (TaskStatus.PAUSED, [])
        hourly.resume()
        clock.advance(hours=1)
        assert (stage.runs(hourly), hourly.missed()) == ([(3, "new")], 2)


class TestRunsOfATaskThatIsReplaced:
    def test_that_run_continue_and_keep_what_they_were_started_with(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        clock.advance(hours=1)
        hourly.replace(stage.new, json_args={"n": 2}, timeout=30)
        [run] = hourly.last_runs()
        assert (run.status(), run.orchestration(), run.input_data(), run.timeout()) == ("running", stage.old.id(), {"n": 1}, 600)
        clock.advance(seconds=90)
        assert (run.status(), run.duration(), run.orchestration()) == ("success", 90, stage.old.id())
        clock.advance(hours=1)
        assert [run.status() for run in hourly.last_runs()] == ["timed_out", "success"]

    def test_that_are_queued_run_the_replacement(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        stage.old.run_once(timeout=7000)  # it has the only worker slot when the clock strikes
        clock.set(_START + _HOUR - timedelta(seconds=10))
        stage.old.run_once()
        clock.advance(seconds=10)
        [run] = hourly.last_runs()
        assert (run.status(), run.orchestration()) == ("queued", stage.old.id())
        hourly.replace(stage.new)
        assert run.orchestration() == stage.new.id()
        clock.advance(minutes=5)
        assert (run.status(), stage.runs(hourly)) == ("success", [(1, "new")])

    def test_keep_their_version_through_further_replacements(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        for number, orchestration in enumerate([stage.new, stage.old, stage.new], start=2):
            clock.advance(hours=1)
            hourly.replace(orchestration, json_args={"n": number})
        clock.advance(hours=1)
        assert [run.input_data()["n"] for run in hourly.last_runs()] == [4, 3, 2, 1]
        assert stage.runs(hourly) == [(1, "old"), (2, "new"), (3, "old"), (4, "new")]

    def test_are_notified_of_with_their_orchestration(self, stage: _Stage, clock: ManualClock, tmp_path: Path) -> None:
        said = tmp_path / "said"
        command = ["sh", "-c", f'echo "$ORCHLITE_ORCHESTRATION_ID" > {said}']
        task = stage.old.run_scheduled("hourly", "0 * * * *", timeout=60, on_failure=command)
        clock.advance(hours=1)
        task.replace(stage.new)
        clock.advance(minutes=2)
        assert said.read_text().strip() == stage.old.id()


class TestAnotherSchedule:
    def test_holds_from_now_on(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        clock.advance(minutes=90)
        hourly.replace(stage.new, schedule="15,45 * * * *")
        assert hourly.next_run_at() == _START + 1.75 * _HOUR
        clock.advance(hours=1)
        assert stage.runs(hourly) == [(1, "old"), (1.75, "new"), (2.25, "new")]

    @pytest.mark.parametrize(("missed", "ran", "skipped"), [("latest", [3], 2), ("all", [1, 2, 3], 0), ("none", [], 3)])
    def test_leaves_what_was_missed_before_to_the_old_one(
        self, stage: _Stage, clock: ManualClock, missed: str, ran: list[int], skipped: int
    ) -> None:
        task = stage.old.run_scheduled("hourly", "0 * * * *", missed=missed)
        clock.set(_START + 3.5 * _HOUR)  # the machine has slept, and nobody has dispatched anything yet
        task.replace(stage.new, schedule="15 * * * *", missed="all")
        clock.advance(hours=1)
        assert stage.runs(task) == [*((hour, "new") for hour in ran), (4.25, "new")]
        assert task.missed() == skipped

    def test_of_a_paused_task_skips_what_has_passed(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        hourly.pause()
        clock.advance(minutes=150)
        hourly.replace(stage.new, schedule="15 * * * *")
        clock.advance(minutes=60)
        hourly.resume()
        skipped = [(run.scheduled_at() or _START) - _START for run in hourly.last_runs(status="skipped")]
        assert sorted(skipped) == [_HOUR, 2 * _HOUR, 3.25 * _HOUR]

    def test_gives_no_slot_a_second_run(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        clock.advance(hours=3)
        hourly.replace(stage.new, schedule="30 * * * *")
        clock.set(_START + 1.75 * _HOUR)
        hourly.replace(stage.old, schedule="0 * * * *")
        clock.advance(hours=3)
        assert stage.runs(hourly) == [(1, "old"), (2, "old"), (3, "old"), (4, "old")]

    def test_given_while_the_clock_was_ahead_holds_when_it_is_set_back(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        hourly.pause()
        hourly.resume()
        clock.set(_START + timedelta(days=365))
        hourly.replace(stage.new, schedule="30 * * * *", missed="none")
        clock.set(_START + 10 * timedelta(minutes=1))
        clock.advance(hours=1)
        assert stage.runs(hourly)[0] == (0.5, "new")

    def test_starts_a_task_whose_own_cannot_be_kept(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        with closing(sqlite3.connect(stage.client.path() / "store.sqlite")) as database, database:
            database.execute("UPDATE tasks SET schedule = json_set(schedule, '$.timezone', 'Nowhere/Land') WHERE kind = 'scheduled'")
        clock.advance(hours=2)
        assert hourly.status() == "schedule_error"
        hourly.replace(stage.new)
        assert hourly.status() == "schedule_error"
        hourly.replace(stage.new, timezone="UTC")
        clock.advance(hours=1)
        assert (hourly.status(), stage.runs(hourly)) == ("started", [(3, "new")])

    def test_makes_decisions_of_other_hosts_void_that_were_made_in_advance(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        batch = dispatch.prepare(stage.client._engine.context, _START + _HOUR)
        hourly.replace(stage.new, schedule="0 1-23/2 * * *")  # due first at the same time, and then at another
        clock.set(_START + _HOUR)
        dispatch.dispatch(stage.client._engine.context, batch, _START + _HOUR)
        assert hourly.last_runs() == []
        clock.advance(hours=3)
        assert stage.runs(hourly) == [(1, "new"), (3, "new")]


class TestAContinuousTask:
    def test_runs_the_replacement_at_its_next_start(self, stage: _Stage, clock: ManualClock) -> None:
        task = stage.old.run_continuously("poller", {"n": 1})
        clock.advance(seconds=30)
        task.replace(stage.new, json_args={"n": 2})
        clock.advance(seconds=90)
        assert [(run.status(), run.input_data()) for run in task.last_runs()] == [("running", {"n": 2}), ("success", {"n": 1})]

    @pytest.mark.parametrize(
        "given",
        [{"schedule": "@daily"}, {"timezone": "UTC"}, {"missed": "all"}, {"timeout": 60}, {"retries": 1}, {"on_late": ["true"]}],
    )
    def test_has_no_schedule_no_time_limit_and_no_retries(self, stage: _Stage, given: dict[str, object]) -> None:
        task = stage.old.run_continuously("poller")
        with pytest.raises(BadArgument) as refusal:
            task.replace(stage.new, **given)  # type: ignore[arg-type]
        assert [refusal.value.details["argument"]] == [*given]
        assert task.orchestration() == stage.old.id()


class TestIsRefused:
    def test_for_a_task_that_runs_once(self, stage: _Stage) -> None:
        with pytest.raises(IllegalMove, match="runs once"):
            stage.old.run_once().replace(stage.new)

    def test_for_a_killed_task(self, stage: _Stage, hourly: Task) -> None:
        hourly.kill()
        with pytest.raises(IllegalMove, match=r"is killed.* new task"):
            hourly.replace(stage.new)

    def test_with_an_orchestration_of_another_workspace(self, stage: _Stage, hourly: Task) -> None:
        stage.client.set_current_workspace(stage.client.create_workspace("elsewhere"))
        with pytest.raises(Conflict, match="another workspace"):
            hourly.replace(stage.upload("print('elsewhere')"))

    @pytest.mark.parametrize("other", [None, "name", 7])
    def test_with_something_else(self, hourly: Task, other: object) -> None:
        with pytest.raises(BadArgument, match="orchestration is a"):
            hourly.replace(other)  # type: ignore[arg-type]
        with pytest.raises(BadArgument, match="orchestration is a Task"):
            hourly.replace(hourly)  # type: ignore[arg-type]

    @pytest.mark.parametrize("given", [{"schedule": "61 * * * *"}, {"timezone": "Nowhere"}, {"json_args": 7}, {"concurrency": "never"}])
    def test_with_an_invalid_argument_and_nothing_changes(self, stage: _Stage, hourly: Task, given: dict[str, object]) -> None:
        with pytest.raises((BadArgument, BadSchedule)):
            hourly.replace(stage.new, **given)  # type: ignore[arg-type]
        assert (hourly.orchestration(), hourly.input_data(), hourly.schedule()) == (stage.old.id(), {"n": 1}, "0 * * * *")


@pytest.mark.slow
def test_a_replacement_that_cannot_be_packaged_leaves_the_task_as_it_was(
    open_client: OpenClient, folder: MakeFolder, tmp_path: Path
) -> None:
    client = open_client(index_urls=(tmp_path.as_uri(),))
    task = client.upload_orchestration(path=folder("print(1)")).run_scheduled("nightly", "0 0 1 1 *")
    broken = client.upload_orchestration(path=folder({"main.py": "", "requirements.txt": "no-such-package==9\n"}))
    known = task.orchestration()
    with pytest.raises(PackagingFailed):
        task.replace(broken)
    assert (task.orchestration(), task.status()) == (known, "started")


def test_a_task_that_waits_for_packaging_starts_with_a_replacement_that_is_ready(
    client: Client, folder: MakeFolder, waiting_program: str, gate: Path
) -> None:
    ready = client.upload_orchestration(path=folder("print('ready')")).wait()
    busy = client.upload_orchestration(path=folder(waiting_program)).wait()
    for _ in range(2):  # both workers
        busy.run_once()
    task = client.upload_orchestration(path=folder("print('waits')")).run_continuously("poller")
    assert task.status() == "pending"
    task.replace(ready)
    assert task.status() == "started"
    gate.touch()
    assert "ready" in task.wait().logs()


class TestFilesOfRunsBeforeAReplacement:
    def test_are_compared_with_their_own_bundle(self, client: Client, folder: MakeFolder) -> None:
        old = client.upload_orchestration(path=folder({"main.py": "open('made', 'w').close()", "old.txt": "old"})).wait()
        new = client.upload_orchestration(path=folder({"main.py": "open('made', 'w').close()", "new.txt": "new"})).wait()
        task = old.run_continuously("poller")
        run = task.wait()
        task.pause()
        task.replace(new)
        assert [path.name for path in run.files()] == ["made"]
        task.resume()
        assert [path.name for path in task.wait().files()] == ["made"]


class TestDeletingWhatATaskRanBefore:
    def test_is_refused_while_the_task_lives(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        clock.advance(hours=1)
        hourly.replace(stage.new)
        clock.advance(hours=1)
        with pytest.raises(Conflict, match=r"before it was replaced.*prune") as refusal:
            stage.old.delete()
        assert refusal.value.details["task_ids"] == [hourly.id()]

    @pytest.mark.slow
    def test_is_possible_once_its_runs_are_pruned(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        clock.advance(hours=1)
        hourly.replace(stage.new)
        clock.advance(days=2)
        stage.client.prune(timedelta(days=1))
        stage.old.delete()
        assert {run.orchestration() for run in hourly.last_runs()} == {stage.new.id()}
        assert (hourly.status(), stage.client.check()) == ("started", [])

    def test_is_possible_if_it_never_ran(self, stage: _Stage, hourly: Task) -> None:
        hourly.replace(stage.new)
        stage.old.delete()
        assert (hourly.status(), hourly.orchestration()) == ("started", stage.new.id())

    def test_takes_the_runs_of_a_killed_task_along(self, stage: _Stage, hourly: Task, clock: ManualClock) -> None:
        clock.advance(hours=1)
        hourly.replace(stage.new)
        clock.advance(hours=1, minutes=30)
        hourly.kill()
        stage.old.delete()
        assert (stage.runs(hourly), stage.client.check()) == ([(2, "new")], [])
