"""Runs on a real Ray cluster of two nodes: what a run at home does, it does there, whichever part of the cluster dies meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite import Client, Orchestration, TaskRun
from orchlite.ray import RayJobs
from orchlite.runs.cluster import Job
from tests.processes import is_alive
from tests.ray.ray_cluster import RayCluster

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
Open = Callable[..., Client]
_PATIENCE_SECONDS = 60.0

TREE = """
import os, subprocess, sys, time
WAIT = "import os, sys, time; print(sys.argv[1], os.getpid(), flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT
subprocess.Popen([sys.executable, "-c", WAIT, "child"])
subprocess.Popen([sys.executable, "-c", DEAF, "deaf"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", WAIT, "daemon"])
    os._exit(0)
os.wait()
print("main", os.getpid(), flush=True)
time.sleep(600)
"""
"""A program with three kinds of children: one like any, one in a session of its own that ignores SIGTERM, and a daemon."""


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Path:
    return Path(shutil.copytree(empty_store, tmp_path / "store"))


@pytest.fixture
def open_host(cluster: RayCluster, store: Path) -> Iterator[Open]:
    """Open hosts of the store whose runs go to the cluster."""
    clients: list[Client] = []

    def make(**settings: Any) -> Client:
        engine = RayJobs(cluster.url, token=cluster.token, **settings)
        clients.append(Client(store, engine=engine, workers=2, grace_seconds=1))
        return clients[-1].start()

    yield make
    for client in clients:
        client.close(drain=False)


@pytest.fixture
def host(open_host: Open) -> Client:
    return open_host()


@pytest.fixture
def upload(host: Client, folder: Callable[[str], Path]) -> Callable[[str], Orchestration]:
    return lambda program: host.upload_orchestration(path=folder(program)).wait()


def _until(condition: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.1)


def _run_of(task: orchlite.Task) -> TaskRun:
    _until(task.last_runs)
    return task.last_runs()[0]


def _task(client: Client, task_id: str) -> orchlite.Task:
    return next(task for task in client.list_tasks() if task.id() == task_id)


def _pids(run: TaskRun, count: int) -> list[int]:
    """Return the ids that the processes of `TREE` print, once they are all there."""
    _until(lambda: len(run.logs()) == count)
    return [int(line.text.split()[1]) for line in run.logs()]


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


def test_arguments_reach_the_program_and_its_lines_arrive_with_the_times_of_the_node(upload: Any) -> None:
    program = (
        "import time\nfrom orchlite import in_task, task_args\nprint(in_task(), task_args())\ntime.sleep(1)\nprint('grüße\\r\\x1b[0m')"
    )
    began = time.time()
    run = _run_of(upload(program).run_once("greet", {"name": "Ada"})).wait()
    assert (run.status(), run.exit_code()) == ("success", 0)
    first, second = run.logs()
    assert (first.text, second.text) == ("True {'name': 'Ada'}", "grüße\r\x1b[0m")
    assert 0.9 < (second.at - first.at).total_seconds() < 5
    assert began < first.at.timestamp() < time.time()


def test_a_second_run_finds_the_environment_of_the_first(
    host: Client, folder: Callable[[Any], Path], package_index: tuple[str, str], store: Path, cluster: RayCluster
) -> None:
    index, requirement = package_index
    host.close()
    name = requirement.partition("==")[0]
    files = {"main.py": f"import sys, {name}\nprint({name}.WORDS, sys.prefix)", "requirements.txt": requirement}
    with Client(store, engine=RayJobs(cluster.url, token=cluster.token), index_urls=[index]) as client:
        orchestration = client.upload_orchestration(path=folder(files)).wait()
        runs = [_run_of(orchestration.run_once("again")).wait() for _ in range(2)]
        texts = [str(run.logs()) for run in runs]
    assert texts[0] == texts[1]
    assert texts[0].startswith(f"from the package {cluster.cache}/")


def test_lines_are_seen_before_the_end_and_a_failure_has_its_exit_code(upload: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    program = f"import pathlib, time\nprint('begun', flush=True)\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)\nexit(3)"
    run = _run_of(upload(program).run_once("waiting"))
    _until(lambda: str(run.logs()) == "begun\n")
    assert run.status() == "running"
    gate.touch()
    assert (run.wait().status(), run.exit_code()) == ("failure", 3)


def test_a_time_limit_is_kept_on_the_node(upload: Any) -> None:
    run = _run_of(upload("import time\nprint('begun', flush=True)\ntime.sleep(600)").run_once("slow", timeout=2)).wait()
    assert (run.status(), str(run.logs())) == ("timed_out", "begun\n")


def test_a_kill_ends_the_whole_tree(upload: Any) -> None:
    task = upload(TREE).run_once("tree")
    run = _run_of(task)
    pids = _pids(run, 4)
    task.kill()
    assert run.wait().status() == "killed"
    _until(lambda: not _alive(pids), 10)


def test_a_run_that_waits_for_resources_is_killed_and_never_runs(
    open_host: Open, folder: Callable[[str], Path], waiting_program: str, gate: Path, cluster: RayCluster
) -> None:
    client = open_host(resources={"CPU": 4})
    orchestration = client.upload_orchestration(path=folder(waiting_program)).wait()
    first = _run_of(orchestration.run_once("first"))
    _until(lambda: len(first.logs()) == 1)
    task = orchestration.run_once("second")
    second = _run_of(task)
    _until(lambda: second.placement() is not None)
    time.sleep(1)
    task.kill()
    assert second.wait().status() == "killed"
    gate.touch()
    assert first.wait().status() == "success"
    placement = second.placement()
    assert placement is not None
    for status in ("PENDING", "RUNNING"):
        _until(lambda status=status: f'"status": "{status}"' not in cluster.get(f"/api/jobs/{placement.job_id}").decode())  # type: ignore[misc]
    assert "orchlite:started" not in cluster.get(f"/api/jobs/{placement.job_id}/logs").decode()


def test_the_same_run_placed_twice_starts_once(cluster: RayCluster, tmp_path: Path, smallest_bundle: bytes) -> None:
    engine = RayJobs(cluster.url, token=cluster.token)
    (tmp_path / "bundle.zip").write_bytes(smallest_bundle)
    placement = engine.reserve("twice", 1)
    job = Job("twice", 1, b"{}", tmp_path / "bundle.zip", "00" * 32)
    engine.place(job, placement)
    engine.place(job, placement)
    assert cluster.get("/api/jobs/").decode().count(f'"submission_id": "{placement.job_id}"') == 1


HOST = """
import sys, orchlite
from orchlite.ray import RayJobs
store, url, token, bundle = sys.argv[1:]
client = orchlite.Client(store, engine=RayJobs(url, token=token)).start()
task = client.upload_orchestration(path=bundle).wait().run_once("left alone")
print(task.id(), flush=True)
client.run_forever()
"""


def _start_host(store: Path, cluster: RayCluster, bundle: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", HOST, str(store), cluster.url, cluster.token, str(bundle)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


COUNTING = """
import pathlib, sys, time
for number in range(40):
    print("line", number, flush=True)
    time.sleep(0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_host_that_ends_leaves_its_run_and_the_next_one_imports_its_end(
    number: int, store: Path, cluster: RayCluster, open_host: Open, folder: Callable[[str], Path]
) -> None:
    process, task_id = _start_host(store, cluster, folder(COUNTING))
    with process:
        viewer = Client(store)
        run = _run_of(_task(viewer, task_id))
        _until(lambda: len(run.logs()) > 5)
        process.send_signal(number)
    viewer.close()
    client = open_host()
    run = _run_of(_task(client, task_id)).wait()
    assert run.status() == "success"
    assert [line.text for line in run.logs()] == [f"line {number}" for number in range(40)]


def test_a_supervisor_that_is_killed_leaves_the_run_unknown_and_nothing_alive(upload: Any, cluster: RayCluster) -> None:
    run = _run_of(upload(TREE).run_once("tree"))
    pids = _pids(run, 4)
    [supervisor] = cluster.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    assert run.wait().status() == "unknown"
    assert "Job supervisor actor died" in str(run.reason())
    assert len(run.logs()) == 4
    _until(lambda: not _alive(pids), 20)


def test_a_cluster_that_wants_a_token_fails_the_run_with_the_way_out(
    cluster: RayCluster, store: Path, folder: Callable[[str], Path]
) -> None:
    with Client(store, engine=RayJobs(cluster.url)) as client:
        run = _run_of(client.upload_orchestration(path=folder("")).wait().run_once("refused")).wait()
        assert run.status() == "failure"
        assert "wants a token. Pass the token of the cluster" in str(run.reason())


def test_a_node_that_is_killed_leaves_the_run_unknown_with_its_log(upload: Any, cluster: RayCluster) -> None:
    task = upload("import time\nprint('seen', flush=True)\ntime.sleep(600)").run_once("lost")
    run = _run_of(task)
    _until(lambda: str(run.logs()) == "seen\n")
    cluster.kill_node("worker")
    try:
        killed_at = time.monotonic()
        assert run.wait(timeout=60).status() == "unknown"
        assert time.monotonic() - killed_at < 40
        assert str(run.logs()) == "seen\n"
    finally:
        cluster.start_worker()
        cluster.wait_until_ready()
    assert len(task.last_runs()) == 1


def test_a_head_that_is_killed_leaves_the_run_unknown_and_nothing_alive(
    open_host: Open, folder: Callable[[str], Path], cluster: RayCluster
) -> None:
    client = open_host(lost_after=70)
    task = client.upload_orchestration(path=folder(TREE)).wait().run_once("tree")
    run = _run_of(task)
    pids = _pids(run, 4)
    cluster.kill_node("head")
    try:
        killed_at = time.monotonic()
        _until(lambda: run.reason() is not None)
        assert run.status() == "running"
        assert "does not respond" in str(run.reason())
        _until(lambda: not _alive(pids), 75 - (time.monotonic() - killed_at))
        assert run.wait(timeout=30).status() == "unknown"
        assert "may still be running" in str(run.reason())
        assert len(run.logs()) == 4
    finally:
        cluster.restart()
    assert _run_of(client.upload_orchestration(path=folder("")).wait().run_once("afterwards")).wait().status() == "success"
    assert len(task.last_runs()) == 1


def test_the_example_adds_up_its_parts(cluster: RayCluster) -> None:
    variables = {**os.environ, "ORCHLITE_RAY_TOKEN": cluster.token}
    command = [sys.executable, "-W", "error", str(EXAMPLES / "run_cluster.py"), cluster.url]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *parts, result = done.stdout.splitlines()
    assert [line.partition(" on ")[0] for line in parts] == [f"part {part} of 4" for part in range(4)]
    assert result == "pi is about 3.14159"
