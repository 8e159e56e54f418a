"""What prunes, checks, copies and restores a store leaves in order what it says of runs on a cluster, and the cluster alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite import Retention, TaskRun
from orchlite.client.client import engine_of
from orchlite.core.clock import SystemClock
from orchlite.operations import garbage, retention
from tests.fake_cluster import FakeCluster

OpenClient = Callable[..., orchlite.Client]
MakeFolder = Callable[..., Path]


class _LaterClock(SystemClock):
    """The system's clock, five minutes ahead: what ended within the last minute is never pruned."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=5)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    cluster = FakeCluster(tmp_path / "cluster")
    yield cluster
    cluster.end_jobs()


@pytest.fixture
def client(open_client: OpenClient, cluster: FakeCluster) -> orchlite.Client:
    return open_client(engine=cluster)


@pytest.fixture
def running(client: orchlite.Client, folder: MakeFolder, waiting_program: str) -> TaskRun:
    """A run that waits at the gate, on the cluster."""
    run = client.upload_orchestration(path=folder(waiting_program)).wait().run_once().last_runs()[0]
    next(run.logs(follow=True))
    return run


def test_a_store_with_runs_on_a_cluster_is_healthy(client: orchlite.Client, running: TaskRun, gate: Path) -> None:
    assert client.check() == []
    gate.touch()
    running.wait(20)
    assert client.check() == []
    assert list(garbage.find(engine_of(client).context)) == []


def test_a_check_names_a_run_whose_host_is_gone(client: orchlite.Client, running: TaskRun, open_client: OpenClient) -> None:
    client.close(drain=False)
    [finding] = open_client().check()
    assert (finding.kind, finding.subject) == ("run", running.id())
    assert finding.what == f"It is running on fake as {running.id()}-1, and no host waits for it."


def test_an_ended_run_is_pruned_with_its_folder_and_a_running_one_is_not(
    client: orchlite.Client, running: TaskRun, folder: MakeFolder, cluster: FakeCluster, gate: Path, open_client: OpenClient
) -> None:
    gate.touch()
    running.wait(20)
    gate.unlink()
    other = client.list_orchestrations()[0].run_once().last_runs()[0]
    next(other.logs(follow=True))
    policy = Retention(timedelta(microseconds=1), 0, None, None)
    retention.prune(engine_of(open_client(clock=_LaterClock())).context, policy)
    assert not (client.path() / "runs" / running.id()).exists()
    gate.touch()
    assert str(other.wait(20).logs()) == "begun\ndone\n"


def test_a_copy_of_the_folder_neither_waits_for_the_run_nor_kills_it(
    client: orchlite.Client, running: TaskRun, cluster: FakeCluster, tmp_path: Path, gate: Path
) -> None:
    shutil.copytree(client.path(), tmp_path / "copy")
    with orchlite.Client(tmp_path / "copy", workers=1, engine=FakeCluster(cluster.folder)) as copy:
        copied = copy.get_task_run_by_id(running.id())
        assert (copied.status(), "known only to the original store" in str(copied.reason())) == ("unknown", True)
        with pytest.raises(orchlite.IllegalMove):
            copied.kill()
    gate.touch()
    assert (running.wait(20).status(), len(cluster.starts())) == ("success", 1)


def test_a_restored_backup_leaves_the_run_to_the_original(
    client: orchlite.Client, running: TaskRun, cluster: FakeCluster, tmp_path: Path, gate: Path
) -> None:
    client.backup(tmp_path / "backup")
    orchlite.Client.restore(tmp_path / "backup", tmp_path / "restored")
    with orchlite.Client(tmp_path / "restored", workers=1, engine=FakeCluster(cluster.folder)).start() as restored:
        assert restored.get_task_run_by_id(running.id()).status() == "unknown"
    gate.touch()
    assert (running.wait(20).status(), len(cluster.starts())) == ("success", 1)


def test_an_orchestration_is_deleted_with_its_runs_once_they_have_ended(client: orchlite.Client, running: TaskRun, gate: Path) -> None:
    [orchestration] = client.list_orchestrations()
    with pytest.raises(orchlite.OrchliteError):
        orchestration.delete()
    gate.touch()
    running.wait(20)
    orchestration.delete()
    assert not (client.path() / "runs" / running.id()).exists()
