"""Hosts that can be killed, runs without a store, and the one check of what must hold after every fault."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import orchlite
from orchlite.core.files import is_locked
from orchlite.core.folders import RunFolder
from orchlite.core.status import RunStatus
from orchlite.runs.runners import Runners
from orchlite.runs.spec import RunSpec
from tests.faults.small_disk import disk
from tests.processes import bearing, link, pids, read

__all__ = ["disk"]

_ROOT = Path(orchlite.__file__).parents[1]
_FINAL = {status.value for status in RunStatus if status.is_final}
_PATIENCE_SECONDS = 20.0

StartHost = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_host(tmp_path: Path) -> Iterator[StartHost]:
    """Start a script as a host process of its own, with pipes: `start_host(SCRIPT, argument, …, VARIABLE="value")`.

    What is printed is read from `host.stdout`; at the end of the test whatever still lives is killed.
    """
    started: list[subprocess.Popen[str]] = []
    scripts = iter(range(1000))

    def start(script: str, *arguments: object, stderr: int | None = None, **variables: str) -> subprocess.Popen[str]:
        path = tmp_path / f"host-{next(scripts)}.py"
        path.write_text(script, encoding="utf-8")
        host = subprocess.Popen(
            [sys.executable, "-u", str(path), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_ROOT), **variables},
        )
        started.append(host)
        return host

    yield start
    for host in started:
        if host.poll() is None:
            os.killpg(host.pid, signal.SIGKILL)  # with its forked children
        host.wait()
        for pipe in filter(None, (host.stdin, host.stdout, host.stderr)):
            with suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def runners(tmp_path: Path) -> Iterator[Runners]:
    """Runners without a store. None of them may break."""
    diagnostics = tmp_path / "runners.log"
    runners = Runners(diagnostics)
    yield runners
    runners.close()
    assert not diagnostics.exists() or diagnostics.read_text() == ""


@pytest.fixture
def make_spec(tmp_path: Path) -> Callable[..., RunSpec]:
    """A new run of a shell script, ready to be placed: `make_spec("echo hello", timeout_seconds=1.0)`."""

    def make(script: str = "", **changes: object) -> RunSpec:
        folder = RunFolder(tmp_path / "runs" / str(uuid.uuid4()))
        attempt = folder.attempt(1)
        attempt.work.mkdir(parents=True)
        fields: dict[str, object] = {
            "run_id": folder.run_id,
            "attempt": 1,
            "folder": str(folder.path),
            "command": ("/bin/sh", "-c", script),
            "working_folder": str(attempt.work),
            "env": {"PATH": os.environ["PATH"], "ORCHLITE_RUN_TOKEN": folder.run_id},
            "log": str(attempt.log),
            "timeout_seconds": None,
            "grace_seconds": 0.3,
            "log_bytes": 1024 * 1024,
            "leash": False,
            **changes,
        }
        return RunSpec(**fields)  # type: ignore[arg-type]

    return make


@pytest.fixture
def bearers() -> Callable[[str], list[int]]:
    """The live processes that have this word in their environment or on their command line."""
    return bearing


@pytest.fixture
def check_store() -> Callable[..., dict[str, str]]:
    """`check_store(path, acknowledged=[run ids], lines={run id: [texts]})`: what must hold for a store after any fault.

    Call it when nothing is on its way any more. It answers the status of every run, by id.
    """
    return _check_store


def _check_store(path: Path, acknowledged: Iterable[str] = (), lines: dict[str, list[str]] | None = None) -> dict[str, str]:
    with sqlite3.connect(path / "store.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = dict(database.execute("SELECT run_id, status FROM runs"))
        events = database.execute("SELECT object_id, became FROM events").fetchall()
    database.close()
    assert set(acknowledged) <= set(rows), "an acknowledged run is not there"
    for run_id, status in rows.items():
        ends = [became for object_id, became in events if object_id == run_id and became in _FINAL]
        assert ends == [status], "a run has exactly one end, and its row agrees"
        _check_folder(path / "runs" / run_id, status)
    _check_nobody_bears(set(rows))
    for run_id, texts in (lines or {}).items():
        _check_log(path, run_id, texts)
    _check_runners_are_gone(path)
    assert list((path / "hosts").iterdir()) == [], "signs of life of hosts that are gone"
    return rows


def _check_folder(folder: Path, status: str) -> None:
    """The files agree with the row: they were written first."""
    assert not is_locked(folder / "alive.lock")
    if (folder / "started.json").exists():
        results = [json.loads(file.read_bytes())["status"] for file in folder.glob("[0-9]*/result.json")]
        assert results == ([] if status == RunStatus.UNKNOWN else [status])


def _check_log(store: Path, run_id: str, texts: list[str]) -> None:
    client = orchlite.Client(store)
    assert [line.text for line in client.get_task_run_by_id(run_id).logs()] == texts
    client.close(drain=False)


def _check_nobody_bears(run_ids: set[str]) -> None:
    # Whoever was sent SIGKILL may need a moment to go.
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while alive := [pid for pid in bearing("ORCHLITE_RUN_TOKEN=") if _token(pid) in run_ids]:
        assert time.monotonic() < give_up_at, f"processes of ended runs are alive: {alive}"
        time.sleep(0.01)


def _token(pid: int) -> str:
    """Of the run that the process belongs to; an installer's is that of its packaging run."""
    return read(pid, "environ").partition(b"ORCHLITE_RUN_TOKEN=")[2].partition(b"\0")[0].decode().removeprefix("install-")


def _check_runners_are_gone(store: Path) -> None:
    """Those of closed and killed hosts, that is: they say what breaks them in a file of the store."""
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while alive := [pid for pid in pids() if link(pid, "fd/2") == str(store / "runners.log")]:
        assert time.monotonic() < give_up_at, f"runners of {store} are alive: {alive}"
        time.sleep(0.01)
    diagnostics = store / "runners.log"
    assert not diagnostics.exists() or diagnostics.read_text() == ""
