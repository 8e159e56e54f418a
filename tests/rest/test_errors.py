"""Error responses: always of one shape, as documented, and never with the rejected value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchlite import Client, Closed, PackagingFailed, StorageFull, StoreBusy, StoreDamaged
from orchlite.core.errors import (
    BadArgument,
    BadBundle,
    BadSchedule,
    Conflict,
    IllegalMove,
    InferenceFailed,
    MissingExtra,
    NotFound,
    OrchliteError,
)
from orchlite.rest.errors import response_to, status_of

_SECRET = "hunter2"


@pytest.fixture
def document(shared_api: Any) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = shared_api.request("GET", "/openapi.json").json()
    return found


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadArgument("x"), 400),
        (BadBundle("x"), 400),
        (BadSchedule("x"), 400),
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (IllegalMove("x"), 409),
        (PackagingFailed("x"), 409),
        (StoreBusy("x"), 503),
        (Closed("x"), 503),
        (MissingExtra("x"), 501),
        (InferenceFailed("x"), 500),
        (StorageFull("x"), 507),
        (StoreDamaged("x"), 500),
        (OrchliteError("x"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_exception_becomes_a_status_a_name_a_message_and_details(error: OrchliteError, status: int) -> None:
    assert status_of(error) == status
    error = type(error)("What is wrong.", hint="What to do.", limit=5)
    found = json.loads(bytes(response_to(error).body))
    text = "What is wrong. What to do."
    assert found == {"code": status, "msg": text, "error": text, "kind": type(error).__name__, "details": {"limit": 5}}


def test_details_that_are_not_json_are_converted_to_text() -> None:
    assert json.loads(bytes(response_to(NotFound("x", path=Path("/a"), entry="\ud800")).body))["details"] == {
        "path": "/a",
        "entry": "\ud800",
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body"),
        (b"{", "is not JSON"),
        (b'{"id": NaN}', "is not JSON"),
        (b'{"id": 1e999}', "is not JSON"),
        (b'{"id": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b'{"id": "\xff"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "the body"),
        (b"null", "the body"),
        (b'"text"', "the body"),
    ],
    ids=["empty", "cut", "NaN", "infinite", "long number", "not UTF-8", "deep", "list", "null", "text"],
)
def test_a_body_that_is_not_a_json_object_is_refused(shared_api: Any, refused: Any, body: bytes, message: str) -> None:
    response = shared_api.request("POST", "/v1/api/task/get_by_id", content=body, headers={"Content-Type": "application/json"})
    found = refused(response, 400)
    assert (found["kind"], message in found["msg"]) == ("BadArgument", True)
    assert len(found["msg"]) < 300


def test_rejected_values_are_not_shown(shared_api: Any) -> None:
    assert _SECRET not in str(shared_api.refusal(400, "task/run_once", json=_SECRET, orch_id=5, workspace_id=_SECRET))
    for body in (f'{{"a": "{_SECRET}", "id": NaN}}', f'"{_SECRET}'):
        response = shared_api.request("POST", "/v1/api/task/get_by_id", content=body, headers={"Content-Type": "application/json"})
        assert _SECRET not in response.text


def test_all_invalid_fields_are_named(shared_api: Any) -> None:
    found = shared_api.refusal(400, "task/run_once", orch_id=5, workspace_id="x", json={})
    assert found["details"] == {"argument": "orch_id"}
    assert found["msg"].endswith("Also invalid: 'workspace_id'.")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/api/task/get_by_id/", 404),
        ("POST", "/v1/api/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/v1/api/task/get_by_id", 405),
        ("DELETE", "/v1/api/config", 405),
    ],
)
def test_an_unknown_path_or_method_is_refused_in_the_same_shape(shared_api: Any, refused: Any, method: str, path: str, status: int) -> None:
    assert refused(shared_api.request(method, path), status)["details"] == {}


def test_a_closed_client_is_reported(tmp_path: Path, api_of: Callable[..., Any], refused: Any) -> None:
    with Client(tmp_path / "closed") as closed:
        api = api_of(closed)
    assert refused(api.post("workspaces/list"), 503)["kind"] == "Closed"


def test_an_argument_of_the_application_is_checked(client: Client, api_of: Callable[..., Any]) -> None:
    with pytest.raises(BadArgument, match="compatibility"):
        api_of(client, compatibility="2024")


class TestTheDocument:
    def _operations(self, document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, operations in document["paths"].items():
            for operation in operations.values():
                yield path, operation

    def test_is_behind_the_token(self, shared_api: Any, document: dict[str, Any]) -> None:
        assert document["info"]["title"] == "orchlite"
        assert shared_api.request("GET", "/openapi.json", token=None).status_code == 401

    def test_describes_error_responses(self, document: dict[str, Any]) -> None:
        shape = {"$ref": "#/components/schemas/Refusal"}
        for path, operation in self._operations(document):
            assert "422" not in operation["responses"], path
            for status in ("400", "401", "403", "404", "409", "413", "415", "500", "501", "503", "507"):
                assert operation["responses"][status]["content"]["application/json"]["schema"] == shape, path
        assert set(document["components"]["schemas"]["Refusal"]["required"]) == {"code", "msg", "error", "kind", "details"}
        assert "HTTPValidationError" not in document["components"]["schemas"]

    def test_has_every_endpoint_with_its_success_status(self, document: dict[str, Any]) -> None:
        good = {
            path.removeprefix("/v1/api/"): [status for status in operation["responses"] if status.startswith("2")]
            for path, operation in self._operations(document)
            if path.startswith("/v1/api/")
        }
        special = {
            "202": ["orchestration/upload", "task/kill", "task/pause"],
            "201": ["task/run_once", "task/run_scheduled", "task/run_continuously"],
            "204": ["connections/remove_from_workspace", "connections/delete"],
            "200": [
                *("config", "orchestration/list", "orchestration/list_all", "orchestration/get_by_id"),
                *("orchestration/delete_orchestrations", "orchestration/download", "task/get_by_id", "task/list"),
                *("task/get_tasks_by_orch_sha", "task/list_task_runs", "task/get_run_details", "task/get_logs_for_run"),
                *("workspaces/create", "workspaces/list", "connections/create", "connections/get", "connections/get_by_id"),
                *("connections/list", "connections/add_to_workspace", "status/get_deployment"),
                *("models/upload", "models/upload_and_convert", "models/list", "models/get", "models/get_version_by_id"),
                *("models/get_config_by_id", "models/insert_model_config", "plateau/get_topic_name", "plateau/get_pipeline_topic_name"),
                *("pipelines/create", "pipelines/list_pipelines", "pipelines/get_pipeline_by_name", "pipelines/get_version"),
                *("pipelines/deploy", "pipelines/undeploy", "pipelines/infer/{deployment}/{pipeline}"),
                *("users/query", "workspaces/list_users", "workspaces/add_user"),
            ],
        }
        assert good == {path: [status] for status, paths in special.items() for path in paths}

    def test_describes_every_endpoint_and_every_response(self, document: dict[str, Any]) -> None:
        assert [path for path, operation in self._operations(document) if not operation.get("description")] == []
        assert {"Task", "Run", "Orchestration", "Connection", "Workspace"} <= set(document["components"]["schemas"])
