"""What the command line says of runs on a cluster, and the options with which a host has one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from tests.fake_cluster import FakeCluster

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    cluster = FakeCluster(tmp_path / "cluster")
    yield cluster
    cluster.end_jobs()


@pytest.fixture
def left(cluster: FakeCluster, store: Path, folder: MakeFolder) -> str:
    """The id of a run on the cluster whose host has closed the store."""
    client = orchlite.Client(store, workers=1, engine=cluster)
    orchestration = client.upload_orchestration(path=folder("import time\nprint('begun', flush=True)\ntime.sleep(60)"), name="far").wait()
    run = orchestration.run_once("far").last_runs()[0]
    next(run.logs(follow=True))
    client.close(drain=False)
    return run.id()


def test_status_begins_with_runs_that_no_host_waits_for(call: Call, left: str) -> None:
    _, second, *_ = call("status").stdout.splitlines()
    assert second == "1 run on fake, and no host waits for it: start a host with the engine 'fake'"
    assert [run["id"] for run in json.loads(call("status", "--json").stdout)["unattended"]] == [left]


def test_health_is_bad_while_a_run_waits_for_a_host(call: Call, left: str) -> None:
    told = call("health", "--json")
    [problem] = json.loads(told.stdout)["problems"]
    assert (told.exit_code, problem["kind"], problem["run_id"]) == (1, "unattended", left)


def test_doctor_names_a_run_that_waits_for_a_host(call: Call, left: str) -> None:
    told = call("doctor", "--offline")
    assert told.exit_code == 1
    assert f"run {left}: It is running on fake as {left}-1, and no host waits for it." in " ".join(told.stdout.split())


def test_show_says_where_a_run_is_and_what_it_waits_for(call: Call, left: str) -> None:
    shown = " ".join(call("show", left).stdout.split())
    assert f"executed on fake, as {left}-1" in shown
    assert "waits for a host start a host with the engine 'fake'" in shown
    assert json.loads(call("show", left, "--json").stdout)["placement"].keys() == {"engine", "job_id", "session"}


def test_show_says_what_the_cluster_says_of_a_run(
    call: Call, store: Path, cluster: FakeCluster, left: str, until: Callable[[Callable[[], object]], None]
) -> None:
    cluster.go_down()
    client = orchlite.Client(store, workers=1, engine=cluster_again(cluster))
    until(client.get_task_run_by_id(left).reason)
    shown = " ".join(call("show", left).stdout.split())
    assert "status running" in shown
    assert "reason The cluster does not respond." in shown
    assert "waits for a host" not in shown
    client.close(drain=False)


def cluster_again(cluster: FakeCluster) -> FakeCluster:
    """Another client of the cluster, as one that was closed cannot be used again."""
    return FakeCluster(cluster.folder)


def test_a_run_on_this_machine_is_placed_nowhere(call: Call, folder: MakeFolder) -> None:
    call("run", folder("print()"), "--name", "near")
    assert json.loads(call("show", "near", "--what", "task", "--json").stdout)["name"] == "near"
    [run] = json.loads(call("runs", "--json").stdout)
    assert json.loads(call("show", run["id"], "--json").stdout)["placement"] is None


@pytest.mark.parametrize("verb", ["start --create", "serve", "run .", "rerun x", "trigger x"])
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--ray-runs", "3"], "Options for Ray have no effect without --ray."),
        (["--ray", "head:8265"], "head:8265"),
        (["--ray", "http://head:8265", "--ray-resource", "many"], "'many' is no resource: write CPU=2 or GPU=1."),
        (["--ray", "http://head:8265", "--ray-resource", "CPU=-1"], "CPU"),
        (["--ray", "http://head:8265", "--ray-lost-after", "30s"], "60 s"),
    ],
    ids=["no cluster", "no URL", "no resource", "a negative resource", "too short"],
)
def test_options_that_make_no_sense_are_refused(call: Call, verb: str, words: list[str], complaint: str, store: Path) -> None:
    told = call(*verb.split(), *words)
    assert told.exit_code == 2
    assert complaint in " ".join(told.stderr.split())
    assert not store.exists()


@pytest.mark.slow
def test_a_run_on_a_cluster_out_of_reach_is_queued_with_the_reason(
    call: Call, start: Callable[..., object], folder: MakeFolder, store: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    start("run", folder("print()"), "--ray", "http://127.0.0.1:9", ORCHLITE_STORE=str(store))

    def reasons() -> list[str]:
        told = call("events", "--json")
        return [event["reason"] or "" for event in json.loads(told.stdout)] if told.exit_code == 0 else []

    until(lambda: any("it could not be placed for the moment" in reason for reason in reasons()))
