"""What a run's files say, whatever a program has made of them: the run has one end, or is still alive, or never started."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.core.folders import RunFolder
from orchlite.runs.observation import observe, packages_sha
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted

_RESULT = {
    "run_id": "a-run",
    "attempt": 1,
    "status": "failure",
    "exit_code": 3,
    "started_at_ns": 1_000_000_000,
    "ended_at_ns": 2_000_000_000,
    "duration_seconds": 1.0,
    "reason": None,
    "log_complete": True,
    "left": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run that has ended with exit code 3."""
    folder = RunFolder(tmp_path / "a-run")
    folder.attempt(1).path.mkdir(parents=True)
    folder.alive_lock.touch()
    folder.started.write_text('{"attempt": 1}')
    folder.attempt(1).result.write_text(json.dumps(_RESULT))
    return folder


def test_a_result_is_read(folder: RunFolder) -> None:
    observed = observe(folder)
    assert isinstance(observed, Ended)
    assert (observed.attempt, observed.result.status, observed.result.exit_code) == (1, "failure", 3)


@pytest.mark.parametrize("forged", [1, ["a"], "\udc80"])
def test_packages_that_a_program_has_written_into_its_files_are_not_known(folder: RunFolder, forged: object) -> None:
    folder.attempt(1).result.write_text(json.dumps({**_RESULT, "packages_sha": forged}))
    folder.started.write_text(json.dumps({"attempt": 1, "packages_sha": forged}))
    observed = observe(folder)
    assert isinstance(observed, Ended)
    assert (observed.result.packages_sha, packages_sha(folder, 1)) == (None, None)


def test_a_locked_run_is_alive(folder: RunFolder) -> None:
    with folder.alive_lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert isinstance(observe(folder), Alive)


def test_a_run_without_a_sign_of_its_start_was_never_started(folder: RunFolder) -> None:
    folder.started.unlink()
    assert observe(folder) == NeverStarted()
    shutil.rmtree(folder.path)
    assert observe(folder) == NeverStarted()


def _a_file(folder: RunFolder) -> None:
    shutil.rmtree(folder.path)
    folder.path.touch()


def _a_circle_of_links(folder: RunFolder) -> None:
    shutil.rmtree(folder.path)
    folder.path.symlink_to(folder.path)


def _a_folder_for_started(folder: RunFolder) -> None:
    folder.started.unlink()
    folder.started.mkdir()


def _a_file_for_the_attempt(folder: RunFolder) -> None:
    shutil.rmtree(folder.attempt(1).path)
    folder.attempt(1).path.touch()


def _a_folder_for_the_result(folder: RunFolder) -> None:
    folder.attempt(1).result.unlink()
    folder.attempt(1).result.mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_a_file, "Not a directory"),
        (_a_circle_of_links, "Too many levels of symbolic links"),
        (_a_folder_for_started, "Is a directory"),
        (_a_file_for_the_attempt, "Not a directory"),
        (_a_folder_for_the_result, "Is a directory"),
    ],
)
def test_a_run_whose_files_cannot_be_read_is_lost_with_the_reason(folder: RunFolder, spoil: Callable[[RunFolder], None], why: str) -> None:
    spoil(folder)
    assert observe(folder) == Lost(None, f"its folder cannot be read ({why}), so its outcome is not known")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_run_whose_folder_may_not_be_read_is_lost_with_the_reason(folder: RunFolder) -> None:
    folder.path.chmod(0)
    observed = observe(folder)
    folder.path.chmod(0o700)
    assert observed == Lost(None, "its folder cannot be read (Permission denied), so its outcome is not known")


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "running"},
        {"status": "queued"},
        {"status": "unknown"},
        {"status": ["success"]},
        {"exit_code": 2**63},
        {"exit_code": "0"},
        {"started_at_ns": 10**30},
        {"ended_at_ns": "now"},
        {"duration_seconds": "long"},
        {"left": 7},
        {"left": [None]},
    ],
    ids=str,
)
def test_a_result_that_no_runner_writes_counts_as_none(folder: RunFolder, changes: dict[str, object]) -> None:
    folder.attempt(1).result.write_text(json.dumps({**_RESULT, **changes}))
    assert observe(folder) == Lost(1)


@pytest.mark.parametrize(
    "content", ["", "[" * 100_000, "[]", "null", "{", "\ud800"], ids=["empty", "deep", "list", "null", "torn", "bytes"]
)
def test_a_result_that_is_no_object_counts_as_none(folder: RunFolder, content: str) -> None:
    folder.attempt(1).result.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert observe(folder) == Lost(1)


def test_a_reason_that_no_database_takes_is_made_readable(folder: RunFolder) -> None:
    folder.attempt(1).result.write_text(json.dumps({**_RESULT, "reason": "half \ud800"}))
    observed = observe(folder)
    assert isinstance(observed, Ended)
    assert observed.result.reason == "half ?"


@pytest.mark.parametrize("attempt", [0, -1, 2**40, "1", None, 1.0])
def test_an_attempt_that_cannot_be_is_lost(folder: RunFolder, attempt: object) -> None:
    folder.started.write_text(json.dumps({"attempt": attempt}))
    assert observe(folder) == Lost(None)


@pytest.mark.parametrize("name", ["alive.lock", "started.json", "1/result.json"])
def test_a_named_pipe_in_place_of_a_file_blocks_nobody(folder: RunFolder, name: str) -> None:
    path = folder.path / name
    path.unlink()
    os.mkfifo(path)
    observed = observe(folder)
    assert isinstance(observed, Ended if name == "alive.lock" else Lost)


def test_a_lack_of_descriptors_says_nothing_about_the_run(folder: RunFolder, no_descriptors: Callable[[], None]) -> None:
    no_descriptors()
    with pytest.raises(OSError, match="Too many open files"):
        observe(folder)


def test_a_run_that_has_removed_the_sign_of_its_start_is_not_started_again(folder: RunFolder) -> None:
    folder.started.unlink()
    status = folder.path.stat()
    ours = {"ORCHLITE_RUN_TOKEN": folder.run_id, "ORCHLITE_RUN_PLACE": f"{status.st_dev}:{status.st_ino}"}
    program = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], **ours})
    try:
        observed = observe(folder)
    finally:
        program.kill()
        program.wait()
    assert isinstance(observed, Lost)
    assert observed.reason is not None
    assert observed.reason.startswith("its files were removed while it ran")


class _Beginning(RunFolder):
    """A run whose slow runner starts the program between two reads of an observer."""

    @property
    def is_running(self) -> Path:
        return self.path / "is running"

    def is_held(self) -> bool:
        if not self.is_running.exists():
            self.is_running.touch()
            _start_program(self)
        return super().is_held()


def _start_program(folder: RunFolder) -> None:
    folder.started.write_text('{"attempt": 1}')
    # The program inherits the lock here, which it does not from a runner: so it is held for as long as the program runs.
    lock = os.open(folder.alive_lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    place = folder.path.stat()
    environment = {"ORCHLITE_RUN_TOKEN": folder.run_id, "ORCHLITE_RUN_PLACE": f"{place.st_dev}:{place.st_ino}"}
    _started.append(subprocess.Popen(["sleep", "60"], env={"PATH": os.defpath, **environment}, pass_fds=[lock]))
    os.close(lock)


_started: list[subprocess.Popen[bytes]] = []


def test_a_run_that_starts_while_it_is_observed_is_not_lost(tmp_path: Path) -> None:
    folder = _Beginning(tmp_path / str(uuid.uuid4()))
    folder.path.mkdir()
    try:
        assert isinstance(observe(folder), Alive)
    finally:
        for program in _started:
            program.kill()
            program.wait()
    folder.attempt(1).path.mkdir()
    folder.attempt(1).result.write_text(json.dumps(_RESULT))
    assert isinstance(observe(folder), Ended)
