"""The sequence of the platform's REST guide with plain `requests`, each response compared field by field with the guide's sample.

Of ids, times and hashes only the format is compared. A response may have more fields than the sample; SDKs need some of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

import orchlite
from orchlite import rest
from orchlite.testing import ManualClock

_FORMS = {
    "ID": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "TIME": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00",
    "SHA": r"[0-9a-f]{64}",
}

_IMAGE = {
    "image": "proxy.replicated.com/proxy/wallaroo/ghcr.io/wallaroolabs/arbex-orch-deploy",
    "image_tag": "v2023.2.0-main-3228",
    "bind_secrets": ["minio"],
    "extra_env_vars": {
        "MINIO_URL": "http://minio.wallaroo.svc.cluster.local:9000",
        "ORCH_OWNER_ID": "ID",
        "ORCH_SHA": "SHA",
        "TASK_ID": "ID",
    },
    "auth_init": True,
}

_ONE_SHOT = {
    "name": None,
    "id": "ID",
    **_IMAGE,
    "flavor": "exec_orch_oneshot",
    "reap_threshold_secs": 900,
    "exec_type": "job",
    "status": "pending",
    "input_data": {},
    "killed": False,
    "created_at": "TIME",
    "updated_at": "TIME",
    "last_runs": [],
}

_FINISHED = {**_ONE_SHOT, "status": "started", "last_runs": [{"run_id": "ID", "status": "success", "created_at": "TIME"}]}

_KILLED = {
    "name": None,
    "id": "ID",
    **_IMAGE,
    "schedule": "*/1 * * * *",
    "reap_threshold_secs": 900,
    "status": "pending_kill",
    "input_data": {},
    "killed": False,
    "created_at": "TIME",
    "updated_at": "TIME",
    "last_runs": [{"run_id": "ID", "status": "success", "created_at": "TIME"}],
}

_ORCHESTRATION = {
    "id": "ID",
    "sha": "SHA",
    "name": None,
    "file_name": "api_inference_orchestration.zip",
    "task_id": "ID",
    "owner_id": "ID",
    "created_at": "TIME",
    "updated_at": "TIME",
}


class Reply(NamedTuple):
    """A response."""

    status_code: int
    content: Any


Post = Callable[..., Reply]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2023, 5, 16, 15, 59, 57, 496421, tzinfo=UTC))


@pytest.fixture
def one_worker(tmp_path: Path, clock: ManualClock) -> Iterator[orchlite.Client]:
    """A client that runs one program at a time."""
    client = orchlite.Client(tmp_path / "store", workers=1, grace_seconds=0.5, clock=clock)
    yield client
    for task in client.list_tasks():
        task.kill()
    client.close(drain=False)


@pytest.fixture
def post(one_worker: orchlite.Client) -> Iterator[Post]:
    """Post JSON, or other arguments of `requests.post`, to a path of the API."""
    with rest.serve(one_worker, port=0) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"

        def post(path: str, data: Any = None, **more: Any) -> Reply:
            response = session.post(f"{server.url}/v1/api/{path}", json=data, timeout=30, **more)
            return Reply(response.status_code, response.json())

        yield post


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "api_inference_orchestration.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("main.py", "print('inferred')\n")
    return path


def _upload(post: Post, archive: Path, workspace_id: int) -> Reply:
    metadata = json.dumps({"workspace_id": workspace_id})
    with archive.open("rb") as file:
        parts = [("file", (archive.name, file, "application/octet-stream")), ("metadata", ("metadata", metadata, "application/json"))]
        return post("orchestration/upload", files=parts)


def _as_in(sample: Any, response: Any) -> Any:
    """Reduce a response to the fields of the sample, and values that always differ to their format."""
    if isinstance(sample, dict) and isinstance(response, dict):
        return {name: _as_in(sample[name], response.get(name, "absent")) for name in sample}
    if isinstance(sample, list) and isinstance(response, list) and len(sample) == len(response):
        return [_as_in(*pair) for pair in zip(sample, response, strict=True)]
    form = _FORMS.get(sample) if isinstance(sample, str) else None
    return sample if form is not None and isinstance(response, str) and re.fullmatch(form, response) else response


def _until(post: Post, path: str, data: dict[str, Any], is_it: Callable[[Any], object]) -> Any:
    for _ in range(600):
        if is_it(content := post(path, data).content):
            return content
        time.sleep(0.05)
    raise AssertionError(f"{path} still responds with {content}")


@pytest.mark.slow
def test_the_sequence_of_the_guide_responds_as_its_samples(
    post: Post, one_worker: orchlite.Client, clock: ManualClock, archive: Path, folder: Callable[[str], Path]
) -> None:
    workspace_id = one_worker.get_current_workspace().id()
    in_workspace = {"workspace_id": workspace_id}

    uploaded = _upload(post, archive, workspace_id)
    assert (uploaded.status_code, _as_in({"id": "ID"}, uploaded.content)) == (202, {"id": "ID"})
    assert list(uploaded.content) == ["id"]
    orch_id = uploaded.content["id"]

    orchestrations = _until(post, "orchestration/list", in_workspace, lambda rows: rows[0]["status"] == "ready")
    assert _as_in([_ORCHESTRATION], orchestrations) == [_ORCHESTRATION]
    [sha, owner_id] = [orchestrations[0][name] for name in ("sha", "owner_id")]
    assert sha == hashlib.sha256(archive.read_bytes()).hexdigest()

    # The guide reads its task before the run starts: here, while the only worker is busy.
    busy = one_worker.upload_orchestration(path=folder("import time; time.sleep(600)")).wait().run_once()
    _until(post, "task/get_by_id", {"id": busy.id()}, lambda task: task["status"] == "started")
    once = post("task/run_once", {**in_workspace, "orch_id": orch_id, "json": {}})
    assert (once.status_code, list(once.content)) == (201, ["id"])
    task_id = once.content["id"]

    pending = {**_ONE_SHOT, "workspace_id": workspace_id}
    got = post("task/get_by_id", {"id": task_id})
    assert (got.status_code, _as_in(pending, got.content)) == (200, pending)
    assert [got.content["id"], got.content["extra_env_vars"]["TASK_ID"]] == [task_id, task_id]
    assert got.content["extra_env_vars"]["ORCH_SHA"] == sha
    assert got.content["extra_env_vars"]["ORCH_OWNER_ID"] == owner_id

    busy.kill()
    finished = {**_FINISHED, "workspace_id": workspace_id}
    _until(post, "task/get_by_id", {"id": task_id}, lambda task: [run["status"] for run in task["last_runs"]] == ["success"])
    listed = _until(post, "task/list", in_workspace, lambda tasks: len(tasks) == 1)
    assert _as_in([finished], listed) == [finished]

    scheduled = post("task/run_scheduled", {**in_workspace, "orch_id": orch_id, "schedule": "*/1 * * * *", "json": {}})
    assert (scheduled.status_code, list(scheduled.content)) == (201, ["id"])
    clock.advance(minutes=1)

    found = post("task/get_tasks_by_orch_sha", {"sha": sha})
    assert (found.status_code, found.content) == (200, {"ids": [scheduled.content["id"], task_id]})

    killed = {**_KILLED, "workspace_id": workspace_id}
    kill = post("task/kill", {"id": scheduled.content["id"]})
    assert (kill.status_code, _as_in(killed, kill.content)) == (202, killed)
    _until(post, "task/list", in_workspace, lambda tasks: [task["id"] for task in tasks] == [task_id])


def test_the_endpoints_about_runs_that_the_guide_no_longer_reaches_respond_as_its_samples(
    post: Post, one_worker: orchlite.Client, archive: Path
) -> None:
    workspace_id = one_worker.get_current_workspace().id()
    orch_id = _upload(post, archive, workspace_id).content["id"]
    once = {"workspace_id": workspace_id, "orch_id": orch_id, "json": {}, "name": "a name", "timeout": 60}
    task_id = post("task/run_once", once).content["id"]

    run = {"task": "ID", "run_id": "ID", "status": "success", "created_at": "TIME", "updated_at": "TIME"}
    by_task = {"task_id": task_id, "limit": None, "status": None}
    runs = _until(post, "task/list_task_runs", by_task, lambda runs: runs and runs[0]["status"] != "running")
    assert _as_in([run], runs) == [run]

    details = post("task/get_run_details", {"task": task_id, "pod_id": runs[0]["run_id"]})
    assert (details.status_code, _as_in(run, details.content)) == (200, run)

    log = post("task/get_logs_for_run", {"id": runs[0]["run_id"], "lines": None})
    [line] = log.content["logs"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F inferred", line)
