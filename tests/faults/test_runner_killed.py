"""A runner that is killed, alone or with its host, and a machine that went down: nobody saw the end, and nothing goes on unseen."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.core.files import is_locked

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]
Bearers = Callable[[str], list[int]]

# Two processes beside the program itself: one in its group, one that has left group and session. Both keep their environment.
_LASTS = """
import subprocess, sys, time
subprocess.Popen(["sleep", "60"])
subprocess.Popen(["sleep", "60"], start_new_session=True)
print("begun")
time.sleep(60)
"""

_SUBMITS = """
import sys, time, orchlite
client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
[run] = orchestration.run_once().last_runs()
next(run.logs(follow=True))
print(run.id())
time.sleep(60)
"""

_DIES_BEFORE_LAUNCH = """
import os, signal, sys, orchlite
from orchlite.runs.runners import Runners

class Deadly(Runners):
    def place(self, spec):
        print(spec.run_id)
        os.kill(os.getpid(), signal.SIGKILL)

client = orchlite.Client(sys.argv[1], workers=1, process=Deadly(f"{sys.argv[1]}/runners.log"))
client.upload_orchestration(path=sys.argv[2]).wait().run_once().wait()
"""

_slow = pytest.mark.slow
_LOST = "its runner was killed or the machine went down, so its outcome is not known"


def _line(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    return host.stdout.readline().strip()


def _started(store: Path, run_id: str) -> dict[str, Any]:
    started: dict[str, Any] = json.loads((store / "runs" / run_id / "started.json").read_bytes())
    return started


def _kill_runner(store: Path, run_id: str) -> None:
    os.kill(_started(store, run_id)["pid"], signal.SIGKILL)


def _kill(host: subprocess.Popen[str]) -> None:
    host.kill()
    host.wait()


def _look(store: Path, run_id: str) -> tuple[str, int | None, str | None]:
    """What the next host makes of the run: it has an end as soon as the store is open."""
    with orchlite.Client(store) as client:
        run = client.get_task_run_by_id(run_id)
        return run.status(), run.exit_code(), run.reason()


def _lost_run(start_host: StartHost, store: Path, bundle: Path) -> str:
    """The id of a run whose host and runner were killed."""
    host = start_host(_SUBMITS, store, bundle)
    run_id = _line(host)
    _kill(host)
    _kill_runner(store, run_id)
    while is_locked(store / "runs" / run_id / "alive.lock"):
        time.sleep(0.001)  # it is nobody's child here who could be waited for
    return run_id


def test_a_run_whose_runner_is_killed_is_unknown_and_its_processes_are_ended(
    check_store: CheckStore, folder: MakeFolder, bearers: Bearers, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        orchestration = client.upload_orchestration(path=folder(_LASTS)).wait()
        [run] = orchestration.run_once().last_runs()
        next(run.logs(follow=True))
        assert len(bearers(run.id())) == 3
        seen = run.packages()
        assert seen is not None
        _kill_runner(store, run.id())
        assert run.wait(20).status() == "unknown"
        assert (run.exit_code(), run.reason(), run.packages()) == (None, _LOST, seen)
        with pytest.raises(orchlite.RunFailed, match="its outcome is not known"):
            run.raise_for_failure()
        assert [failed.id() for failed in orchestration.list_tasks()[0].last_runs(status="failure")] == [run.id()]
    check_store(store, [run.id()], {run.id(): ["begun"]})


def test_the_host_of_a_killed_runner_goes_on_with_a_new_one(check_store: CheckStore, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        idle = client.run(folder("print('first')"))
        _kill_runner(store, idle.id())  # it has nothing to do
        assert client.run(folder("print('second')")).status() == "success"
    assert list(check_store(store).values()) == ["success"] * 4


def test_a_runner_that_is_told_to_stop_kills_its_run_first(check_store: CheckStore, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        [run] = client.upload_orchestration(path=folder(_LASTS)).wait().run_once().last_runs()
        next(run.logs(follow=True))
        os.kill(_started(store, run.id())["pid"], signal.SIGTERM)
        assert (run.wait(20).status(), run.exit_code(), run.reason()) == ("killed", 143, "its runner received SIGTERM")
        assert client.run(folder("print('next')")).status() == "success"
    check_store(store, [run.id()])


def test_a_run_whose_host_and_runner_are_killed_is_declared_lost_by_the_next_host(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, bearers: Bearers, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    run_id = _lost_run(start_host, store, folder(_LASTS))
    assert len(bearers(run_id)) == 3
    assert _look(store, run_id) == ("unknown", None, _LOST)
    check_store(store, [run_id], {run_id: ["begun"]})


@pytest.mark.parametrize(
    "content", [pytest.param("", marks=_slow), '{"attempt": 1, "p', pytest.param("{}", marks=_slow)], ids=["empty", "torn", "incomplete"]
)
def test_a_runner_that_died_while_it_noted_its_start_counts_as_started(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, content: str
) -> None:
    store = tmp_path / "store"
    host = start_host(_DIES_BEFORE_LAUNCH, store, folder("print('must not run')"))
    run_id = _line(host)
    host.wait()
    (store / "runs" / run_id / "started.json").write_text(content)
    assert _look(store, run_id) == ("unknown", None, _LOST)
    check_store(store, [run_id], {run_id: []})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", marks=_slow),
        '{"status": "succ',
        pytest.param("[]", marks=_slow),
        pytest.param('{"status": "success"}', marks=_slow),
    ],
    ids=["empty", "torn", "a list", "incomplete"],
)
def test_a_result_that_cannot_be_read_counts_as_none(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, content: str
) -> None:
    store = tmp_path / "store"
    run_id = _lost_run(start_host, store, folder(_LASTS))
    result = store / "runs" / run_id / "1" / "result.json"
    result.write_text(content)
    assert _look(store, run_id) == ("unknown", None, _LOST)
    result.unlink()
    check_store(store, [run_id], {run_id: ["begun"]})


def test_a_run_that_was_claimed_in_another_boot_is_unknown_and_is_not_started(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    host = start_host(_DIES_BEFORE_LAUNCH, store, folder("print('must not run')"))
    run_id = _line(host)
    host.wait()
    _pretend_a_reboot(store, run_id)
    with orchlite.Client(store, workers=1).start() as client:
        run = client.get_task_run_by_id(run_id).wait(20)
        assert (run.status(), run.reason()) == ("unknown", "it was claimed, but there is no sign that it started")
    check_store(store, [run_id])
    assert not (store / "runs" / run_id / "started.json").exists()


def _pretend_a_reboot(store: Path, run_id: str) -> None:
    database = sqlite3.connect(store / "store.sqlite")
    with database:
        database.execute("UPDATE runs SET boot_id = 'another boot' WHERE run_id = ?", (run_id,))
    database.close()
    started = store / "runs" / run_id / "started.json"
    if started.exists():
        started.write_text(json.dumps({**_started(store, run_id), "boot_id": "another boot"}))


@pytest.mark.parametrize("rebooted", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["in the same boot", "after a reboot"])
def test_a_stranger_that_got_the_pid_of_a_lost_run_is_left_alone(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, rebooted: bool
) -> None:
    store = tmp_path / "store"
    run_id = _lost_run(start_host, store, folder(_LASTS))
    # One that even speaks of the run, as an editor that shows its log would, and one that belongs to another run.
    strangers = [
        subprocess.Popen(["sh", "-c", f"sleep 60; echo ORCHLITE_RUN_TOKEN={run_id}"], start_new_session=True),
        subprocess.Popen(["sleep", "60"], env={**os.environ, "ORCHLITE_RUN_TOKEN": f"{run_id}0"}),
    ]
    for stranger in strangers:
        started = {**_started(store, run_id), "pid": stranger.pid}
        (store / "runs" / run_id / "started.json").write_text(json.dumps(started))
    if rebooted:
        _pretend_a_reboot(store, run_id)
    try:
        assert _look(store, run_id) == ("unknown", None, _LOST)
        time.sleep(0.05)
        assert [stranger.poll() for stranger in strangers] == [None, None]
    finally:
        os.killpg(strangers[0].pid, signal.SIGKILL)
        strangers[1].kill()
        for stranger in strangers:
            stranger.wait()
    check_store(store, [run_id], {run_id: ["begun"]})
