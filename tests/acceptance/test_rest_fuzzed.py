"""Random requests generated from the OpenAPI document: every response is documented, and a refused request stores nothing.

Values are valid or invalid by the document. Existing ids are inserted, so that valid requests have an effect. Nothing happens in the
background: the clock stands still, and runs are stubs.
"""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

import orchlite
from orchlite import rest
from orchlite.rest.accounts import OWNER
from orchlite.testing import ManualClock, StubProcess
from tests.onnx_models import weighing

pytestmark = pytest.mark.slow

_TOKEN = "the-token-of-this-test"
_EXAMPLES = {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 5}
"""Of each endpoint: requests that are valid by the document, and that are not, with all existing values, and as many with some of them."""

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Store:
    """The files of a store, seen from outside."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self._folder = folder
        self._database = database

    def state(self) -> tuple[int, list[str]]:
        """Return a value that changes with every commit, and with every file that is added or removed."""
        [[version]] = self._database.execute("PRAGMA data_version").fetchall()
        files = sorted(str(path) for path in self._folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))
        return version, files


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def still_client(tmp_path: Path, clock: ManualClock) -> Iterator[orchlite.Client]:
    """A client in whose store nothing happens in the background."""
    with orchlite.Client(tmp_path / "store", clock=clock, process=StubProcess()) as client:
        yield client
        for task in client.list_tasks():
            task.kill()


@pytest.fixture
def store(tmp_path: Path, still_client: orchlite.Client) -> Iterator[Store]:
    with closing(sqlite3.connect(tmp_path / "store" / "store.sqlite")) as database:
        yield Store(tmp_path / "store", database)


class Known:
    """Existing ids and names, as values for the fields of requests."""

    def __init__(self, client: orchlite.Client, clock: ManualClock, folder: Path) -> None:
        archive = zipped(folder)
        orchestration = client.upload_orchestration(path=archive).wait()
        scheduled = orchestration.run_scheduled("nightly", "30 2 * * *")
        once = orchestration.run_once()
        clock.advance(days=1)
        tasks = [once.id(), scheduled.id(), orchestration.run_continuously("service").id()]
        runs = [run.id() for task in (once, scheduled) for run in task.last_runs()]
        connection = client.create_connection("warehouse", "csv", {"url": "file:///stock.csv"})
        workspace_id = client.get_current_workspace().id()
        self._ids = {"orchestration": [orchestration.id()], "task": tasks, "connections": [connection.id()]}
        self._runs = runs
        self._values: dict[str, list[Any]] = {
            "orch_id": [orchestration.id()],
            "workspace_id": [workspace_id],
            "workspace_ids": [[workspace_id], []],
            "orchestrations": [[orchestration.id()], []],
            "task": tasks,
            "task_id": tasks,
            "pod_id": runs,
            "sha": [orchestration.sha()],
            "orch_sha": [orchestration.sha()],
            "connection_id": [connection.id()],
            "name": ["warehouse"],
            "schedule": ["30 2 * * *"],
            "timezone": ["Europe/Berlin"],
            "status": ["all", "success"],
            "file": [archive.read_bytes()],
            "user_id": [OWNER.user_id],
        }
        self._of_models = _of_models(client, folder)

    def of(self, path: str) -> dict[str, list[Any]]:
        """Return existing values by the name of a field, of the kind that this endpoint takes."""
        kind = path.removeprefix("/v1/api/").split("/")[0]
        ids = self._runs if path.endswith("get_logs_for_run") else self._ids.get(kind, ["nothing"])
        return {**self._values, "id": ids, **self._of_models.get(kind, {}), **self._of_models.get(path, {})}


def _of_models(client: orchlite.Client, folder: Path) -> dict[str, dict[str, list[Any]]]:
    """Return the values of a deployed pipeline, and of its model, by the kind or path of endpoints."""
    file = weighing(folder / "house.onnx", [1.0])
    model = client.upload_model("house", file)
    pipeline = client.build_pipeline("houses").add_model_step(model).deploy()
    version = pipeline.versions()[0]
    of_pipelines: dict[str, list[Any]] = {
        "pipeline_name": ["houses"],
        "pipeline_id": [pipeline.id()],
        "version": [version.name()],
        "pipeline_version": [version.name()],
        "pipeline_version_pk_id": [version.id()],
        "deploy_id": ["houses"],
        "deployment_id": [1],
        "deployment": ["houses-1"],
        "pipeline": ["houses"],
        "workspace_name": ["default"],
    }
    return {
        "models": {
            "file": [file.read_bytes()],
            "name": ["house"],
            "id": [1],
            "model_id": [model.id()],
            "model_version_id": [model.id()],
            "conversion": [{"framework": "onnx"}, None],
            "input_schema": [None],
            "output_schema": [None],
            "workspace_name": ["default"],
        },
        "pipelines": of_pipelines,
        "/v1/api/pipelines/create": {"pipeline_id": ["houses"]},
        "/v1/api/connections/create": {"name": ["lake", "pond"]},
        "/v1/api/workspaces/create": {"workspace_name": ["staging", "lab"]},
        "/v1/api/pipelines/infer/{deployment}/{pipeline}": {"body": [[{"tensor": [1.0]}]]},
        "status": {"name": ["houses-1"]},
        "plateau": {"pipeline_pk_id": [pipeline.id()], "pipeline_name": ["houses"]},
        "/v1/logs/topic/{topic}/records": {"topic": ["workspace-1-pipeline-houses-inference"]},
    }


def zipped(folder: Path) -> Path:
    """Return a ZIP of a program."""
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("main.py", "pass")
    return path


def _with_known(drawn: st.DataObject, values: dict[str, Any], known: dict[str, list[Any]], *, all_of_them: bool) -> dict[str, Any]:
    """Return the same fields, all or some of them with existing values."""
    named = sorted(values.keys() & known.keys())
    chosen = named if all_of_them or not named else sorted(drawn.draw(st.sets(st.sampled_from(named))))
    changed = {name: drawn.draw(st.sampled_from(known[name])) for name in chosen}
    if isinstance(metadata := values.get("metadata"), dict):
        changed["metadata"] = _with_known(drawn, metadata, known, all_of_them=all_of_them)
    return {**values, **changed}


def _only_required(operation: Any, values: dict[str, Any], known: dict[str, list[Any]]) -> dict[str, Any]:
    """Return the same fields less those that an accepted request need not have, and with each one that has an existing value."""
    schema = operation.body[0].optimized_schema
    required = {name: values[name] for name in schema.get("required", ()) if name in values}
    return {**dict.fromkeys(sorted(schema.get("properties", {}).keys() & known.keys())), **required} if "properties" in schema else values


class Fuzzing:
    """Requests to one application, and the statuses of their responses by endpoint."""

    def __init__(self, store: Store, known: Known, clock: ManualClock) -> None:
        self._store, self._known, self._clock = store, known, clock
        self.seen: dict[str, set[int]] = {}

    def fuzz(self, operation: Any, mode: GenerationMode, *, all_known: bool) -> None:
        """Send requests to one endpoint, with all existing values or some of them."""
        seen = self.seen.setdefault(operation.path, set())

        @settings(max_examples=_EXAMPLES[mode], derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), drawn=st.data())
        def one_request(case: Any, drawn: st.DataObject) -> None:
            known = self._known.of(operation.path)
            if "body" in known and case.media_type == "application/json" and (all_known or drawn.draw(st.booleans())):
                case.body = drawn.draw(st.sampled_from(known["body"]))
            elif isinstance(case.body, dict):
                if all_known:
                    case.body = _only_required(operation, case.body, known)
                case.body = _with_known(drawn, case.body, known, all_of_them=all_known)
            case.query = _with_known(drawn, case.query or {}, known, all_of_them=all_known)
            case.path_parameters = _with_known(drawn, case.path_parameters or {}, known, all_of_them=all_known)
            seen.add(self._status_of(case))

        one_request()

    def _status_of(self, case: Any) -> int:
        before = self._store.state()
        response = case.call(headers={"Authorization": f"Bearer {_TOKEN}"})
        case.validate_response(response, checks=_CHECKS)
        if response.status_code >= 400:
            assert self._store.state() == before, f"stored by a request that was refused: {case.as_curl_command()}"
        self._clock.advance(seconds=0)  # wait for packaging: what an accepted request still writes is not the next, refused one's
        return int(response.status_code)


def _modes(operation: Any) -> list[GenerationMode]:
    takes_something = bool(operation.body) or bool(operation.query)
    return [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if takes_something else [GenerationMode.POSITIVE]


def _ends_something(operation: Any) -> bool:
    return any(word in operation.path for word in ("kill", "delete", "remove", "undeploy"))


@pytest.mark.filterwarnings("default")  # about the fuzzer itself, not about the application
def test_every_response_is_documented_and_a_refused_request_stores_nothing(
    still_client: orchlite.Client, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    application = rest.application(still_client, token=_TOKEN, hosts=("testserver",))
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", application, headers=headers, config=SchemathesisConfig())
    fuzzing = Fuzzing(store, Known(still_client, clock, tmp_path), clock)
    # An operation that cannot be parsed has no `ok`; that is a failure, too.
    operations: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    for operation in sorted(operations, key=_ends_something):
        for mode in _modes(operation):
            for all_known in (True, False):
                fuzzing.fuzz(operation, mode, all_known=all_known)
    assert len(fuzzing.seen) > 25
    open_to_all = {"/v1/api/config"}
    assert {path for path, statuses in fuzzing.seen.items() if max(statuses) < 400} == open_to_all
    assert {path for path, statuses in fuzzing.seen.items() if min(statuses) >= 300} == set()
