"""Closing a client, and what continues without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite import BadArgument, Client, Closed, Orchestration, RunStatus, Task, TaskRun
from tests.processes import is_alive

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]
Until = Callable[[Callable[[], object]], None]


class TestLeavingTheBlock:
    def test_waits_for_what_was_submitted_in_it(self, open_client: OpenClient, folder: MakeFolder) -> None:
        with open_client() as client:
            orchestration = client.upload_orchestration(path=folder("import time; time.sleep(0.2); print('done')"))
            runs = [orchestration.run_once().last_runs()[0] for _ in range(2)]
        again = open_client()
        assert [str(again.get_task_run_by_id(run.id()).logs()) for run in runs] == ["done\n"] * 2

    def test_by_an_exception_waits_for_nothing(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        def fail() -> None:
            with open_client() as client:
                submitted.append(client.upload_orchestration(path=folder(waiting_program)).run_once())
                until(lambda: "begun" in submitted[0].last_runs()[0].logs())
                raise ZeroDivisionError

        submitted: list[Task] = []
        began = time.monotonic()
        with pytest.raises(ZeroDivisionError):
            fail()
        assert time.monotonic() - began < 10
        run = _run_of(open_client(), submitted[0])
        assert not run.status().is_final
        gate.touch()
        assert run.wait(20).status() is RunStatus.SUCCESS


def _run_of(client: Client, task: Task) -> TaskRun:
    [run] = client.get_task_by_id(task.id()).last_runs()
    return run


class TestClosingWithoutWaiting:
    def test_lets_the_run_continue_and_be_recorded(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        client = open_client()
        task = client.upload_orchestration(path=folder(waiting_program)).run_once()
        until(lambda: "begun" in task.last_runs()[0].logs())
        client.close(drain=False)
        run = _run_of(open_client(), task)
        assert run.status() is RunStatus.RUNNING
        gate.touch()
        assert run.wait(20).raise_for_failure().exit_code() == 0
        assert str(run.logs()) == "begun\ndone\n"

    def test_a_later_client_sees_the_outcome(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        client = open_client()
        task = client.upload_orchestration(path=folder(waiting_program)).run_once()
        until(lambda: "begun" in task.last_runs()[0].logs())
        [run] = task.last_runs()
        client.close(drain=False)
        gate.touch()
        until((client.path() / "runs" / run.id() / "1" / "result.json").exists)
        until(lambda: _run_of(open_client(), task).status() is RunStatus.SUCCESS)

    def test_leaves_the_queue_to_a_host_that_serves_the_whole_store(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        client = open_client()
        orchestration = client.upload_orchestration(path=folder(waiting_program)).wait()
        first, second = orchestration.run_once(), orchestration.run_once()
        until(lambda: "begun" in first.last_runs()[0].logs())
        client.close(drain=False)
        gate.touch()
        idle = open_client()
        assert _run_of(idle, second).status() is RunStatus.QUEUED
        assert idle.start() is idle
        assert _run_of(idle, second).wait(20).status() is RunStatus.SUCCESS


_USES: dict[str, Callable[[Client, Orchestration, Task], object]] = {
    "upload": lambda client, orchestration, task: client.upload_orchestration(b"x"),
    "run": lambda client, orchestration, task: client.run(orchestration),
    "list orchestrations": lambda client, orchestration, task: client.list_orchestrations(),
    "list tasks": lambda client, orchestration, task: client.list_tasks(),
    "list workspaces": lambda client, orchestration, task: client.list_workspaces(),
    "create workspace": lambda client, orchestration, task: client.create_workspace("other"),
    "run once": lambda client, orchestration, task: orchestration.run_once(),
    "wait for packaging": lambda client, orchestration, task: orchestration.wait(),
    "delete": lambda client, orchestration, task: orchestration.delete(),
    "task status": lambda client, orchestration, task: task.status(),
    "wait for a run": lambda client, orchestration, task: task.wait(),
    "kill": lambda client, orchestration, task: task.kill(),
    "last runs": lambda client, orchestration, task: task.last_runs(),
    "start": lambda client, orchestration, task: client.start().list_tasks(),
}


class TestAClosedClient:
    @pytest.mark.parametrize("use", _USES.values(), ids=_USES)
    def test_says_so(self, open_client: OpenClient, folder: MakeFolder, use: Callable[[Client, Orchestration, Task], object]) -> None:
        with open_client() as client:
            orchestration = client.upload_orchestration(path=folder("print()"))
            task = orchestration.run_once()
        with pytest.raises(Closed, match="closed"):
            use(client, orchestration, task)

    def test_still_knows_the_outcomes_that_it_has_seen(self, open_client: OpenClient, folder: MakeFolder) -> None:
        with open_client() as client:
            run = client.run(folder("print('hello')"))
        assert (run.status(), run.exit_code(), str(run.logs())) == ("success", 0, "hello\n")

    def test_may_be_closed_again(self, open_client: OpenClient, folder: MakeFolder) -> None:
        client = open_client()
        client.run(folder("print()"))
        for drain in (True, True, False):
            client.close(drain=drain)
            with pytest.raises(Closed):
                client.list_tasks()

    def test_may_be_closed_by_many_at_once(self, open_client: OpenClient, folder: MakeFolder) -> None:
        client = open_client()
        client.upload_orchestration(path=folder("import time; time.sleep(0.2)")).run_once()
        threads = [threading.Thread(target=client.close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)

    def test_raises_in_threads_that_wait(self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, until: Until) -> None:
        client = open_client()
        task = client.upload_orchestration(path=folder(waiting_program)).run_once()
        until(lambda: "begun" in task.last_runs()[0].logs())
        told: list[str] = []

        def wait() -> None:
            with pytest.raises(Closed):
                task.wait()
            told.append("closed")

        waiter = threading.Thread(target=wait)
        waiter.start()
        client.close(drain=False)
        waiter.join(20)
        assert told == ["closed"]
        open_client().get_task_by_id(task.id()).kill()

    def test_without_waiting_does_not_wait_for_another_thread_that_does(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        client = open_client()
        task = client.upload_orchestration(path=folder(waiting_program)).run_once()
        until(lambda: "begun" in task.last_runs()[0].logs())
        patient = threading.Thread(target=client.close)
        patient.start()
        patient.join(0.1)
        assert patient.is_alive()
        impatient = threading.Thread(target=client.close, kwargs={"drain": False})
        impatient.start()
        for thread in (impatient, patient):  # there is nothing left to wait for, which is no error
            thread.join(4)
            assert not thread.is_alive()
        assert _run_of(open_client(), task).status() is RunStatus.RUNNING
        gate.touch()

    def test_leaves_no_thread_behind(self, open_client: OpenClient, folder: MakeFolder) -> None:
        before = threading.enumerate()
        with open_client(workers=3) as client:
            client.run(folder("print()"))
        left = [thread.name for thread in threading.enumerate() if thread not in before]
        assert [name for name in left if name.startswith("orchlite-worker")] == []


class TestATemporaryClient:
    def test_leaves_nothing_behind(self, folder: MakeFolder) -> None:
        with Client.temporary(workers=1) as client:
            run = client.run(folder("print('hello')"))
            assert str(run.logs()) == "hello\n"
            assert client.path().is_dir()
        assert not client.path().exists()

    def test_kills_running_and_queued_runs(self, folder: MakeFolder, waiting_program: str, until: Until) -> None:
        with Client.temporary(workers=1, grace_seconds=0.5) as client:
            orchestration = client.upload_orchestration(path=folder("import os; print(os.getpid(), flush=True)\n" + waiting_program))
            task = orchestration.run_once()
            orchestration.run_once()
            until(lambda: "begun" in task.last_runs()[0].logs())
            pid = int(task.last_runs()[0].logs()[0].text)
            assert is_alive(pid)
        assert not is_alive(pid)
        assert not client.path().exists()

    def test_leaves_nothing_behind_after_an_exception_either(self, folder: MakeFolder, waiting_program: str) -> None:
        clients: list[Client] = []

        def fail() -> None:
            with Client.temporary(grace_seconds=0.5) as client:
                clients.append(client)
                client.upload_orchestration(path=folder(waiting_program)).run_once()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert not clients[0].path().exists()

    def test_may_be_closed_again_and_then_refuses_calls(self) -> None:
        client = Client.temporary()
        client.close()
        client.close()
        with pytest.raises(Closed):
            client.list_tasks()

    def test_keeps_the_cache_of_environments(self, folder: MakeFolder, shared_cache: Path) -> None:
        with Client.temporary() as client:
            client.run(folder("print()"))
        assert list((shared_cache / "environments").iterdir())

    def test_has_a_store_of_its_own(self) -> None:
        with Client.temporary() as first, Client.temporary() as second:
            assert first.path() != second.path()
            assert first.path().stat().st_mode & 0o777 == 0o700

    def test_takes_no_path(self, tmp_path: Path) -> None:
        with pytest.raises(BadArgument) as refusal:
            Client.temporary(path=tmp_path)
        assert refusal.value.details["argument"] == "path"
