"""Time that passes only when the caller says so: equal calls produce equal rows, and no wait hangs silently."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, Client, Conflict, Orchestration, RunStatus, Task, TaskStatus, WaitTimeout
from orchlite.operations import upload
from orchlite.operations.upload import Upload
from orchlite.testing import ManualClock, StubProcess, StubRun

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]
Until = Callable[[Callable[[], object]], None]
Wait = Callable[[Orchestration, ManualClock], None]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")


def _rows(store: Path) -> list[list[Any]]:
    """Return every row of tasks, runs and events, with ids numbered in the order in which they appear."""
    known: dict[str, str] = {}
    with sqlite3.connect(store / "store.sqlite") as database:
        tables = ("SELECT * FROM events ORDER BY event_id", "SELECT * FROM tasks ORDER BY rowid", "SELECT * FROM runs ORDER BY number")
        found = [row for table in tables for row in database.execute(table)]
    database.close()

    def numbered(value: Any) -> Any:
        return _ID.sub(lambda match: known.setdefault(match[0], f"id {len(known)}"), value) if isinstance(value, str) else value

    return [[numbered(value) for value in row] for row in found]


def _scenario(store: Path, bundle: bytes) -> list[list[Any]]:
    clock = ManualClock(_START)

    def decide(run: StubRun) -> tuple[str, float]:
        return ("success", "failure", "unknown")[run.number % 3], 50.0 * (run.number % 5)

    client = Client(store, clock=clock, process=StubProcess(decide), workers=2)
    orchestration = client.upload_orchestration(bundle)
    often = orchestration.run_scheduled("often", "*/2 * * * *", concurrency="forbid", timezone="America/New_York")
    orchestration.run_scheduled("replacing", "*/3 * * * *", concurrency="replace", timeout=100)
    orchestration.run_scheduled("with a deadline", "* * * * *", starting_deadline_seconds=60)
    forever = orchestration.run_continuously("forever")
    orchestration.run_once("once")
    clock.advance(minutes=20)
    often.pause()
    clock.set(clock.now() - timedelta(minutes=2))
    clock.advance(minutes=7.5)
    often.resume()
    often.replace(orchestration, json_args={"n": 2}, schedule="*/4 * * * *")
    clock.set(clock.now() + _HOUR)
    clock.advance(minutes=10)
    forever.kill()
    client.close()
    rows = _rows(store)
    again = Client(store, clock=clock, process=StubProcess())
    clock.advance(hours=1)
    again.close()
    return rows + _rows(store)


@pytest.mark.slow
def test_the_same_calls_give_the_same_rows(tmp_path: Path, smallest_bundle: bytes) -> None:
    one, other = (_scenario(tmp_path / name, smallest_bundle) for name in ("one", "other"))
    # The boot id is the same; host ids are numbered like all others.
    assert one == other
    assert len(one) > 100


class TestRealPrograms:
    def test_end_at_the_instant_at_which_they_start(self, open_client: OpenClient, folder: MakeFolder, clock: ManualClock) -> None:
        orchestration = open_client(clock=clock).upload_orchestration(path=folder("print('ran')"))
        task = orchestration.run_scheduled("hourly", "0 * * * *")
        clock.advance(hours=3)
        assert [run.started_at() for run in task.last_runs()] == [_START + number * _HOUR for number in (3, 2, 1)]
        assert {(run.status(), run.duration(), str(run.logs())) for run in task.last_runs()} == {(RunStatus.SUCCESS, 0.0, "ran\n")}
        assert clock.now() == _START + 3 * _HOUR

    @pytest.mark.slow
    def test_wait_for_their_packaging_first(
        self, open_client: OpenClient, folder: MakeFolder, clock: ManualClock, package_index: tuple[str, str]
    ) -> None:
        url, requirement = package_index
        module = requirement.partition("==")[0]
        program = {"main.py": f"import {module}\nprint({module}.WORDS)", "requirements.txt": requirement}
        client = open_client(clock=clock, index_urls=[url])
        task = client.upload_orchestration(path=folder(program)).run_scheduled("hourly", "0 * * * *")
        clock.advance(hours=2)
        assert [str(run.logs()) for run in task.last_runs()] == ["from the package\n"] * 2
        assert task.missed() == 0

    def test_run_in_a_client_that_has_only_opened_the_store(self, open_client: OpenClient, folder: MakeFolder, clock: ManualClock) -> None:
        first = open_client(clock=clock)
        task = first.upload_orchestration(path=folder("")).wait().run_scheduled("hourly", "0 * * * *")
        first.close()
        clock.set(_START + 5.5 * _HOUR)
        found = open_client(clock=clock).get_task_by_id(task.id())
        clock.advance(hours=1)
        assert [run.scheduled_at() for run in found.last_runs()] == [_START + 6 * _HOUR, _START + 5 * _HOUR]
        assert {run.status() for run in found.last_runs()} == {RunStatus.SUCCESS}


class TestSeveral:
    def test_clients_on_one_store_and_one_clock_do_everything_once(
        self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes
    ) -> None:
        stub = StubProcess("success", 30)
        one, other = open_client(clock=clock, process=stub), open_client(clock=clock, process=stub)
        orchestration = one.upload_orchestration(smallest_bundle)
        task = orchestration.run_scheduled("often", "* * * * *")
        other.get_task_by_id(task.id()).last_runs()
        once = other.list_orchestrations()[0].run_once()
        clock.advance(hours=1)
        assert [run.scheduled_at() for run in reversed(task.last_runs())] == [_START + n * timedelta(minutes=1) for n in range(1, 61)]
        assert once.last_runs()[0].status() is RunStatus.SUCCESS
        assert len(stub.runs) == len({run.run_id for run in stub.runs}) == 61

    def test_stores_on_one_clock_proceed_in_the_order_of_time(self, travel: Travel, clock: ManualClock) -> None:
        order: list[str | None] = []

        def decide(run: StubRun) -> str:
            order.append(run.task_name)
            return "success"

        travel(decide).run_scheduled("even", "*/2 * * * *")
        travel(decide).run_scheduled("odd", "1-59/2 * * * *")
        clock.advance(minutes=6)
        assert order == ["odd", "even"] * 3

    def test_threads_advance_one_after_the_other(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 90).run_scheduled("often", "* * * * *")

        def advance() -> None:
            for _ in range(5):
                clock.advance(minutes=1)

        threads = [threading.Thread(target=advance) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clock.now() == _START + timedelta(minutes=20)
        slots = [run.scheduled_at() for run in task.last_runs()]
        assert sorted(filter(None, slots)) == [_START + n * timedelta(minutes=1) for n in range(1, 21)]

    def test_threads_submit_while_one_advances(self, travel: Travel, clock: ManualClock) -> None:
        orchestration = travel()
        tasks: list[Task] = []
        thread = threading.Thread(target=lambda: tasks.extend(orchestration.run_once() for _ in range(30)))
        orchestration.run_scheduled("often", "* * * * *")
        thread.start()
        clock.advance(hours=1)
        thread.join()
        clock.advance()
        assert {run.status() for task in orchestration.list_tasks() for run in task.last_runs()} == {RunStatus.SUCCESS}
        assert len(tasks) == 30


class TestAStubsFunction:
    def test_is_called_for_each_run_in_order(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        stub = StubProcess()
        orchestration = open_client(clock=clock, process=stub).upload_orchestration(smallest_bundle)
        once = orchestration.run_once("once", {"n": 1})
        hourly = orchestration.run_scheduled("hourly", "0 * * * *")
        clock.advance(hours=1)
        assert stub.runs == [
            StubRun(once.last_runs()[0].id(), once.id(), "once", orchestration.id(), {"n": 1}, None, _START, 1),
            StubRun(hourly.last_runs()[0].id(), hourly.id(), "hourly", orchestration.id(), {}, _START + _HOUR, _START + _HOUR, 2),
        ]

    def test_that_raises_fails_its_run_and_is_reported(self, travel: Travel, clock: ManualClock) -> None:
        def decide(run: StubRun) -> str:
            if run.number == 2:
                raise ZeroDivisionError("in the test")
            return "success"

        task = travel(decide).run_scheduled("hourly", "0 * * * *")
        with pytest.raises(ZeroDivisionError, match="in the test") as raised:
            clock.advance(hours=3)
        failed = task.last_runs()[0]
        assert (failed.status(), failed.exit_code()) == (RunStatus.FAILURE, None)
        assert "ZeroDivisionError('in the test')" in (failed.reason() or "")
        assert failed.id() in raised.value.__notes__[0]
        assert clock.now() == _START + 2 * _HOUR
        clock.advance(hours=1)
        assert [run.status() for run in task.last_runs()] == [RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.SUCCESS]

    @pytest.mark.parametrize("answer", ["well", ("success", -1), ("success", "1"), None, ("success", 1, 2)], ids=repr)
    def test_that_returns_nonsense_is_an_error_too(self, travel: Travel, clock: ManualClock, answer: Any) -> None:
        task = travel(lambda _: answer).run_once()
        assert task.last_runs()[0].status() is RunStatus.FAILURE
        with pytest.raises(BadArgument):
            clock.advance()
        clock.advance(hours=1)

    def test_may_use_the_client(self, travel: Travel, clock: ManualClock) -> None:
        tasks: list[Task] = []

        def decide(run: StubRun) -> tuple[str, float]:
            if run.number == 3:
                tasks[0].kill()
            return "success", 10

        tasks.append(travel(decide).run_scheduled("hourly", "0 * * * *"))
        clock.advance(hours=10)
        [task] = tasks
        assert task.status() is TaskStatus.KILLED
        assert [run.status() for run in task.last_runs()] == [RunStatus.KILLED, RunStatus.SUCCESS, RunStatus.SUCCESS]

    def test_cannot_move_the_clock(self, travel: Travel, clock: ManualClock) -> None:
        def decide(run: StubRun) -> str:
            clock.advance(hours=1)
            return "success"

        travel(decide).run_scheduled("hourly", "0 * * * *")
        with pytest.raises(Conflict, match="being moved already"):
            clock.advance(hours=1)
        assert clock.now() == _START + _HOUR


class TestAStubRun:
    @pytest.mark.parametrize(
        ("status", "exit_code"), [("success", 0), ("failure", 1), ("timed_out", None), ("killed", None), ("unknown", None)]
    )
    def test_ends_as_configured(self, travel: Travel, status: str, exit_code: int | None) -> None:
        run = travel(status).run_once().wait()
        assert (run.status(), run.exit_code(), run.duration()) == (status, exit_code, 0.0)

    def test_may_have_an_exit_code_of_its_own(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        client = open_client(clock=clock, process=StubProcess("failure", exit_code=42))
        assert client.run(client.upload_orchestration(smallest_bundle)).exit_code() == 42

    def test_takes_its_time_on_the_clock(self, travel: Travel, clock: ManualClock) -> None:
        run = travel("success", 90.5).run_once().last_runs()[0]
        clock.advance(seconds=90)
        assert (run.status(), run.duration()) == (RunStatus.RUNNING, None)
        clock.advance(seconds=0.5)
        assert (run.status(), run.duration(), run.ended_at()) == (RunStatus.SUCCESS, 90.5, _START + timedelta(seconds=90.5))

    @pytest.mark.parametrize(("timeout", "status", "seconds"), [(60, "timed_out", 60.0), (90, "success", 90.0), (None, "success", 90.0)])
    def test_has_a_time_limit(self, travel: Travel, clock: ManualClock, timeout: float | None, status: str, seconds: float) -> None:
        run = travel("success", 90).run_once(timeout=timeout).last_runs()[0]
        clock.advance(hours=1)
        assert (run.status(), run.duration()) == (status, seconds)
        assert (run.exit_code(), run.reason()) == (
            (None, "it ran for longer than its timeout of 60 s") if status == "timed_out" else (0, None)
        )

    def test_has_its_planned_duration_if_the_clock_is_set_beyond_its_end(self, travel: Travel, clock: ManualClock) -> None:
        run = travel("success", 90).run_once().last_runs()[0]
        clock.set(_START + 5 * _HOUR)
        clock.advance()
        assert (run.ended_at(), run.duration()) == (_START + timedelta(seconds=90), 90.0)

    def test_never_has_a_negative_duration(self, travel: Travel, clock: ManualClock) -> None:
        run = travel("success", 90).run_once().last_runs()[0]
        clock.set(_START - _HOUR)
        run.kill()
        assert (run.status(), run.duration(), run.ended_at()) == (RunStatus.KILLED, 0.0, _START)

    def test_gets_a_worker_slot_when_another_run_has_ended(self, travel: Travel, clock: ManualClock) -> None:
        orchestration = travel("success", 60, workers=2)
        runs = [orchestration.run_once().last_runs()[0] for _ in range(5)]
        assert [run.status() for run in runs] == ["running", "running", "queued", "queued", "queued"]
        clock.advance(seconds=60)
        assert [run.status() for run in runs] == ["success", "success", "running", "running", "queued"]
        clock.advance(minutes=2)
        assert [run.started_at() for run in runs] == [_START + timedelta(minutes=minute) for minute in (0, 0, 1, 1, 2)]

    def test_continues_in_the_next_client(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        first = open_client(clock=clock, process=StubProcess("success", 90))
        run = first.upload_orchestration(smallest_bundle).run_once().last_runs()[0]
        first.close()
        found = open_client(clock=clock, process=StubProcess("failure", 30)).get_task_run_by_id(run.id())
        assert found.status() is RunStatus.RUNNING
        clock.advance(minutes=1)
        assert (found.status(), found.duration()) == (RunStatus.FAILURE, 30.0)

    def test_is_ended_before_its_temporary_store_is_removed(self, clock: ManualClock, smallest_bundle: bytes) -> None:
        client = Client.temporary(clock=clock, process=StubProcess("success", 90))
        run = client.upload_orchestration(smallest_bundle).run_once().last_runs()[0]
        client._engine.kill_all(0)  # without a timeout: there is nothing to wait for
        assert run.status() is RunStatus.KILLED
        client.close()
        assert not client.path().exists()


def _wait_for_one_that_goes_on(orchestration: Orchestration, _: ManualClock) -> None:
    orchestration.run_once().wait()


def _wait_for_one_in_the_queue(orchestration: Orchestration, _: ManualClock) -> None:
    orchestration.run_once()
    orchestration.run_once().last_runs()[0].wait()


def _wait_for_the_first_of_a_schedule(orchestration: Orchestration, _: ManualClock) -> None:
    orchestration.run_scheduled("hourly", "0 * * * *").wait()


def _wait_for_one_of_a_killed_task(orchestration: Orchestration, _: ManualClock) -> None:
    task = orchestration.run_scheduled("hourly", "0 * * * *")
    task.kill()
    task.wait()


def _wait_for_one_of_a_task_killed_long_ago(orchestration: Orchestration, clock: ManualClock) -> None:
    task = orchestration.run_scheduled("hourly", "0 * * * *")
    task.kill()
    clock.advance(hours=2)
    task.wait()


_STANDS_STILL = {
    _wait_for_one_that_goes_on: r"is running, and time does not pass by itself\..*Advance the clock",
    _wait_for_one_in_the_queue: "is queued, and time",
    _wait_for_the_first_of_a_schedule: "has no run, and time",
    _wait_for_one_of_a_killed_task: "was killed and has never had a run",
    _wait_for_one_of_a_task_killed_long_ago: "was killed and has never had a run",
}


def _answer_to(wait: Wait, bundle: bytes) -> str:
    clock = ManualClock(_START)
    with Client.temporary(clock=clock, process=StubProcess("success", 90), workers=1) as client:
        try:
            wait(client.upload_orchestration(bundle), clock)
        except Conflict as error:
            return str(error)
    return "it was answered"


@pytest.fixture(scope="module")
def answers(smallest_bundle: bytes) -> dict[Wait, str]:
    """Return what each of the waits raises; all run at once, because each takes a while to be sure."""
    with ThreadPoolExecutor(len(_STANDS_STILL)) as threads:
        return dict(zip(_STANDS_STILL, threads.map(lambda wait: _answer_to(wait, smallest_bundle), _STANDS_STILL), strict=True))


class TestAWait:
    @pytest.fixture
    def orchestration(self, travel: Travel) -> Orchestration:
        return travel("success", 90, workers=1)

    @pytest.mark.parametrize(("wait", "told"), _STANDS_STILL.items(), ids=[wait.__name__.strip("_") for wait in _STANDS_STILL])
    def test_that_cannot_end_before_the_clock_moves_says_so(self, answers: dict[Wait, str], wait: Wait, told: str) -> None:
        assert re.search(told, answers[wait])

    @pytest.mark.slow
    def test_says_so_for_real_programs_too(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> None:
        task = open_client(clock=clock).upload_orchestration(smallest_bundle).wait().run_scheduled("hourly", "0 * * * *")
        with pytest.raises(Conflict, match="has no run, and time"):
            task.wait()

    def test_with_a_time_limit_ends_in_time(self, orchestration: Orchestration) -> None:
        with pytest.raises(WaitTimeout):
            orchestration.run_once().wait(0.05)

    def test_ends_when_another_thread_advances_the_clock(self, orchestration: Orchestration, clock: ManualClock) -> None:
        task = orchestration.run_once()
        runs: list[RunStatus] = []
        waiting = threading.Thread(target=lambda: runs.append(task.wait(20).status()))
        waiting.start()
        clock.advance(seconds=90)
        waiting.join()
        assert runs == [RunStatus.SUCCESS]


def test_a_stub_needs_a_clock_that_is_moved_by_hand(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="moved by hand"):
        Client(tmp_path / "store", process=StubProcess())
    assert not (tmp_path / "store").exists()


def test_an_upload_on_a_stub_is_ready_at_once_and_installs_nothing(travel: Travel, tmp_path: Path) -> None:
    orchestration = travel()
    assert (orchestration.status(), orchestration.installed()) == ("ready", [])


def test_a_stub_does_not_end_a_run_that_waits_for_packaging(tmp_path: Path, clock: ManualClock, smallest_bundle: bytes) -> None:
    with (
        Client(tmp_path / "store", clock=clock, process=(stub := StubProcess())),
        Client(tmp_path / "store", clock=ManualClock(_START), process=StubProcess()) as other,
    ):
        row = upload.receive(other._engine.context, Upload(smallest_bundle, 1, None, "bundle.zip"))  # its packaging has not started
        clock.advance(hours=1)
        orchestration = other.get_orchestration_by_id(row.orchestration_id)
        assert (stub.runs, orchestration.status()) == ([], "pending_packaging")
        other.start()
        assert orchestration.wait(20).status() == "ready"


def test_leaving_a_client_does_not_wait_for_stub_runs(tmp_path: Path, clock: ManualClock, smallest_bundle: bytes) -> None:
    with Client(tmp_path / "store", clock=clock, process=StubProcess("success", 90)) as client:
        run = client.upload_orchestration(smallest_bundle).run_once().last_runs()[0]
    with Client(tmp_path / "store", clock=clock, process=StubProcess()) as client:
        assert client.get_task_run_by_id(run.id()).status() is RunStatus.RUNNING
