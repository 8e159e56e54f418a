"""The options of the host's pip: those about where packages come from are read as pip reads them, all others are left out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchlite.core.errors import PackagingFailed
from orchlite.environments import pip_config, virtualenvs


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

    def options(self, *index_urls: str, **variables: str) -> Mapping[str, str]:
        found = pip_config.options(index_urls, self.environ | variables)
        return {name: value for name, value in found.items() if name != "cert" or value.startswith(str(self.folder))}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


_USER, _OLD_USER, _MACHINE = ".config/pip/pip.conf", ".pip/pip.conf", "machine/pip/pip.conf"


def test_without_configuration_there_are_no_options(home: Home) -> None:
    assert home.options() == {}


@pytest.mark.parametrize("name", [_USER, _OLD_USER, _MACHINE])
@pytest.mark.parametrize("section", ["global", "install"])
def test_an_index_is_read_from_every_file_and_section(home: Home, name: str, section: str) -> None:
    home.write(name, f"[{section}]\nindex-url = https://a/simple\n")
    assert home.options() == {"index-url": "https://a/simple"}


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
def test_options_about_where_packages_come_from_are_returned(home: Home, option: str, value: str) -> None:
    home.write(_USER, f"[global]\n{option} = {value}\n")
    assert home.options() == {option: value}


@pytest.mark.parametrize(
    "option", ["target", "user", "prefix", "root", "require-virtualenv", "constraint", "editable", "pre", "no-deps", "isolated", "log"]
)
def test_options_that_would_shape_the_environment_are_left_out(home: Home, option: str) -> None:
    home.write(_USER, f"[global]\n{option} = true\n[install]\n{option} = true\n")
    assert home.options(**{f"PIP_{option.upper().replace('-', '_')}": "true"}) == {}


def test_later_files_win_and_the_install_section_and_variables_win_over_them(home: Home) -> None:
    home.write(_MACHINE, "[global]\nindex-url = https://machine\ntimeout = 1\n[install]\nretries = 1\n")
    home.write(_OLD_USER, "[global]\nindex-url = https://old\nproxy = old\n")
    home.write(_USER, "[global]\nindex-url = https://user\nretries = 2\n")
    assert home.options(PIP_TIMEOUT="3") == {
        "index-url": "https://user",
        "proxy": "old",
        "retries": "1",
        "timeout": "3",
    }


def test_names_are_read_as_pip_reads_them(home: Home) -> None:
    home.write(_USER, "[global]\nINDEX_URL = https://a\n--find-links = https://w\n")
    assert home.options(PIP_DEFAULT_TIMEOUT="7", PIP_PYPI_URL="https://b") == {
        "index-url": "https://b",
        "find-links": "https://w",
        "timeout": "7",
    }


def test_several_values_become_one_line(home: Home) -> None:
    home.write(_USER, "[global]\nextra-index-url =\n    https://a\n    https://b\n")
    assert home.options()["extra-index-url"] == "https://a https://b"


def test_a_percent_sign_in_a_password_is_kept(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://me:p%40ss@a/simple\n")
    assert home.options()["index-url"] == "https://me:p%40ss@a/simple"


def test_an_empty_value_does_not_count(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://a\n[install]\nindex-url =\n")
    assert home.options(PIP_INDEX_URL="") == {"index-url": "https://a"}


def test_the_file_in_pip_config_file_replaces_the_users(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://user\n")
    named = home.write("named.conf", "[global]\nproxy = p\n")
    assert home.options(PIP_CONFIG_FILE=str(named)) == {"proxy": "p"}


def test_the_null_device_as_pip_config_file_means_no_files(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://user\n")
    assert pip_config.options((), home.environ | {"PIP_CONFIG_FILE": os.devnull}) == {}


def test_relative_paths_are_relative_to_the_hosts_working_folder(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.folder / "wheels").mkdir()
    home.write("ca.pem", "")
    home.write(_USER, "[global]\nfind-links = wheels\n    https://w\ncert = ca.pem\n")
    monkeypatch.chdir(home.folder)
    assert home.options() == {"find-links": f"{home.folder}/wheels https://w", "cert": f"{home.folder}/ca.pem"}


def test_given_indexes_replace_the_configured_ones_and_nothing_else(home: Home) -> None:
    home.write(_USER, "[global]\nindex-url = https://u\nextra-index-url = https://e\nno-index = true\nproxy = p\nfind-links = https://w\n")
    assert home.options("https://one", "https://two", "https://three") == {
        "index-url": "https://one",
        "extra-index-url": "https://two https://three",
        "proxy": "p",
        "find-links": "https://w",
    }


@pytest.mark.parametrize("content", [b"index-url = https://me:secret@a\n", b"[global]\nx = \xff secret\n"], ids=["no section", "bytes"])
def test_the_error_for_a_broken_file_does_not_quote_it(home: Home, content: bytes) -> None:
    home.write(_USER, "").write_bytes(content)
    with pytest.raises(PackagingFailed, match=r"pip\.conf' cannot be read.*PIP_CONFIG_FILE=/dev/null") as caught:
        home.options()
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"index-url": "https://a/simple"}, {"index-url": "https://b/simple"}, False),
        ({"index-url": "https://a/simple"}, {"index-url": "https://a/simple/"}, True),
        ({"index-url": "https://me:old@a"}, {"index-url": "https://me:new@a"}, True),
        ({"index-url": "https://a"}, {"index-url": "https://a", "extra-index-url": "https://b"}, False),
        ({"find-links": "/wheels"}, {"find-links": "/others"}, False),
        ({"no-index": "1", "find-links": "/w"}, {"no-index": "yes", "find-links": "/w", "index-url": "https://a"}, True),
        ({"no-index": "1"}, {"no-index": "0"}, False),
        ({}, {"no-index": "off"}, True),
        ({"index-url": "https://a"}, {"index-url": "https://a", "timeout": "5", "cert": "/c", "proxy": "http://p", "retries": "0"}, True),
    ],
)
def test_sources_are_equal_if_the_same_is_installed(one: dict[str, str], other: dict[str, str], equal: bool) -> None:
    assert (pip_config.sources(one) == pip_config.sources(other)) is equal


def test_sources_have_no_passwords() -> None:
    assert pip_config.sources({"index-url": "https://me:s3cret@a/x"}) == ("index-url https://****@a/x",)


def test_the_index_that_is_used_where_none_is_configured_is_pips_own() -> None:
    assert str(pip_config.default_index(virtualenvs.embedded_pip())).startswith("https://")


def test_a_wheel_that_is_no_pip_has_no_default_index(tmp_path: Path) -> None:
    assert pip_config.default_index(tmp_path) is None
