"""Programs that remove or replace their own run's folder: the run has one end all the same, and it is the true one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import orchlite
from orchlite.core.folders import RunFolder
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Ended, Observation, RunSpec

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]
MakeSpec = Callable[..., RunSpec]

_FOLDER = "import os, shutil, sys, time\nattempt = os.environ['ORCHLITE_RUN_FOLDER']\nrun = os.path.dirname(attempt)\nprint('begun')\n"
_REPLACE = "os.chdir('/'); shutil.rmtree(run); open(run, 'w').close()\n"

_SUBMITS = """
import sys, time, orchlite
client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
[run] = client.upload_orchestration(path=sys.argv[2]).wait().run_once().last_runs()
next(run.logs(follow=True))
print(run.id())
time.sleep(60)
"""


@pytest.mark.parametrize(
    "deed",
    [
        "shutil.rmtree(attempt)",
        "shutil.rmtree(run)",
        _REPLACE,
        "os.remove(run + '/started.json')",
        "os.mkfifo(attempt + '/result.json.new')",
    ],
    ids=["attempt removed", "run removed", "run replaced by a file", "sign of start removed", "named pipe in the result's way"],
)
def test_a_program_that_removes_its_files_ends_with_its_exit_code(folder: MakeFolder, tmp_path: Path, deed: str) -> None:
    with orchlite.Client(tmp_path / "store", workers=1) as client:
        run = client.run(folder(f"{_FOLDER}{deed}\nsys.exit(7)"))
        assert (run.status(), run.exit_code(), run.reason()) == ("failure", 7, None)
        assert client.run(folder("print('next')")).status() == "success"
    assert (tmp_path / "store" / "runners.log").read_text() == ""


def test_a_removed_log_is_incomplete(folder: MakeFolder, tmp_path: Path) -> None:
    with orchlite.Client(tmp_path / "store", workers=1) as client:
        run = client.run(folder(f"{_FOLDER}os.remove(attempt + '/log')"))
        assert (run.status(), run.log_is_complete(), str(run.logs())) == ("success", False, "")


def test_a_program_that_removes_its_files_while_its_host_is_dead_ends_with_its_exit_code(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, gate: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    waits = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nshutil.rmtree(run)\nsys.exit(7)"
    host = start_host(_SUBMITS, store, folder(_FOLDER + waits))
    assert host.stdout is not None
    run_id = host.stdout.readline().strip()
    host.kill()
    host.wait()
    gate.touch()
    result = store / "runs" / run_id / "1" / "result.json"
    give_up_at = time.monotonic() + 20
    while not result.exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    with orchlite.Client(store) as client:
        run = client.get_task_run_by_id(run_id).wait(20)
        assert (run.status(), run.exit_code(), run.log_is_complete()) == ("failure", 7, False)
    check_store(store, [run_id])


@pytest.mark.slow
def test_a_run_whose_folder_was_replaced_and_whose_host_and_runner_were_killed_is_unknown_with_the_reason(
    start_host: StartHost, folder: MakeFolder, bearers: Callable[[str], list[int]], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    host = start_host(_SUBMITS, store, folder(f"{_FOLDER}print(os.getppid())\ntime.sleep(60)"))
    assert host.stdout is not None
    run_id = host.stdout.readline().strip()
    host.kill()
    host.wait()
    path = store / "runs" / run_id
    runner = RunFolder(path).started.read_text().partition('"pid": ')[2].partition(",")[0]
    os.kill(int(runner), signal.SIGKILL)
    shutil.rmtree(path)
    path.touch()
    with orchlite.Client(store) as client:
        run = client.get_task_run_by_id(run_id)
        assert (run.wait(15).status(), run.reason()) == (
            "unknown",
            "its folder cannot be read (Not a directory), so its outcome is not known",
        )
        assert bearers(run_id) == []
        assert str(run.logs()) == ""
        [finding] = client.check()
        assert (finding.kind, finding.subject, finding.what) == ("run", run_id, "Its folder cannot be read: Not a directory.")


@pytest.mark.parametrize("deed", [_REPLACE, "shutil.rmtree(run)\n"], ids=["replaced by a file", "removed"])
def test_a_run_whose_folder_is_gone_can_be_killed(folder: MakeFolder, tmp_path: Path, deed: str) -> None:
    with orchlite.Client(tmp_path / "store", workers=1, grace_seconds=5) as client:
        gone = tmp_path / "gone"
        program = f"{_FOLDER}{deed}open({str(gone)!r}, 'w').close()\ntime.sleep(60)"
        [run] = client.upload_orchestration(path=folder(program)).wait().run_once().last_runs()
        give_up_at = time.monotonic() + 10
        while not gone.exists():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        run.kill()
        assert (run.wait(10).status(), run.exit_code()) == ("killed", 143)


@pytest.fixture
def few_inodes(tmp_path: Path) -> Iterator[Path]:
    """A file system that has room for a few files only."""
    path = tmp_path / "runs"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=40", "tmpfs", str(path)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr!r}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_request_to_end_needs_no_inode(runners: Runners, few_inodes: Path, make_spec: MakeSpec) -> None:
    spec = make_spec("echo begun; sleep 60")
    folder = RunFolder(Path(spec.folder))
    runners.place(spec)
    give_up_at = time.monotonic() + 20
    while "begun" not in _text(Path(spec.log)):
        assert time.monotonic() < give_up_at
        time.sleep(0.005)
    _fill(few_inodes)
    Runners(Path(os.devnull)).cancel(folder, "enough")  # as another process: one without a pipe to the runner
    (few_inodes / "0").unlink()  # for the result
    (few_inodes / "1").unlink()
    assert _ended(runners.wait(folder)) == ("killed", "it was killed on request")


@pytest.mark.parametrize("content", ["", "caf\xe9"], ids=["empty", "not UTF-8"])
def test_any_reason_ends_a_run(runners: Runners, make_spec: MakeSpec, content: str) -> None:
    spec = make_spec("sleep 60")
    runners.place(spec)
    folder = RunFolder(Path(spec.folder))
    folder.cancel.write_text(content, encoding="latin-1")
    assert _ended(runners.wait(folder)) == ("killed", "caf\ufffd" if content else None)


def test_a_reason_without_bound_is_cut(runners: Runners, make_spec: MakeSpec) -> None:
    spec = make_spec("head -c 100000 /dev/zero | tr '\\0' x > ../../new; mv ../../new ../../cancel; sleep 60")
    runners.place(spec)
    assert _ended(runners.wait(RunFolder(Path(spec.folder)))) == ("killed", "x" * 1000)


def test_a_named_pipe_in_place_of_the_request_does_not_stop_the_clock(runners: Runners, make_spec: MakeSpec) -> None:
    spec = make_spec("mkfifo ../../cancel; sleep 60", timeout_seconds=0.3)
    runners.place(spec)
    status, _ = _ended(runners.wait(RunFolder(Path(spec.folder))))
    assert status in ("killed", "timed_out")


def _ended(observed: Observation) -> tuple[str, str | None]:
    assert isinstance(observed, Ended)
    return observed.result.status, observed.result.reason


def _fill(file_system: Path) -> None:
    with suppress(OSError):
        for number in range(40):
            (file_system / str(number)).touch()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
