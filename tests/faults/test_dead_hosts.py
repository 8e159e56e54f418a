"""A host that was open before another one died: what it asks for, and what it waits for, comes to its end all the same."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import orchlite
from orchlite import RunStatus, TaskRun
from orchlite.core.clock import SystemClock
from orchlite.operations.liveness import signs_of_life
from tests.operations.notebook import Notebook

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_PATIENCE_SECONDS = 5.0
_HURRY = 10
_BEGINS = "import time; print('begun', flush=True); time.sleep({seconds}); print('done')"

# Starts one run and queues another behind it; tells their ids when the first has begun.
_SUBMITS = """
import sys, time, orchlite
client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
runs = [orchestration.run_once().last_runs()[0] for _ in range(2)]
next(runs[0].logs(follow=True))
print(*[run.id() for run in runs])
time.sleep(60)
"""

# Dies when its run has ended, before that is recorded.
_DIES_BEFORE_THE_RECORD = """
import os, signal, sys, orchlite
from orchlite.runs.runners import Runners

class Deadly(Runners):
    def wait(self, folder):
        observed = super().wait(folder)
        print(folder.run_id)
        os.kill(os.getpid(), signal.SIGKILL)

client = orchlite.Client(sys.argv[1], workers=1, process=Deadly(f"{sys.argv[1]}/runners.log"))
client.run(sys.argv[2])
"""

# Leaves an upload whose packaging has begun, or is queued behind that of another.
_LEAVES_PACKAGING = """
import os, sys, threading, time, orchlite
from pathlib import Path
from orchlite.environments.environments import Environments

class Endless(Environments):
    def find(self, key):
        if threading.current_thread() is threading.main_thread():
            return None
        print("packaging")
        time.sleep(60)

client = orchlite.Client(sys.argv[1], workers=1, environment=Endless(Path(os.environ["ORCHLITE_CACHE"])))
for path in sys.argv[2:]:
    orchestration = client.upload_orchestration(path=path)
print(orchestration.task().last_runs()[0].id())
time.sleep(60)
"""


_KEEPS_SCHEDULES = "import sys, time, orchlite; client = orchlite.Client(sys.argv[1]).start(); print('keeps'); time.sleep(60)"


class _HurriedClock(SystemClock):
    """On which the time between two looks at what the dead left is soon over."""

    def monotonic(self) -> float:
        return super().monotonic() * _HURRY


@pytest.fixture
def client(tmp_path: Path) -> Iterator[orchlite.Client]:
    """Open before the other host dies; it does not work for the whole store, but where the test says so."""
    client = orchlite.Client(tmp_path / "store", workers=1, grace_seconds=0.5, clock=_HurriedClock())
    yield client
    for task in client.list_tasks():
        task.kill()
    client.close(drain=False)


def _lines(host: subprocess.Popen[str], count: int) -> list[str]:
    assert host.stdout is not None
    return [host.stdout.readline().strip() for _ in range(count)]


def _kill(host: subprocess.Popen[str]) -> None:
    host.kill()
    host.wait()


def _until(condition: Callable[[], object], patience_seconds: float = _PATIENCE_SECONDS) -> None:
    give_up_at = time.monotonic() + patience_seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.01)


def _await_end_by_status(run: TaskRun) -> None:
    _until(lambda: run.status().is_final)


def _await_end_by_following(run: TaskRun) -> None:
    """As `list(run.logs(follow=True))`, but with an end to the patience."""
    lines: list[str] = []
    follower = threading.Thread(target=lambda: lines.extend(line.text for line in run.logs(follow=True)), daemon=True)
    follower.start()
    follower.join(_PATIENCE_SECONDS)
    assert not follower.is_alive()
    assert lines == ["begun", "done"]


_ENDS: dict[str, Callable[[TaskRun], object]] = {
    "wait": lambda run: run.wait(_PATIENCE_SECONDS * _HURRY),
    "status": _await_end_by_status,
    "follow": _await_end_by_following,
}


@pytest.mark.parametrize(
    "await_end", [pytest.param(end, marks=[pytest.mark.slow] * (how == "follow"), id=how) for how, end in _ENDS.items()]
)
def test_a_dead_hosts_run_is_seen_to_its_end(
    client: orchlite.Client, start_host: StartHost, folder: MakeFolder, await_end: Callable[[TaskRun], object]
) -> None:
    host = start_host(_SUBMITS, client.path(), folder(_BEGINS.format(seconds=0.4)))
    run = client.get_task_run_by_id(_lines(host, 1)[0].split()[0])
    _kill(host)
    await_end(run)
    assert (run.status(), run.exit_code(), str(run.logs())) == (RunStatus.SUCCESS, 0, "begun\ndone\n")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["wait", pytest.param("follow", marks=pytest.mark.slow)])
def test_a_run_that_a_dead_host_has_queued_is_taken_over_by_who_waits_for_it(
    client: orchlite.Client, start_host: StartHost, folder: MakeFolder, how: str
) -> None:
    host = start_host(_SUBMITS, client.path(), folder(_BEGINS.format(seconds=0.3)))
    run = client.get_task_run_by_id(_lines(host, 1)[0].split()[1])
    _kill(host)
    time.sleep(0.3)
    assert run.status() is RunStatus.QUEUED, "nobody waits for it yet"
    _ENDS[how](run)
    assert (run.wait(_HURRY).status(), str(run.logs())) == (RunStatus.SUCCESS, "begun\ndone\n")


@pytest.mark.slow
def test_who_waits_looks_after_the_dead_also_while_something_else_changes_all_the_time(
    client: orchlite.Client, start_host: StartHost, folder: MakeFolder
) -> None:
    orchestration = client.upload_orchestration(path=folder("print()")).wait()
    done = orchestration.run_once()
    done.wait()
    host = start_host(_SUBMITS, client.path(), folder(_BEGINS.format(seconds=0.2)))
    run = client.get_task_run_by_id(_lines(host, 1)[0].split()[0])
    _kill(host)
    ended = threading.Event()

    def change_something() -> None:
        while not ended.wait(0.1):
            done.kill()

    busy, waiter = threading.Thread(target=change_something), threading.Thread(target=run.wait)
    busy.start()
    waiter.start()
    waiter.join(10)  # without a time out of its own, at whose end it would look, too
    is_waiting = waiter.is_alive()
    ended.set()
    for thread in (busy, waiter):
        thread.join()
    assert not is_waiting
    assert run.status() is RunStatus.SUCCESS


@pytest.mark.parametrize("queued", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["begun", "queued"])
def test_the_same_bytes_are_packaged_by_who_runs_them_after_the_packaging_host_died(
    client: orchlite.Client, start_host: StartHost, folder: MakeFolder, queued: bool
) -> None:
    path = folder("print('hello')")
    host = start_host(_LEAVES_PACKAGING, client.path(), *[folder("print('before it')")] * queued, path)
    packaging = client.get_task_run_by_id(next(word for word in _lines(host, 2) if word != "packaging"))
    _kill(host)
    assert str(client.run(path).logs()) == "hello\n"
    begins = [] if queued else ["attempt 2: packaging was interrupted, and begins again"]
    assert [line.text for line in packaging.wait(_HURRY).logs()] == [*begins, "Installed in the environment:", "  nothing"]


def test_a_followed_packaging_log_goes_on_with_the_next_hosts_attempt(
    client: orchlite.Client, start_host: StartHost, folder: MakeFolder
) -> None:
    host = start_host(_LEAVES_PACKAGING, client.path(), folder("print('hello')"))
    packaging = client.get_task_run_by_id(next(word for word in _lines(host, 2) if word != "packaging"))
    lines: list[str] = []
    follower = threading.Thread(target=lambda: lines.extend(line.text for line in packaging.logs(follow=True)), daemon=True)
    follower.start()
    time.sleep(0.1)
    _kill(host)
    follower.join(_PATIENCE_SECONDS)
    assert not follower.is_alive()
    assert lines == ["attempt 2: packaging was interrupted, and begins again", "Installed in the environment:", "  nothing"]


@pytest.mark.slow
def test_a_host_that_works_for_the_store_records_a_dead_hosts_end_even_with_all_workers_busy(
    client: orchlite.Client, start_host: StartHost, folder: MakeFolder
) -> None:
    busy = client.start().upload_orchestration(path=folder(_BEGINS.format(seconds=60))).run_once()
    _until(lambda: "begun" in busy.last_runs()[0].logs())
    host = start_host(_DIES_BEFORE_THE_RECORD, client.path(), folder("raise SystemExit(3)"))
    [run_id] = _lines(host, 1)
    host.wait()

    def recorded() -> bool:  # read past the library, which would look after the run on being asked
        with closing(sqlite3.connect(client.path() / "store.sqlite")) as database:
            [(status,)] = database.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,))
        return str(status) == "failure"

    _until(recorded, patience_seconds=2.5)
    assert busy.last_runs()[0].status() is RunStatus.RUNNING


@pytest.mark.slow
def test_a_host_notifies_of_what_it_recorded_on_opening_once_it_serves_the_store(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path)
    host = start_host(_DIES_BEFORE_THE_RECORD, tmp_path / "store", folder("raise SystemExit(3)"))
    [run_id] = _lines(host, 1)
    host.wait()
    with orchlite.Client(tmp_path / "store", on_failure=notebook.command()) as client:
        assert [run.status() for task in client.list_tasks() for run in task.last_runs()] == ["failure"]
        client.start()
        _until(notebook.lines)
    assert notebook.run_ids() == [run_id]


_FORKS = """
import os, signal, sys, threading
from contextlib import suppress
import orchlite

client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
task = client.upload_orchestration(path=sys.argv[2]).wait().run_once()
run = task.last_runs()[0]

def keep_waiting():
    while True:
        with suppress(orchlite.WaitTimeout):
            run.wait(0.002)

def keep_changing():
    while True:
        client.create_workspace(f"w{next(numbers)}")

numbers = iter(range(1_000_000))
for target in (keep_waiting, keep_waiting, keep_changing):
    threading.Thread(target=target, daemon=True).start()

def use_it_in_the_child():
    signal.alarm(5)
    with suppress(orchlite.Closed):
        run.wait(2)
        os._exit(1)
    client.close()
    client.close(drain=False)
    os._exit(0)

children = [os.fork() or use_it_in_the_child() for _ in range(30)]
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
os._exit(0)
"""


@pytest.mark.slow
def test_a_forked_child_that_waits_or_closes_is_never_stuck_on_what_its_parents_threads_held(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    host = start_host(_FORKS, tmp_path / "store", folder(_BEGINS.format(seconds=60)))
    assert host.communicate(timeout=20)[0] == f"{[0] * 30}\n"
    with orchlite.Client(tmp_path / "store") as client:
        client.list_tasks()[0].kill()


def test_a_killed_host_keeps_no_schedules(start_host: StartHost, client: orchlite.Client) -> None:
    hosts = client.path() / "hosts"
    host = start_host(_KEEPS_SCHEDULES, client.path())
    assert _lines(host, 1) == ["keeps"]
    assert [sign.process_id for sign in signs_of_life(hosts)] == [host.pid]
    _kill(host)
    assert signs_of_life(hosts) == []
