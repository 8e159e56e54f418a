"""Tries whose host is killed while they wait: another host starts each of them, once; and two hosts never start one twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]
Until = Callable[[Callable[[], object]], None]

# One line for each start: O_APPEND, so that none can be lost.
_FAILS = """
import os, sys, orchlite
arguments = orchlite.task_args()
descriptor = os.open(arguments["starts"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(descriptor, (os.environ["ORCHLITE_RUN_TOKEN"] + "\\n").encode())
sys.exit(1)
"""

# Submits tasks whose runs fail, works for the whole store, and tells their ids.
_HOST = """
import sys, time, orchlite
store, program, starts, count, delay = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
client = orchlite.Client(store, workers=2, grace_seconds=0.5).start()
print("open")
if count:
    orchestration = client.upload_orchestration(path=program).wait()
    for _ in range(count):
        print(orchestration.run_once(json_args={"starts": starts}, retries=2, retry_delay=delay).id())
sys.stdin.read()
client.close(drain=False)
"""


def _line(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    return host.stdout.readline().strip()


def _starts(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines() if path.exists() else ())


@pytest.mark.parametrize(
    "death", [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="left", marks=pytest.mark.slow)]
)
def test_a_try_that_waits_is_started_by_the_next_host(
    start_host: StartHost, tmp_path: Path, folder: MakeFolder, check_store: CheckStore, until: Until, death: signal.Signals
) -> None:
    store, starts = tmp_path / "store", tmp_path / "starts"
    first = start_host(_HOST, store, folder(_FAILS), starts, 1, 1)
    assert _line(first) == "open"
    task_id = _line(first)
    with orchlite.Client(store) as client:
        task = client.get_task_by_id(task_id)
        until(lambda: [run.status() for run in task.last_runs()] == ["queued", "failure"])
        os.kill(first.pid, death)
        first.wait()
        client.start()
        assert task.wait(30).try_number() == 3
        runs = [run.id() for run in task.last_runs()]
    assert _starts(starts) == Counter(runs)
    assert len(runs) == 3
    check_store(store, acknowledged=runs)


@pytest.mark.slow
def test_two_hosts_start_each_try_once(start_host: StartHost, tmp_path: Path, folder: MakeFolder, check_store: CheckStore) -> None:
    store, starts, count = tmp_path / "store", tmp_path / "starts", 6
    submitting = start_host(_HOST, store, folder(_FAILS), starts, count, 0)
    assert _line(submitting) == "open"
    other = start_host(_HOST, store, "", starts, 0, 0)
    assert _line(other) == "open"
    with orchlite.Client(store) as client:
        tasks = [client.get_task_by_id(_line(submitting)) for _ in range(count)]
        assert [task.wait(60).try_number() for task in tasks] == [3] * count
        runs = [run.id() for task in tasks for run in task.last_runs()]
    assert _starts(starts) == Counter(runs)
    assert len(runs) == 3 * count
    for host in (submitting, other):
        assert host.stdin is not None
        host.stdin.close()
        host.wait()
    check_store(store, acknowledged=runs)
