"""A host that is killed at a chosen moment: what it had accepted is done by the next one, and nothing is done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

# Appends to a file for each start, so that a second one would be seen.
_COUNTED = """
import pathlib, sys, time, wallaroo
arguments = wallaroo.Client().task_args()
with open(arguments["starts"], "a") as file:
    file.write("started\\n")
for number in range(5):
    print("line", number)
time.sleep(arguments.get("seconds", 0))
print("the end", file=sys.stderr)
sys.exit(arguments.get("code", 0))
"""

_SUBMITS = """
import json, sys, time
import orchlite

client = orchlite.Client(sys.argv[1], workers=int(sys.argv[4]), grace_seconds=0.5)
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
for arguments in json.loads(sys.argv[3]):
    [run] = orchestration.run_once(json_args=arguments).last_runs()
    print(run.id())
time.sleep(60)
"""

# A host that dies at one of the steps between claiming a run and recording its end.
_DIES = """
import os, signal, sys
import orchlite
from orchlite.runs.runners import Runners

class Deadly(Runners):
    def place(self, spec):
        self.step("before place")
        super().place(spec)
        self.step("after place")

    def wait(self, folder):
        observed = super().wait(folder)
        self.step("before the record")
        return observed

    def step(self, name):
        if name == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)

store = sys.argv[1]
client = orchlite.Client(store, workers=1, process=Deadly(f"{store}/runners.log"), grace_seconds=0.5)
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
orchestration.run_once(json_args={"starts": sys.argv[4], "code": 3}).wait()
"""

_OUTPUT = ["line 0", "line 1", "line 2", "line 3", "line 4", "the end"]


def _line(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    return host.stdout.readline().strip()


def _kill(host: subprocess.Popen[str]) -> None:
    host.kill()
    host.wait()


def _await(path: Path) -> None:
    give_up_at = time.monotonic() + 10
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def _run_what_is_left(store: Path, run_ids: list[str]) -> list[tuple[str, int | None]]:
    """The next host: works for the whole store until these runs have ended; tells how they did."""
    with orchlite.Client(store, workers=2, grace_seconds=0.5).start() as client:
        runs = [client.get_task_run_by_id(run_id).wait(20) for run_id in run_ids]
        return [(run.status(), run.exit_code()) for run in runs]


def _run_id(store: Path) -> str:
    """The one run that is not packaging."""
    with orchlite.Client(store) as client:
        [task] = client.list_tasks()
        [run] = task.last_runs()
        return run.id()


def test_a_run_in_flight_is_finished_and_seen_whole_by_the_next_host(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    arguments = f'[{{"starts": "{starts}", "seconds": 0.5, "code": 7}}]'
    host = start_host(_SUBMITS, store, folder(_COUNTED), arguments, 1)
    run_id = _line(host)
    _await(starts)
    _kill(host)
    with orchlite.Client(store) as client:
        run = client.get_task_run_by_id(run_id)
        assert run.status() == "running"
        seen = run.packages()
        assert seen is not None
        assert (run.wait(10).status(), run.exit_code(), run.packages()) == ("failure", 7, seen)
    check_store(store, [run_id], {run_id: _OUTPUT})
    assert starts.read_text() == "started\n"


@pytest.mark.slow
def test_a_run_that_ended_while_nobody_had_the_store_open_is_recorded_by_the_next_host(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    host = start_host(_SUBMITS, store, folder(_COUNTED), f'[{{"starts": "{starts}", "seconds": 0.2, "code": 7}}]', 1)
    run_id = _line(host)
    _await(starts)
    _kill(host)
    result = store / "runs" / run_id / "1" / "result.json"
    _await(result)
    measured = json.loads(result.read_bytes())["duration_seconds"]
    with orchlite.Client(store) as client:
        run = client.get_task_run_by_id(run_id)
        assert (run.wait(20).status(), run.exit_code()) == ("failure", 7)
        assert run.duration() == measured, "its own, not the time until a host recorded it"
    check_store(store, [run_id], {run_id: _OUTPUT})


@pytest.mark.slow
def test_runs_that_were_queued_are_started_once_by_the_next_host_that_works_for_the_store(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, files = tmp_path / "store", [tmp_path / name for name in ("first", "second", "third")]
    seconds = (0.4, 0, 0)
    arguments = ", ".join(f'{{"starts": "{path}", "seconds": {each}}}' for path, each in zip(files, seconds, strict=True))
    host = start_host(_SUBMITS, store, folder(_COUNTED), f"[{arguments}]", 1)
    run_ids = [_line(host) for _ in files]
    _await(files[0])
    _kill(host)
    assert _run_what_is_left(store, run_ids) == [("success", 0)] * 3
    check_store(store, run_ids, dict.fromkeys(run_ids, _OUTPUT))
    assert [path.read_text() for path in files] == ["started\n"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before place", "after place", "before the record"])
def test_a_host_that_dies_between_claim_and_record_leaves_one_start_and_one_end(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, moment: str
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    host = start_host(_DIES, store, folder(_COUNTED), moment, starts)
    assert host.wait(20) == -signal.SIGKILL
    run_id = _run_id(store)
    assert _run_what_is_left(store, [run_id]) == [("failure", 3)]
    check_store(store, [run_id], {run_id: _OUTPUT})
    assert starts.read_text() == "started\n"


@pytest.mark.slow
def test_of_four_hosts_that_open_at_once_after_the_death_each_sees_the_one_end(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    assert start_host(_DIES, store, folder(_COUNTED), "before place", starts).wait(20) == -signal.SIGKILL
    follower = """
import sys, orchlite
sys.stdin.readline()
with orchlite.Client(sys.argv[1], workers=1).start() as client:
    [task] = client.list_tasks()
    run = task.wait(20)
    print(run.id(), run.status(), run.exit_code())
"""
    hosts = [start_host(follower, store) for _ in range(4)]
    for host in hosts:
        assert host.stdin is not None
        host.stdin.write("go\n")
        host.stdin.flush()
    answers = {_line(host) for host in hosts}
    assert [host.wait(10) for host in hosts] == [0] * 4
    [answer] = answers
    run_id, *end = answer.split()
    assert end == ["failure", "3"]
    check_store(store, [run_id], {run_id: _OUTPUT})
    assert starts.read_text() == "started\n"


# A host that looks after what the dead one left, and stops to think before it acts.
_LOOKS_SLOWLY = """
import sys, orchlite
from orchlite.runs.runners import Runners

class Slow(Runners):
    def observe(self, folder):
        observed = super().observe(folder)
        print(type(observed).__name__)
        sys.stdin.readline()
        return observed

store = sys.argv[1]
with orchlite.Client(store, workers=1, process=Slow(f"{store}/runners.log")):
    print("open")
"""


@pytest.mark.slow
def test_a_host_that_comes_late_does_not_take_a_run_from_the_one_that_was_quicker(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    program = _COUNTED.replace('arguments.get("seconds", 0)', "0.5")
    assert start_host(_DIES, store, folder(program), "before place", starts).wait(20) == -signal.SIGKILL
    late = start_host(_LOOKS_SLOWLY, store)
    assert _line(late) == "NeverStarted"
    with orchlite.Client(store, workers=1, grace_seconds=0.5).start() as client:
        [run] = client.list_tasks()[0].last_runs()
        _await(starts)
        assert late.stdin is not None
        late.stdin.write("go\n")
        late.stdin.flush()
        assert _line(late) == "open"
        assert run.status() == "running"
        assert run.wait(10).exit_code() == 3
    assert late.wait(10) == 0
    check_store(store, [run.id()], {run.id(): _OUTPUT})
    assert starts.read_text() == "started\n"


@pytest.mark.slow
def test_a_host_that_works_for_the_store_already_takes_over_what_a_dying_one_leaves(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    with orchlite.Client(store, workers=1, grace_seconds=0.5).start() as client:
        host = start_host(_SUBMITS, store, folder(_COUNTED), f'[{{"starts": "{starts}", "seconds": 0.3, "code": 7}}]', 1)
        run_id = _line(host)
        _await(starts)
        _kill(host)
        assert client.get_task_run_by_id(run_id).wait(10).exit_code() == 7
    check_store(store, [run_id], {run_id: _OUTPUT})
