"""One-shot runs: their environment and arguments, what they leave, how to wait for them, and how many run at once."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite import BadArgument, Client, IllegalMove, NotFound, Orchestration, RunFailed, RunStatus, TaskRun, TaskStatus, WaitTimeout

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]
Until = Callable[[Callable[[], object]], None]
Program = Callable[[str], Orchestration]


@pytest.fixture
def program(client: Client, folder: MakeFolder) -> Program:
    """Upload a program and return its orchestration."""
    return lambda text: client.upload_orchestration(path=folder(text))


class TestARun:
    def test_runs_the_program_and_keeps_its_output(self, program: Program) -> None:
        run = program("import sys; print('out'); print('err', file=sys.stderr); print('no newline', end='')").run_once().wait()
        assert (run.status(), run.exit_code(), run.reason()) == ("success", 0, None)
        assert sorted((line.stream, line.text) for line in run.logs()) == [("stderr", "err"), ("stdout", "no newline"), ("stdout", "out")]
        assert run.log_is_complete()

    def test_knows_its_times(self, program: Program) -> None:
        run = program("import time; time.sleep(0.3)").run_once().wait()
        created, started, ended = run.created_at(), run.started_at(), run.ended_at()
        assert started is not None
        assert ended is not None
        assert {created.tzinfo, started.tzinfo, ended.tzinfo} == {UTC}
        assert created <= started <= ended
        duration = run.duration()
        assert isinstance(duration, float)
        assert 0.3 <= duration <= (ended - started).total_seconds() + 0.1

    @pytest.mark.parametrize(
        ("text", "exit_code"),
        [
            pytest.param("raise SystemExit(3)", 3, id="a number"),
            pytest.param("raise SystemExit('why')", 1, id="a message"),
            pytest.param("1 / 0", 1, id="an exception"),
            pytest.param("import os; os._exit(255)", 255, id="at once"),
            pytest.param("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, id="a signal"),
        ],
    )
    def test_fails_with_the_programs_exit_code(self, program: Program, text: str, exit_code: int) -> None:
        task = program(text).run_once()
        run = task.wait()
        assert (run.status(), run.exit_code()) == (RunStatus.FAILURE, exit_code)
        assert task.status() is TaskStatus.STARTED  # the task was carried out, whatever its exit code

    def test_ends_at_its_time_limit_and_its_event_says_so(self, program: Program, client: Client) -> None:
        task = program("import time; print('begun', flush=True); time.sleep(60)").run_once(timeout=1)
        run = task.wait()
        assert (run.status(), run.exit_code(), task.timeout()) == (RunStatus.TIMED_OUT, 143, 1.0)
        assert 1.0 <= (run.duration() or 0) < 20  # and not for the 60 s of the program
        assert "timeout of 1 s" in str(run.reason())
        assert [(event.object_id(), event.reason()) for event in client.events() if event.became() == "timed_out"] == [
            (run.id(), run.reason()),
            (task.id(), run.reason()),
        ]
        assert (task.status(), task.reason()) == (TaskStatus.TIMED_OUT, run.reason())
        assert task.kill() is TaskStatus.KILLED
        assert str(run.logs()) == "begun\n"

    def test_that_is_running_has_no_end_yet(
        self, client: Client, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        [run] = client.upload_orchestration(path=folder(waiting_program)).wait().run_once().last_runs()
        until(lambda: "begun" in run.logs())
        assert run.status() is RunStatus.RUNNING
        assert (run.exit_code(), run.duration(), run.ended_at()) == (None, None, None)
        assert run.started_at() is not None
        with pytest.raises(IllegalMove, match="running"):
            run.raise_for_failure()
        gate.touch()
        assert str(run.wait().logs()) == "begun\ndone\n"

    def test_is_found_by_its_id(self, client: Client, program: Program) -> None:
        task = program("print()").run_once()
        run = task.wait()
        assert client.get_task_run_by_id(run.id()) == run
        assert (run.task(), client.get_task_by_id(task.id())) == (task.id(), task)

    def test_is_the_first_attempt_and_has_a_folder_of_its_own(self, client: Client, program: Program) -> None:
        run = program("print()").run_once().wait()
        folder = client.path() / "runs" / run.id()
        assert json.loads((folder / "started.json").read_bytes())["attempt"] == 1
        assert (folder / "1" / "log").is_file()
        assert [path.stat().st_mode & 0o777 for path in (folder, folder / "1", folder / "1" / "log")] == [0o700, 0o700, 0o600]


class TestRaisingForFailure:
    def test_returns_the_run_if_it_has_not_failed(self, program: Program) -> None:
        run = program("print()").run_once().wait()
        assert run.raise_for_failure() is run

    def test_tells_how_it_ended_and_its_last_lines(self, program: Program) -> None:
        run = program("for n in range(30): print('line', n)\nraise SystemExit('that is why')").run_once().wait()
        with pytest.raises(RunFailed, match="exit code 1") as failure:
            run.raise_for_failure()
        assert failure.value.details == {"run_id": run.id(), "status": RunStatus.FAILURE, "exit_code": 1}
        assert "that is why" in str(failure.value)
        assert "line 29" in str(failure.value)
        assert "line 5\n" not in str(failure.value)


_ENVIRON = "import json, os; print(json.dumps(dict(os.environ)))"


class TestTheEnvironment:
    """A run gets listed variables of the host, those that the caller names, and those that the platform sets."""

    @staticmethod
    def _of(run: TaskRun) -> dict[str, str]:
        environ: dict[str, str] = json.loads(run.raise_for_failure().logs()[0].text)
        return environ

    def test_is_a_list_of_what_is_allowed(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SECRET", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "ORCHLITE_CACHE"):
            monkeypatch.setenv(name, "from the host")
        for name in ("TZ", "LC_TIME", "https_proxy", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, "UTC")
        environ = self._of(program(_ENVIRON).run_once().wait())
        assert "from the host" not in environ.values()
        assert {environ[name] for name in ("TZ", "LC_TIME", "https_proxy", "SSL_CERT_FILE")} == {"UTC"}
        assert environ["HOME"] == os.environ["HOME"]

    def test_says_which_run_it_is(self, client: Client, program: Program) -> None:
        orchestration = program(_ENVIRON)
        task = orchestration.run_once(debug=True)
        environ = self._of(task.wait())
        assert environ["WALLAROO_TASK_ID"] == environ["TASK_ID"] == task.id()
        assert (environ["ORCH_ID"], environ["ORCH_SHA"]) == (orchestration.id(), orchestration.sha())
        assert (environ["TASK_DEBUG"], environ["ORCHLITE_STORE"]) == ("true", str(client.path()))
        assert environ["ORCH_OWNER_ID"]

    def test_enables_debugging_only_on_request(self, program: Program) -> None:
        assert self._of(program(_ENVIRON).run_once().wait())["TASK_DEBUG"] == "false"

    def test_has_the_variables_of_client_and_task_and_the_task_wins(self, open_client: OpenClient, folder: MakeFolder) -> None:
        client = open_client(env={"BOTH": "client", "CLIENT": "1"})
        task = client.upload_orchestration(path=folder(_ENVIRON)).run_once(
            env={"BOTH": "task", "PYTHONHASHSEED": "7", "ODD": " =\n\t$HOME"}
        )
        environ = self._of(task.wait())
        assert {name: environ[name] for name in ("BOTH", "CLIENT", "PYTHONHASHSEED", "ODD")} == {
            "BOTH": "task",
            "CLIENT": "1",
            "PYTHONHASHSEED": "7",
            "ODD": " =\n\t$HOME",
        }
        assert task.env() == dict.fromkeys(("BOTH", "CLIENT", "PYTHONHASHSEED", "ODD"), "********")

    @pytest.mark.parametrize("options", [{"env": {"PATH": "/mine"}}, {"env": {"PATH": ""}}, {"env_passthrough": ["PATH"]}, {}], ids=str)
    def test_has_the_programs_of_its_environment_first_on_the_path(
        self, open_client: OpenClient, folder: MakeFolder, options: dict[str, Any]
    ) -> None:
        orchestration = open_client(**options).upload_orchestration(
            path=folder("import shutil, sys; print(shutil.which('python') == sys.executable)")
        )
        assert str(orchestration.run_once().wait().logs()).strip() == "True"

    def test_passes_on_what_is_named_and_keeps_no_value_of_it(
        self, open_client: OpenClient, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = open_client(env_passthrough=["SECRET", "ABSENT"])
        orchestration = client.upload_orchestration(path=folder(_ENVIRON)).wait()
        monkeypatch.setenv("SECRET", "only in memory")
        environ = self._of(orchestration.run_once().wait())
        assert environ["SECRET"] == "only in memory"
        assert "ABSENT" not in environ
        assert b"only in memory" not in (client.path() / "store.sqlite-wal").read_bytes()
        assert b"only in memory" not in (client.path() / "store.sqlite").read_bytes()

    @pytest.mark.parametrize("name", ["SECRET", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
    @pytest.mark.parametrize("form", ["http://me:{}@127.0.0.1:9", "me:{}@127.0.0.1:9"])
    def test_leaves_no_secret_value_in_the_store_or_a_backup(
        self, open_client: OpenClient, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, form: str
    ) -> None:
        client = open_client(env_passthrough=["SECRET"])
        orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
        monkeypatch.setenv(name, form.format("hunter2"))
        run = orchestration.run_once().wait()
        assert run.status() == "success"
        client.backup(tmp_path / "backup")
        places = [*client.path().rglob("*"), *(tmp_path / "backup").rglob("*")]
        assert [path for path in places if path.is_file() and b"hunter2" in path.read_bytes()] == []

    def test_of_a_task_leaves_no_value_in_a_runs_folder(self, client: Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).run_once(env={"SECRET": "hunter2"})
        run_folder = client.path() / "runs" / task.wait().id()
        assert [path for path in run_folder.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()] == []

    def test_leaves_no_specification_in_a_backup_because_older_versions_wrote_secrets_to_it(
        self, client: Client, folder: MakeFolder, tmp_path: Path
    ) -> None:
        run = client.run(folder("print(1)"))
        (client.path() / "runs" / run.id() / "1" / "spec.json").write_text("{}")
        client.backup(tmp_path / "backup")
        assert [path.name for path in (tmp_path / "backup" / "runs" / run.id() / "1").glob("*.json")] != []
        assert list((tmp_path / "backup").rglob("spec.json")) == []


@pytest.mark.parametrize(
    "arguments", [None, {}, {"n": 1, "text": "März 📈", "deep": {"list": [1.5, None, True]}}], ids=["none", "empty", "some"]
)
def test_the_program_gets_the_arguments(program: Program, arguments: dict[str, Any] | None) -> None:
    orchestration = program("import json, wallaroo; print(wallaroo.in_task(), json.dumps(wallaroo.task_args()))")
    task = orchestration.run_once(json_args=arguments)
    text = task.wait().raise_for_failure().logs()[0].text
    assert text.startswith("True ")
    assert json.loads(text.partition(" ")[2]) == task.input_data() == (arguments or {})


def test_outside_of_a_task_there_are_none(client: Client) -> None:
    assert not client.in_task()
    with pytest.raises(orchlite.NotInTask):
        client.task_args()


def test_a_runner_is_used_again(open_client: OpenClient, folder: MakeFolder) -> None:
    orchestration = open_client().upload_orchestration(path=folder("import os; print(os.getppid())"))
    assert len({str(orchestration.run_once().wait().logs()) for _ in range(3)}) == 1


class TestTheQueue:
    def test_runs_no_more_at_once_than_there_are_workers(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        orchestration = open_client(workers=2).upload_orchestration(path=folder(waiting_program)).wait()
        runs = [orchestration.run_once().last_runs()[0] for _ in range(4)]
        until(lambda: all("begun" in run.logs() for run in runs[:2]))
        assert [run.status() for run in runs] == ["running", "running", "queued", "queued"]
        gate.touch()
        assert [run.wait(20).status() for run in runs] == ["success"] * 4

    def test_is_first_in_first_out(self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path) -> None:
        client = open_client()
        client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        orchestration = client.upload_orchestration(path=folder("print()"))
        tasks = [orchestration.run_once() for _ in range(5)]
        gate.touch()
        started = [task.wait().started_at() for task in tasks]
        assert started == sorted(started, key=str)
        assert len(set(started)) == 5

    @pytest.mark.slow
    def test_keeps_its_order_when_a_worker_becomes_free(self, open_client: OpenClient, folder: MakeFolder) -> None:
        orchestration = open_client().upload_orchestration(path=folder("")).wait()
        for _ in range(12):
            # Whenever a run has just ended, the worker is about to become free.
            first, second = (orchestration.run_once() for _ in range(2))
            ended = [task.wait().ended_at() for task in (second, first)]
            assert ended == sorted(ended, key=str, reverse=True)

    def test_serves_many_clients_of_one_store(self, open_client: OpenClient, folder: MakeFolder) -> None:
        first, second = open_client(), open_client()
        orchestration = first.upload_orchestration(path=folder("print('hello')")).wait()
        elsewhere = second.get_orchestration_by_id(orchestration.id())
        tasks = [which.run_once() for which in (orchestration, elsewhere) * 3]
        assert [str(task.wait().logs()) for task in tasks] == ["hello\n"] * 6
        assert len(first.list_tasks()) == 6


class TestWaiting:
    def test_that_takes_too_long_kills_nothing(self, client: Client, folder: MakeFolder, waiting_program: str, gate: Path) -> None:
        task = client.upload_orchestration(path=folder(waiting_program)).run_once()
        [run] = task.last_runs()
        for wait in (task.wait, run.wait):
            with pytest.raises(TimeoutError, match="Nothing was killed") as timeout:
                wait(0.05)
            assert isinstance(timeout.value, WaitTimeout)
        gate.touch()
        assert task.wait(20).status() is RunStatus.SUCCESS

    def test_for_an_ended_run_returns_at_once(self, program: Program) -> None:
        task = program("print()").run_once()
        run = task.wait()
        assert task.wait(0) == run.wait(0) == run

    def test_for_the_run_of_another_client_ends_too(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path
    ) -> None:
        task = open_client().upload_orchestration(path=folder(waiting_program)).wait().run_once()
        elsewhere = open_client().get_task_by_id(task.id())
        gate.touch()
        assert elsewhere.wait(20).status() is RunStatus.SUCCESS


class TestLastRuns:
    def test_of_a_one_shot_task_have_one_run(self, program: Program) -> None:
        task = program("print()").run_once()
        assert task.last_runs() == [task.wait()]
        assert task.last_runs(limit=0) == []
        assert "<td>success</td>" in task.last_runs()._repr_html_()
        assert "<td>done</td><td>success</td>" in task._repr_html_()  # the task, and its last run

    @pytest.mark.parametrize(
        ("status", "found"), [("all", True), ("failure", True), ("success", False), ("running", False), ("unknown", False)]
    )
    def test_may_be_asked_for_by_status(self, program: Program, status: str, found: bool) -> None:
        task = program("raise SystemExit(1)").run_once()
        run = task.wait()
        assert task.last_runs(status=status) == ([run] if found else [])

    def test_of_an_unknown_status_are_refused(self, program: Program) -> None:
        with pytest.raises(BadArgument, match="timed_out"):  # the hint lists the valid ones
            program("print()").run_once().last_runs(status="done")


class TestTheLog:
    def test_may_be_limited_to_its_newest_lines(self, program: Program) -> None:
        run = program("for n in range(10): print(n)").run_once().wait()
        assert [line.text for line in run.logs(limit=3)] == ["7", "8", "9"]
        assert run.logs(0) == []

    def test_may_be_followed_from_before_the_beginning_to_the_end(
        self, client: Client, folder: MakeFolder, waiting_program: str, gate: Path
    ) -> None:
        task = client.upload_orchestration(path=folder(waiting_program)).run_once()
        lines: Iterator[orchlite.LogLine] = task.last_runs()[0].logs(follow=True)
        assert next(lines).text == "begun"
        gate.touch()
        assert [line.text for line in lines] == ["done"]

    def test_can_be_read_by_another_client(self, open_client: OpenClient, program: Program) -> None:
        run = program("print('hello')").run_once().wait()
        assert "hello" in open_client().get_task_run_by_id(run.id()).logs()


class TestRunningInOneLine:
    def test_uploads_waits_and_runs(self, client: Client, folder: MakeFolder) -> None:
        path = folder("import wallaroo; print(wallaroo.task_args()['n'])")
        run = client.run(path, {"n": 3}, name="one line", timeout=60, env={"A": "1"})
        assert (run.status(), str(run.logs())) == (RunStatus.SUCCESS, "3\n")
        task = client.get_task_by_id(run.task())
        assert (task.name(), task.timeout(), set(task.env())) == ("one line", 60.0, {"A"})

    def test_uploads_the_same_bytes_once(self, client: Client, folder: MakeFolder) -> None:
        path = folder("print('first')")
        for _ in range(2):
            client.run(str(path))
        assert len(client.list_orchestrations()) == 1
        (path / "main.py").write_text("print('second')")
        assert str(client.run(path).logs()) == "second\n"
        assert len(client.list_orchestrations()) == 2

    def test_uploads_them_again_for_another_base_image(self, client: Client, open_client: OpenClient, folder: MakeFolder) -> None:
        path = folder("print()")
        for which in (client, open_client(base_image="clean")):
            which.run(path)
        assert len(client.list_orchestrations()) == 2

    def test_accepts_an_orchestration(self, client: Client, program: Program) -> None:
        assert str(client.run(program("print('hello')")).logs()) == "hello\n"

    def test_returns_a_failed_run_too(self, client: Client, folder: MakeFolder) -> None:
        assert client.run(folder("raise SystemExit(4)")).exit_code() == 4

    def test_prints_the_programs_output_on_request(self, client: Client, folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
        client.run(folder("import sys; print('out'); print('err', file=sys.stderr)"), follow=True)
        assert tuple(capsys.readouterr()) == ("out\n", "err\n")


def test_handles_may_be_used_from_any_thread(client: Client, program: Program) -> None:
    orchestration = program("import wallaroo; print(wallaroo.task_args()['n'])")
    texts: list[str] = []

    def work(number: int) -> None:
        run = orchestration.run_once(json_args={"n": number}).wait()
        texts.append(run.logs()[0].text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts) == [str(number) for number in range(6)]
    assert len(client.list_tasks()) == 6


@pytest.mark.parametrize("find", ["get_orchestration_by_id", "get_task_by_id", "get_task_run_by_id"])
def test_unknown_ids_are_not_found(client: Client, find: str) -> None:
    with pytest.raises(NotFound, match="'absent'"):
        getattr(client, find)("absent")


def test_handles_of_the_same_object_are_equal(client: Client, program: Program) -> None:
    orchestration = program("print()")
    task = orchestration.run_once()
    run = task.wait()
    again = (client.get_orchestration_by_id(orchestration.id()), client.get_task_by_id(task.id()), client.get_task_run_by_id(run.id()))
    assert again == (orchestration, task, run)
    assert len({*again, orchestration, task, run}) == 3
    assert [repr(handle).partition("(")[0] for handle in again] == ["Orchestration", "Task", "TaskRun"]
