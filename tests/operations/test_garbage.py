"""Orphaned files: what killed hosts and interrupted removals have left is found and pruned, and nothing else."""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.core.settings import Retention
from orchlite.operations import garbage, retention
from orchlite.operations.context import Context
from orchlite.operations.retention import Pruned

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]

# Without environments, which all tests share.
_RETENTION = Retention(timedelta(days=30), 0, timedelta(days=30), None)
_ID = "0123abcd-0123-4567-89ab-0123456789ab"


def _store(client: orchlite.Client) -> Context:
    return client._engine.context


def _make_old(path: Path, seconds: float = 7200) -> None:
    at = time.time() - seconds
    os.utime(path, (at, at), follow_symlinks=False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"bundles/{_ID}.upload", Pruned(bundles=1, bytes=5)),
        (f"bundles/{'a' * 64}.zip", Pruned(bundles=1, bytes=5)),
        (f"models/{_ID}.upload", Pruned(bundles=1, bytes=5)),
        (f"models/{'a' * 64}", Pruned(models=1, bytes=5)),
        (f"runs/{_ID}", Pruned(leftovers=1, bytes=5)),
        (f"hosts/{_ID}.lock", Pruned(leftovers=1, bytes=5)),
        (f"hosts/{_ID}.new", Pruned(leftovers=1, bytes=5)),
    ],
    ids=[
        "an interrupted upload",
        "a bundle without a row",
        "an interrupted upload of a model",
        "a model without a row",
        "a run folder without a row",
        "a dead host",
        "a host that died at once",
    ],
)
def test_orphans_are_removed(client: orchlite.Client, path: str, expected: Pruned) -> None:
    left = client.path() / path
    if path.startswith("runs"):
        (left / "1").mkdir(parents=True)
        (left / "1" / "log").write_text("12345")
    else:
        left.write_text("12345")
    _make_old(left)
    assert retention.prune(_store(client), _RETENTION, dry_run=True) == expected._replace(dry_run=True)
    assert left.exists()
    assert retention.prune(_store(client), _RETENTION) == expected
    assert not left.exists()


@pytest.mark.parametrize(
    "path",
    [f"bundles/{_ID}.upload", f"bundles/{'a' * 64}.zip", f"models/{'a' * 64}", f"runs/{_ID}", f"hosts/{_ID}.new"],
    ids=["an upload", "a bundle", "a model", "a run folder", "a host"],
)
def test_young_files_stay_because_their_rows_may_follow(client: orchlite.Client, path: str) -> None:
    left = client.path() / path
    left.mkdir() if path.startswith("runs") else left.write_text("12345")
    assert retention.prune(_store(client), _RETENTION) == Pruned()
    assert left.exists()


@pytest.mark.parametrize("path", ["bundles/notes.txt", "bundles/mine.zip", "models/mine", "models/mine.onnx", "runs/mine", "hosts/README"])
def test_only_files_with_names_that_orchlite_gives_are_orphans(client: orchlite.Client, path: str) -> None:
    stranger = client.path() / path
    stranger.write_text("12345")
    _make_old(stranger)
    assert retention.prune(_store(client), _RETENTION) == Pruned()
    assert stranger.exists()


def test_a_run_folder_that_a_runner_locks_stays(client: orchlite.Client) -> None:
    run_folder = client.path() / "runs" / str(uuid.uuid4())
    run_folder.mkdir()
    with (run_folder / "alive.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _make_old(run_folder)
        assert retention.prune(_store(client), _RETENTION) == Pruned()
    assert retention.prune(_store(client), _RETENTION).leftovers == 1


def test_a_bundle_that_has_got_a_row_meanwhile_stays(client: orchlite.Client, folder: MakeFolder) -> None:
    orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
    bundle = _store(client).bundles.path(orchestration.sha())
    assert garbage.remove(_store(client), garbage.Orphan("bundle", bundle)) is None
    assert bundle.exists()


def test_bundles_of_orchestrations_stay_at_any_age(client: orchlite.Client, folder: MakeFolder) -> None:
    orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
    bundle = _store(client).bundles.path(orchestration.sha())
    _make_old(bundle, 400 * 86_400)
    assert retention.prune(_store(client), _RETENTION) == Pruned()
    assert bundle.exists()


def test_files_of_living_hosts_stay(client: orchlite.Client, open_client: OpenClient) -> None:
    other = open_client()
    _make_old(client.path() / "hosts" / f"{_store(other).host_id}.lock", 400 * 86_400)
    assert retention.prune(_store(client), _RETENTION) == Pruned()
