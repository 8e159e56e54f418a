"""Ends that meet: a program that exits as its time runs out, a kill that arrives as it exits, two hosts that kill at once."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import orchlite
from orchlite.core.folders import RunFolder
from orchlite.core.status import RunStatus
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Ended, RunSpec

StartHost = Callable[..., subprocess.Popen[str]]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]
MakeSpec = Callable[..., RunSpec]
Bearers = Callable[[str], list[int]]

_TIMEOUT_SECONDS = 0.05


@pytest.fixture
def seeded() -> random.Random:
    """Random numbers whose seed is printed."""
    seed = time.time_ns()
    print("seed:", seed)
    return random.Random(seed)


def _end(runners: Runners, spec: RunSpec) -> RunStatus:
    """Run it to its end, which everybody sees alike and which fits the exit code."""
    runners.place(spec)
    observed = runners.wait(RunFolder(Path(spec.folder)))
    assert isinstance(observed, Ended)
    assert runners.observe(RunFolder(Path(spec.folder))) == observed
    result = observed.result
    assert (result.status, result.exit_code) in {(RunStatus.SUCCESS, 0), (RunStatus.TIMED_OUT, 143), (RunStatus.TIMED_OUT, 0)}
    assert (result.reason is None) == (result.status is RunStatus.SUCCESS)
    return result.status


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_an_exit_within_five_milliseconds_of_the_timeout_is_one_or_the_other(
    runners: Runners, make_spec: MakeSpec, bearers: Bearers, seeded: random.Random, count: int
) -> None:
    starting_seconds = _starting_seconds(runners, make_spec)
    specs = []
    for _ in range(count):
        seconds = _TIMEOUT_SECONDS - starting_seconds + seeded.uniform(-0.005, 0.005)
        specs.append(make_spec(command=("/bin/sleep", f"{seconds:.6f}"), timeout_seconds=_TIMEOUT_SECONDS))
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda spec: _end(runners, spec), specs))
    print({status: ends.count(status) for status in set(ends)})
    assert len(ends) == count
    assert bearers("ORCHLITE_RUN_TOKEN=" + specs[-1].run_id) == []
    assert [spec for spec in specs if len(list(Path(spec.folder).glob("*/result.json"))) != 1] == []


def _starting_seconds(runners: Runners, make_spec: MakeSpec) -> float:
    """How long it takes to start and reap a program here, so that the race is one."""
    durations = []
    for _ in range(9):
        spec = make_spec(command=("/bin/sleep", "0"))
        runners.place(spec)
        observed = runners.wait(RunFolder(Path(spec.folder)))
        assert isinstance(observed, Ended)
        assert observed.result.duration_seconds is not None
        durations.append(observed.result.duration_seconds)
    return min(sorted(durations)[4], 0.03)


@pytest.mark.slow
@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_at_the_moment_of_exit_is_one_or_the_other_and_a_kill_after_it_says_so(
    check_store: CheckStore, folder: MakeFolder, tmp_path: Path, seeded: random.Random, count: int
) -> None:
    store = tmp_path / "store"
    # A request to end is looked for every 50 ms.
    program = folder("import time; time.sleep(max(0, 0.05 - time.process_time()))")
    with orchlite.Client(store, workers=2, grace_seconds=0.5) as client:
        orchestration = client.upload_orchestration(path=program).wait()
        delays = [seeded.uniform(0, 0.1) for _ in range(count)]
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda delay: _killed_after(orchestration, delay), delays))
        for run in runs:
            assert run.status() in ("success", "killed")
            with pytest.raises(orchlite.IllegalMove, match=f"has ended already: it is {run.status()}"):
                run.kill()
    statuses = check_store(store, [run.id() for run in runs])
    print({status: list(statuses.values()).count(status) for status in set(statuses.values())})


def _killed_after(orchestration: orchlite.Orchestration, delay_seconds: float) -> orchlite.TaskRun:
    [run] = orchestration.run_once().last_runs()
    time.sleep(delay_seconds)
    refused: list[str] = []
    _kill_or_note(run, refused)
    if refused:
        assert refused == [run.status()] == ["success"]
    return run.wait(10)


_KILLS = """
import sys, orchlite
client = orchlite.Client(sys.argv[1], workers=1)
task = client.get_task_by_id(sys.argv[2])
[run] = task.last_runs()
print("ready")
sys.stdin.readline()
for _ in range(3):
    try:
        print("run", run.kill())
    except orchlite.IllegalMove as error:
        print("run", error.details["status"])
    print("task", task.kill())
"""


@pytest.mark.slow
def test_two_hosts_that_kill_at_once_get_the_same_end(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        task = client.upload_orchestration(path=folder("import time; print('begun'); time.sleep(60)")).wait().run_once()
        [run] = task.last_runs()
        next(run.logs(follow=True))
        killers = [start_host(_KILLS, store, task.id()) for _ in range(2)]
        for killer in killers:
            assert killer.stdout is not None
            assert killer.stdout.readline() == "ready\n"
        answers = [killer.communicate("go\n", timeout=20)[0].split("\n")[:-1] for killer in killers]
        assert [killer.returncode for killer in killers] == [0, 0]
        assert set(answers[0] + answers[1]) <= {"run running", "run killed", "task pending_kill", "task killed"}
        assert (run.wait(20).status(), run.exit_code(), task.status()) == ("killed", 143, "killed")
        assert task.kill() == "killed"
    check_store(store, [run.id()], {run.id(): ["begun"]})


def test_of_many_threads_that_kill_a_queued_run_one_does(check_store: CheckStore, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        orchestration = client.upload_orchestration(path=folder("import time; time.sleep(0.5)")).wait()
        first, queued = (orchestration.run_once().last_runs()[0] for _ in range(2))
        refused: list[str] = []
        threads = [threading.Thread(target=_kill_or_note, args=(queued, refused)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refused == ["killed"] * 5
        assert (queued.status(), queued.exit_code(), queued.started_at()) == ("killed", None, None)
        assert first.wait(20).status() == "success"
    check_store(store, [first.id(), queued.id()])


def _kill_or_note(run: orchlite.TaskRun, refused: list[str]) -> None:
    try:
        run.kill()
    except orchlite.IllegalMove as error:
        refused.append(error.details["status"])
