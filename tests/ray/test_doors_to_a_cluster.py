"""What talks to a store over the platform's API does not notice that the runs of the store are executed on a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchlite
from orchlite.ray import RayJobs
from orchlite.rest import Server
from tests.acceptance.sdk.conftest import Run, run, run_in, server  # noqa: F401
from tests.acceptance.sdk.conftest import printed as facts_of
from tests.acceptance.sdk.real_sdk import SDK_2026
from tests.acceptance.test_rest_snippets import SNIPPETS
from tests.acceptance.test_rest_snippets import test_every_snippet_prints_its_result as test_every_snippet_of_the_guide  # noqa: F401
from tests.ray.ray_cluster import RayCluster

pytestmark = pytest.mark.slow

_TEMPORARY = "Client.temporary()"
_ON_THE_CLUSTER = 'Client.temporary(engine=RayJobs(os.environ["HEAD"], token=os.environ["TOKEN"]))'


@pytest.fixture
def client(cluster: RayCluster, tmp_path: Path) -> Iterator[orchlite.Client]:
    with orchlite.Client(tmp_path / "store", engine=RayJobs(cluster.url, token=cluster.token), workers=2, grace_seconds=0.5) as client:
        yield client
        for task in client.list_tasks():
            task.kill()


@pytest.fixture
def printed(cluster: RayCluster) -> list[str]:
    """What the snippets print, if their client has a cluster."""
    text = SNIPPETS.read_text(encoding="utf-8")
    assert text.count(_TEMPORARY) == 1
    begin = f"import os\nfrom orchlite.ray import RayJobs\n__file__ = {str(SNIPPETS)!r}\n"
    program = begin + text.replace(_TEMPORARY, _ON_THE_CLUSTER)
    variables = {**os.environ, "HEAD": cluster.url, "TOKEN": cluster.token}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_real_sdk_runs_and_kills(server: Server, run: Run, tmp_path: Path) -> None:  # noqa: F811
    facts = facts_of(run(SDK_2026, "-m", "short_life_2026", str(tmp_path), variables=server.environment()))
    assert (facts["run"]["run"], facts["run"]["arguments"]) == ("success", True)
    assert facts["run"]["log"] == [
        "stderr F grüße  with  gaps",
        "stdout F in a task: True",
        'stdout F {"deep": {"list": [1, null, "ü"]}, "name": "Ada", "ratio": 0.5}',
        "stdout F ",
    ]
    assert (facts["kill"]["run"], facts["kill"]["task"]) == ("killed", ["killed", True])
