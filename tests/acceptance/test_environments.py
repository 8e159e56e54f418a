"""Real environments, filled by the real installer from the index that this machine is configured for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import orchlite
from orchlite.environments import pip_config
from orchlite.environments.builds import Installation
from orchlite.environments.environments import Environments

pytestmark = pytest.mark.slow

_ROOT = Path(orchlite.__file__).parents[1]
_SIX = ("six==1.16.0",)


def _never() -> bool:
    return False


def _provide(environments: Environments, requirements: tuple[str, ...], *, refresh: bool = False) -> Installation:
    with environments.building(environments.key(requirements), _never, refresh=refresh) as build:
        if build.found is not None:
            return build.found
        build.create()
        if requirements:
            command = environments.install_command(build, requirements)
            done = subprocess.run(command.args, cwd=command.working_folder, env=dict(command.env), capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        return build.finish()


def _ask(installation: Installation, script: str, cwd: Path, **variables: str) -> str:
    env = {"PATH": os.defpath} | variables
    return subprocess.run([installation.python, "-c", script], env=env, cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    return Environments(tmp_path_factory.mktemp("cache"), installer="pip")


@pytest.fixture(scope="module")
def with_six(environments: Environments) -> Installation:
    return _provide(environments, _SIX)


def test_requirements_are_installed_into_the_environment_itself(with_six: Installation, tmp_path: Path) -> None:
    assert with_six.installed == ("six==1.16.0",)
    found = _ask(with_six, "import six; print(six.__version__, six.__file__)", tmp_path).split()
    assert found[0] == "1.16.0"
    assert Path(found[1]).is_relative_to(with_six.python.parents[1])


def test_the_installer_leaves_nothing_of_itself_in_the_environment(with_six: Installation, tmp_path: Path) -> None:
    # What is called pip there is orchlite's own: it refuses to install, and there is no pip of a host behind it here.
    calls = [
        subprocess.run([with_six.python, "-m", "pip", *words], env={"PATH": os.defpath}, cwd=tmp_path, capture_output=True, text=True)
        for words in (["install", "attrs"], ["list"])
    ]
    assert [call.returncode for call in calls] == [1, 1]
    assert "`pip install` is refused here" in calls[0].stderr
    assert "No module named pip" in calls[1].stderr
    assert with_six.installed == ("six==1.16.0",)
    assert sorted(path.name for path in with_six.python.parents[1].iterdir() if path.suffix != ".TAG") == [
        "bin",
        "include",
        "lib",
        "pyvenv.cfg",
    ]


def test_the_same_requirements_are_found_again_without_an_installer(environments: Environments, with_six: Installation) -> None:
    assert environments.find(environments.key(_SIX)) == with_six


def test_a_refreshed_environment_is_installed_again(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    first = _provide(environments, ("iniconfig==2.0.0",))
    second = _provide(environments, ("iniconfig==2.0.0",), refresh=True)
    assert second.installed == first.installed == ("iniconfig==2.0.0",)
    assert environments.find(first.key) == second != first


def test_the_hosts_options_for_where_pip_installs_have_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in pip_config.options().items():
        monkeypatch.setenv("PIP_" + name.upper().replace("-", "_"), value)
    named = tmp_path / "pip.conf"
    named.write_text(f"[global]\ntarget = {tmp_path}/stolen\nrequire-virtualenv = true\n[install]\nuser = true\nno-index = false\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(named))
    monkeypatch.setenv("PIP_PREFIX", str(tmp_path / "stolen"))
    assert _provide(Environments(tmp_path / "cache"), _SIX).installed == ("six==1.16.0",)
    assert not (tmp_path / "stolen").exists()


def test_packages_of_the_host_do_not_count_as_installed(tmp_path: Path) -> None:
    host = _provide(Environments(tmp_path / "host"), _SIX)
    environments = Environments(tmp_path / "cache")
    with environments.building(environments.key(_SIX), _never) as build:
        build.create()
        command = environments.install_command(build, _SIX)
        env = dict(command.env) | {"PYTHONPATH": str(next(host.python.parents[1].glob("lib/*/site-packages")))}
        subprocess.run(command.args, cwd=command.working_folder, env=env, capture_output=True, check=True)
        assert build.finish().installed == ("six==1.16.0",)


def test_a_requirement_that_cannot_be_met_fails_the_installer_and_leaves_no_environment(environments: Environments) -> None:
    requirements = ("six==0.0.0.1",)
    key = environments.key(requirements)
    with environments.building(key, _never) as build:
        build.create()
        command = environments.install_command(build, requirements)
        done = subprocess.run(command.args, cwd=command.working_folder, env=dict(command.env), capture_output=True, text=True)
    assert done.returncode != 0
    assert "six==0.0.0.1" in done.stderr
    assert environments.find(key) is None


_SEEN = """
import sys; sys.path.append(sys.argv[1])
import json
from orchlite.environments import host_packages
print(json.dumps(host_packages.find()._asdict()))
"""


def test_a_run_sees_editable_installs_of_the_host_after_its_own_requirements(
    environments: Environments, with_six: Installation, tmp_path: Path
) -> None:
    host = Environments(tmp_path / "host")
    requirements = ("six==1.17.0", f"-e {_project(tmp_path / 'project')}")
    installation = _provide(host, requirements)
    assert installation.installed == ("mine==1.0", "six==1.17.0")
    seen = json.loads(_host_sees(installation))
    assert seen["warnings"] == []
    sdk = environments.sdk()
    task = {"WALLAROO_TASK_ID": "t", "ORCHLITE_SDK": str(sdk), "ORCHLITE_HOST_PATHS": os.pathsep.join(seen["directories"])}
    assert _ask(with_six, "import mine, six, orchlite; print(mine.ANSWER, six.__version__, orchlite.__file__)", tmp_path, **task) == (
        f"42 1.16.0 {sdk}/orchlite/__init__.py"
    )
    assert _ask(with_six, "import importlib.util as it; print(it.find_spec('mine'))", tmp_path) == "None"


def _project(folder: Path) -> Path:
    """A project whose layout makes setuptools use an import hook instead of a path."""
    package = folder / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("ANSWER = 42\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=70"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "mine"\nversion = "1.0"\n[tool.setuptools]\npackages = ["mine"]\n'
    )
    return folder


def _host_sees(installation: Installation) -> str:
    command = [str(installation.python), "-c", _SEEN, str(_ROOT)]
    return subprocess.run(command, env={"PATH": os.defpath}, capture_output=True, text=True, check=True).stdout


def test_a_conflict_between_the_hosts_packages_and_the_requirements_names_both(environments: Environments, tmp_path: Path) -> None:
    host = tmp_path / "site-packages"
    information = host / "grown-3.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: grown\nVersion: 3.0\nRequires-Dist: six>=1.17\n")
    assert environments.conflicts(("six==1.16.0",), (str(host),)) == (
        "host package grown 3.0 needs six>=1.17, but the requirements installed six 1.16.0",
    )


def test_an_environment_survives_the_removal_of_the_installer(with_six: Installation, environments: Environments, tmp_path: Path) -> None:
    shutil.rmtree(with_six.python.parents[4] / "installer")
    assert _ask(with_six, "import six; print(six.__version__)", tmp_path) == "1.16.0"
    assert _provide(environments, ("iniconfig==2.1.0",)).installed == ("iniconfig==2.1.0",)
