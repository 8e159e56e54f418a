"""What the installer is told: which of the host's pip settings reach it, and which must not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchlite import installer
from orchlite.errors import PackagingFailed
from orchlite.installer import InstallOrder, InstallPlace


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
        found = installer.settings(index_urls, self.environ | variables)
        return {name: value for name, value in found.items() if name != "PIP_CERT" or value.startswith(str(self.folder))}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


_NONE = {"PIP_CONFIG_FILE": os.devnull}
_USER, _OLD_USER, _MACHINE = ".config/pip/pip.conf", ".pip/pip.conf", "machine/pip/pip.conf"


def test_without_settings_pip_is_only_told_to_read_no_configuration(home: Home) -> None:
    assert home.settings() == _NONE


@pytest.mark.parametrize("name", [_USER, _OLD_USER, _MACHINE])
@pytest.mark.parametrize("section", ["global", "install"])
def test_an_index_is_passed_on_from_whatever_file_and_section(home: Home, name: str, section: str) -> None:
    home.write(name, f"[{section}]\nindex-url = https://a/simple\n")
    assert home.settings() == _NONE | {"PIP_INDEX_URL": "https://a/simple"}


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
    assert home.settings() == _NONE | {f"PIP_{option.upper().replace('-', '_')}": value}


@pytest.mark.parametrize(
    "option", ["target", "user", "prefix", "root", "require-virtualenv", "constraint", "editable", "pre", "no-deps", "isolated", "log"]
)
def test_what_would_shape_the_environment_is_not_passed_on(home: Home, option: str) -> None:
    home.write(_USER, f"[global]\n{option} = true\n[install]\n{option} = true\n")
    assert home.settings(**{f"PIP_{option.upper().replace('-', '_')}": "true"}) == _NONE


def test_later_files_win_and_the_install_section_and_variables_win_over_them(home: Home) -> None:
    home.write(_MACHINE, "[global]\nindex-url = https://machine\ntimeout = 1\n[install]\nretries = 1\n")
    home.write(_OLD_USER, "[global]\nindex-url = https://old\nproxy = old\n")
    home.write(_USER, "[global]\nindex-url = https://user\nretries = 2\n")
    assert home.settings(PIP_TIMEOUT="3") == _NONE | {
        "PIP_INDEX_URL": "https://user",
        "PIP_PROXY": "old",
        "PIP_RETRIES": "1",
        "PIP_TIMEOUT": "3",
    }


def test_names_are_read_as_pip_reads_them(home: Home) -> None:
    home.write(_USER, "[global]\nINDEX_URL = https://a\n--find-links = https://w\n")
    assert home.settings(PIP_DEFAULT_TIMEOUT="7", PIP_PYPI_URL="https://b") == _NONE | {
        "PIP_INDEX_URL": "https://b",
        "PIP_FIND_LINKS": "https://w",
        "PIP_TIMEOUT": "7",
    }


def test_several_values_become_one_line(home: Home) -> None:
    home.write(_USER, "[global]\nextra-index-url =\n    https://a\n    https://b\n")
    assert home.settings()["PIP_EXTRA_INDEX_URL"] == "https://a https://b"


def test_a_percent_sign_in_a_password_is_just_that(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://me:p%40ss@a/simple\n")
    assert home.settings()["PIP_INDEX_URL"] == "https://me:p%40ss@a/simple"


def test_an_empty_value_does_not_count(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://a\n[install]\nindex-url =\n")
    assert home.settings(PIP_INDEX_URL="") == _NONE | {"PIP_INDEX_URL": "https://a"}


def test_a_named_file_takes_the_place_of_the_users(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://user\n")
    named = home.write("named.conf", "[global]\nproxy = p\n")
    assert home.settings(PIP_CONFIG_FILE=str(named)) == _NONE | {"PIP_PROXY": "p"}


def test_the_null_device_as_configuration_means_none(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://user\n")
    assert installer.settings((), home.environ | {"PIP_CONFIG_FILE": os.devnull}) == _NONE


def test_relative_paths_mean_what_they_mean_in_the_host(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.folder / "wheels").mkdir()
    home.write("ca.pem", "")
    home.write(_USER, "[global]\nfind-links = wheels\n    https://w\ncert = ca.pem\n")
    monkeypatch.chdir(home.folder)
    assert home.settings() == _NONE | {"PIP_FIND_LINKS": f"{home.folder}/wheels https://w", "PIP_CERT": f"{home.folder}/ca.pem"}


def test_indexes_that_are_given_replace_the_configured_ones_and_nothing_else(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://u\nextra-index-url = https://e\nno-index = true\nproxy = p\nfind-links = https://w\n")
    assert home.settings("https://one", "https://two", "https://three") == _NONE | {
        "PIP_INDEX_URL": "https://one",
        "PIP_EXTRA_INDEX_URL": "https://two https://three",
        "PIP_PROXY": "p",
        "PIP_FIND_LINKS": "https://w",
    }


@pytest.mark.parametrize("content", [b"index-url = https://me:secret@a\n", b"[global]\nx = \xff secret\n"], ids=["no section", "bytes"])
def test_a_broken_file_is_named_without_its_text(home: Home, content: bytes) -> None:
    home.write(_USER, "").write_bytes(content)
    with pytest.raises(PackagingFailed, match=r"pip\.conf' cannot be read.*PIP_CONFIG_FILE=/dev/null") as caught:
        home.settings()
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def _order(home: Home, **variables: str) -> InstallOrder:
    place = InstallPlace(Path("/env/bin/python"), home.folder / "install", Path("/env.lock"))
    place.folder.mkdir()
    return installer.order(Path("/pip-1"), place, ("six==1.17.0", "--no-binary :none:"), environ=home.environ | variables)


def test_the_environments_own_interpreter_runs_the_installer_isolated_in_an_empty_folder(home: Home) -> None:
    order = _order(home)
    assert order.command[:5] == ("/env/bin/python", "-I", "-u", "/pip-1/pip/__pip-runner__.py", "install")
    assert order.working_folder.is_absolute()
    assert list(order.working_folder.iterdir()) == []


def test_the_requirements_go_by_a_file_that_only_this_account_can_read(home: Home) -> None:
    file = Path(_order(home).command[-1])
    assert file.read_text() == "six==1.17.0\n--no-binary :none:\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_of_the_hosts_variables_only_network_and_locale_reach_the_installer(home: Home) -> None:
    kept = {"PATH": "/bin", "LC_ALL": "C", "https_proxy": "p", "NO_PROXY": "n", "SSL_CERT_FILE": "/c", "TMPDIR": "/t"}
    order = _order(home, PYTHONPATH="/x", AWS_SECRET_ACCESS_KEY="s", WALLAROO_TASK_ID="t", PIP_TARGET="/t", **kept)
    assert {name: value for name, value in order.env.items() if name != "PIP_CERT"} == kept | _NONE | {"HOME": str(home.folder)}


def test_the_installer_is_named_with_its_version() -> None:
    assert installer.identity(Path("/wheels/pip-26.3-py3-none-any.whl")) == "pip 26.3"
