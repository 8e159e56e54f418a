"""Environments: named by their requirements, built once, found again, never half-built."""

from __future__ import annotations

import fcntl
import json
import locale
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import orchlite
from orchlite.core.errors import DeviceFailed, PackagingFailed, WaitTimeout
from orchlite.environments import virtualenvs
from orchlite.environments.builds import Builds
from orchlite.environments.virtualenvs import embedded_pip

_ROOT = Path(orchlite.__file__).parents[1]


def _never() -> bool:
    return False


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    return Builds(tmp_path / "cache", virtualenvs)


def _build(builds: Builds, key: str, *, refresh: bool = False) -> Path:
    with builds.building(key, _never, refresh=refresh) as build:
        build.create()
        return build.finish().python


def _host(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Another host: a process with its own interpreter state."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(_ROOT)})


@contextmanager
def _shared_lock(file: Path) -> Iterator[None]:
    with file.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def test_the_same_requirements_in_any_order_have_the_same_key(builds: Builds) -> None:
    assert builds.key(("six==1.16", "idna"), ("pip 1",)) == builds.key(("idna", "six==1.16"), ("pip 1",))


@pytest.mark.parametrize(
    ("requirements", "inputs"),
    [
        pytest.param(("six",), ("pip 1",), id="another version"),
        pytest.param(("six==1.16", "idna"), ("pip 1",), id="one more"),
        pytest.param((), ("pip 1",), id="none"),
        pytest.param(("six==1.16",), ("pip 2",), id="another installer"),
        pytest.param(("six==1.16",), ("pip 1", "index-url https://a"), id="another index"),
    ],
)
def test_different_requirements_have_different_keys(builds: Builds, requirements: tuple[str, ...], inputs: tuple[str, ...]) -> None:
    assert builds.key(requirements, inputs) != builds.key(("six==1.16",), ("pip 1",))


def test_the_installer_is_no_part_of_the_key_if_nothing_is_installed(builds: Builds) -> None:
    assert builds.key((), ("pip 1",)) == builds.key((), ("pip 2", "index-url https://a"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("version", "3.11.2 (another build)"), ("version_info", (3, 11, 99, "final", 0))],
    ids=["another build of the interpreter", "another release"],
)
def test_another_interpreter_has_other_environments(builds: Builds, monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    before = builds.key((), ())
    monkeypatch.setattr(sys, name, value)
    assert builds.key((), ()) != before


def test_two_virtual_environments_over_one_interpreter_share_their_environments(builds: Builds, tmp_path: Path) -> None:
    other = _build(builds, "other")
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]; from pathlib import Path;"
        " from orchlite.environments import virtualenvs; from orchlite.environments.builds import Builds;"
        " print(Builds(Path(), virtualenvs).key((), ()))"
    )
    found = subprocess.run([other, "-c", script, str(_ROOT)], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert found.strip() == builds.key((), ())


def test_an_environment_that_was_never_built_is_not_found(builds: Builds, tmp_path: Path) -> None:
    assert builds.find("absent") is None
    assert not (tmp_path / "cache").exists()


def test_a_finished_environment_is_found_again(builds: Builds, tmp_path: Path) -> None:
    python = _build(builds, "key")
    found = Builds(tmp_path / "cache", virtualenvs).find("key")
    assert found is not None
    assert (found.key, found.python, found.installed) == ("key", python, ())
    assert found.lock.is_file()


def test_its_interpreter_is_the_hosts_and_imports_only_from_the_standard_library_and_itself(builds: Builds) -> None:
    python = _build(builds, "key")
    script = "import sys, json; print(json.dumps([sys.version, sys.prefix, sys.path]))"
    version, prefix, path = json.loads(subprocess.run([python, "-I", "-c", script], capture_output=True, check=True).stdout)
    assert version == sys.version
    assert Path(prefix) == python.parents[1]
    assert [entry for entry in path if "site-packages" in entry] == [str(Path(prefix, "lib", Path(path[-1]).parent.name, "site-packages"))]


def test_the_packages_in_the_environment_are_listed_as_installed(builds: Builds) -> None:
    with builds.building("key", _never) as build:
        python = build.create()
        site_packages = next(python.parents[1].glob("lib/*/site-packages"))
        for name in ("Zeta-1.0", "alpha-2.1"):
            (site_packages / f"{name}.dist-info").mkdir()
            project, version = name.split("-")
            (site_packages / f"{name}.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")
        build.finish()
    found = builds.find("key")
    assert found is not None
    assert found.installed == ("alpha==2.1", "Zeta==1.0")


def test_a_finished_build_is_durable_before_it_is_found(builds: Builds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ready.json` is synced under another name, then renamed, then its folder is synced."""
    key_folder = tmp_path / "cache" / "environments" / "key"
    synced: list[tuple[bool, bool]] = []

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((os.path.samestat(status, key_folder.stat()), (key_folder / "ready.json").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    _build(builds, "key")
    assert synced == [(False, False), (True, True)]


def test_a_build_that_raises_leaves_nothing(builds: Builds, tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), builds.building("key", _never) as build:
        build.create()
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "cache" / "environments" / "key").iterdir()] == ["lock"]


def test_the_cache_is_accessible_to_this_account_only(builds: Builds, tmp_path: Path) -> None:
    python = _build(builds, "key")
    made = [folder for folder in python.parents[1:] if folder.is_relative_to(tmp_path / "cache")]
    assert [folder.stat().st_mode & 0o777 for folder in made] == [0o500, 0o700, 0o700, 0o700]


def test_a_build_that_is_not_finished_leaves_nothing(builds: Builds, tmp_path: Path) -> None:
    with builds.building("key", _never) as build:
        build.create()
    assert builds.find("key") is None
    assert [path.name for path in (tmp_path / "cache" / "environments" / "key").iterdir()] == ["lock"]


_BUILD_AND_HANG = """
import sys, time
from pathlib import Path
from orchlite.environments import virtualenvs
from orchlite.environments.builds import Builds
with Builds(Path(sys.argv[1]), virtualenvs).building("key", lambda: False) as build:
    print(build.create(), flush=True)
    time.sleep(60)
"""


def test_a_half_built_environment_of_a_killed_host_is_not_used_and_the_next_builder_removes_it(builds: Builds, tmp_path: Path) -> None:
    host = _host(_BUILD_AND_HANG, tmp_path / "cache")
    assert host.stdout is not None
    half = Path(host.stdout.readline().strip())
    host.kill()
    host.communicate()
    assert half.exists()
    assert builds.find("key") is None
    python = _build(builds, "key")
    assert python != half
    assert not half.parents[1].exists()


@pytest.mark.slow
def test_the_build_of_an_installer_that_outlives_its_host_stays_until_the_installer_ends(builds: Builds, tmp_path: Path) -> None:
    host = _host(_BUILD_AND_HANG, tmp_path / "cache")
    assert host.stdout is not None
    half = Path(host.stdout.readline().strip()).parents[1]
    host.kill()
    host.communicate()
    with _shared_lock(half.with_name(half.name + ".lock")):
        python = _build(builds, "key")
        assert half.exists()
    assert python.exists()
    with builds.building("key", _never) as build:
        assert build.found is not None
    assert not half.exists()


_BUILD_IF_MISSING = """
import sys
from pathlib import Path
from orchlite.environments import virtualenvs
from orchlite.environments.builds import Builds
builds = Builds(Path(sys.argv[1]), virtualenvs)
with builds.building("key", lambda: False) as build:
    if build.found is None:
        build.create()
        build.finish()
        print("built")
    else:
        print("found", build.found.python)
"""


@pytest.mark.slow
def test_eight_hosts_that_need_one_new_environment_build_it_once(builds: Builds, tmp_path: Path) -> None:
    hosts = [_host(_BUILD_IF_MISSING, tmp_path / "cache") for _ in range(8)]
    said = sorted(host.communicate(timeout=60)[0].strip() for host in hosts)
    installation = builds.find("key")
    assert installation is not None
    assert said == ["built", *[f"found {installation.python}"] * 7]


def test_several_threads_can_build_at_once(builds: Builds) -> None:
    pythons: list[Path] = []
    threads = [threading.Thread(target=lambda key=str(number): pythons.append(_build(builds, key))) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({python.parents[1] for python in pythons if python.exists()}) == 6


def test_the_wait_for_another_builder_can_be_cancelled(builds: Builds) -> None:
    asked = iter([False, False, True])
    with (
        builds.building("key", _never),
        pytest.raises(WaitTimeout, match="cancelled"),
        builds.building("key", lambda: next(asked)),
    ):
        pytest.fail("two builders at once")


def test_a_refreshed_environment_replaces_the_old_one_which_the_next_builder_removes(builds: Builds) -> None:
    old = _build(builds, "key")
    new = _build(builds, "key", refresh=True)
    found = builds.find("key")
    assert found is not None
    assert found.python == new != old
    assert old.exists()
    with builds.building("key", _never):
        assert not old.exists()


def test_nothing_behind_a_link_in_place_of_an_environment_is_listed_or_removed(builds: Builds, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "other").mkdir(parents=True)
    (tmp_path / "cache" / "environments").mkdir(parents=True)
    (tmp_path / "cache" / "environments" / "key").symlink_to(elsewhere)
    assert builds.folders() == []
    assert _build(builds, "key").exists()
    assert (elsewhere / "other").exists()


def test_a_replaced_environment_stays_while_a_run_uses_it(builds: Builds) -> None:
    old = _build(builds, "key")
    found = builds.find("key")
    assert found is not None
    _build(builds, "key", refresh=True)
    with _shared_lock(found.lock), builds.building("key", _never):
        assert old.exists()


def test_an_environment_whose_base_interpreter_was_removed_is_built_again(builds: Builds) -> None:
    python = _build(builds, "key")
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert builds.find("key") is None
    assert _build(builds, "key").exists()
    assert builds.find("key") is not None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"build": "x"}', '{"build": "x", "installed": 1}'], ids=["empty", "torn", "list", "part", "kind"]
)
def test_a_build_with_an_unreadable_record_does_not_count(builds: Builds, tmp_path: Path, content: str) -> None:
    _build(builds, "key")
    (tmp_path / "cache" / "environments" / "key" / "ready.json").write_text(content)
    assert builds.find("key") is None
    assert _build(builds, "key").exists()


def test_the_users_configuration_of_virtualenv_has_no_effect(builds: Builds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config" / "virtualenv").mkdir(parents=True)
    (tmp_path / "config" / "virtualenv" / "virtualenv.ini").write_text("[virtualenv]\nsystem_site_packages = true\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("VIRTUALENV_ALWAYS_COPY", "true")
    monkeypatch.setenv("VIRTUALENV_SYSTEM_SITE_PACKAGES", "true")
    python = _build(builds, "key")
    assert python.is_symlink()
    assert "include-system-site-packages = false" in (python.parents[1] / "pyvenv.cfg").read_text()
    assert not (tmp_path / "data").exists()


def test_a_cache_folder_with_a_colon_in_its_name_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with (
        pytest.raises(PackagingFailed, match=r"'[^']*a:b[^']*' has ':' in its name.*ORCHLITE_CACHE"),
        Builds(tmp_path / "a:b", virtualenvs).building("key", _never) as build,
    ):
        build.create()


def test_a_cache_that_cannot_be_written_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with (
        pytest.raises(DeviceFailed, match="environments/key' cannot be written"),
        Builds(tmp_path / "cache", virtualenvs).building("key", _never),
    ):
        pytest.fail("nothing to build in")


def test_creating_an_environment_changes_nothing_in_the_host(builds: Builds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = _process_state()
    _build(builds, "key")
    assert _process_state() == before


def _process_state() -> dict[str, object]:
    root = logging.getLogger()
    mask = os.umask(0o22)
    os.umask(mask)
    return {
        "cwd": Path.cwd(),
        "umask": mask,
        "environ": dict(os.environ),
        "path": list(sys.path),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "logging": (root.level, list(root.handlers), logging.getLogger("virtualenv").handlers, logging.getLogger("virtualenv").level),
        "warnings": list(warnings.filters),
        "threads": threading.active_count(),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else 0,
    }


_FORK_WHILE_BUILDING = """
import os, sys, time
from pathlib import Path
from orchlite.environments import virtualenvs
from orchlite.environments.builds import Builds
with Builds(Path(sys.argv[1]), virtualenvs).building("key", lambda: False):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
        os._exit(0)
    os.wait()
"""


def test_a_forked_child_does_not_hold_the_builders_lock_after_its_parents_death(builds: Builds, tmp_path: Path) -> None:
    host = _host(_FORK_WHILE_BUILDING, tmp_path / "cache")
    assert host.stdout is not None
    child = int(host.stdout.readline())
    host.kill()
    host.wait()
    give_up_at = time.monotonic() + 10
    with builds.building("key", lambda: time.monotonic() > give_up_at) as build:
        assert build.found is None
    os.kill(child, signal.SIGKILL)
    host.stdout.close()


def test_the_embedded_pip_is_the_one_that_virtualenv_would_install() -> None:
    from virtualenv.seed.wheels.embed import get_embed_wheel

    wheel = get_embed_wheel("pip", f"{sys.version_info.major}.{sys.version_info.minor}")
    assert wheel is not None
    assert embedded_pip() == wheel.path
