"""Temporary stores: however their host ends, nothing of them runs on, and nothing stays on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.core.files import is_locked

StartHost = Callable[..., subprocess.Popen[str]]
MakeFolder = Callable[..., Path]
Bearers = Callable[[str], list[int]]

_OPENS = """
import os, signal, sys, time, orchlite
client = orchlite.Client.temporary(workers=1)
orchestration = client.upload_orchestration(path=sys.argv[1]).wait()
print(client.path())
[run] = orchestration.run_once().last_runs()
orchestration.run_once()
next(run.logs(follow=True))
print(run.id())
"""
_PROGRAM = """
import subprocess, time
subprocess.Popen(["sleep", "60"], start_new_session=True)
print("begun")
time.sleep(60)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun")
time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where this test's temporary stores are made, apart from everybody else's."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def _read(host: subprocess.Popen[str]) -> tuple[Path, str]:
    """The store's folder, and the id of the run that goes on."""
    assert host.stdout is not None
    return Path(host.stdout.readline().strip()), host.stdout.readline().strip()


def _await_nobody(bearers: Bearers, word: str) -> None:
    give_up_at = time.monotonic() + 20
    while alive := bearers(word):
        assert time.monotonic() < give_up_at, alive
        time.sleep(0.01)


def _await_end(store: Path, run_id: str) -> None:
    """Until the runner has written what it saw, and let go of the run."""
    give_up_at = time.monotonic() + 20
    while is_locked(store / "runs" / run_id / "alive.lock"):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


@pytest.mark.parametrize(
    "end",
    [
        "client.close()",
        pytest.param("sys.exit(3)", marks=pytest.mark.slow),
        pytest.param("raise ValueError('mine')", marks=pytest.mark.slow),
        "",
    ],
    ids=["closed", "exit", "exception", "end"],
)
def test_nothing_is_left_however_the_interpreter_ends(
    start_host: StartHost, folder: MakeFolder, bearers: Bearers, temporary: Path, end: str
) -> None:
    host = start_host(_OPENS + end, folder(_PROGRAM), stderr=subprocess.DEVNULL, TMPDIR=str(temporary))
    store, run_id = _read(host)
    assert store.parent == temporary
    assert host.wait(20) == {"sys.exit(3)": 3, "raise ValueError('mine')": 1}.get(end, 0)
    assert list(temporary.iterdir()) == []
    _await_nobody(bearers, run_id)


@pytest.mark.slow
def test_a_stubborn_program_does_not_keep_the_interpreter_from_its_exit(
    start_host: StartHost, folder: MakeFolder, bearers: Bearers, temporary: Path
) -> None:
    host = start_host(_OPENS.replace("workers=1", "workers=1, grace_seconds=60"), folder(_STUBBORN), TMPDIR=str(temporary))
    _, run_id = _read(host)
    assert host.wait(30) == 0
    assert list(temporary.iterdir()) == []
    _await_nobody(bearers, run_id)


_OPENS_MANY = """
import sys, orchlite
client = orchlite.Client.temporary(workers=12)
orchestration = client.upload_orchestration(path=sys.argv[1]).wait()
runs = [orchestration.run_once().last_runs()[0] for _ in range(12)]
for run in runs:
    next(run.logs(follow=True))
print(client.path())
"""


@pytest.mark.slow
def test_many_stubborn_programs_are_ended_at_once(start_host: StartHost, folder: MakeFolder, temporary: Path) -> None:
    host = start_host(_OPENS_MANY, folder(_STUBBORN), TMPDIR=str(temporary))
    assert host.stdout is not None
    store = Path(host.stdout.readline().strip())
    began = time.monotonic()
    assert host.wait(20) == 0
    assert time.monotonic() - began < 8  # one after the other they would take 10 s
    assert not store.exists()


_STAYS = f"{_OPENS}\ntime.sleep(60)"
_OPENS_ANOTHER = """
import orchlite, os, sys
with orchlite.Client.temporary() as client:
    print(*sorted(path.name for path in client.path().parent.iterdir()))
    print(client.path().name)
"""


def _others(host: subprocess.Popen[str]) -> list[str]:
    """The temporary stores beside the one that this host has opened."""
    assert host.stdout is not None
    present, own = host.stdout.read().split("\n")[:2]
    assert host.wait(20) == 0
    return [name for name in present.split() if name != own]


@pytest.mark.slow
def test_a_killed_hosts_runs_end_and_the_next_temporary_store_sweeps_its_folder(
    start_host: StartHost, folder: MakeFolder, bearers: Bearers, temporary: Path
) -> None:
    host = start_host(_STAYS, folder(_PROGRAM), TMPDIR=str(temporary))
    store, run_id = _read(host)
    assert _others(start_host(_OPENS_ANOTHER, TMPDIR=str(temporary))) == [store.name], "it is in use"
    host.kill()
    host.wait()
    _await_nobody(bearers, run_id)
    _await_end(store, run_id)
    assert (store / "runs" / run_id / "1" / "result.json").exists()
    assert _others(start_host(_OPENS_ANOTHER, TMPDIR=str(temporary))) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_folder_is_not_swept_while_a_run_in_it_comes_to_its_end(
    start_host: StartHost, folder: MakeFolder, bearers: Bearers, temporary: Path
) -> None:
    host = start_host(_STAYS.replace("workers=1", "workers=1, grace_seconds=1"), folder(_STUBBORN), TMPDIR=str(temporary))
    store, run_id = _read(host)
    host.kill()
    host.wait()
    assert _others(start_host(_OPENS_ANOTHER, TMPDIR=str(temporary))) == [store.name]
    _await_nobody(bearers, run_id)
    _await_end(store, run_id)
    assert _others(start_host(_OPENS_ANOTHER, TMPDIR=str(temporary))) == []


@pytest.mark.slow
def test_what_a_killed_host_and_a_killed_runner_left_alive_is_ended_by_the_sweep(
    start_host: StartHost, folder: MakeFolder, bearers: Bearers, temporary: Path
) -> None:
    host = start_host(_STAYS, folder(_PROGRAM), TMPDIR=str(temporary))
    store, run_id = _read(host)
    host.send_signal(signal.SIGSTOP)  # neither sees the other's end
    os.kill(_runner(store), signal.SIGKILL)
    host.kill()
    host.wait()
    assert len(bearers(run_id)) == 2
    assert _others(start_host(_OPENS_ANOTHER, TMPDIR=str(temporary))) == []
    _await_nobody(bearers, run_id)


def _runner(store: Path) -> int:
    """The pid of the store's one runner, whose standard error is a file of the store's."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd" / "2").readlink() == store / "runners.log":
                return int(process.name)
        except OSError:
            continue
    raise AssertionError("no runner")


@pytest.mark.slow
def test_many_hosts_may_open_and_close_temporary_stores_at_once(start_host: StartHost, temporary: Path) -> None:
    script = """
import orchlite
for _ in range(4):
    with orchlite.Client.temporary(workers=1) as client:
        client.create_workspace("mine")
"""
    hosts = [start_host(script, TMPDIR=str(temporary)) for _ in range(4)]
    assert [host.wait(20) for host in hosts] == [0] * 4
    assert list(temporary.iterdir()) == []
    assert os.environ.get("TMPDIR") != str(temporary)
