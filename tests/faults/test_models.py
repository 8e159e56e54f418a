"""Models and pipelines under faults: killed processes, several processes at once, a full disk. Nothing is half written."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import orchlite
from orchlite import BadModel, Client, Conflict, NotFound, Pipeline, StorageFull
from orchlite.core.model_records import InferenceLogRow
from tests.faults.small_disk import Disk

StartHost = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], object]], None]

_ONNX = b"\x08\x09\x3a\x05graph"
_GRAPH_BYTES = 2**27

_UPLOADS = """
import sys
from orchlite import Client
client = Client(sys.argv[1])
print("opened", flush=True)
client.upload_model("large", sys.argv[2])
print("uploaded", flush=True)
"""

_DEPLOYS = """
import sys
from orchlite import Client
with Client(sys.argv[1]) as client:
    pipeline = client.get_pipeline("fraud")
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(25):
        pipeline.deploy(deployment_config={"by": sys.argv[2], "number": number})
        assert pipeline.status()["status"] in ("Running", "Pipeline fraud is not deployed")
        pipeline.undeploy()
    pipeline.deploy(deployment_config={"by": sys.argv[2]})
"""

_LOGS = """
import os, signal, sys
from datetime import UTC, datetime
from orchlite import Client
from orchlite.client.client import engine_of
from orchlite.core.model_records import InferenceLogRow
client = Client(sys.argv[1])
logs = engine_of(client).store.inference_logs
for number in range(100):
    with logs.transaction() as transaction:
        logs.insert(transaction, InferenceLogRow(0, 1, datetime.now(UTC), 1, 4, "a", b"data"), row_limit=1000, size_limit_bytes=1000)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(_ONNX)
    return tmp_path / "model.onnx"


@pytest.fixture
def pipeline(client: Client, model_file: Path) -> Pipeline:
    """A deployed pipeline with a model."""
    return client.build_pipeline("fraud").add_model_step(client.upload_model("ccfraud", model_file)).deploy()


def _large_model(path: Path) -> Path:
    """Write a model of 128 MiB, most of which is a hole."""
    with path.open("wb") as file:
        file.write(b"\x08\x09\x3a\x80\x80\x80\x40")
        file.truncate(file.tell() + _GRAPH_BYTES)
    return path


def _findings(client: Client) -> list[str]:
    """Return what a check finds after another client has removed the locks of killed hosts."""
    with Client(client.path()) as checking:
        return list(map(str, checking.check()))


@pytest.mark.slow
def test_an_upload_that_is_killed_leaves_nothing_that_matters(client: Client, start_host: StartHost, tmp_path: Path, until: Until) -> None:
    large = _large_model(tmp_path / "large.onnx")
    host = start_host(_UPLOADS, client.path(), large)
    assert host.stdout is not None
    assert host.stdout.readline() == "opened\n"
    files = client.path() / "models"
    until(lambda: list(files.iterdir()))
    host.kill()
    host.wait()
    [left] = files.iterdir()
    assert left.suffix == ".upload", "it was not killed in the middle"
    assert client.list_models() == []
    assert _findings(client) == []
    os.utime(left, (0, 0))
    [finding] = client.check()
    assert (finding.kind, finding.what) == ("leftover", "This upload belongs to nothing.")
    assert client.prune().bundles == 1
    assert list(files.iterdir()) == []
    assert client.upload_model("large", large).status() == "ready"


def test_a_truncated_model_of_any_size_is_refused(client: Client, tmp_path: Path) -> None:
    large = _large_model(tmp_path / "large.onnx")
    os.truncate(large, _GRAPH_BYTES // 2)
    with pytest.raises(BadModel, match="'large' is truncated"):
        client.upload_model("large", large)
    assert list((client.path() / "models").iterdir()) == []


@pytest.mark.slow
def test_two_processes_deploy_and_undeploy_one_pipeline(client: Client, start_host: StartHost, pipeline: Pipeline) -> None:
    before = len(pipeline.versions())
    hosts = [start_host(_DEPLOYS, client.path(), name) for name in ("first", "second")]
    for host in hosts:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
    for host in hosts:
        assert host.stdin is not None
        host.stdin.close()
    assert [host.wait() for host in hosts] == [0, 0]
    assert pipeline.status()["status"] == "Running"
    assert len(pipeline.versions()) == before + 52
    [deployment] = client._engine.store.deployments.named("fraud")
    assert deployment.pipeline_version_id == pipeline.versions()[0].id()
    assert deployment.config in ({"by": "first"}, {"by": "second"})
    assert _findings(client) == []


def test_a_model_that_is_deleted_while_it_is_deployed_ends_as_one_or_the_other(client: Client, model_file: Path) -> None:
    for number in range(10):
        name = f"ccfraud-{number}"
        client.build_pipeline(name).add_model_step(client.upload_model(name, model_file)).deploy().undeploy()
        [model] = [model for model in client.list_models() if model.name() == name]
        barrier, refused = threading.Barrier(2), list[str]()

        def attempt(what: str, action: Callable[[], object], barrier: threading.Barrier = barrier, refused: list[str] = refused) -> None:
            barrier.wait()
            with suppress(Conflict):
                action()
                return
            refused.append(what)

        deploy = client.get_pipeline(name).deploy
        threads = [threading.Thread(target=attempt, args=each) for each in (("delete", model.delete), ("deploy", deploy))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        is_running = client.get_pipeline(name).status()["status"] == "Running"
        assert is_running == (refused == ["delete"])
        assert _findings(client) == []


def test_a_pipeline_that_is_deleted_by_another_client_is_not_found(client: Client, pipeline: Pipeline) -> None:
    with Client(client.path()) as other:
        other.get_pipeline("fraud").undeploy().delete()
    uses: list[Callable[[], object]] = [pipeline.deploy, pipeline.status, pipeline.updated_at]
    for use in uses:
        with pytest.raises(NotFound):
            use()
    assert _findings(client) == []


def test_inference_logs_survive_the_process_that_wrote_them(client: Client, start_host: StartHost, pipeline: Pipeline) -> None:
    host = start_host(_LOGS, client.path())
    assert host.wait() == -9
    page = client._engine.store.inference_logs.read(pipeline.id(), 1000, size_limit_bytes=1000)
    assert len(page.logs) == 100
    assert _findings(client) == []


@pytest.fixture
def small_client(disk: Disk) -> Iterator[Client]:
    """A client whose store is on a small disk."""
    client = orchlite.Client(disk.path / "store", workers=1)
    yield client
    client.close(drain=False)


def test_a_model_that_finds_no_room_leaves_nothing_behind(small_client: Client, disk: Disk, tmp_path: Path) -> None:
    large = tmp_path / "large.onnx"
    large.write_bytes(b"\x08\x09\x3a\x80\x80\x40" + bytes(2**20))
    disk.fill(pages_left=40)
    with pytest.raises(StorageFull, match=r"is full.*make room and try again"):
        small_client.upload_model("large", large)
    assert list((small_client.path() / "models").iterdir()) == []
    assert small_client.list_models() == []
    disk.make_room()
    assert small_client.upload_model("large", large).status() == "ready"
    assert _findings(small_client) == []


def test_a_pipeline_that_finds_no_room_is_what_it_was(small_client: Client, disk: Disk, model_file: Path) -> None:
    pipeline = small_client.build_pipeline("fraud").add_model_step(small_client.upload_model("ccfraud", model_file)).deploy()
    status = pipeline.status()
    disk.fill()
    log = InferenceLogRow(0, pipeline.id(), pipeline.created_at(), 1, 2**16, "a", bytes(2**16))
    logs = small_client._engine.store.inference_logs

    def insert_many() -> None:
        with logs.transaction() as transaction:
            for _ in range(100):
                logs.insert(transaction, log, row_limit=1000, size_limit_bytes=2**30)

    for write in (insert_many, lambda: pipeline.deploy(deployment_config={"text": "x" * 1_000_000})):
        with pytest.raises(StorageFull):
            write()
    assert pipeline.status() == status
    disk.make_room()
    assert logs.read(pipeline.id(), 1000, size_limit_bytes=1000).logs == []
    assert pipeline.deploy().status() != status
    assert _findings(small_client) == []
