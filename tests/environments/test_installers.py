"""The commands that install: what pip and uv are given on the command line, in their variables, and in the requirements file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from orchlite.environments.installers import InstallCommand, InstallTarget, pip_command, pip_identity, uv_command

_LINES = ("--only-binary=idna", "six==1.17.0")


def _target(folder: Path) -> InstallTarget:
    target = InstallTarget(Path("/env/bin/python"), folder / "install", Path("/env.lock"))
    target.folder.mkdir()
    return target


def _pip(tmp_path: Path, *lines: str, options: Mapping[str, str] = MappingProxyType({}), **variables: str) -> InstallCommand:
    return pip_command(Path("/pip-1"), _target(tmp_path), lines or _LINES, options, {"HOME": str(tmp_path)} | variables)


def _uv(tmp_path: Path, *lines: str, options: Mapping[str, str] = MappingProxyType({}), **variables: str) -> InstallCommand:
    return uv_command(Path("/bin/uv"), _target(tmp_path), lines or _LINES, options, {"HOME": str(tmp_path)} | variables)


_both = pytest.mark.parametrize("prepare", [_pip, _uv], ids=["pip", "uv"])
Prepare = Callable[..., InstallCommand]


def _file(command: InstallCommand) -> Path:
    return Path(command.args[-1])


def test_the_environments_own_interpreter_runs_pip_isolated(tmp_path: Path) -> None:
    assert _pip(tmp_path).args[:6] == ("/env/bin/python", "-I", "-B", "-u", "/pip-1/pip/__pip-runner__.py", "install")


def test_uv_installs_into_the_interpreter_of_the_environment(tmp_path: Path) -> None:
    assert _uv(tmp_path).args[:-2] == (
        "/bin/uv",
        "pip",
        "install",
        "--python",
        "/env/bin/python",
        "--only-binary=idna",
        "--compile-bytecode",
    )


@_both
def test_git_gets_passwords_from_a_file_and_nothing_else_shows_them(tmp_path: Path, prepare: Prepare) -> None:
    command = prepare(tmp_path, f"a @ git+https://me:hunter2@host/a.git@{'0' * 40}")
    assert "hunter2" not in f"{command.args} {command.env} {_file(command).read_text()}"
    helpers = [value for name, value in command.env.items() if name.startswith("GIT_CONFIG_VALUE_") and value.startswith("store --file=")]
    assert len(helpers) == 1
    assert "hunter2" in Path(helpers[0].removeprefix("store --file=")).read_text()


@pytest.mark.parametrize("make", [pip_command, uv_command], ids=["pip", "uv"])
def test_recorded_versions_are_constraints(tmp_path: Path, make: Callable[..., InstallCommand]) -> None:
    command = make(Path("/program"), _target(tmp_path)._replace(constraints=("six==1.16.0", "idna==3.4")), _LINES, {}, {})
    option, file = command.args[-2:]
    assert (option, Path(file).read_text()) == ("-c", "six==1.16.0\nidna==3.4\n")


@_both
def test_the_installer_works_in_an_empty_folder(tmp_path: Path, prepare: Prepare) -> None:
    folder = prepare(tmp_path).working_folder
    assert folder.is_absolute()
    assert list(folder.iterdir()) == []


@_both
def test_the_requirements_file_is_readable_by_this_account_only(tmp_path: Path, prepare: Prepare) -> None:
    file = _file(prepare(tmp_path))
    assert file.read_text().splitlines()[-1] == "six==1.17.0"
    assert file.stat().st_mode & 0o777 == 0o600


@_both
def test_addresses_stand_in_the_requirements_file_and_nowhere_else(tmp_path: Path, prepare: Prepare) -> None:
    addresses = {"index-url": "https://me:secret@a", "extra-index-url": "https://b https://c", "find-links": "/w", "no-index": "false"}
    prepared = prepare(tmp_path, options=addresses)
    lines = _file(prepared).read_text().splitlines()
    assert lines[:4] == ["--index-url https://me:secret@a", "--extra-index-url https://b", "--extra-index-url https://c", "--find-links /w"]
    assert "secret" not in str(prepared)


@_both
@pytest.mark.parametrize(("value", "lines"), [("true", ["--no-index"]), ("1", ["--no-index"]), ("no", []), ("", [])])
def test_no_index_is_a_flag(tmp_path: Path, prepare: Prepare, value: str, lines: list[str]) -> None:
    found = _file(prepare(tmp_path, options={"no-index": value})).read_text().splitlines()
    assert [line for line in found if line == "--no-index"] == lines


@pytest.mark.parametrize(
    ("prepare", "own"),
    [
        pytest.param(_pip, {"PIP_CONFIG_FILE": os.devnull}, id="pip"),
        pytest.param(
            _uv,
            {"UV_LINK_MODE": "copy", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"},
            id="uv",
        ),
    ],
)
def test_of_the_hosts_variables_only_network_and_locale_reach_the_installer(tmp_path: Path, prepare: Prepare, own: dict[str, str]) -> None:
    kept = {"PATH": "/bin", "LC_ALL": "C", "https_proxy": "p", "NO_PROXY": "n", "SSL_CERT_FILE": "/c", "TMPDIR": "/t"}
    left = {
        "PYTHONPATH": "/x",
        "AWS_SECRET_ACCESS_KEY": "s",
        "WALLAROO_TASK_ID": "t",
        "PIP_TARGET": "/t",
        "UV_TARGET": "/t",
        "UV_CONSTRAINT": "c",
    }
    assert prepare(tmp_path, **kept, **left).env == kept | own | {"HOME": str(tmp_path)}


def test_pip_gets_options_other_than_addresses_as_variables(tmp_path: Path) -> None:
    env = _pip(tmp_path, options={"proxy": "http://p:1", "trusted-host": "a", "index-url": "https://a"}).env
    assert {name: value for name, value in env.items() if name.startswith("PIP_")} == {
        "PIP_PROXY": "http://p:1",
        "PIP_TRUSTED_HOST": "a",
        "PIP_CONFIG_FILE": os.devnull,
    }


def test_uvs_own_indexes_replace_pips_addresses(tmp_path: Path) -> None:
    options = {"index-url": "https://pip", "timeout": "5"}
    variables = {"UV_INDEX": "mine=https://uv", "UV_INDEX_MINE_PASSWORD": "p"}
    command = uv_command(Path("/bin/uv"), _target(tmp_path), _LINES, options, {"HOME": str(tmp_path)} | variables, uv_indexes=True)
    assert _file(command).read_text() == "six==1.17.0\n"
    assert variables.items() | {("UV_HTTP_TIMEOUT", "5")} <= command.env.items()


def test_uvs_variables_for_indexes_are_left_out_if_pips_addresses_count(tmp_path: Path) -> None:
    assert "UV_INDEX" not in _uv(tmp_path, UV_INDEX="https://uv").env


def test_a_refresh_bypasses_uvs_cache(tmp_path: Path) -> None:
    command = uv_command(Path("/bin/uv"), _target(tmp_path), _LINES, {}, {"HOME": str(tmp_path)}, refresh=True)
    assert "--refresh" in command.args


def test_the_identity_of_pip_has_its_version() -> None:
    assert pip_identity(Path("/wheels/pip-26.3-py3-none-any.whl")) == "pip 26.3"
