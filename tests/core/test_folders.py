"""The folders of an account, and of one that has no home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchlite.core import folders

_STRANGER = 54321
_VARIABLES = ("HOME", "ORCHLITE_STORE", "ORCHLITE_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME")


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_folders_of_an_account_are_below_its_home(tmp_path: Path, no_variables: pytest.MonkeyPatch) -> None:
    no_variables.setenv("HOME", str(tmp_path))
    assert tmp_path in folders.cache_folder().parents
    assert tmp_path in folders.store_folder(None).path.parents


def _in_child_without_home(code: str) -> str:
    """Run code in a fork of this process, whose account then has no home folder."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        os.setgid(_STRANGER)
        os.setuid(_STRANGER)
        try:
            exec(code)
            told = "nothing"
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writer, told.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
        told = file.read()
    os.waitpid(child, 0)
    return told


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an account without a home folder")
@pytest.mark.parametrize("call", ["cache_folder()", "store_folder(None)"])
@pytest.mark.usefixtures("no_variables")
def test_an_account_without_a_home_folder_is_told_what_to_set(call: str) -> None:
    import platformdirs  # noqa: F401 - the child may not read it

    told = _in_child_without_home(f"from orchlite.core import folders; folders.{call}")
    assert told.startswith("BadArgument: This account's ")
    assert f"account {_STRANGER} has no home folder. Set HOME, or name folders in ORCHLITE_STORE and ORCHLITE_CACHE." in told


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an account without a home folder")
@pytest.mark.usefixtures("no_variables")
def test_an_account_without_a_home_folder_has_no_configuration_of_pip_there() -> None:
    import configparser  # noqa: F401 - the child may not read it

    told = _in_child_without_home("from orchlite.environments import pip_config; pip_config.options(environ={})")
    assert told == "nothing"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an account that may not enter a folder")
@pytest.mark.parametrize(
    "code",
    [
        "from orchlite.environments import pip_config; pip_config.options(environ={{'PIP_CONFIG_FILE': '{0}', 'HOME': '{0}'}})",
        "from orchlite.environments import pip_config; pip_config.options(environ={{'PIP_FIND_LINKS': '{0}', 'HOME': '/'}})",
        "import sys; from orchlite.environments import host_packages; sys.path.append('{0}'); host_packages.find()",
        "import zoneinfo; from orchlite.schedules import zone_names; "
        "zoneinfo.reset_tzpath(['{0}']); zone_names.unusable('No/Where', ValueError())",
    ],
)
@pytest.mark.usefixtures("no_variables")
def test_folders_that_the_account_may_not_enter_count_as_absent(code: str, tmp_path: Path) -> None:
    import zoneinfo  # noqa: F401 - the child may not read it

    from orchlite.schedules import zone_names  # noqa: F401

    (tmp_path / "closed" / "site-packages").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    assert _in_child_without_home(code.format(tmp_path / "closed" / "site-packages")) == "nothing"


def test_a_home_of_nobody_on_the_command_line_is_told(tmp_path: Path) -> None:
    pytest.importorskip("click", reason="the extra `cli` is not installed")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "main.py").touch()
    command = [sys.executable, "-m", "orchlite", "pack", "bundle", "--output", "~nobody-of-that-name/x.zip"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "There is no home folder for '~nobody-of-that-name/x.zip'" in done.stderr
