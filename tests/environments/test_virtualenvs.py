"""The `sys.path` of an environment, in a task and outside, seen by real interpreters; and how environments are created."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import virtualenv

import orchlite
from orchlite.environments import virtualenvs
from orchlite.environments.builds import Builds

_SHOW = "import json, sys; print(json.dumps(sys.path))"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Builds(tmp_path_factory.mktemp("cache"), virtualenvs).building("key", lambda: False) as build:
        build.create()
        return build.finish().python


@pytest.fixture(scope="module")
def site_packages(python: Path) -> Path:
    return next(python.parents[1].glob("lib/*/site-packages"))


def _run(python: Path, arguments: Sequence[str], variables: Mapping[str, str], cwd: Path | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if name == "PATH"}
    done = subprocess.run([python, *arguments], env={**kept, **variables}, cwd=cwd, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def _path(python: Path, *options: str, **variables: str) -> list[str]:
    return [str(entry) for entry in json.loads(_run(python, [*options, "-c", _SHOW], variables))]


@pytest.mark.parametrize("options", [(), ("-I",)], ids=["plain", "isolated"])
def test_in_a_task_the_copy_comes_before_site_packages_and_the_host_last(
    python: Path, site_packages: Path, options: tuple[str, ...]
) -> None:
    variables = {"WALLAROO_TASK_ID": "t", "ORCHLITE_SDK": "/ours", "ORCHLITE_HOST_PATHS": "/host/one:/host/two"}
    outside, inside = _path(python, *options), _path(python, *options, **variables)
    assert outside[-1] == str(site_packages)
    assert inside == [*outside[:-1], "/ours", str(site_packages), "/host/one", "/host/two"]


def test_outside_a_task_the_other_variables_have_no_effect(python: Path) -> None:
    assert _path(python, ORCHLITE_SDK="/ours", ORCHLITE_HOST_PATHS="/host") == _path(python)


@pytest.mark.parametrize("variables", [{}, {"ORCHLITE_SDK": "", "ORCHLITE_HOST_PATHS": ""}], ids=["absent", "empty"])
def test_in_a_task_without_the_other_variables_nothing_is_added(python: Path, variables: dict[str, str]) -> None:
    assert _path(python, WALLAROO_TASK_ID="t", **variables) == _path(python)


def test_a_subprocess_of_the_task_finds_the_same(python: Path) -> None:
    script = f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {_SHOW!r}], capture_output=True, text=True).stdout)"
    variables = {"WALLAROO_TASK_ID": "t", "ORCHLITE_SDK": "/ours", "ORCHLITE_HOST_PATHS": "/host"}
    assert json.loads(_run(python, ["-c", script], variables)) == _path(python, **variables)


def _module(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(f"WHOSE = {text!r}\n")


def _whose(python: Path, name: str, folder: Path) -> str:
    main = folder / "bundle" / "main.py"
    main.parent.mkdir(exist_ok=True)
    main.write_text(f"import {name}\nprint({name}.WHOSE)\n")
    variables = {"WALLAROO_TASK_ID": "t", "ORCHLITE_SDK": str(folder / "ours"), "ORCHLITE_HOST_PATHS": str(folder / "host")}
    return _run(python, ["main.py"], variables, main.parent).strip()


def test_the_copy_wins_over_an_installed_package_with_the_same_name(python: Path, site_packages: Path, tmp_path: Path) -> None:
    _module(site_packages, "contested_sdk", "installed")
    _module(tmp_path / "ours", "contested_sdk", "ours")
    assert _whose(python, "contested_sdk", tmp_path) == "ours"


def test_a_file_beside_the_script_wins_over_the_copy(python: Path, tmp_path: Path) -> None:
    _module(tmp_path / "ours", "contested_script", "ours")
    _module(tmp_path / "bundle", "contested_script", "script")
    assert _whose(python, "contested_script", tmp_path) == "script"


def test_the_standard_library_wins_over_the_copy(python: Path, tmp_path: Path) -> None:
    _module(tmp_path / "ours", "tarfile", "ours")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "show.py").write_text("import tarfile; print(hasattr(tarfile, 'WHOSE'))")
    variables = {"WALLAROO_TASK_ID": "t", "ORCHLITE_SDK": str(tmp_path / "ours")}
    assert _run(python, ["show.py"], variables, tmp_path / "bundle") == "False\n"


def test_a_requirement_wins_over_the_hosts_package(python: Path, site_packages: Path, tmp_path: Path) -> None:
    _module(site_packages, "contested_package", "requirement")
    _module(tmp_path / "host", "contested_package", "host")
    assert _whose(python, "contested_package", tmp_path) == "requirement"


def test_a_requirement_with_a_pth_file_of_its_own_wins_over_the_hosts_package_too(
    python: Path, site_packages: Path, tmp_path: Path
) -> None:
    _module(site_packages / "zz_folder", "contested_folder", "requirement")
    (site_packages / "zz.pth").write_text("zz_folder\n")
    _module(tmp_path / "host", "contested_folder", "host")
    assert _whose(python, "contested_folder", tmp_path) == "requirement"


def test_a_host_package_is_found_if_nothing_hides_it(python: Path, tmp_path: Path) -> None:
    _module(tmp_path / "host", "host_only", "host")
    assert _whose(python, "host_only", tmp_path) == "host"


def test_threads_take_turns_in_virtualenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """virtualenv is not safe to use from two threads at once."""
    session_via_cli, both_inside, met = virtualenv.session_via_cli, threading.Barrier(2), []

    def observed(*arguments: Any, **options: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            met.append(both_inside.wait(0.2))
        return session_via_cli(*arguments, **options)

    monkeypatch.setattr(virtualenv, "session_via_cli", observed)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: virtualenvs.create(tmp_path / name, tmp_path / "app-data"), ("one", "two")))
    assert met == []
    assert (tmp_path / "one" / "bin" / "python").exists()
    assert (tmp_path / "two" / "bin" / "python").exists()


_FORK_WHILE_A_THREAD_CREATES = """
import os, sys, threading, virtualenv
from pathlib import Path
from orchlite.environments import virtualenvs

session_via_cli, is_inside = virtualenv.session_via_cli, threading.Event()

def endless(*arguments, **options):
    is_inside.set()
    threading.Event().wait()

virtualenv.session_via_cli = endless
folder = Path(sys.argv[1])
threading.Thread(target=virtualenvs.create, args=(folder / "one", folder / "app-data"), daemon=True).start()
is_inside.wait()
child = os.fork()
if child == 0:
    virtualenv.session_via_cli = session_via_cli
    virtualenvs.create(folder / "two", folder / "app-data")
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_a_process_that_is_forked_while_a_thread_creates_an_environment_can_create_one(tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(Path(orchlite.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", _FORK_WHILE_A_THREAD_CREATES, str(tmp_path)], env=env, timeout=30, check=True)
    assert (tmp_path / "two" / "bin" / "python").exists()


def test_a_cache_behind_a_link_makes_no_difference(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with Builds(tmp_path / "link", virtualenvs).building("key", lambda: False) as build:
        build.create()
        python = build.finish().python
    assert python.is_relative_to(tmp_path / "link")
    assert _path(python, WALLAROO_TASK_ID="t", ORCHLITE_SDK="/ours")[-2] == "/ours"


class TestSuits:
    @pytest.fixture
    def environment(self, tmp_path: Path) -> Path:
        virtualenvs.create(tmp_path / "environment", tmp_path / "app-data")
        return tmp_path / "environment"

    def test_an_environment_suits_the_interpreter_that_it_was_created_from(self, environment: Path) -> None:
        assert virtualenvs.suits(environment)

    @pytest.mark.parametrize(("version", "suits"), [("{0}.{1}.99.final.0", True), ("{0}.99.1.final.0", False), ("", False)])
    def test_a_patch_release_makes_no_difference_and_another_version_does(self, environment: Path, version: str, suits: bool) -> None:
        config = environment / "pyvenv.cfg"
        lines = [line for line in config.read_text().splitlines() if not line.startswith("version")]
        config.write_text("\n".join([*lines, f"version_info = {version.format(*sys.version_info)}", ""]))
        assert virtualenvs.suits(environment) is suits

    def test_an_environment_of_another_program_does_not_suit(self, environment: Path) -> None:
        python = environment / "bin" / "python"
        python.unlink()
        python.symlink_to("/bin/true")
        assert not virtualenvs.suits(environment)

    def test_an_environment_without_its_configuration_does_not_suit(self, environment: Path) -> None:
        (environment / "pyvenv.cfg").unlink()
        assert not virtualenvs.suits(environment)
