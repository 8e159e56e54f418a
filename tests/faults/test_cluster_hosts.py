"""Hosts of a store whose runs are on a cluster: killed at every point, and hosts that do not have the cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import orchlite
from orchlite import RunStatus
from orchlite.client.client import engine_of
from tests.fake_cluster import FakeCluster

StartHost = Callable[..., "subprocess.Popen[str]"]
MakeFolder = Callable[..., Path]
Until = Callable[[Callable[[], object]], None]

# Submits one run; dies at the step that is named.
_DIES = """
import os, signal, sys
from pathlib import Path
import orchlite
from tests.fake_cluster import FakeCluster

store, cluster, program, point = sys.argv[1:]

def step(name):
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)

class Deadly(FakeCluster):
    def reserve(self, run_id, attempt):
        print(run_id)
        step("before reserve")
        placement = super().reserve(run_id, attempt)
        step("after reserve")
        return placement

    def place(self, job, placement):
        step("before place")
        super().place(job, placement)
        step("after place")

    def wait(self, run, report):
        step("before wait")
        observed = super().wait(run, report)
        step("after wait")
        return observed

client = orchlite.Client(store, workers=1, engine=Deadly(Path(cluster)))
client.run(program)
"""

_POINTS = ("before reserve", "after reserve", "before place", "after place", "before wait", "after wait")
_BEFORE_THE_PLACEMENT = ("before reserve", "after reserve")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    cluster = FakeCluster(tmp_path / "cluster")
    yield cluster
    cluster.end_jobs()


@pytest.fixture
def killed_host(start_host: StartHost, cluster: FakeCluster, tmp_path: Path) -> Callable[[Path, str], str]:
    """Have a host submit a run of the program and die at a point; return the run's id."""

    def start(program: Path, point: str) -> str:
        host = start_host(_DIES, tmp_path / "store", cluster.folder, program, point)
        assert host.stdout is not None
        run_id = host.stdout.readline().strip()
        assert host.wait(30) == -signal.SIGKILL
        return run_id

    return start


@pytest.fixture
def running(start_host: StartHost, cluster: FakeCluster, tmp_path: Path, folder: MakeFolder, waiting_program: str, until: Until) -> str:
    """The id of a run that waits at the gate, and whose host was killed."""
    host = start_host(_DIES, tmp_path / "store", cluster.folder, folder(waiting_program), "never")
    assert host.stdout is not None
    run_id = host.stdout.readline().strip()
    log = tmp_path / "store" / "runs" / run_id / "1" / "log"
    until(lambda: log.exists() and "begun" in log.read_text())
    host.kill()
    host.wait()
    return run_id


def _host(cluster: FakeCluster, tmp_path: Path) -> orchlite.Client:
    return orchlite.Client(tmp_path / "store", workers=1, engine=FakeCluster(cluster.folder))


@pytest.mark.parametrize("point", _POINTS)
def test_a_host_killed_at_any_point_leaves_its_run_to_the_next_which_starts_it_once(
    killed_host: Callable[[Path, str], str], cluster: FakeCluster, folder: MakeFolder, tmp_path: Path, point: str
) -> None:
    run_id = killed_host(folder("print('done')"), point)
    with _host(cluster, tmp_path).start() as client:
        run = client.get_task_run_by_id(run_id).wait(20)
    assert (run.status(), str(run.logs()), run.exit_code()) == ("success", "done\n", 0)
    assert cluster.starts() == [f"{run_id}-{2 if point in _BEFORE_THE_PLACEMENT else 1}"]


@pytest.mark.parametrize("point", _POINTS[2:5])
def test_a_run_is_lost_if_its_cluster_was_started_again_meanwhile(
    killed_host: Callable[[Path, str], str], cluster: FakeCluster, folder: MakeFolder, tmp_path: Path, point: str
) -> None:
    run_id = killed_host(folder("import time\ntime.sleep(60)"), point)
    starts = cluster.starts()
    cluster.restart()
    with _host(cluster, tmp_path).start() as client:
        run = client.get_task_run_by_id(run_id).wait(20)
        assert (run.status(), "started again" in str(run.reason())) == ("unknown", True)
    assert cluster.starts() == starts


@pytest.mark.parametrize("point", _POINTS[1:5])
def test_a_kill_requested_after_a_host_died_is_carried_out_by_the_next_with_the_cluster(
    killed_host: Callable[[Path, str], str], cluster: FakeCluster, folder: MakeFolder, tmp_path: Path, point: str
) -> None:
    run_id = killed_host(folder("import time\ntime.sleep(60)"), point)
    with orchlite.Client(tmp_path / "store") as client:
        client.get_task_run_by_id(run_id).kill()
    with _host(cluster, tmp_path).start() as client:
        run = client.get_task_run_by_id(run_id).wait(20)
        assert run.status() == "killed"


def test_the_next_host_continues_the_log_where_the_dead_one_stopped(running: str, cluster: FakeCluster, tmp_path: Path, gate: Path) -> None:
    gate.touch()
    with _host(cluster, tmp_path) as client:
        assert str(client.get_task_run_by_id(running).wait(20).logs()) == "begun\ndone\n"


def test_a_host_without_the_cluster_leaves_the_run_alone_and_says_what_it_waits_for(
    running: str, tmp_path: Path, gate: Path, caplog: pytest.LogCaptureFixture, cluster: FakeCluster
) -> None:
    with orchlite.Client(tmp_path / "store", workers=1).start() as client:
        gate.touch()
        run = client.get_task_run_by_id(running)
        with pytest.raises(orchlite.WaitTimeout):
            run.wait(2.5)
        assert (run.status(), run.reason()) == ("running", None)
        found = [record.message for record in caplog.records if running in record.message]
        assert found == [f"run {running} is on fake, and waits for a host with that engine"]
        with _host(cluster, tmp_path) as other:
            assert other.get_task_run_by_id(running).wait(20).status() == "success"
        assert run.wait(20).status() == "success"


def test_a_live_host_with_the_cluster_takes_over_what_a_dead_one_has_placed(
    start_host: StartHost, cluster: FakeCluster, tmp_path: Path, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
) -> None:
    with _host(cluster, tmp_path).start() as client:
        host = start_host(_DIES, tmp_path / "store", cluster.folder, folder(waiting_program), "never")
        assert host.stdout is not None
        run = client.get_task_run_by_id(host.stdout.readline().strip())
        until(lambda: "begun" in run.logs())
        host.kill()
        host.wait()
        until(lambda: engine_of(client).store.runs.get(run.id()).host_id == engine_of(client).context.host_id)
        run.kill()
        assert (run.wait(20).status(), str(run.logs())) == ("killed", "begun\n")


def test_a_run_that_waits_for_an_unreachable_cluster_is_adopted_and_says_so(
    running: str, cluster: FakeCluster, tmp_path: Path, gate: Path, until: Until
) -> None:
    cluster.go_down()
    with _host(cluster, tmp_path) as client:
        run = client.get_task_run_by_id(running)
        until(run.reason)
        assert run.status() == "running"
        gate.touch()
        cluster.come_back()
        assert (run.wait(20).status(), run.reason()) == ("success", None)


def test_a_run_of_a_dead_host_is_left_running_by_one_that_the_cluster_refuses(
    killed_host: Callable[[Path, str], str], cluster: FakeCluster, folder: MakeFolder, tmp_path: Path, until: Until
) -> None:
    run_id = killed_host(folder("print('done')"), "before place")
    cluster.refuse()
    with _host(cluster, tmp_path) as client:
        run = client.get_task_run_by_id(run_id)
        until(run.reason)
        assert run.status() == "running"
        cluster.refuse(accept=True)
        assert (run.wait(20).status(), str(run.logs())) == ("success", "done\n")
    assert cluster.starts() == [f"{run_id}-1"]


def test_hosts_with_and_without_a_cluster_execute_what_they_take_from_the_queue_each_in_its_way(
    cluster: FakeCluster, tmp_path: Path, folder: MakeFolder
) -> None:
    program = folder("import os\nprint('here' if 'WALLAROO_TASK_ID' in os.environ else 'there')")
    with _host(cluster, tmp_path) as one, orchlite.Client(tmp_path / "store", workers=1) as other:
        orchestration = one.upload_orchestration(path=program).wait()
        same = other.get_orchestration_by_id(orchestration.id())
        assert [str(each.run_once().wait(20).logs()) for each in (orchestration, same)] == ["there\n", "here\n"]


def test_a_host_that_is_stopped_by_a_signal_leaves_nothing_broken(
    start_host: StartHost, cluster: FakeCluster, tmp_path: Path, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
) -> None:
    script = _DIES.replace("client.run(program)", "client.upload_orchestration(path=program).run_once(); client.run_forever()")
    host = start_host(script, tmp_path / "store", cluster.folder, folder(waiting_program), "never")
    assert host.stdout is not None
    run_id = host.stdout.readline().strip()
    until(lambda: cluster.starts())
    os.kill(host.pid, signal.SIGTERM)
    assert host.wait(20) == 0
    assert list((tmp_path / "store" / "hosts").iterdir()) == []
    gate.touch()
    with _host(cluster, tmp_path) as client:
        assert str(client.get_task_run_by_id(run_id).wait(20).logs()) == "begun\ndone\n"


@pytest.mark.slow
def test_a_host_killed_again_and_again_starts_each_run_once(
    start_host: StartHost, cluster: FakeCluster, tmp_path: Path, folder: MakeFolder
) -> None:
    submits = _DIES.replace(
        "client.run(program)",
        "o = client.upload_orchestration(path=program).wait(); [o.run_once() for _ in range(20)]; client.start(); sys.stdin.read()",
    )
    program = folder("print('done')")
    for number in range(10):
        host = start_host(
            submits if number == 0 else submits.replace("range(20)", "range(0)"), tmp_path / "store", cluster.folder, program, "never"
        )
        time.sleep(1 + number % 3 / 4)
        host.kill()
        host.wait()
    with _host(cluster, tmp_path).start() as client:
        runs = [run.wait(60) for task in client.list_tasks() for run in task.last_runs()]
        assert [run.status() for run in runs] == [RunStatus.SUCCESS] * len(runs)
    started = [job_id.rpartition("-")[0] for job_id in cluster.starts()]
    assert sorted(started) == sorted(run.id() for run in runs)
