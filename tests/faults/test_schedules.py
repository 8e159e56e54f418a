"""Schedules that several hosts keep, whatever becomes of some of them: every slot has one run, and no program is started twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_PATIENCE_SECONDS = 60.0
_SECOND = 1_000_000

# One line for each start: O_APPEND, so that none can be lost.
_COUNTED = """
import os, wallaroo
descriptor = os.open(wallaroo.task_args()["starts"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(descriptor, (os.environ["ORCHLITE_RUN_TOKEN"] + "\\n").encode())
"""

# And tells which orchestration it is a program of.
_VERSIONED = (
    _COUNTED
    + """
with open(wallaroo.task_args()["starts"] + "-" + os.environ["ORCHLITE_RUN_TOKEN"], "w") as file:
    file.write(os.environ["ORCH_ID"])
"""
)

_WAITS = "import pathlib, time, wallaroo\nwhile not pathlib.Path(wallaroo.task_args()['gate']).exists():\n    time.sleep(0.02)\n"

# Works for the whole store when it is told to, until standard input ends.
_SERVES = """
import sys, orchlite
client = orchlite.Client(sys.argv[1], workers=2, grace_seconds=0.5)
print("open")
sys.stdin.readline()
client.start()
sys.stdin.read()
client.close()
"""

# Makes a scheduled task, keeps its schedule, and tells its id.
_SCHEDULES = """
import json, sys, time, orchlite
store, program, arguments, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
client = orchlite.Client(store, workers=1, grace_seconds=0.5)
orchestration = client.upload_orchestration(path=program).wait()
busy = options.pop("busy", None)
if busy:
    run = orchestration.run_once(json_args=arguments).last_runs()[0]
    while run.status() != "running":
        time.sleep(0.01)
print(orchestration.run_scheduled("a task", "0 0 1 1 *", arguments, **options).id())
time.sleep(600)
"""


@pytest.fixture
def seeded() -> random.Random:
    """Random numbers whose seed is printed."""
    seed = time.time_ns()
    print("seed:", seed)
    return random.Random(seed)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[orchlite.Client]:
    """A client that works for nobody: it submits, and looks."""
    with orchlite.Client(tmp_path / "store", workers=1, grace_seconds=0.5) as client:
        yield client
        client.close(drain=False)


def _line(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    line = host.stdout.readline()
    assert line.endswith("\n")
    return line.strip()


def _say(host: subprocess.Popen[str], line: str) -> None:
    assert host.stdin is not None
    host.stdin.write(line)
    host.stdin.flush()


def _leave(host: subprocess.Popen[str]) -> None:
    assert host.stdin is not None
    host.stdin.close()


def _kill(host: subprocess.Popen[str]) -> None:
    host.kill()
    host.wait()


def _until(condition: Callable[[], object], what: str) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, f"{what}: it never came true"
        time.sleep(0.02)


def _now() -> int:
    return time.time_ns() // 1000


def _execute(store: Path, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    """Change the store behind everybody's back: what a schedule's minute would take too long for."""
    with closing(sqlite3.connect(store / "store.sqlite", timeout=10)) as database, database:
        return database.execute(sql, parameters).fetchall()


def _make_due(store: Path, task_id: str | None = None) -> None:
    """Let one task be due now, or every task."""
    _execute(store, "UPDATE tasks SET next_at = ? WHERE schedule IS NOT NULL AND task_id = COALESCE(?, task_id)", _now(), task_id)


def _slots(store: Path) -> Counter[tuple[object, ...]]:
    return Counter(_execute(store, "SELECT task_id, slot_at FROM runs WHERE slot_at IS NOT NULL AND status <> 'skipped'"))


def _unfinished(store: Path) -> int:
    [(count,)] = _execute(store, "SELECT COUNT(*) FROM runs WHERE status IN ('queued', 'running')")
    assert isinstance(count, int)
    return count


def _submit(store: Path, program: Path, starts: Path, count: int, schedule: str, missed: str) -> None:
    """So many tasks, none of which is due for months; their client leaves."""
    with orchlite.Client(store, workers=1) as client:
        orchestration = client.upload_orchestration(path=program).wait()
        for number in range(count):
            orchestration.run_scheduled(f"task {number}", schedule, {"starts": str(starts)}, missed=missed)
        client.close(drain=False)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 1], ids=["none dies", "one is killed"])
def test_of_six_hosts_exactly_one_runs_each_of_the_slots_that_are_due_at_once(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, seeded: random.Random, kills: int
) -> None:
    count = 120
    store, starts = tmp_path / "store", tmp_path / "starts"
    _submit(store, folder(_COUNTED), starts, count, "0 0 1 1 *", "latest")
    hosts = [start_host(_SERVES, store) for _ in range(6)]
    assert [_line(host) for host in hosts] == ["open"] * 6
    _make_due(store)
    for host in hosts:
        _say(host, "go\n")
    for host in hosts[:kills]:
        _until(lambda: sum(_slots(store).values()) > 0, "some slots were dispatched")
        time.sleep(seeded.uniform(0, 0.5))
        _kill(host)
    _expect(store, starts, hosts[kills:], count)
    assert set(check_store(store).values()) == {"success"}


@pytest.mark.slow
def test_slots_of_tasks_that_are_replaced_while_hosts_dispatch_them_have_one_run_each(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    _submit(store, folder(_VERSIONED), starts, 12, "0 0 1 1 *", "latest")
    hosts = [start_host(_SERVES, store) for _ in range(2)]
    assert [_line(host) for host in hosts] == ["open"] * 2
    with orchlite.Client(store, workers=1) as client:
        new = client.upload_orchestration(path=folder(_VERSIONED + "#")).wait()
        _make_due(store)
        for host in hosts:
            _say(host, "go\n")
        for number, task in enumerate(client.list_tasks()):
            task.replace(new, schedule="0 0 2 1 *" if number % 2 else None)
        client.close(drain=False)
    _expect(store, starts, hosts, 12)
    with _visit(store) as visitor:
        for task in visitor.list_tasks():
            [run] = task.last_runs()
            assert (tmp_path / f"starts-{run.id()}").read_text() == run.orchestration()
            assert (task.orchestration(), run.status()) == (new.id(), "success")
    assert set(check_store(store).values()) == {"success"}


@pytest.mark.slow
def test_of_six_hosts_one_makes_up_for_each_missed_slot(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    _submit(store, folder(_COUNTED), starts, 12, "* * * * *", "all")
    hosts = [start_host(_SERVES, store) for _ in range(6)]
    assert [_line(host) for host in hosts] == ["open"] * 6
    this_minute = _now() // (60 * _SECOND) * 60 * _SECOND
    _execute(store, "UPDATE tasks SET next_at = ? WHERE schedule IS NOT NULL", this_minute - 9 * 60 * _SECOND)
    for host in hosts:
        _say(host, "go\n")
    _until(lambda: sum(_slots(store).values()) >= 120, "every slot was dispatched")
    with _visit(store) as visitor:
        for task in visitor.list_tasks():
            task.pause()  # lest the next minute comes in between
    slots = _slots(store)
    _expect(store, starts, hosts, sum(slots.values()))
    for (task_id,) in _execute(store, "SELECT task_id FROM tasks WHERE schedule IS NOT NULL"):
        mine = sorted(int(str(slot_at)) for task, slot_at in slots if task == task_id)
        assert mine[:10] == [this_minute - back * 60 * _SECOND for back in range(9, -1, -1)]
    assert set(check_store(store).values()) == {"success"}


def _expect(store: Path, starts: Path, hosts: list[subprocess.Popen[str]], count: int) -> None:
    """So many slots, each with one run, each with one start; and the hosts leave."""
    _until(lambda: sum(_slots(store).values()) >= count, "every slot was dispatched")
    _until(lambda: _unfinished(store) == 0, "every run has ended")
    for host in hosts:
        _leave(host)
    assert [host.wait(30) for host in hosts] == [0] * len(hosts)
    slots = _slots(store)
    assert (len(slots), set(slots.values())) == (count, {1})
    started = Counter(starts.read_text().split())
    assert started == Counter(str(run_id) for (run_id,) in _execute(store, "SELECT run_id FROM runs WHERE slot_at IS NOT NULL"))


@pytest.mark.slow
def test_a_host_that_serves_takes_over_the_schedules_of_one_that_was_killed(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    maker = start_host(_SCHEDULES, store, folder(_COUNTED), f'{{"starts": "{starts}"}}', "{}")
    task_id = _line(maker)
    server = start_host(_SERVES, store)
    assert _line(server) == "open"
    _say(server, "go\n")
    _kill(maker)
    for number in range(1, 3):
        _make_due(store, task_id)
        _until(lambda number=number: len(_slots(store)) == number and _unfinished(store) == 0, "a run has ended")  # type: ignore[misc]
    _leave(server)
    assert server.wait(20) == 0
    assert len(starts.read_text().split()) == 2
    assert set(check_store(store).values()) == {"success"}


@pytest.mark.slow
def test_a_slot_that_a_host_dispatched_before_it_was_killed_is_run_by_another(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, client: orchlite.Client
) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    maker = start_host(_SCHEDULES, store, folder(_WAITS), f'{{"gate": "{gate}"}}', '{"busy": true, "concurrency": "forbid"}')
    task = client.get_task_by_id(_line(maker))
    _make_due(store, task.id())  # its one worker is busy
    _until(task.last_runs, "the slot has a run")
    _kill(maker)
    gate.touch()
    # Another that keeps schedules, but only works for what it has itself submitted.
    other = start_host(_SCHEDULES, store, folder(_WAITS + "#"), f'{{"gate": "{gate}"}}', "{}")
    _line(other)
    _until(lambda: task.last_runs()[0].status() == "success", "the slot's run has ended")  # no wait(): that would take it over
    _kill(other)
    client.close()
    orchlite.Client(store).close()
    assert set(check_store(store).values()) == {"success"}


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", ["forbid", "replace"])
def test_a_run_whose_host_and_runner_were_killed_is_not_in_the_way_of_the_next(
    start_host: StartHost,
    folder: MakeFolder,
    tmp_path: Path,
    client: orchlite.Client,
    bearers: Callable[[str], list[int]],
    concurrency: str,
) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    maker = start_host(_SCHEDULES, store, folder(_WAITS), f'{{"gate": "{gate}"}}', f'{{"concurrency": "{concurrency}"}}')
    task = client.get_task_by_id(_line(maker))
    _make_due(store, task.id())
    _until(lambda: [run for run in task.last_runs() if run.status() == "running" and bearers(run.id())], "the first slot's run is at work")
    [lost] = task.last_runs()
    runners = [pid for pid in bearers("orchlite/runs/runner/start.py") if _parent(pid) == maker.pid]
    _kill(maker)
    for pid in runners:
        _kill_process(pid)
    server = start_host(_SERVES, store)
    assert _line(server) == "open"
    _say(server, "go\n")
    _until(lambda: lost.status() == "unknown", "the lost run is known to be lost")
    gate.touch()
    _make_due(store, task.id())
    _until(lambda: [run.status() for run in task.last_runs()] == ["success", "unknown"], "the next slot has its run")
    _leave(server)
    assert server.wait(20) == 0


# Dies when it has asked for the end of a run, before the run's owner has heard of it.
_DIES_BEFORE_THE_TELLING = """
import os, signal
from orchlite.runs.runners import Runners

class Deadly(Runners):
    def cancel(self, folder, reason):
        os.kill(os.getpid(), signal.SIGKILL)

""" + _SCHEDULES.replace("workers=1", "workers=1, process=Deadly(f'{store}/runners.log')")


@pytest.mark.slow
def test_a_run_whose_replacement_was_begun_by_a_host_that_died_is_replaced_all_the_same(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path, client: orchlite.Client
) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    maker = start_host(_DIES_BEFORE_THE_TELLING, store, folder(_WAITS), f'{{"gate": "{gate}"}}', '{"concurrency": "replace"}')
    task = client.get_task_by_id(_line(maker))
    _make_due(store, task.id())
    _until(lambda: [run.status() for run in task.last_runs()] == ["running"], "the first slot's run is at work")
    _make_due(store, task.id())
    assert maker.wait(20) == -signal.SIGKILL
    server = start_host(_SERVES, store)
    assert _line(server) == "open"
    _say(server, "go\n")
    _until(lambda: [run.status() for run in task.last_runs()] == ["running", "killed"], "the second run has replaced the first")
    gate.touch()
    _until(lambda: [run.status() for run in task.last_runs()] == ["success", "killed"], "the second run has ended")
    _leave(server)
    assert server.wait(20) == 0


@pytest.mark.slow
def test_what_others_change_is_noticed_by_who_keeps_the_schedules(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    _submit(store, folder(_COUNTED), starts, 2, "0 0 1 1 *", "latest")
    server = start_host(_SERVES, store)
    assert _line(server) == "open"
    _say(server, "go\n")
    with _visit(store) as visitor:
        first, other = visitor.list_tasks()
        first.pause()
    _expect_run(store, other.id(), but_not=first.id())
    with _visit(store) as visitor:
        visitor.get_task_by_id(first.id()).resume()
    _expect_run(store, first.id())
    with _visit(store) as visitor:
        [orchestration] = visitor.list_orchestrations()
        second = orchestration.run_scheduled("another", "0 0 1 1 *", {"starts": str(starts)})
    _expect_run(store, second.id())
    with _visit(store) as visitor:
        visitor.get_task_by_id(second.id()).kill()
    _expect_run(store, other.id(), but_not=second.id())
    _leave(server)
    assert server.wait(20) == 0
    assert set(check_store(store).values()) == {"success"}


@contextmanager
def _visit(store: Path) -> Iterator[orchlite.Client]:
    """A client that leaves at once, so that what becomes due is left to others."""
    visitor = orchlite.Client(store)
    try:
        yield visitor
    finally:
        visitor.close(drain=False)


def _ends(store: Path, task_id: str | None) -> list[object]:
    return [status for (status,) in _execute(store, "SELECT status FROM runs WHERE task_id = ?", task_id)]


def _expect_run(store: Path, task_id: str, but_not: str | None = None) -> None:
    """When the task is due, it has one more run; another that is due before it has none."""
    before, others_before = _ends(store, task_id), _ends(store, but_not)
    if but_not is not None:
        _make_due(store, but_not)
    _make_due(store, task_id)
    _until(lambda: _ends(store, task_id) == [*before, "success"], "there is one more run")
    assert _ends(store, but_not) == others_before


def test_a_client_that_has_only_resumed_a_task_runs_its_slots(folder: MakeFolder, tmp_path: Path) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    _submit(store, folder(_COUNTED), starts, 1, "0 0 1 1 *", "latest")
    with orchlite.Client(store) as client:
        [task] = client.list_tasks()
        task.pause()
    with orchlite.Client(store) as client:
        task = client.get_task_by_id(task.id())
        task.resume()
        _make_due(store, task.id())
        assert task.wait(_PATIENCE_SECONDS).status() == "success"


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def _kill_process(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
