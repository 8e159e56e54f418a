"""Programs that will not go: they ignore signals, fork away, hold pipes open. When a run has ended, nothing of it lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from orchlite.core.folders import RunFolder
from orchlite.core.records import RunResult
from orchlite.core.status import RunStatus
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Ended, RunSpec

CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]
MakeSpec = Callable[..., RunSpec]
Bearers = Callable[[str], list[int]]

_IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ignoring")
time.sleep(60)
"""

_ESCAPES = """
import os, sys, time

def escape(*command):
    # As daemons do: a second fork, so that no parent is left, a session of its own, and nothing held open.
    if os.fork() == 0:
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(0, descriptor)
        if os.fork() == 0:
            os.execv(command[0], command)
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def marker() -> str:
    """A number of seconds that nobody else sleeps for: it names this test's processes, even those that hide their environment."""
    return f"{1_000_000 + uuid.uuid4().int % 1_000_000_000}"


@pytest.fixture
def run(runners: Runners) -> Callable[[RunSpec], RunResult]:
    """Place a run and wait for its end."""

    def run_to_its_end(spec: RunSpec) -> RunResult:
        runners.place(spec)
        return _ended(runners, spec)

    return run_to_its_end


def _ended(runners: Runners, spec: RunSpec) -> RunResult:
    observed = runners.wait(RunFolder(Path(spec.folder)))
    assert isinstance(observed, Ended)
    assert Runners(Path(os.devnull)).observe(RunFolder(Path(spec.folder))) == observed, "who looks at the files sees the same"
    return observed.result


def _python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def test_a_program_that_ignores_sigterm_is_dead_after_the_grace(check_store: CheckStore, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, grace_seconds=0.3) as client:
        [killed] = client.upload_orchestration(path=folder(_IGNORES_SIGTERM)).wait().run_once().last_runs()
        next(killed.logs(follow=True))
        asked_at = time.monotonic()
        killed.kill()
        assert (killed.wait(20).status(), killed.exit_code()) == ("killed", 137)
        assert 0.3 <= time.monotonic() - asked_at < 8  # the grace by default is 10 s
    check_store(store, lines={killed.id(): ["ignoring"]})


def test_a_program_that_ignores_sigterm_when_its_time_is_over_is_dead_after_the_grace(
    run: Callable[[RunSpec], RunResult], make_spec: MakeSpec
) -> None:
    asked_at = time.monotonic()
    result = run(make_spec("trap '' TERM; while :; do sleep 60; done", timeout_seconds=0.4, grace_seconds=0.3))
    assert time.monotonic() - asked_at >= 0.7
    assert (result.status, result.exit_code) == (RunStatus.TIMED_OUT, 137)
    assert result.reason == "it ran for longer than its timeout of 0.4 s"


def test_sigterm_goes_to_the_program_alone_so_that_it_can_end_its_helpers_itself(
    runners: Runners, make_spec: MakeSpec, tmp_path: Path
) -> None:
    started = "until grep -q sleep /proc/$!/comm; do :; done"  # before that, the copy of the shell could take the signal
    script = f"trap 'kill $!; wait; echo ended well; exit 7' TERM; sleep 60 & {started}; echo begun; wait"
    spec = make_spec(script, grace_seconds=10.0)
    runners.place(spec)
    _await_text(Path(spec.log), "begun")
    runners.cancel(RunFolder(Path(spec.folder)), "enough")
    result = _ended(runners, spec)
    assert (result.status, result.exit_code, result.reason) == (RunStatus.KILLED, 7, "enough")
    assert "ended well" in Path(spec.log).read_text()


def _await_text(path: Path, text: str) -> None:
    give_up_at = time.monotonic() + 20
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
@pytest.mark.parametrize("command", ['"/bin/sleep", "{}"', '"/usr/bin/env", "-i", "/bin/sleep", "{}"'], ids=["plain", "without a token"])
def test_a_daemon_is_gone_when_its_run_ends(
    run: Callable[[RunSpec], RunResult], make_spec: MakeSpec, bearers: Bearers, marker: str, command: str
) -> None:
    script = _ESCAPES + f"escape({command.format(marker)}); print(sys.argv)"
    result = run(make_spec(command=_python(script)))
    assert (result.status, result.exit_code, result.left) == (RunStatus.SUCCESS, 0, ())
    assert bearers(marker) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
@pytest.mark.slow
def test_two_hundred_escaped_processes_are_swept_within_the_deadline(
    run: Callable[[RunSpec], RunResult], make_spec: MakeSpec, bearers: Bearers, marker: str
) -> None:
    # One half has cleared its environment; each has a child, which only becomes the runner's when its parent is killed.
    plain = f'escape("/bin/sh", "-c", "/bin/sleep {marker} & exec /bin/sleep {marker}")'
    hidden = f'escape("/usr/bin/env", "-i", "/bin/sh", "-c", "/bin/sleep {marker} & exec /bin/sleep {marker}")'
    script = _ESCAPES + f"for _ in range(100): {plain}; {hidden}"
    began = time.monotonic()
    result = run(make_spec(command=_python(script)))
    assert result.duration_seconds is not None
    # On a loaded machine both take longer.
    assert time.monotonic() - began - result.duration_seconds < 5 + result.duration_seconds, "it takes no longer than starting them, or 5 s"
    assert (result.status, result.left) == (RunStatus.SUCCESS, ())
    assert bearers(marker) == []


@pytest.mark.parametrize(
    "program",
    ["sleep 60", pytest.param("while :; do echo again; done", marks=pytest.mark.slow)],
    ids=["silent", "loud"],
)
def test_a_grandchild_that_holds_the_pipe_open_delays_the_end_by_three_seconds_at_most(
    run: Callable[[RunSpec], RunResult], make_spec: MakeSpec, program: str
) -> None:
    spec = make_spec(f"echo main; setsid sh -c '{program}' & date +%s.%N > ../../ended; exit 5")
    result = run(spec)
    assert (result.status, result.exit_code) == (RunStatus.FAILURE, 5)
    assert result.started_at is not None
    assert result.duration_seconds is not None
    assert (result.ended_at - result.started_at).total_seconds() - result.duration_seconds < 3
    ended = float((Path(spec.folder) / "ended").read_text())
    assert result.started_at.timestamp() + result.duration_seconds - ended < 1, "the run lasted as long as its program"


def test_what_a_grandchild_says_shortly_after_the_programs_end_is_logged(run: Callable[[RunSpec], RunResult], make_spec: MakeSpec) -> None:
    spec = make_spec("(sleep 0.2; echo from the grandchild) & echo from the program")
    assert run(spec).status is RunStatus.SUCCESS
    assert [line.split(" ", 3)[3] for line in Path(spec.log).read_text().splitlines()] == ["from the program", "from the grandchild"]


def test_a_program_that_cannot_be_started_is_a_failure_with_the_reason(run: Callable[[RunSpec], RunResult], make_spec: MakeSpec) -> None:
    result = run(make_spec(command=("/nowhere/python", "main.py")))
    assert (result.status, result.exit_code, result.started_at) == (RunStatus.FAILURE, None, None)
    assert result.reason == "could not start /nowhere/python: No such file or directory"


def test_a_program_whose_runner_fails_is_killed(tmp_path: Path, make_spec: MakeSpec) -> None:
    runners = Runners(tmp_path / "pool.log")
    spec = make_spec("exec sleep 60", timeout_seconds="soon")  # which supervising it fails with
    runners.place(spec)
    result = _ended(runners, spec)
    runners.close()
    assert (result.status, result.exit_code) == (RunStatus.FAILURE, 137)
    assert (result.reason or "").startswith("its runner failed: TypeError")
    assert "TypeError" in (tmp_path / "pool.log").read_text()


# Root without the privilege to kill what belongs to others stands for anybody whose program starts a setuid one.
_UNPRIVILEGED_HOST = """
import ctypes, json, sys
from pathlib import Path
from orchlite.runs.runners import Runners
from orchlite.core.folders import RunFolder
from orchlite.runs.spec import RunSpec

PR_CAPBSET_DROP, CAP_KILL = 24, 5
assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0) == 0
spec = RunSpec(**json.loads(sys.argv[1]))
runners = Runners(Path(spec.folder) / "runners.log")
runners.place(spec)
result = runners.wait(RunFolder(Path(spec.folder))).result
print(result.status, result.exit_code, *result.left)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a process that belongs to somebody else")
@pytest.mark.slow
def test_a_process_that_cannot_be_killed_is_named_in_the_result(
    make_spec: MakeSpec, start_host: Callable[..., subprocess.Popen[str]], bearers: Bearers, marker: str
) -> None:
    spec = make_spec(command=_python(f"import os\nif os.fork() == 0: os.setuid(65534); os.execv('/bin/sleep', ['sleep', '{marker}'])"))
    host = start_host(_UNPRIVILEGED_HOST, json.dumps(spec._asdict()))
    assert host.stdout is not None
    answer = host.stdout.read()
    [left] = bearers(marker)
    os.kill(left, signal.SIGKILL)
    assert answer == f"success 0 {left}\n"


_TELLS = """
import ctypes, logging, sys, time, orchlite
PR_CAPBSET_DROP, CAP_KILL = 24, 5
assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0) == 0
logging.basicConfig(level=logging.WARNING, filename=sys.argv[4], format="%(message)s")
with orchlite.Client(sys.argv[1], workers=1) as client:
    run = client.run(sys.argv[2])
    print(run.status(), run.reason())
    print([event.reason() for event in client.events() if event.object_id() == run.id()][-1])
    print([(finding.subject == run.id(), finding.what) for finding in client.check()])
    began = time.monotonic()
    client.run(sys.argv[3])
    print(time.monotonic() - began < 8)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a process that belongs to another account")
@pytest.mark.slow
def test_a_process_that_cannot_be_killed_is_told_and_delays_no_later_run(
    start_host: Callable[..., subprocess.Popen[str]], folder: MakeFolder, bearers: Bearers, marker: str, tmp_path: Path
) -> None:
    program = folder(f"import os\nif os.fork() == 0: os.setuid(65534); os.execv('/bin/sleep', ['sleep', '{marker}'])")
    host = start_host(_TELLS, tmp_path / "store", program, folder("print('next')"), tmp_path / "log")
    assert host.stdout is not None
    said = host.stdout.read().splitlines()
    [left] = bearers(marker)
    os.kill(left, signal.SIGKILL)
    reason = f"processes that it started could not be ended: {left}"
    assert [line.partition(": ")[2] for line in (tmp_path / "log").read_text().splitlines()] == [f"success, {reason}"]
    assert said == [
        f"success {reason}",
        reason,
        str([(True, f"It has ended, but processes that it started are alive: {left}.")]),
        "True",
    ]


_LOSES_A_RUN = """
import ctypes, json, os, signal, sys, time, orchlite
PR_CAPBSET_DROP, CAP_KILL = 24, 5
if "IS_LIMITED" not in os.environ:  # the host itself loses the capability when it executes a program: itself
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0) == 0
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "IS_LIMITED": "1"})
with orchlite.Client(sys.argv[1], workers=1) as client:
    task = client.upload_orchestration(path=sys.argv[2]).run_once()
    while not (runs := task.last_runs()) or not runs[0].logs():
        time.sleep(0.01)
    started = json.loads((client.path() / "runs" / runs[0].id() / "started.json").read_bytes())
    os.kill(started["pid"], signal.SIGKILL)
    run = task.wait()
    print(run.status(), run.reason().partition("; ")[2])
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a process that belongs to another account")
@pytest.mark.slow
def test_a_process_of_a_lost_run_that_cannot_be_killed_is_told(
    start_host: Callable[..., subprocess.Popen[str]], folder: MakeFolder, bearers: Bearers, marker: str, tmp_path: Path
) -> None:
    left = f"os.setuid(65534); os.write(1, b'begun\\n'); os.execv('/bin/sleep', ['sleep', '{marker}'])"
    program = folder(f"import os, time\nif os.fork() == 0: {left}\ntime.sleep(60)")
    host = start_host(_LOSES_A_RUN, tmp_path / "store", program)
    assert host.stdout is not None
    said = host.stdout.read()
    [survivor] = bearers(marker)
    os.kill(survivor, signal.SIGKILL)
    assert said == f"unknown processes that it started could not be ended: {survivor}\n"


_SHARES_MEMORY = """
from multiprocessing import shared_memory
import os, signal, sys, time
memory = shared_memory.SharedMemory(create=True, size=1000)
print(memory.name, flush=True)
"""


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory is no file here")
@pytest.mark.parametrize("end", ["kill", pytest.param("timeout", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "program",
    [
        pytest.param("", id="plain"),
        pytest.param("signal.signal(signal.SIGTERM, signal.SIG_IGN)", id="ignores SIGTERM"),
        pytest.param("os.dup2(os.open(os.devnull, os.O_WRONLY), 2)", id="tracker without a pipe"),
        pytest.param("if os.fork() == 0: time.sleep(1000)", id="child that shares it"),
        pytest.param("if os.fork() == 0: os.setsid(); time.sleep(1000)", id="daemon that shares it"),
    ],
)
def test_shared_memory_of_a_run_that_is_ended_is_removed(runners: Runners, make_spec: MakeSpec, program: str, end: str) -> None:
    # The resource tracker has standard error from the beginning; it loses the pipe only if that was replaced before.
    before, after = (program, "") if "devnull" in program else ("", program)
    script = f"import os\n{before}\n{_SHARES_MEMORY}\n{after}\nopen('ready', 'w').close()\ntime.sleep(60)"
    spec = make_spec(command=_python(script), timeout_seconds=3.0 if end == "timeout" else None)
    runners.place(spec)
    ready = Path(spec.working_folder) / "ready"
    give_up_at = time.monotonic() + 10
    while not ready.exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)
    if end == "kill":
        runners.cancel(RunFolder(Path(spec.folder)), "enough")
    assert _ended(runners, spec).status in ("killed", "timed_out")
    assert not Path("/dev/shm", Path(spec.log).read_text().split()[3]).exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory is no file here")
def test_shared_memory_of_a_program_that_dies_is_removed_although_a_child_lives(
    run: Callable[[RunSpec], RunResult], make_spec: MakeSpec
) -> None:
    spec = make_spec(command=_python(f"{_SHARES_MEMORY}\nif os.fork() == 0: time.sleep(1000)\nos.kill(os.getpid(), signal.SIGKILL)"))
    assert run(spec).exit_code == 137
    assert not Path("/dev/shm", Path(spec.log).read_text().split()[3]).exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory is no file here")
@pytest.mark.slow
def test_shared_memory_is_removed_although_a_child_that_shares_it_has_to_be_killed(
    run: Callable[[RunSpec], RunResult], make_spec: MakeSpec
) -> None:
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.fork() == 0: time.sleep(1000)\nos.kill(os.getpid(), signal.SIGKILL)"
    spec = make_spec(command=_python(f"{_SHARES_MEMORY}\n{script}"))
    assert run(spec).exit_code == 137
    assert not Path("/dev/shm", Path(spec.log).read_text().split()[3]).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
@pytest.mark.slow
def test_a_crowd_that_forks_as_fast_as_it_is_killed_is_ended(
    run: Callable[[RunSpec], RunResult], make_spec: MakeSpec, bearers: Bearers
) -> None:
    most = len(list(Path("/proc").iterdir())) + 100
    script = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    if len(os.listdir("/proc")) < {most}:
        if os.fork() == 0:
            os.setsid()
            continue
    time.sleep(0.005)
"""
    spec = make_spec(command=_python(script), timeout_seconds=2.0)
    result = run(spec)
    assert (result.status, result.left) == (RunStatus.TIMED_OUT, ())
    assert bearers(spec.run_id) == []
