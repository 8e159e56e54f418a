"""At most once: whoever tries to launch a run, however often and however close to each other, it is started one single time."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from orchlite.core.folders import RunFolder
from orchlite.core.status import RunStatus
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Ended, RunSpec

StartHost = Callable[..., subprocess.Popen[str]]
MakeSpec = Callable[..., RunSpec]

# Reads one launch a line: how long to delay it, and what to launch. Answers with what it saw in the end.
_LAUNCHES = """
import json, sys, time
from pathlib import Path
from orchlite.runs.runners import Runners
from orchlite.core.folders import RunFolder
from orchlite.runs.spec import RunSpec

runners = Runners(Path(sys.argv[1]))
runners.warm()
for line in sys.stdin:
    delay_seconds, fields = json.loads(line)
    spec = RunSpec(**fields)
    time.sleep(delay_seconds)
    runners.place(spec)
    observed = runners.wait(RunFolder(Path(spec.folder)))
    print(json.dumps([type(observed).__name__, observed.attempt, observed.result.exit_code]))
runners.close()
"""


def _launch(host: subprocess.Popen[str], delay_seconds: float, spec: RunSpec) -> None:
    assert host.stdin is not None
    host.stdin.write(json.dumps([delay_seconds, spec._asdict()]) + "\n")
    host.stdin.flush()


def _answer(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    return host.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("attempts", [pytest.param((1, 1), marks=pytest.mark.slow), (1, 2)], ids=["the same attempt", "two attempts"])
def test_two_hosts_that_launch_one_run_at_once_start_it_once(
    start_host: StartHost, make_spec: MakeSpec, tmp_path: Path, attempts: tuple[int, int], count: int
) -> None:
    seed = time.time_ns()
    print("seed:", seed)
    seeded = random.Random(seed)
    hosts = [start_host(_LAUNCHES, tmp_path / f"runners-{number}.log") for number in range(2)]
    won = []
    for _ in range(count):
        spec = make_spec('echo "started" >> ../../starts; exit 3', grace_seconds=5.0)
        for host, attempt in zip(hosts, attempts, strict=True):
            work = RunFolder(Path(spec.folder)).attempt(attempt).work
            work.mkdir(parents=True, exist_ok=True)
            _launch(
                host, seeded.uniform(0, 0.002), spec._replace(attempt=attempt, working_folder=str(work), log=str(work.with_name("log")))
            )
        answers = {_answer(host) for host in hosts}
        assert len(answers) == 1, f"both see the same end, not {answers}"
        [(kind, attempt, exit_code)] = map(json.loads, answers)
        assert (kind, exit_code) == ("Ended", 3)
        assert (Path(spec.folder) / "starts").read_text() == "started\n"
        won.append(attempt)
    print({attempt: won.count(attempt) for attempt in set(won)})
    for host in hosts:
        assert host.stdin is not None
        host.stdin.close()
        assert host.wait(10) == 0
    assert [path.read_text() for path in tmp_path.glob("runners-*.log")] == ["", ""]


def test_a_run_that_has_ended_is_not_started_again(runners: Runners, make_spec: MakeSpec) -> None:
    spec = make_spec('echo "started" >> ../../starts; exit 3')
    folder = RunFolder(Path(spec.folder))
    runners.place(spec)
    first = runners.wait(folder)
    for attempt in (1, 2, 3):
        folder.attempt(attempt).path.mkdir(exist_ok=True)
        runners.place(spec._replace(attempt=attempt, log=str(folder.attempt(attempt).log)))
        assert runners.wait(folder) == first
    assert isinstance(first, Ended)
    assert (first.attempt, first.result.status) == (1, RunStatus.FAILURE)
    assert (folder.path / "starts").read_text() == "started\n"


def test_a_second_launch_while_the_first_goes_on_waits_for_its_end(runners: Runners, make_spec: MakeSpec) -> None:
    spec = make_spec('echo "started" >> ../../starts; sleep 1.2; exit 3')  # longer than a launch waits for the lock
    folder = RunFolder(Path(spec.folder))
    runners.place(spec)
    while not folder.started.exists():
        time.sleep(0.005)
    second = Runners(folder.path / "runners.log")
    second.place(spec)
    assert second.wait(folder) == runners.wait(folder)
    second.close()
    assert (folder.path / "starts").read_text() == "started\n"


@pytest.mark.slow
def test_nothing_is_launched_before_its_claim_is_in_the_store(folder: Callable[..., Path], tmp_path: Path) -> None:
    store, seen = tmp_path / "store", []

    class Looking(Runners):
        def place(self, spec: RunSpec) -> None:
            database = sqlite3.connect(store / "store.sqlite")
            seen.append(database.execute("SELECT status, attempt FROM runs WHERE run_id = ?", (spec.run_id,)).fetchone())
            database.close()
            super().place(spec)

    with orchlite.Client(store, workers=2, process=Looking(tmp_path / "runners.log")) as client:
        orchestration = client.upload_orchestration(path=folder("pass")).wait()
        for _ in range(10):
            orchestration.run_once()
    assert seen == [("running", 1)] * 10
