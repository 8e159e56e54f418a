"""The REST API without a socket: requests are passed to the ASGI application directly."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import orchlite
from orchlite.rest import application

TOKEN = "the-token-of-tests"
OLD_CLIENT = "python-httpx/0.23.3"
_PATIENCE_SECONDS = 30.0


class Api:
    """A small client of the platform's API."""

    def __init__(self, portal: BlockingPortal, app: Any) -> None:
        self._portal = portal
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080", trust_env=False)

    def request(
        self, method: str, path: str, *, token: str | None = TOKEN, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Send a request, by default with the token."""
        own = {} if token is None else {"Authorization": f"Bearer {token}"}
        response: httpx.Response = self._portal.call(self._request, method, path, {**own, **(headers or {})}, more)
        return response

    def post(self, path: str, /, **fields: Any) -> httpx.Response:
        """Post JSON fields to an endpoint below `/v1/api/`."""
        # Not `json=`: httpx cannot encode a lone surrogate, and clients can.
        return self.request("POST", f"/v1/api/{path}", content=json.dumps(fields), headers={"Content-Type": "application/json"})

    def call(self, path: str, status: int = 200, /, **fields: Any) -> Any:
        """Post to an endpoint and return the JSON of its response, which must have this status."""
        response = self.post(path, **fields)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def create(self, path: str, /, **fields: Any) -> str:
        """Post to an endpoint that creates something, and return its id."""
        created: str = self.call(path, 201, **fields)["id"]
        return created

    def call_as_2023(self, path: str, /, **fields: Any) -> Any:
        """Post to an endpoint as a client of 2023 and return the JSON of its response."""
        return self.request("POST", f"/v1/api/{path}", json=fields, headers={"User-Agent": OLD_CLIENT}).json()

    def refusal(self, status: int, path: str, /, **fields: Any) -> dict[str, Any]:
        """Post to an endpoint and return its error response, which must have this status."""
        return refusal_of(self.post(path, **fields), status)

    def upload(self, content: bytes, metadata: object = None, **more: Any) -> httpx.Response:
        """Upload as the SDK does: the part `metadata` has no file name."""
        text = json.dumps({"workspace_id": 1} if metadata is None else metadata)
        files = [("file", ("bundle.zip", content, "application/octet-stream")), ("metadata", (None, text, "application/json"))]
        return self.request("POST", "/v1/api/orchestration/upload", files=files, **more)

    def upload_model(self, path: Path, name: str = "house", endpoint: str = "upload", **metadata: Any) -> httpx.Response:
        """Upload a model as the SDK does."""
        text = json.dumps({"name": name, "workspace_id": 1, "visibility": "private", "conversion": {"framework": "onnx"}, **metadata})
        files = [("metadata", (None, text, "application/json")), ("file", (path.name, path.read_bytes(), "application/octet-stream"))]
        return self.request("POST", f"/v1/api/models/{endpoint}", files=files)

    def model(self, path: Path, name: str = "house", **metadata: Any) -> dict[str, Any]:
        """Upload a model, and return its version."""
        response = self.upload_model(path, name, **metadata)
        assert response.status_code == 200, response.text
        version_id = response.json()["insert_models"]["returning"][0]["models"][0]["id"]
        found: dict[str, Any] = self.call("models/get_version_by_id", model_version_id=version_id)["model_version"]["model_version"]
        return found

    def deployed(self, *models: dict[str, Any], name: str = "houses", more: Sequence[dict[str, Any]] = ()) -> str:
        """Deploy a pipeline of these models, and of more steps, and return the address that infers with it."""
        named = [{"name": model["name"], "version": model["model_version"], "sha": model["sha"]} for model in models]
        steps = [{"ModelInference": {"models": [model]}} for model in named]
        version = self.call("pipelines/create", pipeline_id=name, workspace_id=1, definition={"id": name, "steps": [*steps, *more]})
        deployment = self.call("pipelines/deploy", deploy_id=name, pipeline_version_pk_id=version["pipeline_variant_pk_id"])
        return f"/v1/api/pipelines/infer/{name}-{deployment['id']}/{name}"

    def orchestration(self, program: str = "print('hello')", **metadata: Any) -> str:
        """Upload a program, wait until it is packaged, and return the orchestration's id."""
        response = self.upload(zipped(program), {"workspace_id": 1, **metadata})
        assert response.status_code == 202, response.text
        found: str = response.json()["id"]
        self.until(lambda: self.call("orchestration/get_by_id", id=found)["status"] == "ready")
        return found

    def task(self, orchestration_id: str, **fields: Any) -> str:
        """Run an orchestration once, wait until the run has ended, and return the task's id."""
        found: str = self.create("task/run_once", orch_id=orchestration_id, workspace_id=1, json={}, **fields)
        self.until(lambda: [run["status"] for run in self.runs(found)] not in ([], ["running"]))
        return found

    def runs(self, task_id: str, **fields: Any) -> list[dict[str, Any]]:
        """List a task's runs, newest first."""
        found: list[dict[str, Any]] = self.call("task/list_task_runs", task_id=task_id, **fields)
        return found

    @staticmethod
    def until(condition: Callable[[], object]) -> None:
        """Wait until a condition is true."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at, "the condition did not become true"
            time.sleep(0.01)

    async def _request(self, method: str, path: str, headers: dict[str, str], more: dict[str, Any]) -> httpx.Response:
        return await self._client.request(method, path, headers=headers, **more)


def refusal_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the content of an error response, which must have this status and the common shape."""
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    assert list(found) == ["code", "msg", "error", "kind", "details"]
    assert (found["code"], bool(found["msg"])) == (status, True)
    return found


def zipped(program: str | dict[str, str]) -> bytes:
    """Return a ZIP of a `main.py`, or of several files."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, text in ({"main.py": program} if isinstance(program, str) else program).items():
            archive.writestr(ZipInfo(name), text)  # without a modification time, so that equal files make equal bytes
    return buffer.getvalue()


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def api(client: orchlite.Client, portal: BlockingPortal) -> Api:
    """The REST API of the test's client."""
    return Api(portal, application(client, token=TOKEN))


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory, portal: BlockingPortal) -> Iterator[Api]:
    """The REST API of a store that the tests of a module share, because none of them changes it."""
    with orchlite.Client(tmp_path_factory.mktemp("shared") / "store", workers=1) as client:
        yield Api(portal, application(client, token=TOKEN))


@pytest.fixture
def api_of(portal: BlockingPortal) -> Callable[..., Api]:
    """Make the REST API of a client, with settings of its own."""
    return lambda client, **settings: Api(portal, application(client, token=TOKEN, **settings))


@pytest.fixture
def bundle() -> Callable[[str | dict[str, str]], bytes]:
    """Make a ZIP of a `main.py`, or of several files."""
    return zipped


@pytest.fixture
def refused() -> Callable[[httpx.Response, int], dict[str, Any]]:
    """Check an error response and return its content: `refused(response, status)`."""
    return refusal_of
