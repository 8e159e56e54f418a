"""What `pip` does in a run: all but change the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchlite.environments import task_files, virtualenvs
from orchlite.environments.builds import Builds
from orchlite.environments.virtualenvs import embedded_pip

_VERSION = embedded_pip().name.split("-")[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Builds(tmp_path_factory.mktemp("cache"), virtualenvs).building("key", lambda: False) as build:
        build.create()
        return build.finish().python


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of host packages with a pip."""
    return task_files.place_pip(tmp_path_factory.mktemp("host"), embedded_pip())


def _run(python: Path, host: Path | None, *command: str) -> subprocess.CompletedProcess[str]:
    # The variables of a run; ORCHLITE_SDK may name any folder.
    variables = {"WALLAROO_TASK_ID": "t", "ORCHLITE_SDK": "/nonexistent", "ORCHLITE_HOST_PATHS": str(host or "")}
    env = {"PATH": f"{python.parent}:{os.defpath}", **variables, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=python.parents[3])


@pytest.mark.slow
@pytest.mark.parametrize("with_host", [True, False], ids=["host", "clean"])
@pytest.mark.parametrize("name", ["pip", "pip3", f"pip3.{sys.version_info.minor}", "-m"])
@pytest.mark.parametrize("arguments", [("install", "six"), ("-q", "install", "-r", "x.txt"), ("--log", "/l", "uninstall", "-y", "six")])
def test_installing_is_refused_with_the_way_out(python: Path, host: Path, name: str, arguments: tuple[str, ...], with_host: bool) -> None:
    command = (str(python), "-m", "pip") if name == "-m" else (name,)
    done = _run(python, host if with_host else None, *command, *arguments)
    assert done.returncode == 1
    assert "is refused here" in done.stderr
    assert "requirements.txt" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("--version",), ("list",), ("freeze",), ("install", "--help"), ("show", "install"), ("help", "install")]
)
def test_everything_else_is_the_hosts_pip(python: Path, host: Path, arguments: tuple[str, ...]) -> None:
    assert "refused" not in _run(python, host, "pip", *arguments).stderr


@pytest.mark.slow
def test_it_is_the_hosts_version_and_installs_into_another_folder(python: Path, host: Path, tmp_path: Path) -> None:
    assert _run(python, host, "pip", "--version").stdout.startswith(f"pip {_VERSION} from {host}")
    done = _run(python, host, "pip", "install", "--no-deps", "--target", str(tmp_path / "own"), str(embedded_pip()))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own" / "pip").is_dir()


@pytest.mark.slow
def test_an_import_gets_the_hosts_pip(python: Path, host: Path) -> None:
    script = "import pip, pip._internal; print(pip.__version__, pip.__file__, pip._internal.__file__)"
    done = _run(python, host, str(python), "-c", script)
    assert done.stdout.split() == [_VERSION, str(host / "pip" / "__init__.py"), str(host / "pip" / "_internal" / "__init__.py")]


def test_without_a_pip_there_is_none(python: Path) -> None:
    assert "ModuleNotFoundError: No module named 'pip'" in _run(python, None, str(python), "-c", "import pip").stderr
    assert "No module named pip" in _run(python, None, "pip", "list").stderr


def test_an_environment_that_requires_pip_has_that(tmp_path: Path, host: Path) -> None:
    with Builds(tmp_path / "cache", virtualenvs).building("key", lambda: False) as build:
        python = build.create()
        own = python.parents[1] / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "pip"
        own.mkdir()
        (own / "__init__.py").write_text("__version__ = 'own'")
        build.finish()
    assert _run(python, host, str(python), "-c", "import pip; print(pip.__version__)").stdout == "own\n"
    assert not (python.parent / "pip").exists()
