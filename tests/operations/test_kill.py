"""Kills: a request ends what has not ended, exactly once, and never guesses the outcome."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orchlite import Client, IllegalMove, NotFound, Orchestration, RunStatus, Task, TaskRun, TaskStatus
from orchlite.environments.environments import Environments
from tests import large_bundles

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]
Until = Callable[[Callable[[], object]], None]

_ON_SIGTERM = """
import signal, sys, time
def end(*_):
    print('told to end', flush=True)
    {reaction}
signal.signal(signal.SIGTERM, end)
print('begun', flush=True)
time.sleep(60)
time.sleep(60)
"""


@pytest.fixture
def running(client: Client, folder: MakeFolder, waiting_program: str, until: Until) -> Task:
    """A task whose run has started."""
    task = client.upload_orchestration(path=folder(waiting_program)).run_once()
    until(lambda: "begun" in task.last_runs()[0].logs())
    return task


@pytest.fixture
def queued(open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until) -> Task:
    """A task whose run cannot start, because another one occupies the only worker until the gate opens."""
    orchestration = open_client().upload_orchestration(path=folder(waiting_program)).wait()
    blocking = orchestration.run_once()
    until(lambda: "begun" in blocking.last_runs()[0].logs())
    return orchestration.run_once()


def _run_of(task: Task) -> TaskRun:
    [run] = task.last_runs()
    return run


class TestKillingARun:
    def test_that_is_queued_ends_it_at_once_and_its_task_has_failed(self, queued: Task, gate: Path) -> None:
        run = _run_of(queued)
        run.kill()
        assert (run.status(), run.exit_code(), run.started_at()) == (RunStatus.KILLED, None, None)
        assert "killed before it started" in run.logs()
        assert (queued.status(), queued.reason()) == (TaskStatus.FAILED, "it was killed on request")
        gate.touch()
        assert queued.wait(0) == run

    def test_that_a_dead_host_had_claimed_and_not_started_ends_it_at_the_first_recovery(self, queued: Task) -> None:
        run, store = _run_of(queued), queued._engine.context
        with closing(sqlite3.connect(store.folder.database, isolation_level=None)) as database:
            claimed = "UPDATE runs SET status = 'running', host_id = 'dead', boot_id = ?, attempt = 1, kill_requested = 1 WHERE run_id = ?"
            assert database.execute(claimed, (store.boot_id, run.id())).rowcount == 1
        assert (run.status(), run.exit_code(), run.reason()) == (RunStatus.KILLED, None, "it was killed before it started")

    def test_that_is_running_ends_its_program(self, running: Task) -> None:
        run = _run_of(running)
        assert run.kill() in (RunStatus.RUNNING, RunStatus.KILLED)
        assert run.wait(20).status() is RunStatus.KILLED
        assert (run.exit_code(), run.reason()) == (143, "it was killed on request")
        assert running.status() is TaskStatus.STARTED
        assert str(run.logs()) == "begun\n"

    @pytest.mark.parametrize(
        ("reaction", "exit_code"), [("sys.exit(5)", 5), ("sys.exit(0)", 0), ("pass", 137)], ids=["fails", "ends well", "ignores it"]
    )
    def test_lets_the_program_react_within_the_grace(
        self, client: Client, folder: MakeFolder, until: Until, reaction: str, exit_code: int
    ) -> None:
        run = _run_of(client.upload_orchestration(path=folder(_ON_SIGTERM.format(reaction=reaction))).run_once())
        until(lambda: "begun" in run.logs())
        run.kill()
        assert run.wait(20).status() is RunStatus.KILLED
        assert run.exit_code() == exit_code
        assert str(run.logs()) == "begun\ntold to end\n"

    @pytest.mark.parametrize(("text", "end"), [("print()", "success"), ("1 / 0", "failure")])
    def test_that_has_ended_is_refused_and_says_how_it_ended(self, client: Client, folder: MakeFolder, text: str, end: str) -> None:
        run = client.run(folder(text))
        with pytest.raises(IllegalMove, match=f"it is {end}") as refusal:
            run.kill()
        assert refusal.value.details["status"] == run.status() == end

    def test_twice_is_the_same_as_once(self, running: Task) -> None:
        run = _run_of(running)
        run.kill()
        try:
            run.kill()
        except IllegalMove:  # the first kill has ended it already
            assert run.status() is RunStatus.KILLED
        assert run.wait(20).exit_code() == 143

    def test_of_another_client_works_too(self, running: Task, open_client: OpenClient) -> None:
        run = open_client().get_task_run_by_id(_run_of(running).id())
        run.kill()
        assert run.wait(20).status() is RunStatus.KILLED

    @pytest.mark.slow
    @pytest.mark.parametrize("by_its_task", [False, True], ids=["the run", "its task"])
    def test_that_waits_for_its_environment_ends_the_wait(
        self, open_client: OpenClient, folder: MakeFolder, tmp_path: Path, until: Until, by_its_task: bool
    ) -> None:
        environments = Environments(tmp_path / "cache")
        orchestration = open_client(environment=environments).upload_orchestration(path=folder("print()")).wait()
        key = environments.key(())
        shutil.rmtree(tmp_path / "cache" / "environments" / key)  # as a user who makes room on the disk
        with environments.building(key, lambda: False):
            task = orchestration.run_once()
            run = _run_of(task)
            until(lambda: run.status() is RunStatus.RUNNING)
            (task if by_its_task else run).kill()
            assert run.wait(20).status() is RunStatus.KILLED
        assert (run.exit_code(), run.logs()) == (None, [])
        assert task.status() is (TaskStatus.KILLED if by_its_task else TaskStatus.STARTED)


class TestKillingATask:
    def test_ends_its_runs_and_then_the_task_is_killed(self, running: Task) -> None:
        assert running.kill() is TaskStatus.PENDING_KILL
        assert running.wait(20).status() is RunStatus.KILLED
        assert running.status() is TaskStatus.KILLED

    def test_ends_its_queued_runs_at_once(self, queued: Task) -> None:
        assert queued.kill() is TaskStatus.KILLED
        assert _run_of(queued).status() is RunStatus.KILLED

    def test_is_idempotent(self, running: Task) -> None:
        assert {running.kill() for _ in range(3)} <= {TaskStatus.PENDING_KILL, TaskStatus.KILLED}
        running.wait(20)
        assert running.kill() is TaskStatus.KILLED

    def test_whose_run_has_ended_changes_no_run(self, client: Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print()")).run_once()
        run = task.wait()
        assert task.kill() is TaskStatus.KILLED
        assert run.status() is RunStatus.SUCCESS

    def test_hides_it_from_lists(self, client: Client, folder: MakeFolder) -> None:
        orchestration = client.upload_orchestration(path=folder("print()"))
        killed, kept = orchestration.run_once("killed"), orchestration.run_once("kept")
        killed.wait()
        killed.kill()
        assert client.list_tasks() == [kept]
        assert client.list_tasks(killed=True) == [killed, kept]

    def test_before_its_orchestration_is_ready_lets_packaging_continue(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path
    ) -> None:
        client = open_client()
        client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        orchestration = client.upload_orchestration(path=folder(large_bundles.files("print()")))
        assert orchestration.run_once().kill() is TaskStatus.KILLED
        gate.touch()
        assert orchestration.wait(20).run_once().wait().status() is RunStatus.SUCCESS


class TestKillingPackagingThatIsQueued:
    @pytest.fixture
    def orchestration(self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, until: Until) -> Orchestration:
        """Packaging that waits for the only worker."""
        client = open_client()
        blocking = client.upload_orchestration(path=folder(waiting_program)).run_once()
        until(lambda: "begun" in blocking.last_runs()[0].logs())
        return client.upload_orchestration(path=folder(large_bundles.files("pass")))

    def test_fails_its_task_which_will_never_start(self, orchestration: Orchestration) -> None:
        _run_of(orchestration.task()).kill()
        assert (orchestration.status(), orchestration.task().status()) == ("error", TaskStatus.FAILED)

    @pytest.mark.parametrize("kind", ["scheduled", "continuous"])
    def test_fails_recurring_tasks_that_waited_and_does_not_prevent_deletion(self, orchestration: Orchestration, kind: str) -> None:
        task = orchestration.run_scheduled("x", "* * * * *") if kind == "scheduled" else orchestration.run_continuously("x")
        _run_of(orchestration.task()).kill()
        assert task.status() is TaskStatus.FAILED
        orchestration.delete()
        with pytest.raises(NotFound):
            task.status()
