"""Stores that share a cache: a prune of one removes nothing that a task of another may need."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.core.settings import Retention
from orchlite.environments.environments import Environments
from orchlite.operations import retention
from orchlite.operations.retention import Pruned

MakeFolder = Callable[..., Path]
_UNUSED = Retention(None, 0, None, timedelta(days=30))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def pruning(tmp_path: Path, cache: Path) -> Iterator[orchlite.Client]:
    """The store that is pruned; it needs no environment."""
    with orchlite.Client(tmp_path / "pruning", environment=Environments(cache)) as client:
        yield client


@pytest.fixture
def other(tmp_path: Path, cache: Path, folder: MakeFolder) -> Path:
    """Another store on the same cache, with a schedule; its environment was last used 40 days ago, and no process has it open."""
    path = tmp_path / "other"
    with orchlite.Client(path, environment=Environments(cache)) as client:
        orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
        orchestration.run_scheduled("nightly", "30 2 * * *")
    _use_long_ago(cache)
    return path


def _use_long_ago(cache: Path) -> None:
    at = time.time() - 40 * 86_400
    for path in sorted((cache / "environments").rglob("*"), reverse=True):
        os.utime(path, (at, at), follow_symlinks=False)


def _prune(client: orchlite.Client, *, force: bool = False, dry_run: bool = False) -> Pruned:
    return retention.prune(client._engine.context, _UNUSED, force=force, dry_run=dry_run)


def _references(cache: Path) -> list[str]:
    return sorted(json.loads(file.read_bytes())["path"] for file in (cache / "stores").iterdir())


def _kill_tasks(store: Path, cache: Path) -> None:
    with orchlite.Client(store, environment=Environments(cache)) as client:
        for task in client.list_tasks():
            task.kill()
    _use_long_ago(cache)


@pytest.mark.slow
def test_what_a_schedule_of_another_store_needs_stays(pruning: orchlite.Client, other: Path) -> None:
    assert _prune(pruning) == Pruned()
    assert _prune(pruning, force=True) == Pruned()


@pytest.mark.slow
def test_what_no_store_needs_goes(pruning: orchlite.Client, other: Path, cache: Path) -> None:
    _kill_tasks(other, cache)
    assert _prune(pruning).environments == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", [shutil.rmtree, lambda path: path.rename(path.with_name("moved"))], ids=["removed", "moved"])
def test_a_store_that_is_gone_does_not_count_and_is_forgotten(
    pruning: orchlite.Client, other: Path, cache: Path, how: Callable[[Path], object]
) -> None:
    how(other)
    assert _prune(pruning, dry_run=True).environments == 1
    assert _references(cache) == sorted([str(other), str(pruning.path())]), "a dry run forgets nothing"
    assert _prune(pruning).environments == 1
    assert _references(cache) == [str(pruning.path())]


@pytest.mark.slow
def test_a_moved_store_counts_again_as_soon_as_it_was_opened(pruning: orchlite.Client, other: Path, cache: Path) -> None:
    moved = other.rename(other.with_name("moved"))
    orchlite.Client(moved, environment=Environments(cache)).close()
    assert _prune(pruning) == Pruned()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["database away", "database empty", "database damaged", "newer schema", "not mounted"])
def test_a_store_that_cannot_be_read_counts_until_it_is_forced(pruning: orchlite.Client, other: Path, cache: Path, damage: str) -> None:
    database = other / "store.sqlite"
    match damage:
        case "database away":
            database.rename(other / "away")
        case "database empty":
            database.write_bytes(b"")
        case "database damaged":
            database.write_bytes(b"x" * 8192)
        case "newer schema":
            _execute(database, "ALTER TABLE orchestrations RENAME COLUMN environment_key TO environment")
        case "not mounted":
            other.rename(other.with_name("unmounted"))
            _set_mount_point(cache, other)
    kept = _prune(pruning)
    assert kept == Pruned(unseen_stores=(str(other),))
    assert str(kept) == "removed nothing"
    assert pruning.prune(timedelta(days=30)).unseen_stores == (str(other),)
    assert pruning.prune(timedelta(days=30), force=True).environments == 1
    assert _references(cache) == [str(pruning.path())]


def _execute(database: Path, sql: str) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(database)) as connection:
        connection.execute(sql)
        connection.commit()


def _set_mount_point(cache: Path, store: Path) -> None:
    """Let the reference say that the store lies on a file system of its own, which is not mounted now."""
    for file in (cache / "stores").iterdir():
        content = json.loads(file.read_bytes())
        if content["path"] == str(store):
            file.write_text(json.dumps(content | {"mount_point": str(store.parent)}))


@pytest.mark.parametrize("content", ["", "[]", '{"path": 1}', '{"path": "/x", "device": "many", "inode": 1, "mount_point": "/"}'])
def test_a_reference_that_cannot_be_read_does_not_count(pruning: orchlite.Client, cache: Path, content: str) -> None:
    (cache / "stores" / "0123.json").write_text(content)
    assert _prune(pruning) == Pruned()


def test_a_temporary_store_leaves_no_reference(cache: Path) -> None:
    with orchlite.Client.temporary(environment=Environments(cache)):
        assert not (cache / "stores").exists()


def test_a_cache_that_cannot_be_written_is_no_obstacle_to_opening_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with orchlite.Client(tmp_path / "store", environment=Environments(tmp_path / "file" / "cache")) as client:
        assert client.list_tasks() == []
