"""Notifications: the host that records a failed run runs the user's `on_failure` command, once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import orchlite
from orchlite.operations import notification
from orchlite.testing import ManualClock, StubProcess
from tests import large_bundles
from tests.operations.notebook import Notebook

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
Until = Callable[[Callable[[], object]], None]

_FAILS = "import sys; sys.exit(3)"
_NOT_INSTALLABLE = {"main.py": "print('never')\n", "requirements.txt": "nobody-has-this==1.0\n"}


def _told_events(store: Path) -> list[tuple[str, str, str | None]]:
    """Return for each notification the run, its status and its reason."""
    with closing(sqlite3.connect(store / "store.sqlite")) as database:
        return database.execute("SELECT object_id, became, reason FROM events WHERE became LIKE 'on_failure%' ORDER BY event_id").fetchall()


def test_a_failure_is_notified_with_its_run_and_reason(open_client: OpenClient, folder: MakeFolder, notebook: Notebook) -> None:
    with open_client(on_failure=notebook.command("a word")) as client:
        orchestration = client.upload_orchestration(path=folder(_FAILS)).wait()
        task = orchestration.run_once("the nightly one")
        run = task.wait()
    [told] = notebook.lines()
    assert told["arguments"] == ["a word"]
    facts = {name: told["environment"][name] for name in told["environment"] if name.startswith("ORCHLITE_")}
    log = Path(facts.pop("ORCHLITE_RUN_LOG"))
    for name in ("ORCHLITE_CACHE", "ORCHLITE_TEST_CACHE"):  # the host's, like everything else in it
        facts.pop(name, None)
    assert log.is_relative_to(client.path())
    assert log.is_file()
    assert facts == {
        "ORCHLITE_STORE": str(client.path()),
        "ORCHLITE_EVENT": "failure",
        "ORCHLITE_ORCHESTRATION_ID": orchestration.id(),
        "ORCHLITE_TASK_ID": task.id(),
        "ORCHLITE_TASK_NAME": "the nightly one",
        "ORCHLITE_TASK_KIND": "once",
        "ORCHLITE_RUN_ID": run.id(),
        "ORCHLITE_RUN_STATUS": "failure",
        "ORCHLITE_RUN_EXIT_CODE": "3",
        "ORCHLITE_RUN_REASON": "",
        "ORCHLITE_RUN_SLOT": "",
    }
    assert _told_events(client.path()) == [(run.id(), "on_failure_told", None)]


def test_the_command_has_no_variables_of_tasks(open_client: OpenClient, folder: MakeFolder, notebook: Notebook) -> None:
    with open_client(on_failure=notebook.command(), env={"OF_ALL": "secret"}) as client:
        client.upload_orchestration(path=folder(_FAILS)).wait().run_once(env={"OF_ONE": "secret"})
    [told] = notebook.lines()
    assert "secret" not in told["environment"].values()
    assert not {"WALLAROO_TASK_ID", "ORCHLITE_RUN_TOKEN"} & told["environment"].keys()


def test_a_timeout_is_notified(tmp_path: Path, folder: MakeFolder, notebook: Notebook) -> None:
    clock, process = ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), StubProcess("timed_out", exit_code=143)
    with orchlite.Client(tmp_path / "store", clock=clock, process=process, on_failure=notebook.command()) as client:
        client.upload_orchestration(path=folder("")).run_once(timeout=1).wait()
    [told] = notebook.lines()
    assert told["environment"]["ORCHLITE_RUN_STATUS"] == "timed_out"
    assert told["environment"]["ORCHLITE_RUN_EXIT_CODE"] == "143"


def test_a_success_is_not_notified(open_client: OpenClient, folder: MakeFolder, notebook: Notebook) -> None:
    with open_client(on_failure=notebook.command()) as client:
        client.upload_orchestration(path=folder("print('fine')")).wait().run_once()
    assert (notebook.lines(), _told_events(client.path())) == ([], [])


@pytest.mark.parametrize("moment", ["running", "queued"])
def test_a_kill_is_not_notified(open_client: OpenClient, folder: MakeFolder, notebook: Notebook, waiting_program: str, moment: str) -> None:
    with open_client(on_failure=notebook.command()) as client:
        orchestration = client.upload_orchestration(path=folder(waiting_program)).wait()
        first, second = (orchestration.run_once() for _ in range(2))
        next(first.last_runs()[0].logs(follow=True))
        if moment == "queued":
            second.kill()
            assert second.wait().status() == "killed"
        first.kill()
        second.kill()
        assert first.wait().status() == "killed"
    assert (notebook.lines(), _told_events(client.path())) == ([], [])


def test_the_command_of_a_task_overrides_the_clients(open_client: OpenClient, folder: MakeFolder, notebook: Notebook) -> None:
    with open_client(on_failure=notebook.command("the client's")) as client:
        orchestration = client.upload_orchestration(path=folder(_FAILS)).wait()
        orchestration.run_once(on_failure=notebook.command("the task's"))
    assert [line["arguments"] for line in notebook.lines()] == [["the task's"]]


def test_each_failed_run_of_a_continuous_task_is_notified(
    open_client: OpenClient, folder: MakeFolder, notebook: Notebook, until: Until
) -> None:
    client = open_client()
    task = client.upload_orchestration(path=folder(_FAILS)).wait().run_continuously("pump", on_failure=notebook.command())
    until(lambda: len(notebook.lines()) >= 2)
    task.kill()
    client.close()
    assert notebook.run_ids()[:2] == [run.id() for run in reversed(_runs(client.path(), task.id()))][:2]


def _runs(store: Path, task_id: str) -> list[orchlite.TaskRun]:
    with orchlite.Client(store) as client:
        return list(client.get_task_by_id(task_id).last_runs())


def test_the_notification_of_a_scheduled_run_has_its_slot(tmp_path: Path, folder: MakeFolder, notebook: Notebook) -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    process = StubProcess(lambda run: ("failure" if run.number == 2 else "success", 0))
    with orchlite.Client(tmp_path / "store", clock=clock, process=process) as client:
        client.upload_orchestration(path=folder("")).run_scheduled("hourly", "@hourly", on_failure=notebook.command())
        clock.advance(hours=3)
    [told] = notebook.lines()
    assert told["environment"]["ORCHLITE_RUN_SLOT"] == "2026-03-01T14:00:00+00:00"
    assert told["environment"]["ORCHLITE_TASK_KIND"] == "scheduled"


@pytest.mark.slow
def test_failed_packaging_is_notified_with_its_reason(open_client: OpenClient, folder: MakeFolder, notebook: Notebook) -> None:
    with open_client(on_failure=notebook.command(), index_urls=["file:///nowhere/"]) as client:
        orchestration = client.upload_orchestration(path=folder(_NOT_INSTALLABLE))
        with pytest.raises(orchlite.PackagingFailed):
            orchestration.wait()
    [told] = notebook.lines()
    assert told["environment"]["ORCHLITE_TASK_KIND"] == "packaging"
    assert told["environment"]["ORCHLITE_ORCHESTRATION_ID"] == orchestration.id()
    assert "nobody-has-this" in told["environment"]["ORCHLITE_RUN_REASON"]
    assert Path(told["environment"]["ORCHLITE_RUN_LOG"]).is_file()


@pytest.mark.slow
def test_a_run_that_waited_for_failed_packaging_is_notified(open_client: OpenClient, folder: MakeFolder, notebook: Notebook) -> None:
    with open_client(index_urls=["file:///nowhere/"]) as client:
        task = client.upload_orchestration(path=folder(_NOT_INSTALLABLE)).run_once(on_failure=notebook.command())
        run = task.wait()
        assert run.status() == "failure"
    assert notebook.run_ids() == [run.id()]


def test_a_run_that_waited_for_killed_packaging_is_notified(
    open_client: OpenClient, folder: MakeFolder, notebook: Notebook, waiting_program: str
) -> None:
    with open_client() as client:
        busy = client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        next(busy.last_runs()[0].logs(follow=True))
        packaged = client.upload_orchestration(path=folder(large_bundles.files("print('never')")))  # queued behind it
        task = packaged.run_once(on_failure=notebook.command())
        packaged.task().kill()
        run = task.wait()
        busy.kill()
    assert notebook.run_ids() == [run.id()]


def test_a_temporary_client_sends_its_notifications_before_it_is_removed(folder: MakeFolder, notebook: Notebook) -> None:
    with orchlite.Client.temporary(workers=1, on_failure=notebook.command()) as client:
        run = client.run(folder(_FAILS))
    assert notebook.run_ids() == [run.id()]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        pytest.param(["/nowhere/to/be/found"], "/nowhere/to/be/found could not be started: No such file or directory", id="not there"),
        pytest.param(["/bin/sh", "-c", "echo no route >&2; exit 7"], "/bin/sh ended with exit code 7: no route", id="a failure"),
        pytest.param(["/bin/sh", "-c", "kill -9 $$"], "/bin/sh ended with exit code -9", id="killed"),
    ],
)
def test_a_command_that_fails_is_an_event_with_its_reason_and_harms_nothing(
    open_client: OpenClient, folder: MakeFolder, command: list[str], reason: str
) -> None:
    with open_client(on_failure=command) as client:
        orchestration = client.upload_orchestration(
            path=folder({"main.py": "import wallaroo, sys; sys.exit(wallaroo.task_args()['code'])"})
        )
        failed = orchestration.wait().run_once(json_args={"code": 1}).wait()
        assert orchestration.run_once(json_args={"code": 0}).wait().status() == "success"
    assert _told_events(client.path()) == [(failed.id(), "on_failure_failed", reason)]


def test_a_notification_is_an_event(open_client: OpenClient, folder: MakeFolder, until: Until) -> None:
    client = open_client(on_failure=["true"])
    run = client.run(folder(_FAILS))
    until(lambda: [event for event in client.events() if event.became() == "on_failure_told"])
    [event] = [event for event in client.events() if event.became() == "on_failure_told"]
    assert (event.kind(), event.object_id(), event.was(), event.reason()) == ("run", run.id(), "failure", None)


@pytest.mark.slow
def test_a_reason_too_long_for_a_variable_is_truncated(
    open_client: OpenClient, folder: MakeFolder, notebook: Notebook, tmp_path: Path
) -> None:
    requirements = f"nobody-has-this-{'x' * 60_000}==1.0\n"  # the reason repeats them
    index = tmp_path / "index"
    index.mkdir()
    with open_client(on_failure=notebook.command(), index_urls=[index.as_uri()], installer="pip") as client:
        orchestration = client.upload_orchestration(path=folder({"main.py": "", "requirements.txt": requirements}))
        with pytest.raises(orchlite.PackagingFailed):
            orchestration.wait()
        assert len(orchestration.task().last_runs()[0].reason() or "") > 128 * 1024
    [told] = notebook.lines()
    assert 0 < len(told["environment"]["ORCHLITE_RUN_REASON"]) < 128 * 1024


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sh -c 'echo $$ > {child}; exec sleep 60' & while ! [ -s {child} ]; do sleep 0.01; done; wait"
    outcome = notification.run_command(("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, limit_seconds=0.5)
    assert outcome == "/bin/sh took longer than 0.5 s and was killed"
    pid = int(child.read_text())
    give_up_at = time.monotonic() + 20
    while _lives(pid):
        assert time.monotonic() < give_up_at, "its child is alive"
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"  # a zombie is dead
    except OSError:
        return False


def test_leaving_by_an_exception_does_not_wait_for_the_command(open_client: OpenClient, folder: MakeFolder, tmp_path: Path) -> None:
    gate = tmp_path / "never"
    command = ["/bin/sh", "-c", f"echo $$ > {tmp_path / 'pid'}; while ! [ -e {gate} ]; do sleep 0.05; done"]
    client = open_client(on_failure=command)
    client.run(folder(_FAILS))
    client.close(drain=False)
    assert not gate.exists()
    gate.touch()


@pytest.mark.parametrize(
    "command", [[], "notify me", ["notify", "a\0b"], [""], ["notify", 1]], ids=["empty", "a text", "NUL", "no program", "a number"]
)
def test_an_invalid_command_is_refused(tmp_path: Path, client: orchlite.Client, folder: MakeFolder, command: object) -> None:
    with pytest.raises(orchlite.BadArgument, match="on_failure"):
        orchlite.Client(tmp_path / "other", on_failure=command)  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()
    orchestration = client.upload_orchestration(path=folder("")).wait()
    with pytest.raises(orchlite.BadArgument, match="on_failure"):
        orchestration.run_once(on_failure=command)  # type: ignore[arg-type]
    assert orchestration.list_tasks() == []
