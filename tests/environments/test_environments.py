"""Unused folders of the cache: found, and removed unless they are in use."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.environments.builds import Installation
from orchlite.environments.environments import Environments

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_NOW = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path / "cache")


def _never() -> bool:
    return False


def _build(environments: Environments, key: str = "key", *, refresh: bool = False) -> Installation:
    with environments.building(key, _never, refresh=refresh) as build:
        build.create()
        return build.finish()


def _folder(installation: Installation) -> Path:
    return installation.python.parents[1]


def _set_used_at(installation: Installation, at: datetime) -> None:
    for path in (installation.lock, _folder(installation), installation.lock.with_name("ready.json")):
        os.utime(path, (at.timestamp(), at.timestamp()))


def _unused(environments: Environments, cutoff: datetime) -> list[Path]:
    return [found.path for found in environments.unused_since(cutoff)]


def test_an_environment_is_unused_since_its_last_use(environments: Environments) -> None:
    installation = _build(environments)
    _set_used_at(installation, _LONG_AGO)
    assert _unused(environments, _LONG_AGO) == []
    [found] = environments.unused_since(_LONG_AGO + timedelta(milliseconds=1))
    assert found.path == _folder(installation)
    assert found.size_bytes > 1000


def test_an_environment_that_was_never_used_is_as_old_as_its_build(environments: Environments) -> None:
    _build(environments)
    assert _unused(environments, datetime.now(UTC) - timedelta(hours=1)) == []


def test_a_missing_cache_has_nothing_unused(environments: Environments) -> None:
    assert environments.unused_since(_NOW) == []
    assert not environments.cache.exists()


def test_a_removed_environment_is_gone_with_its_folder_and_is_built_again(environments: Environments) -> None:
    installation = _build(environments)
    assert environments.remove(_folder(installation))
    assert environments.find("key") is None
    assert not installation.lock.parent.exists()
    assert not environments.remove(_folder(installation))
    assert _build(environments).python.exists()


def test_an_environment_that_a_run_uses_is_not_removed(environments: Environments) -> None:
    installation = _build(environments)
    with installation.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert not environments.remove(_folder(installation))
    assert environments.find("key") == installation
    assert environments.remove(_folder(installation))


def test_an_environment_is_not_removed_while_another_is_built_for_its_key(environments: Environments) -> None:
    installation = _build(environments)
    with environments.building("key", _never):
        assert not environments.remove(_folder(installation))
    assert environments.find("key") == installation


def test_a_replaced_environment_is_unused_at_once_and_is_removed_alone(environments: Environments) -> None:
    old = _build(environments)
    new = _build(environments, refresh=True)
    assert _unused(environments, _LONG_AGO) == [_folder(old)]
    assert environments.remove(_folder(old))
    assert environments.find("key") == new
    assert not old.lock.exists()


def test_a_replaced_environment_with_a_run_outlives_the_current_one(environments: Environments) -> None:
    old = _build(environments)
    new = _build(environments, refresh=True)
    with old.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert not environments.remove(_folder(old))
        assert environments.remove(_folder(new))
        assert old.python.exists()
    assert environments.find("key") is None


def test_a_half_built_environment_is_unused_at_once(environments: Environments) -> None:
    half = _build(environments)
    (half.lock.parent / "ready.json").unlink()
    assert _unused(environments, _LONG_AGO) == [_folder(half)]
    assert environments.remove(_folder(half))
    assert not _folder(half).exists()


def test_builders_that_wait_for_the_lock_of_a_removed_environment_take_turns(environments: Environments) -> None:
    """The lock file that they wait for is unlinked meanwhile, so its lock must not count."""
    installation = _build(environments)
    turns: list[str] = []

    def build(name: str) -> None:
        with environments.building("key", _never, refresh=True) as build:
            turns.append(f"{name} begins")
            build.create()
            turns.append(f"{name} ends")
            build.finish()

    threads = [threading.Thread(target=build, args=(str(number),)) for number in range(4)]
    with installation.lock.with_name("lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for thread in threads:
            thread.start()
        # As `remove` does with the key's whole folder, while the others wait for the lock.
        installation.lock.with_name("lock").unlink()
    for thread in threads:
        thread.join()
    assert [begin.split()[0] == end.split()[0] for begin, end in zip(turns[::2], turns[1::2], strict=True)] == [True] * 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sdk", "installer"])
def test_copies_of_other_versions_are_unused_since_their_last_use_and_the_own_never(environments: Environments, kind: str) -> None:
    own = environments.sdk()
    old = environments.cache / kind / "0.0.1-0123"
    (old / "orchlite").mkdir(parents=True)
    (old / "orchlite" / "a.py").write_text("12345")
    for folder in (old, own):
        os.utime(folder, (_LONG_AGO.timestamp(), _LONG_AGO.timestamp()))
    assert _unused(environments, _LONG_AGO) == []
    [found] = environments.unused_since(_LONG_AGO + timedelta(milliseconds=1))
    assert (found.path, found.size_bytes) == (old, 5)
    assert environments.remove(old)
    assert not environments.remove(old)
    assert [path.name for path in old.parent.iterdir() if path.is_dir()] == ([own.name] if kind == "sdk" else [])


def test_a_run_sets_the_time_of_the_last_use(client: orchlite.Client, folder: Callable[..., Path], shared_cache: Path) -> None:
    orchestration = client.upload_orchestration(path=folder("print()")).wait()
    environments = Environments(shared_cache)
    installation = environments.find(environments.key(()))
    assert installation is not None
    _set_used_at(installation, _LONG_AGO)
    orchestration.run_once().wait(20)
    assert _folder(installation) not in _unused(environments, _LONG_AGO + timedelta(seconds=1))


class _RemovedAtTheLastMoment(Environments):
    """Removes the environment after a run has found it and before the run locks it."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.removals = 0

    def sdk(self) -> Path:
        if (installation := self.find(self.key(()))) and self.removals < 2:
            self.removals += 1
            with suppress(OSError):
                self.remove(_folder(installation))
        return super().sdk()


@pytest.mark.slow
def test_a_run_whose_environment_is_removed_while_it_starts_gets_another(tmp_path: Path, folder: Callable[..., Path]) -> None:
    environments = _RemovedAtTheLastMoment(tmp_path / "cache")
    with orchlite.Client(tmp_path / "store", workers=1, base_image="clean", environment=environments) as client:
        run = client.run(folder("print('hello')"))
    assert (run.status(), str(run.logs())) == ("success", "hello\n")
    assert environments.removals == 2
