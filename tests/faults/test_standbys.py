"""Hosts, runners and files that vanish while a run stands by: it is started once or not at all, and nothing is left of it."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import orchlite
from orchlite.client.client import engine_of
from orchlite.core.folders import RunFolder, StoreFolder
from tests.faults.small_disk import Disk
from tests.standbys import PROGRAM, at_the_gate, is_gone, markers, processes_of, runner_of, stand_by, standby_of, until

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

# Runs a bundle twice, says so when the next run stands by, and does what it is told then.
_HOST = """
import os, signal, sys, time
from pathlib import Path
import orchlite
from orchlite.runs.runners import Runners

class Deadly(Runners):
    places = 0

    def place(self, spec):
        self.places += 1
        if self.places == 3 and "before" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
        super().place(spec)
        if self.places == 3 and "after" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)

store = Path(sys.argv[1])
client = orchlite.Client(store, workers=1, grace_seconds=0.5, process=Deadly(store / "runners.log"))
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
for _ in range(2):
    orchestration.run_once().wait()
while not list((store / "hosts").glob("*.standby")):
    time.sleep(0.005)
print("ready")
for line in sys.stdin:
    if line == "fork\\n":
        if (child := os.fork()) == 0:
            orchlite.Client(store).list_tasks()
            os._exit(0)
        os.waitpid(child, 0)
    if line == "stay\\n" and os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print("forked" if line == "stay\\n" else orchestration.run_once().wait().logs()[0].text)
"""


def _started(start_host: StartHost, store: Path, bundle: Path, step: str = "") -> subprocess.Popen[str]:
    host = start_host(_HOST, store, bundle, step)
    assert host.stdout is not None
    assert host.stdout.readline() == "ready\n"
    return host


def _asked(host: subprocess.Popen[str], line: str = "") -> str:
    assert host.stdin is not None
    assert host.stdout is not None
    host.stdin.write(f"{line}\n")
    host.stdin.flush()
    return host.stdout.readline().strip()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def counted(folder: MakeFolder, tmp_path: Path) -> Path:
    """A bundle whose program writes a line into a file at each start, and lasts a moment."""
    return folder(PROGRAM + f"open({str(tmp_path / 'starts')!r}, 'a').write('started\\n'); import time; time.sleep(0.05)")


def _starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text().splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("is_stopped", [False, True], ids=["waiting", "stopped"])
def test_the_next_client_removes_the_standby_of_a_killed_host(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, store: Path, is_stopped: bool
) -> None:
    host = _started(start_host, store, folder(PROGRAM))
    standby = standby_of(store)
    if is_stopped:
        os.kill(at_the_gate(standby), signal.SIGSTOP)
    host.kill()
    host.wait()
    orchlite.Client(store).close()
    assert is_gone(standby)
    assert len(check_store(store)) == 3
    assert len(list((store / "runs").iterdir())) == 3


@pytest.mark.parametrize("step", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_a_host_that_dies_around_the_order_has_its_run_started_once(
    start_host: StartHost, check_store: CheckStore, counted: Path, store: Path, tmp_path: Path, step: str
) -> None:
    host = _started(start_host, store, counted, step)
    standby = standby_of(store)
    assert _asked(host) == ""
    host.wait()
    with orchlite.Client(store, workers=1) as client:
        run = client.get_task_run_by_id(standby.run_id)
        run.wait()
        assert [line.text for line in run.logs()] == ["cold" if step == "before" else "standby"]
    assert check_store(store)[standby.run_id] == "success"
    assert (_starts(tmp_path), markers(store)) == (3, [])


def test_a_run_whose_host_died_before_the_order_is_adopted_while_its_runner_lives_and_started_once(
    start_host: StartHost, check_store: CheckStore, counted: Path, store: Path, tmp_path: Path
) -> None:
    host = _started(start_host, store, counted, "before")
    standby = standby_of(store)
    runner = runner_of(at_the_gate(standby))
    os.kill(runner, signal.SIGSTOP)  # so that it does not see that its host is gone
    assert _asked(host) == ""
    host.wait()
    with orchlite.Client(store, workers=1) as client:
        run = client.get_task_run_by_id(standby.run_id)
        assert run.status() == "running"
        assert _hosts(store, run) == {engine_of(client).context.host_id}
        os.kill(runner, signal.SIGCONT)
        assert run.wait().logs()[0].text == "cold"
    assert check_store(store)[standby.run_id] == "success"
    assert (_starts(tmp_path), markers(store)) == (3, [])


def _hosts(store: Path, run: orchlite.TaskRun) -> set[str]:
    with closing(sqlite3.connect(store / "store.sqlite")) as database:
        return {host_id for (host_id,) in database.execute("SELECT host_id FROM runs WHERE run_id = ?", (run.id(),))}


@pytest.mark.parametrize("step", ["nothing", "folder", "bundle"])
def test_what_a_host_has_left_that_died_while_it_prepared_a_run_is_removed(store: Path, step: str, check_store: CheckStore) -> None:
    orchlite.Client(store).close()
    folders = StoreFolder(store)
    run_id = str(uuid.uuid4())
    (folders.hosts / f"{uuid.uuid4()}.{run_id}.standby").touch()
    attempt = folders.run(run_id).attempt(1)
    if step != "nothing":
        attempt.work.mkdir(parents=True)
    if step == "bundle":
        (attempt.work / "main.py").touch()
    orchlite.Client(store).close()
    assert (markers(store), list(folders.runs.iterdir())) == ([], [])
    assert check_store(store) == {}


@pytest.mark.slow
def test_a_fork_of_the_host_changes_nothing(start_host: StartHost, check_store: CheckStore, folder: MakeFolder, store: Path) -> None:
    host = _started(start_host, store, folder(PROGRAM))
    standby = standby_of(store)
    assert _asked(host, "fork") == "standby"
    assert host.stdin is not None
    host.stdin.close()
    host.wait()
    assert standby.run_id in check_store(store)


@pytest.mark.slow
def test_a_forked_child_that_outlives_the_host_keeps_no_standby_alive(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, store: Path
) -> None:
    host = _started(start_host, store, folder(PROGRAM))
    standby = standby_of(store)
    assert _asked(host, "stay") == "forked"
    host.kill()
    host.wait()
    until(lambda: not processes_of(standby))
    orchlite.Client(store).close()
    assert is_gone(standby)
    os.killpg(host.pid, signal.SIGKILL)
    assert len(check_store(store)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("order", ["started", "ordered"])
def test_a_run_whose_runner_dies_at_the_order_is_lost_and_never_started(
    client: orchlite.Client, counted: Path, tmp_path: Path, order: str
) -> None:
    orchestration, store = client.upload_orchestration(path=counted).wait(), Path(client.path())
    standby = stand_by(orchestration, store)
    pid = at_the_gate(standby)
    runner = runner_of(pid)
    awaited = standby.started if order == "started" else standby.attempt(1).work / "main.py"  # which comes back just before the order
    os.kill(pid, signal.SIGSTOP)
    task = orchestration.run_once()
    while not awaited.exists():
        pass
    os.kill(runner, signal.SIGKILL)
    assert task.wait().status() == "unknown"
    assert (processes_of(standby), _starts(tmp_path)) == ([], 2)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["another run", "a close"])
def test_a_runner_that_is_stopped_while_it_holds_a_standby_keeps_nothing_waiting(
    tmp_path: Path, counted: Path, folder: MakeFolder, what: str
) -> None:
    with orchlite.Client(tmp_path / "own", workers=1) as client:
        standby = stand_by(client.upload_orchestration(path=counted).wait(), Path(client.path()))
        runner = runner_of(at_the_gate(standby))
        os.kill(runner, signal.SIGSTOP)
        if what == "another run":
            assert client.run(folder("print()")).status() == "success"
    assert not Path(f"/proc/{runner}").exists()
    assert (standby.path.exists(), processes_of(standby)) == (False, [])


@pytest.mark.slow
def test_a_standby_that_is_stopped_and_continued_is_run(client: orchlite.Client, counted: Path, folder: MakeFolder, tmp_path: Path) -> None:
    orchestration, store = client.upload_orchestration(path=counted).wait(), Path(client.path())
    stopped = at_the_gate(stand_by(orchestration, store))
    os.kill(stopped, signal.SIGSTOP)
    task = orchestration.run_once()
    os.kill(stopped, signal.SIGCONT)
    assert task.wait().logs()[0].text == "standby"
    stopped = at_the_gate(standby_of(store))
    os.kill(stopped, signal.SIGSTOP)
    task = orchestration.run_once()
    task.kill()
    assert task.wait().status() == "killed"
    assert _starts(tmp_path) == 3


@pytest.mark.slow
def test_an_interrupt_between_taking_it_and_the_submission_leaves_it_until_the_close(
    store: Path, folder: MakeFolder, check_store: CheckStore
) -> None:
    with orchlite.Client(store, workers=1) as client:
        orchestration = client.upload_orchestration(path=folder(PROGRAM)).wait()
        standby = stand_by(orchestration, store)
        engine_of(client).context.standbys.take(orchestration.id())  # and nothing more
        assert orchestration.run_once().wait().logs()[0].text == "cold"
        assert at_the_gate(standby)
    assert is_gone(standby)
    assert len(check_store(store)) == len(list((store / "runs").iterdir())) == 4


def _with_arguments(store: Path) -> set[Path]:
    return {path for path in (store / "runs").glob("*/1/arguments.json") if path.stat().st_size}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["standby", "cold"])
def test_a_submission_that_the_close_refuses_leaves_nothing(store: Path, folder: MakeFolder, check_store: CheckStore, kind: str) -> None:
    # With two workers one is idle, though the other has not come to its end.
    client = orchlite.Client(store, workers=2, standby_seconds=60 if kind == "standby" else 0)
    orchestration = client.upload_orchestration(path=folder(PROGRAM)).wait()
    for _ in range(2):
        orchestration.run_once().wait()
    if kind == "standby":
        standby_of(store)
    known = _with_arguments(store)
    with ThreadPoolExecutor() as pool, closing(sqlite3.connect(store / "store.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        submission = pool.submit(orchestration.run_once)
        until(lambda: _with_arguments(store) - known)  # it is prepared
        client.close(drain=False)
        assert isinstance(submission.exception(), orchlite.Closed)
    until(lambda: len(list((store / "runs").iterdir())) == 3 and not markers(store))
    assert len(check_store(store)) == 3


@pytest.mark.slow
def test_no_descriptor_is_left_of_a_standby(store: Path, folder: MakeFolder) -> None:
    def opened(program: Path) -> list[str]:
        with orchlite.Client(store, workers=1) as client:
            stand_by(client.upload_orchestration(path=program).wait(), store)
        gc.collect()
        return sorted(path.name for path in Path("/proc/self/fd").iterdir())

    program = folder(PROGRAM)
    before = opened(program)  # what the first client leaves is the process's, such as a random generator's
    assert opened(program) == before


@pytest.mark.usefixtures("only_store_of_the_cache")
def test_another_host_leaves_it_alone(client: orchlite.Client, folder: MakeFolder) -> None:
    orchestration, store = client.upload_orchestration(path=folder(PROGRAM)).wait(), Path(client.path())
    standby = stand_by(orchestration, store)
    with orchlite.Client(store) as other:
        other.start()
        other.prune(older_than="1d")
        assert other.check() == []
        assert orchestration.run_once().wait().id() == standby.run_id


def test_a_working_folder_that_was_replaced_is_a_cold_start(client: orchlite.Client, folder: MakeFolder) -> None:
    orchestration, store = client.upload_orchestration(path=folder(PROGRAM)).wait(), Path(client.path())
    work = stand_by(orchestration, store).attempt(1).work
    shutil.move(work, work.with_name("old"))
    shutil.copytree(work.with_name("old"), work)
    assert orchestration.run_once().wait().logs()[0].text == "cold"


@pytest.mark.slow
def test_an_environment_that_was_refreshed_or_deleted_is_a_cold_start(
    tmp_path: Path, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHLITE_CACHE", str(tmp_path / "cache"))
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1) as client, orchlite.Client(store, workers=1) as other:
        orchestration = client.upload_orchestration(path=folder(PROGRAM)).wait()
        stand_by(orchestration, store)
        other.upload_orchestration(path=folder(PROGRAM), refresh=True).wait()
        assert orchestration.run_once().wait().logs()[0].text == "cold"
        standby_of(store)
        shutil.rmtree(tmp_path / "cache" / "environments")
        assert orchestration.run_once().wait().logs()[0].text == "cold"


def test_a_bundle_that_was_deleted_does_not_keep_its_standby_from_running(client: orchlite.Client, folder: MakeFolder) -> None:
    orchestration, store = client.upload_orchestration(path=folder(PROGRAM)).wait(), Path(client.path())
    stand_by(orchestration, store)
    for bundle in (store / "bundles").iterdir():
        bundle.unlink()
    assert orchestration.run_once().wait().logs()[0].text == "standby"
    until(lambda: not markers(store))  # the next one could not be prepared


def test_a_full_disk_prepares_nothing_and_loses_nothing(disk: Disk, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (disk.path / "runs").mkdir()
    (store / "runs").symlink_to(disk.path / "runs")
    with orchlite.Client(store, workers=1) as client:
        orchestration = client.upload_orchestration(path=folder(PROGRAM)).wait()
        standby = stand_by(orchestration, store)
        disk.fill()
        task = orchestration.run_once()
        until(lambda: is_gone(standby) or not processes_of(standby))
        disk.make_room()
        assert task.wait().logs()[0].text == "cold"


@pytest.mark.slow
def test_closing_while_one_is_being_prepared_leaves_nothing(store: Path, folder: MakeFolder, check_store: CheckStore) -> None:
    for number in range(5):
        with orchlite.Client(store, workers=1) as client:
            orchestration = client.upload_orchestration(path=folder(PROGRAM)).wait()
            for _ in range(2):
                orchestration.run_once().wait()
            time.sleep(0.018 + number / 1000)
    assert len(check_store(store)) == len(list((store / "runs").iterdir()))


@pytest.mark.slow
def test_three_hundred_submissions_with_one_standby_are_three_hundred_starts(
    store: Path, counted: Path, tmp_path: Path, check_store: CheckStore
) -> None:
    with orchlite.Client(store, workers=2) as client:
        orchestration = client.upload_orchestration(path=counted).wait()
        stand_by(orchestration, store)
        with ThreadPoolExecutor(16) as pool:
            ids = {task.id() for task in pool.map(lambda _: orchestration.run_once(), range(300))}
    assert len(ids) == 300
    statuses = check_store(store)
    assert (_starts(tmp_path), set(statuses.values())) == (302, {"success"})
    assert {path.name for path in (store / "runs").iterdir()} <= set(statuses)


_CRASHES = """
import os, signal, sys, time
from pathlib import Path
import orchlite
from tests.standbys import at_the_gate, runner_of, stand_by
client = orchlite.Client.temporary(workers=1)
standby = stand_by(client.upload_orchestration(path=sys.argv[1]).wait(), Path(client.path()))
pid = at_the_gate(standby)
os.kill(pid, signal.SIGSTOP)
if sys.argv[2:]:
    os.kill(runner_of(pid), signal.SIGKILL)
print(standby.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("runner", [(), ("killed",)], ids=["its runner lives", "its runner is killed"])
def test_a_temporary_store_that_crashes_with_a_stopped_standby_is_swept_by_the_next(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path, runner: tuple[str, ...]
) -> None:
    (tmp_path / "temporary").mkdir()
    host = start_host(_CRASHES, folder(PROGRAM), *runner, TMPDIR=str(tmp_path / "temporary"))
    assert host.stdout is not None
    standby = RunFolder(Path(host.stdout.read().strip()))
    host.wait()
    next_one = start_host("import orchlite; orchlite.Client.temporary().close()", TMPDIR=str(tmp_path / "temporary"))
    assert next_one.wait() == 0
    assert (processes_of(standby), list((tmp_path / "temporary").iterdir())) == ([], [])


def test_a_temporary_store_ends_its_standby_with_it(folder: MakeFolder) -> None:
    with orchlite.Client.temporary() as client:
        standby = stand_by(client.upload_orchestration(path=folder(PROGRAM)).wait(), Path(client.path()))
        assert json.loads((standby.path.parents[1] / "runners.log").read_text() or "0") == 0
    assert processes_of(standby) == []
