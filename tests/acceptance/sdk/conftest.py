"""Environments with the real SDK, how to run a module of this folder in one, and the server that it talks to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import orchlite
from orchlite import rest
from tests.acceptance.sdk.real_sdk import InstallStep, environment_with, fonts_of, python_for_the_sdk

InterpreterOf = Callable[[tuple[InstallStep, ...]], Path]
Run = Callable[..., subprocess.CompletedProcess[str]]

_ROOT = Path(__file__).parents[3]


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
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test session, shared by all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def interpreter_of(shared_folder: Path) -> InterpreterOf:
    """Return the interpreter of an environment with this SDK, which is built if it is missing."""
    python = python_for_the_sdk()
    if python is None:
        pytest.skip("the SDKs need Python 3.11 or 3.12, and there is none here")
    return lambda installations: environment_with(installations, python, shared_folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a module of this folder with the SDK's interpreter, and with these environment variables only."""
    home = tmp_path / "home"
    home.mkdir()

    def run(
        interpreter: Path, module: str, *arguments: str, variables: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[str]:
        command = [str(interpreter), "-m", f"tests.acceptance.sdk.{module}", *arguments]
        env = {"PATH": os.defpath, "HOME": str(home), "MPLCONFIGDIR": fonts_of(interpreter), **variables}
        return subprocess.run(command, cwd=_ROOT, env=env, capture_output=True, text=True, check=False, timeout=400)

    return run
