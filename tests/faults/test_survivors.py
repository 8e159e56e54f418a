"""A runner is killed: what is found of its run's processes is ended, whatever they have done to their environment; strangers are not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.core.folders import RunFolder
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Lost, RunSpec
from tests.processes import is_alive

MakeSpec = Callable[..., RunSpec]
Bearers = Callable[[str], list[int]]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")

_HIDDEN = '["/usr/bin/env", "-i", "/bin/sleep", "{marker}"]'
_SILENT = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
_BEGIN = """
import ctypes, os, signal, subprocess, sys, time

def outlive_the_runner():
    runner = os.getppid()
    print(runner, flush=True)
    while os.getppid() == runner:
        time.sleep(0.001)
"""


@pytest.fixture
def marker() -> str:
    """A number of seconds that no other test sleeps for: it names this test's processes, even those that hide their environment."""
    return f"{1_000_000 + uuid.uuid4().int % 1_000_000_000}"


@pytest.fixture
def lose(runners: Runners, make_spec: MakeSpec) -> Callable[[str], RunFolder]:
    """Run a script, and kill its runner as soon as it has printed something: `lose(SCRIPT)`."""

    def lose(script: str) -> RunFolder:
        spec = make_spec(command=(sys.executable, "-u", "-c", _BEGIN + script))
        folder = RunFolder(Path(spec.folder))
        runners.place(spec)
        give_up_at = time.monotonic() + 10
        while not (Path(spec.log).exists() and Path(spec.log).stat().st_size):
            assert time.monotonic() < give_up_at
            time.sleep(0.005)
        os.kill(json.loads(folder.started.read_bytes())["pid"], signal.SIGKILL)
        assert isinstance(runners.wait(folder), Lost)
        return folder

    return lose


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory is no file here")
def test_shared_memory_of_the_run_is_removed(lose: Callable[[str], RunFolder], runners: Runners) -> None:
    folder = lose(
        "from multiprocessing import shared_memory\n"
        "memory = shared_memory.SharedMemory(create=True, size=1000)\n"
        "print(memory.name)\n"
        "time.sleep(1000)\n"
    )
    assert runners.discard(folder) == ()
    assert not Path("/dev/shm", folder.attempt(1).log.read_text().split()[3]).exists()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(f"subprocess.Popen({_HIDDEN}, {_SILENT}); print(1); time.sleep(60)", id="child without environment"),
        pytest.param(
            f"subprocess.Popen({_HIDDEN}, {_SILENT}, start_new_session=True); print(1); time.sleep(60)", id="child in a new session"
        ),
        pytest.param(f"subprocess.Popen({_HIDDEN}, {_SILENT}, process_group=0); print(1); time.sleep(60)", id="child in a new group"),
        pytest.param(f"subprocess.Popen({_HIDDEN}, {_SILENT}); outlive_the_runner()", id="child, and the program is dead"),
        pytest.param("print(1); os.execve('/bin/sleep', ['sleep', '{marker}'], dict())", id="program without environment"),
        pytest.param(
            "os.fork() and (outlive_the_runner(), os._exit(0)); os.execve('/bin/sleep', ['sleep', '{marker}'], dict())", id="orphan"
        ),
        pytest.param(
            "subprocess.Popen(['/bin/sleep', '{marker}'], start_new_session=True); outlive_the_runner()", id="orphan in a new session"
        ),
    ],
)
def test_what_a_lost_run_has_left_is_ended(
    lose: Callable[[str], RunFolder], runners: Runners, bearers: Bearers, marker: str, script: str
) -> None:
    folder = lose(script.replace("{marker}", marker))
    assert runners.discard(folder) == ()
    assert bearers(marker) == []


def test_a_program_that_overwrites_its_environment_is_ended(lose: Callable[[str], RunFolder], runners: Runners) -> None:
    # prctl(2)'s PR_SET_MM needs a privilege; setproctitle writes over the environment's own bytes, and so does this.
    script = """
start = int(open("/proc/self/stat").read().rpartition(")")[2].split()[47])
end = int(open("/proc/self/stat").read().rpartition(")")[2].split()[48])
ctypes.memset(start, 0, end - start)
assert not open("/proc/self/environ").read().strip(chr(0))
print(os.getpid(), flush=True)
time.sleep(60)
"""
    folder = lose(script)
    pid = int(folder.attempt(1).log.read_text().split()[3])
    assert runners.discard(folder) == ()
    assert not is_alive(pid)


@pytest.mark.slow
def test_a_copy_of_the_folder_leaves_the_processes_of_the_original_alone(
    lose: Callable[[str], RunFolder], runners: Runners, bearers: Bearers, marker: str, tmp_path: Path
) -> None:
    folder = lose(f"subprocess.Popen(['/bin/sleep', '{marker}'], {_SILENT}); print(1); time.sleep({marker})")
    copy = RunFolder(tmp_path / "copy" / folder.run_id)
    shutil.copytree(folder.path, copy.path)
    assert runners.discard(copy) == ()
    assert len(bearers(marker)) == 2
    moved = RunFolder(tmp_path / "moved" / folder.run_id)
    moved.path.parent.mkdir()
    folder.path.rename(moved.path)
    assert runners.discard(moved) == ()
    assert bearers(marker) == []


@pytest.mark.parametrize("change", [{"session_start_ticks": 1}, {"boot_id": "another boot"}], ids=["reused id", "another boot"])
def test_a_stranger_with_the_id_of_the_session_is_left_alone(runners: Runners, tmp_path: Path, change: dict[str, object]) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        folder = RunFolder(tmp_path / "a-run")
        folder.path.mkdir()
        stat = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        started = {
            "attempt": 1,
            "boot_id": boot_id,
            "session": stranger.pid,
            "session_start_ticks": int(stat[19]),
            "place": _place(folder),
            **change,
        }
        folder.started.write_text(json.dumps(started))
        runners.discard(folder)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_stranger_in_a_session_whose_leader_is_dead_is_left_alone(runners: Runners, tmp_path: Path) -> None:
    leader = subprocess.Popen(
        ["sh", "-c", "cd /; sleep 60 >/dev/null & echo $!"], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    stranger = int(leader.communicate()[0])
    try:
        folder = RunFolder(tmp_path / "a-run")
        folder.path.mkdir()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        started = {"attempt": 1, "boot_id": boot_id, "session": leader.pid, "session_start_ticks": 1, "place": _place(folder)}
        folder.started.write_text(json.dumps(started))
        runners.discard(folder)
        assert is_alive(stranger)
    finally:
        os.kill(stranger, signal.SIGKILL)


def _place(folder: RunFolder) -> str:
    status = folder.path.stat()
    return f"{status.st_dev}:{status.st_ino}"
