"""Fixtures for tests of the command line: calling it in this process, starting it as a process, and the store that it uses."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import orchlite
from orchlite.cli.app import command_line

_ROOT = Path(orchlite.__file__).parents[1]
_PASSED_ON = ("HOME", "PATH", "LANG", "ORCHLITE_STORE", "ORCHLITE_CACHE", "PYTHONPYCACHEPREFIX")
_INSTALLERS = ("PIP_", "UV_")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The store that ORCHLITE_STORE names. Its tasks are killed after the test. The working folder is a temporary one."""
    path = tmp_path / "store"
    monkeypatch.setenv("ORCHLITE_STORE", str(path))
    monkeypatch.delenv("ORCHLITE_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    yield path
    with suppress(orchlite.StoreDamaged, sqlite3.DatabaseError):  # by the test, on purpose
        if not _may_have_processes(path):
            return  # opening a client takes 20 times as long
        client = orchlite.Client(path, grace_seconds=0.2)
        for task in client.list_tasks():
            task.kill()
        client.close(drain=False)


def _may_have_processes(store: Path) -> bool:
    """Whether runs of the store may be alive, or stand by."""
    database = store / "store.sqlite"
    if not database.exists() or any((store / "hosts").glob("*.standby")):
        return database.exists()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT 1 FROM runs WHERE status IN ('queued', 'running')").fetchone() is not None


@pytest.fixture
def call() -> Callable[..., Result]:
    """Call the command line: `call("runs", "--json")`; the result has `.stdout`, `.stderr` and `.exit_code`."""

    def invoke(*words: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(command_line, [str(word) for word in words], input=stdin, prog_name="orchlite")

    return invoke


def _environment() -> dict[str, str]:
    """Return the variables that a user's shell would set, without others of the machine that the tests run on."""
    passed_on = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith(_INSTALLERS)}
    return {**passed_on, "PYTHONPATH": str(_ROOT)}


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command line as a process: `start("run", folder, NO_COLOR="1")`, with pipes by default."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: object, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchlite", *map(str, words)],
            stdout=stdout,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**_environment(), **variables},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def slow(folder: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle whose program prints `begun`, waits for `tmp_path / "gate"`, creates a file and prints `done`."""
    return folder(
        "import pathlib, time\n"
        "print('begun', flush=True)\n"
        f"while not pathlib.Path({str(tmp_path / 'gate')!r}).exists():\n"
        "    time.sleep(0.02)\n"
        "pathlib.Path('made.txt').write_text('made')\n"
        "print('done')\n"
    )
