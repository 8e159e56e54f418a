"""Processes with the real SDK, and the server that they talk to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import Any

import pytest

import orchlite
from orchlite import rest
from tests.acceptance.sdk.real_sdk import InstallStep, environment_with, fonts_of, python_for_the_sdk

Run = Callable[..., subprocess.CompletedProcess[str]]

_ROOT = Path(__file__).parents[3]
_NONE: Mapping[str, str] = MappingProxyType({})


def printed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON object in the last line that a program printed."""
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


@pytest.fixture
def server(client: orchlite.Client) -> Iterator[rest.Server]:
    with rest.serve(client.start(), port=0) as server:
        yield server


@pytest.fixture
def run(run_in: Run, tmp_path: Path) -> Run:
    """Run programs with an SDK, whose environment is built if it is missing, and with these environment variables only.

    The command: `-m` and a module of this folder, `-c` and a text, or `""` and a file; then arguments. The SDK keeps its tokens in the home
    folder, which is the test's.
    """
    return lambda sdk, *command, folder=tmp_path, variables=_NONE: run_in(sdk, list(command), folder, {**variables, "HOME": str(tmp_path)})


@pytest.fixture(scope="session")
def run_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a command with an SDK, in a folder and with variables, in a process that is forked from one that has imported the SDK."""
    python = python_for_the_sdk()
    if python is None:
        pytest.skip("the SDKs need Python 3.11 or 3.12, and there is none here")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with ExitStack() as stack:
        started: dict[tuple[InstallStep, ...], subprocess.Popen[str]] = {}

        def run_in(
            sdk: tuple[InstallStep, ...], command: list[str], folder: Path, variables: dict[str, str]
        ) -> subprocess.CompletedProcess[str]:
            if sdk not in started:
                started[sdk] = stack.enter_context(_preloaded(environment_with(sdk, python, shared)))
            return _done(started[sdk], command, folder, {"PATH": os.defpath, **variables})

        yield run_in


@contextmanager
def _preloaded(interpreter: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has imported the SDK of this interpreter, and forks one for each program."""
    env = {"PATH": os.defpath, "HOME": os.devnull, "MPLCONFIGDIR": fonts_of(interpreter)}
    command = [str(interpreter), "-m", f"{__package__}.preloaded"]
    with subprocess.Popen(command, cwd=_ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def _done(
    preloaded: subprocess.Popen[str], command: list[str], folder: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    assert preloaded.stdin is not None
    assert preloaded.stdout is not None
    with NamedTemporaryFile("r", encoding="utf-8") as out, NamedTemporaryFile("r", encoding="utf-8") as err:
        request = {"command": command, "folder": str(folder), "variables": variables, "stdout": out.name, "stderr": err.name}
        print(json.dumps(request), file=preloaded.stdin, flush=True)
        return subprocess.CompletedProcess(command, int(preloaded.stdout.readline()), out.read(), err.read())
