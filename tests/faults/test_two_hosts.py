"""Two hosts that work on one store, whatever becomes of one of them: every run that was accepted ends, and none happens twice."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

# One line for each start: O_APPEND, so that none can be lost.
_COUNTED = """
import os, sys, wallaroo
arguments = wallaroo.Client().task_args()
descriptor = os.open(arguments["starts"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(descriptor, (os.environ["ORCHLITE_RUN_TOKEN"] + "\\n").encode())
"""

# Works for the whole store, submits so many runs, and tells their ids; leaves when standard input ends, or all has ended.
_WORKS = """
import sys, threading, time, orchlite
store, program, starts, count = *sys.argv[1:4], int(sys.argv[4])
client = orchlite.Client(store, workers=2, grace_seconds=0.5).start()
print("open")
if count:
    orchestration = client.upload_orchestration(path=program).wait()
    sys.stdin.readline()
    for _ in range(count):
        print(orchestration.run_once(json_args={"starts": starts}).last_runs()[0].id())
sys.stdin.read()
client.close()
"""


@pytest.fixture
def seeded() -> random.Random:
    """Random numbers whose seed is printed."""
    seed = time.time_ns()
    print("seed:", seed)
    return random.Random(seed)


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


def _await_starts(starts: Path, count: int) -> None:
    give_up_at = time.monotonic() + 60
    while _count(starts) < count:
        assert time.monotonic() < give_up_at, f"only {_count(starts)} of {count} runs were started"
        time.sleep(0.02)


def _count(starts: Path) -> int:
    return len(starts.read_text().splitlines()) if starts.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_what_two_hosts_submit_at_once_is_run_once_each(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, count: int
) -> None:
    store, starts, program = tmp_path / "store", tmp_path / "starts", folder(_COUNTED)
    hosts = [start_host(_WORKS, store, program, starts, count // 2) for _ in range(2)]
    assert [_line(host) for host in hosts] == ["open"] * 2
    for host in hosts:
        _say(host, "go\n")
    run_ids = [_line(host) for host in hosts for _ in range(count // 2)]
    for host in hosts:
        _leave(host)
    assert [host.wait(120) for host in hosts] == [0, 0]
    assert len(set(run_ids)) == count
    assert Counter(starts.read_text().split()) == Counter(run_ids)
    statuses = check_store(store, run_ids)
    assert Counter(statuses.values()) == {"success": count + 2}  # and two packagings


@pytest.mark.slow
@pytest.mark.parametrize(("count", "kills"), [(12, 2), (200, 20)])
def test_a_host_that_is_killed_again_and_again_loses_no_run_and_repeats_none(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path, seeded: random.Random, count: int, kills: int
) -> None:
    store, starts, program = tmp_path / "store", tmp_path / "starts", folder(_COUNTED)
    steady = start_host(_WORKS, store, program, starts, count)
    assert _line(steady) == "open"
    _say(steady, "go\n")
    run_ids = [_line(steady)]
    for _ in range(kills):
        mortal = start_host(_WORKS, store, program, starts, 0)
        assert _line(mortal) == "open"
        time.sleep(seeded.uniform(0, 0.3) * seeded.random())
        mortal.kill()
        mortal.wait()
    print("started when the last kill was done:", _count(starts))
    run_ids += [_line(steady) for _ in range(count - 1)]
    _await_starts(starts, count)
    _leave(steady)
    assert steady.wait(120) == 0
    assert Counter(starts.read_text().split()) == Counter(run_ids)
    orchlite.Client(store).close()  # whoever comes next removes the last sign of life of the dead one
    statuses = check_store(store, run_ids)
    assert Counter(statuses.values()) == {"success": count + 1}  # and one packaging
