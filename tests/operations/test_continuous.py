"""Continuous tasks: started again whenever they end, after growing pauses, until they are killed or paused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite import Client, Orchestration, RunStatus, Task, TaskStatus
from orchlite.testing import ManualClock, StubProcess, StubRun

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]
Until = Callable[[Callable[[], object]], None]

_START = datetime(2026, 3, 1, tzinfo=UTC)


def _started(task: Task) -> list[int]:
    """Return the seconds after the start at which its runs started, oldest first."""
    return [int((began - _START).total_seconds()) for run in reversed(task.last_runs()) if (began := run.started_at())]


class TestStartsAgain:
    def test_after_pauses_that_double_up_to_a_minute(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_continuously("x")
        clock.advance(minutes=5)
        assert _started(task) == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]

    def test_after_a_second_when_it_has_run_for_a_minute(self, travel: Travel, clock: ManualClock) -> None:
        task = travel(lambda run: ("failure", 60 if run.number == 4 else 0)).run_continuously("x")
        clock.advance(seconds=80)
        assert _started(task) == [0, 1, 3, 7, 68, 69, 71, 75]

    @pytest.mark.parametrize("status", ["success", "failure", "timed_out", "killed", "unknown"])
    def test_however_it_has_ended(self, travel: Travel, clock: ManualClock, status: str) -> None:
        task = travel(status, 100).run_continuously("x")
        clock.advance(seconds=250)
        assert _started(task) == [0, 101, 202]
        assert [run.status() for run in task.last_runs()][1:] == [status, status]

    def test_as_a_run_of_its_own_each_time_without_a_slot(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 10).run_continuously("x", {"n": 1})
        clock.advance(seconds=11)
        assert len({run.id() for run in task.last_runs()}) == 2
        assert {run.scheduled_at() for run in task.last_runs()} == {None}
        assert (task.schedule(), task.missed(), task.input_data()) == (None, 0, {"n": 1})

    def test_when_one_run_was_killed(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 1000).run_continuously("x")
        task.last_runs()[0].kill()
        assert task.status() is TaskStatus.STARTED
        clock.advance(seconds=1)
        assert _started(task) == [0, 1]

    def test_and_says_when(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success").run_continuously("x")
        clock.advance(seconds=4)
        assert task.next_run_at() == datetime(2026, 3, 1, 0, 0, 7, tzinfo=UTC)

    @pytest.mark.parametrize("status", ["success", "failure"], ids=["started", "crash loop"])
    def test_within_a_minute_when_the_clock_was_set_back(self, travel: Travel, clock: ManualClock, status: str) -> None:
        task = travel(status).run_continuously("x")
        clock.advance(minutes=5)
        runs = len(task.last_runs())
        clock.set(clock.now() - timedelta(days=365))
        clock.advance(minutes=1)
        assert len(task.last_runs()) == runs + 1

    def test_within_a_minute_when_the_clock_was_set_back_while_no_host_was_up(
        self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes
    ) -> None:
        client = open_client(clock=clock, process=StubProcess())
        task_id = client.upload_orchestration(smallest_bundle).run_continuously("x").id()
        client.close()
        task = open_client(clock=(earlier := ManualClock(_START - timedelta(days=365))), process=StubProcess()).get_task_by_id(task_id)
        runs = len(task.last_runs())
        earlier.advance(minutes=1, seconds=1)
        assert len(task.last_runs()) > runs

    def test_never_while_a_run_is_unfinished(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 7 * 86400).run_continuously("x")
        clock.advance(days=6)
        assert [run.status() for run in task.last_runs()] == [RunStatus.RUNNING]
        assert task.next_run_at() is None


class TestACrashLoop:
    def test_is_five_failures_within_ten_minutes(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_continuously("x")
        clock.advance(seconds=14)
        assert task.status() is TaskStatus.STARTED
        clock.advance(seconds=1)
        assert task.status() is TaskStatus.CRASH_LOOP
        assert "five" in (task.reason() or "")

    def test_is_none_when_they_take_longer(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure", 150).run_continuously("x")
        clock.advance(hours=3)
        assert task.status() is TaskStatus.STARTED

    def test_does_not_stop_its_task_from_starting_again(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_continuously("x")
        clock.advance(hours=1)
        assert task.status() is TaskStatus.CRASH_LOOP
        assert len(task.last_runs()) > 60

    def test_ends_with_a_success(self, travel: Travel, clock: ManualClock) -> None:
        task = travel(lambda run: "failure" if run.number <= 6 else "success").run_continuously("x")
        clock.advance(seconds=31)
        assert task.status() is TaskStatus.CRASH_LOOP
        clock.advance(seconds=32)
        assert (task.status(), task.reason()) == (TaskStatus.STARTED, None)

    def test_ends_when_a_run_has_lasted_for_a_minute(self, travel: Travel, clock: ManualClock) -> None:
        task = travel(lambda run: ("failure", 0 if run.number <= 5 else 100_000)).run_continuously("x")
        clock.advance(seconds=31 + 59)
        assert (task.status(), task.last_runs()[0].status()) == (TaskStatus.CRASH_LOOP, RunStatus.RUNNING)
        assert task.next_run_at() is None
        clock.advance(seconds=1)
        assert (task.status(), task.next_run_at()) == (TaskStatus.STARTED, None)
        clock.advance(hours=1)
        assert len(task.last_runs()) == 6

    def test_ends_with_a_failure_after_a_minute(self, travel: Travel, clock: ManualClock) -> None:
        def decide(run: StubRun) -> tuple[str, float]:
            return "failure", 0 if run.number <= 5 else 60

        task = travel(decide).run_continuously("x")
        clock.advance(seconds=31 + 60)
        assert task.status() is TaskStatus.STARTED


class TestInAnotherHost:
    def test_it_continues_where_it_was(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        stub = StubProcess("success", 100)
        first = open_client(clock=clock, process=stub)
        task = first.upload_orchestration(smallest_bundle).run_continuously("x")
        clock.advance(seconds=50)
        first.close()
        found = open_client(clock=clock, process=stub).get_task_by_id(task.id())
        clock.advance(seconds=300)
        assert _started(found) == [0, 101, 202, 303]
        assert len(stub.runs) == 4

    def test_it_starts_again_once_however_many_hosts_there_are(
        self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes
    ) -> None:
        clients = [open_client(clock=clock, process=StubProcess("success", 100)) for _ in range(3)]
        task = clients[1].upload_orchestration(smallest_bundle).run_continuously("x")
        clock.advance(seconds=250)
        assert _started(task) == [0, 101, 202]


_HOST = """
import sys, time
import orchlite
client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
task = client.upload_orchestration(path=sys.argv[2]).run_continuously("forever")
while not (task.last_runs() and "begun" in task.last_runs()[0].logs()):
    time.sleep(0.01)
print(task.id(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Another process that hosts a continuous task; it prints the task's id once the program has started."""
    started: list[subprocess.Popen[str]] = []

    def start(program: Path) -> subprocess.Popen[str]:
        script = tmp_path / "host.py"
        script.write_text(_HOST, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1])}
        command = [sys.executable, str(script), str(tmp_path / "store"), str(program)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


class TestARealProgram:
    @pytest.mark.slow
    def test_of_a_killed_host_is_adopted_and_not_started_twice(
        self,
        open_client: OpenClient,
        folder: MakeFolder,
        waiting_program: str,
        gate: Path,
        until: Until,
        host: Callable[[Path], subprocess.Popen[str]],
    ) -> None:
        process = host(folder(waiting_program))
        assert process.stdout is not None
        task_id = process.stdout.readline().strip()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        client = open_client()
        task = client.start().get_task_by_id(task_id)
        [run] = task.last_runs()
        assert run.status() is RunStatus.RUNNING
        gate.touch()
        assert run.wait(20).status() is RunStatus.SUCCESS
        until(lambda: len(task.last_runs()) == 2)  # a second later
        assert task.last_runs()[1] == run
        task.kill()
        until(lambda: task.status() is TaskStatus.KILLED)

    def test_continues_when_its_client_closes(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, until: Until
    ) -> None:
        first = open_client()
        task = first.upload_orchestration(path=folder(waiting_program)).run_continuously("x")
        until(lambda: task.last_runs() and "begun" in task.last_runs()[0].logs())
        first.close(drain=False)
        found = open_client().start().get_task_by_id(task.id())
        assert [run.status() for run in found.last_runs()] == [RunStatus.RUNNING]
        assert found.kill() in (TaskStatus.PENDING_KILL, TaskStatus.KILLED)
        assert found.wait(20).status() is RunStatus.KILLED
        until(lambda: found.status() is TaskStatus.KILLED)

    def test_starts_again_on_the_manual_clock_too(self, open_client: OpenClient, folder: MakeFolder, clock: ManualClock) -> None:
        task = open_client(clock=clock).upload_orchestration(path=folder("raise SystemExit(3)")).run_continuously("x")
        clock.advance(seconds=7)
        assert [run.exit_code() for run in task.last_runs()] == [3, 3, 3, 3]
        assert _started(task) == [0, 1, 3, 7]
