"""What the installer is told: which of the host's pip settings reach it, and which must not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from orchlite.core.errors import PackagingFailed
from orchlite.environments import pip_config
from orchlite.environments.installers import InstallCommand, InstallTarget, pip_command, pip_identity, uv_command


class Home:
    """A home folder with configuration files of pip in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {"HOME": str(folder), "XDG_CONFIG_DIRS": str(folder / "machine")}

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def settings(self, *index_urls: str, **variables: str) -> Mapping[str, str]:
        found = pip_config.options(index_urls, self.environ | variables)
        return {name: value for name, value in found.items() if name != "cert" or value.startswith(str(self.folder))}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


_USER, _OLD_USER, _MACHINE = ".config/pip/pip.conf", ".pip/pip.conf", "machine/pip/pip.conf"


def test_without_settings_there_are_none(home: Home) -> None:
    assert home.settings() == {}


@pytest.mark.parametrize("name", [_USER, _OLD_USER, _MACHINE])
@pytest.mark.parametrize("section", ["global", "install"])
def test_an_index_is_passed_on_from_whatever_file_and_section(home: Home, name: str, section: str) -> None:
    home.write(name, f"[{section}]\nindex-url = https://a/simple\n")
    assert home.settings() == {"index-url": "https://a/simple"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("extra-index-url", "https://b"),
        ("no-index", "true"),
        ("find-links", "https://wheels"),
        ("trusted-host", "b"),
        ("proxy", "http://p:1"),
        ("client-cert", "/c.pem"),
        ("timeout", "5"),
        ("retries", "0"),
        ("cache-dir", "/c d"),
        ("no-cache-dir", "true"),
        ("keyring-provider", "subprocess"),
    ],
)
def test_where_packages_come_from_is_passed_on(home: Home, option: str, value: str) -> None:
    home.write(_USER, f"[global]\n{option} = {value}\n")
    assert home.settings() == {option: value}


@pytest.mark.parametrize(
    "option", ["target", "user", "prefix", "root", "require-virtualenv", "constraint", "editable", "pre", "no-deps", "isolated", "log"]
)
def test_what_would_shape_the_environment_is_not_passed_on(home: Home, option: str) -> None:
    home.write(_USER, f"[global]\n{option} = true\n[install]\n{option} = true\n")
    assert home.settings(**{f"PIP_{option.upper().replace('-', '_')}": "true"}) == {}


def test_later_files_win_and_the_install_section_and_variables_win_over_them(home: Home) -> None:
    home.write(_MACHINE, "[global]\nindex-url = https://machine\ntimeout = 1\n[install]\nretries = 1\n")
    home.write(_OLD_USER, "[global]\nindex-url = https://old\nproxy = old\n")
    home.write(_USER, "[global]\nindex-url = https://user\nretries = 2\n")
    assert home.settings(PIP_TIMEOUT="3") == {
        "index-url": "https://user",
        "proxy": "old",
        "retries": "1",
        "timeout": "3",
    }


def test_names_are_read_as_pip_reads_them(home: Home) -> None:
    home.write(_USER, "[global]\nINDEX_URL = https://a\n--find-links = https://w\n")
    assert home.settings(PIP_DEFAULT_TIMEOUT="7", PIP_PYPI_URL="https://b") == {
        "index-url": "https://b",
        "find-links": "https://w",
        "timeout": "7",
    }


def test_several_values_become_one_line(home: Home) -> None:
    home.write(_USER, "[global]\nextra-index-url =\n    https://a\n    https://b\n")
    assert home.settings()["extra-index-url"] == "https://a https://b"


def test_a_percent_sign_in_a_password_is_just_that(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://me:p%40ss@a/simple\n")
    assert home.settings()["index-url"] == "https://me:p%40ss@a/simple"


def test_an_empty_value_does_not_count(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://a\n[install]\nindex-url =\n")
    assert home.settings(PIP_INDEX_URL="") == {"index-url": "https://a"}


def test_a_named_file_takes_the_place_of_the_users(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://user\n")
    named = home.write("named.conf", "[global]\nproxy = p\n")
    assert home.settings(PIP_CONFIG_FILE=str(named)) == {"proxy": "p"}


def test_the_null_device_as_configuration_means_none(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://user\n")
    assert pip_config.options((), home.environ | {"PIP_CONFIG_FILE": os.devnull}) == {}


def test_relative_paths_mean_what_they_mean_in_the_host(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.folder / "wheels").mkdir()
    home.write("ca.pem", "")
    home.write(_USER, "[global]\nfind-links = wheels\n    https://w\ncert = ca.pem\n")
    monkeypatch.chdir(home.folder)
    assert home.settings() == {"find-links": f"{home.folder}/wheels https://w", "cert": f"{home.folder}/ca.pem"}


def test_indexes_that_are_given_replace_the_configured_ones_and_nothing_else(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://u\nextra-index-url = https://e\nno-index = true\nproxy = p\nfind-links = https://w\n")
    assert home.settings("https://one", "https://two", "https://three") == {
        "index-url": "https://one",
        "extra-index-url": "https://two https://three",
        "proxy": "p",
        "find-links": "https://w",
    }


@pytest.mark.parametrize("content", [b"index-url = https://me:secret@a\n", b"[global]\nx = \xff secret\n"], ids=["no section", "bytes"])
def test_a_broken_file_is_named_without_its_text(home: Home, content: bytes) -> None:
    home.write(_USER, "").write_bytes(content)
    with pytest.raises(PackagingFailed, match=r"pip\.conf' cannot be read.*PIP_CONFIG_FILE=/dev/null") as caught:
        home.settings()
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


_LINES = ("--only-binary=idna", "six==1.17.0")


def _place(home: Home) -> InstallTarget:
    place = InstallTarget(Path("/env/bin/python"), home.folder / "install", Path("/env.lock"))
    place.folder.mkdir()
    return place


def _pip(home: Home, *, settings: Mapping[str, str] = MappingProxyType({}), **variables: str) -> InstallCommand:
    return pip_command(Path("/pip-1"), _place(home), _LINES, settings, home.environ | variables)


def _uv(home: Home, *lines: str, settings: Mapping[str, str] = MappingProxyType({}), **variables: str) -> InstallCommand:
    return uv_command(Path("/bin/uv"), _place(home), lines or _LINES, settings, home.environ | variables)


_both = pytest.mark.parametrize("order", [_pip, _uv], ids=["pip", "uv"])
Order = Callable[..., InstallCommand]


def _file(command: InstallCommand) -> Path:
    return Path(command.args[-1])


def test_the_environments_own_interpreter_runs_pip_isolated(home: Home) -> None:
    assert _pip(home).args[:5] == ("/env/bin/python", "-I", "-u", "/pip-1/pip/__pip-runner__.py", "install")


def test_uv_is_told_which_environment_to_fill(home: Home) -> None:
    assert _uv(home).args[:-2] == ("/bin/uv", "pip", "install", "--python", "/env/bin/python", "--only-binary=idna")


@_both
def test_the_installer_works_in_an_empty_folder(home: Home, order: Order) -> None:
    folder = order(home).working_folder
    assert folder.is_absolute()
    assert list(folder.iterdir()) == []


@_both
def test_the_requirements_go_by_a_file_that_only_this_account_can_read(home: Home, order: Order) -> None:
    file = _file(order(home))
    assert file.read_text().splitlines()[-1] == "six==1.17.0"
    assert file.stat().st_mode & 0o777 == 0o600


@_both
def test_addresses_go_by_that_file_and_nothing_else(home: Home, order: Order) -> None:
    addresses = {"index-url": "https://me:secret@a", "extra-index-url": "https://b https://c", "find-links": "/w", "no-index": "false"}
    prepared = order(home, settings=addresses)
    lines = _file(prepared).read_text().splitlines()
    assert lines[:4] == ["--index-url https://me:secret@a", "--extra-index-url https://b", "--extra-index-url https://c", "--find-links /w"]
    assert "secret" not in str(prepared)


@_both
@pytest.mark.parametrize(("value", "lines"), [("true", ["--no-index"]), ("1", ["--no-index"]), ("no", []), ("", [])])
def test_no_index_is_a_switch(home: Home, order: Order, value: str, lines: list[str]) -> None:
    found = _file(order(home, settings={"no-index": value})).read_text().splitlines()
    assert [line for line in found if line == "--no-index"] == lines


@pytest.mark.parametrize(
    ("order", "own"),
    [
        pytest.param(_pip, {"PIP_CONFIG_FILE": os.devnull}, id="pip"),
        pytest.param(_uv, {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}, id="uv"),
    ],
)
def test_of_the_hosts_variables_only_network_and_locale_reach_the_installer(home: Home, order: Order, own: dict[str, str]) -> None:
    kept = {"PATH": "/bin", "LC_ALL": "C", "https_proxy": "p", "NO_PROXY": "n", "SSL_CERT_FILE": "/c", "TMPDIR": "/t"}
    left = {
        "PYTHONPATH": "/x",
        "AWS_SECRET_ACCESS_KEY": "s",
        "WALLAROO_TASK_ID": "t",
        "PIP_TARGET": "/t",
        "UV_TARGET": "/t",
        "UV_CONSTRAINT": "c",
    }
    assert order(home, **kept, **left).env == kept | own | {"HOME": str(home.folder)}


def test_what_is_no_address_reaches_pip_by_variables(home: Home) -> None:
    env = _pip(home, settings={"proxy": "http://p:1", "trusted-host": "a", "index-url": "https://a"}).env
    assert {name: value for name, value in env.items() if name.startswith("PIP_")} == {
        "PIP_PROXY": "http://p:1",
        "PIP_TRUSTED_HOST": "a",
        "PIP_CONFIG_FILE": os.devnull,
    }


def test_where_uv_itself_is_configured_its_variables_count_and_not_pips_addresses(home: Home) -> None:
    settings = {"index-url": "https://pip", "timeout": "5"}
    variables = {"UV_INDEX": "mine=https://uv", "UV_INDEX_MINE_PASSWORD": "p"}
    command = uv_command(Path("/bin/uv"), _place(home), _LINES, settings, home.environ | variables, uv_indexes=True)
    assert _file(command).read_text() == "six==1.17.0\n"
    assert variables.items() | {("UV_HTTP_TIMEOUT", "5")} <= command.env.items()


def test_where_pip_says_where_packages_come_from_uvs_variables_for_that_do_not_count(home: Home) -> None:
    assert "UV_INDEX" not in _uv(home, UV_INDEX="https://uv").env


def test_a_refresh_makes_uv_ask_the_index_again(home: Home) -> None:
    command = uv_command(Path("/bin/uv"), _place(home), _LINES, {}, home.environ, refresh=True)
    assert "--refresh" in command.args


def test_pip_is_named_with_its_version() -> None:
    assert pip_identity(Path("/wheels/pip-26.3-py3-none-any.whl")) == "pip 26.3"
