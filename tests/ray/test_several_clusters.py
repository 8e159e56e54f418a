"""A store whose hosts have different Ray clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import orchlite
from orchlite.cli.app import command_line
from orchlite.ray import RayJobs
from tests.ray.fake_head import NODE, FakeHead, serving
from tests.ray.output import result_line


@pytest.fixture
def other_url() -> Iterator[str]:
    """The address of the head of another cluster."""
    head = FakeHead()
    head.session = "session_of_another_cluster"
    with serving(head) as url:
        yield url


def test_a_host_with_another_cluster_leaves_the_runs_of_the_first_alone(
    head: FakeHead,
    url: str,
    other_url: str,
    tmp_path: Path,
    folder: Callable[..., Path],
    until: Callable[[Callable[[], object]], None],
) -> None:
    with orchlite.Client(tmp_path / "store", workers=1, engine=RayJobs(url)) as client:
        orchestration = client.upload_orchestration(path=folder("print()")).wait()
        run_id = orchestration.run_once().last_runs()[0].id()
        until(lambda: head.jobs)
        client.close(drain=False)
    with orchlite.Client(tmp_path / "store", workers=1, engine=RayJobs(other_url)).start() as client:
        run = client.get_task_run_by_id(run_id)
        with pytest.raises(orchlite.WaitTimeout):
            run.wait(2.5)
        assert run.status() == "running"
        status = CliRunner().invoke(command_line, ["--store", str(tmp_path / "store"), "status"], prog_name="orchlite")
        assert f"1 run on ray at {url}, and no host waits for it: run `orchlite start --ray {url}" in status.stdout
        [(job_id, job)] = head.jobs.items()
        head.logs[job_id] = result_line(1, run_id=run_id, attempt=1)
        job.update(status="SUCCEEDED", driver_node_id=NODE)
        with orchlite.Client(tmp_path / "store", workers=1, engine=RayJobs(url)):
            assert run.wait(20).status() == "success"
