"""The same behaviour in Python and over HTTP: one set of tests for both."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Protocol
from zipfile import ZipFile

import pytest

import orchlite
from orchlite import Client

_ANSWERS_ALIKE = {400: orchlite.InvalidInput, 404: orchlite.NotFound, 409: (orchlite.Conflict, orchlite.PackagingFailed)}


class Door(Protocol):
    """What both offer. Errors are raised as orchlite's exceptions."""

    def upload(self, content: bytes) -> str: ...
    def run_once(self, orchestration_id: str, arguments: Any = None, **more: Any) -> str: ...
    def run_scheduled(self, orchestration_id: str, schedule: Any, **more: Any) -> str: ...
    def task(self, task_id: str) -> dict[str, Any]: ...
    def runs(self, task_id: str) -> list[dict[str, Any]]: ...
    def log(self, run_id: str) -> list[str]: ...
    def kill(self, task_id: str) -> None: ...
    def pause(self, task_id: str, pause: bool) -> None: ...
    def connect(self, name: str, details: Any) -> None: ...


class PythonDoor:
    """The library itself."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def upload(self, content: bytes) -> str:
        return self._client.upload_orchestration(content, file_name="bundle.zip").id()

    def run_once(self, orchestration_id: str, arguments: Any = None, **more: Any) -> str:
        return self._client.get_orchestration_by_id(orchestration_id).run_once(json_args=arguments, **more).id()

    def run_scheduled(self, orchestration_id: str, schedule: Any, **more: Any) -> str:
        return self._client.get_orchestration_by_id(orchestration_id).run_scheduled("n", schedule, **more).id()

    def task(self, task_id: str) -> dict[str, Any]:
        task = self._client.get_task_by_id(task_id)
        return {"name": task.name(), "status": task.status(), "input_data": task.input_data(), "timeout": task.timeout()}

    def runs(self, task_id: str) -> list[dict[str, Any]]:
        runs = self._client.get_task_by_id(task_id).last_runs()
        return [{"run_id": run.id(), "status": run.status(), "exit_code": run.exit_code()} for run in runs if run.status() != "queued"]

    def log(self, run_id: str) -> list[str]:
        return list(self._client.get_task_run_by_id(run_id).logs())

    def kill(self, task_id: str) -> None:
        self._client.get_task_by_id(task_id).kill()

    def pause(self, task_id: str, pause: bool) -> None:
        task = self._client.get_task_by_id(task_id)
        task.pause() if pause else task.resume()

    def connect(self, name: str, details: Any) -> None:
        self._client.create_connection(name, "t", details)


class HttpDoor:
    """The REST API over the same client."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def _call(self, path: str, **fields: Any) -> Any:
        return self._read(self._api.post(path, **fields))

    @staticmethod
    def _read(response: Any) -> Any:
        content = response.json() if response.content else {}
        if response.status_code >= 400:
            error = getattr(orchlite, content["kind"])
            kinds: Any = _ANSWERS_ALIKE[response.status_code]
            assert issubclass(error, kinds)
            raise error(content["msg"], **content["details"])
        return content

    def upload(self, content: bytes) -> str:
        return str(self._read(self._api.upload(content))["id"])

    def run_once(self, orchestration_id: str, arguments: Any = None, **more: Any) -> str:
        return str(self._call("task/run_once", orch_id=orchestration_id, workspace_id=1, json=arguments or {}, **more)["id"])

    def run_scheduled(self, orchestration_id: str, schedule: Any, **more: Any) -> str:
        return str(self._call("task/run_scheduled", orch_id=orchestration_id, workspace_id=1, json={}, schedule=schedule, **more)["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        shown = self._call("task/get_by_id", id=task_id)
        return {name: shown[name] for name in ("name", "status", "input_data", "timeout")}

    def runs(self, task_id: str) -> list[dict[str, Any]]:
        return [
            {name: run[name] for name in ("run_id", "status", "exit_code")} for run in self._call("task/list_task_runs", task_id=task_id)
        ]

    def log(self, run_id: str) -> list[str]:
        found: list[str] = self._call("task/get_logs_for_run", id=run_id)["logs"]
        return found

    def kill(self, task_id: str) -> None:
        self._call("task/kill", id=task_id)

    def pause(self, task_id: str, pause: bool) -> None:
        self._call("task/pause", id=task_id, pause=pause)

    def connect(self, name: str, details: Any) -> None:
        self._call("connections/create", name=name, type="t", details=details)


@pytest.fixture(params=["python", "http"])
def door(request: pytest.FixtureRequest, client: Client, api: Any) -> Door:
    """Python or HTTP."""
    return PythonDoor(client) if request.param == "python" else HttpDoor(api)


@pytest.fixture
def upload(door: Door, client: Client) -> Callable[[str], str]:
    """Make an orchestration of a program."""

    def make(program: str) -> str:
        orchestration_id = door.upload(_zipped({"main.py": program}))
        client.get_orchestration_by_id(orchestration_id).wait()
        return orchestration_id

    return make


def test_a_program_gets_its_arguments_and_its_output_is_kept(door: Door, client: Client, upload: Callable[[str], str]) -> None:
    orchestration_id = upload("import wallaroo\nprint(wallaroo.Client().task_args())")
    task_id = door.run_once(orchestration_id, {"a": [1, None, "ü"]}, name="n", timeout=60)
    client.get_task_by_id(task_id).wait()
    assert door.task(task_id) == {"name": "n", "status": "started", "input_data": {"a": [1, None, "ü"]}, "timeout": 60}
    [run] = door.runs(task_id)
    assert (run["status"], run["exit_code"]) == ("success", 0)
    assert [line.split(" ", 3)[3] for line in door.log(run["run_id"])] == ["{'a': [1, None, 'ü']}"]


def test_a_program_that_fails_is_a_failed_run_of_a_task_that_stays_started(
    door: Door, client: Client, upload: Callable[[str], str]
) -> None:
    task_id = door.run_once(upload("raise SystemExit(3)"))
    client.get_task_by_id(task_id).wait()
    assert [(run["status"], run["exit_code"]) for run in door.runs(task_id)] == [("failure", 3)]
    assert door.task(task_id)["status"] == "started"


def test_a_schedule_is_paused_resumed_and_killed(door: Door, upload: Callable[[str], str]) -> None:
    task_id = door.run_scheduled(upload("print()"), "0 0 1 1 *", timezone="Europe/Berlin", concurrency="forbid")
    seen = [door.task(task_id)["status"]]
    steps: list[Callable[[], None]] = [
        lambda: door.pause(task_id, True),
        lambda: door.pause(task_id, False),
        lambda: door.kill(task_id),
    ]
    for step in steps:
        step()
        seen.append(door.task(task_id)["status"])
    assert seen == ["started", "paused", "started", "killed"]
    door.kill(task_id)
    with pytest.raises(orchlite.IllegalMove):
        door.pause(task_id, True)


@pytest.mark.parametrize(
    ("do", "error", "fact"),
    [
        (lambda door: door.upload(b"no zip"), orchlite.BadBundle, None),
        (lambda door: door.upload(_zipped({"main.py": "", "../x": ""})), orchlite.BadBundle, ("entry", "../x")),
        (lambda door: door.upload(_zipped({"main.py": "", "requirements.txt": "-e ."})), orchlite.BadRequirement, ("line", 1)),
        (lambda door: door.run_once("00000000-0000-4000-8000-000000000000"), orchlite.NotFound, None),
        (lambda door: door.task("00000000-0000-4000-8000-000000000000"), orchlite.NotFound, None),
        (lambda door: door.task("\0"), orchlite.BadArgument, None),
        (lambda door: door.kill("nobody"), orchlite.NotFound, ("task_id", "nobody")),
        (lambda door: door.log("nobody"), orchlite.NotFound, ("run_id", "nobody")),
        (lambda door: door.connect("", {}), orchlite.BadArgument, ("argument", "name")),
        (lambda door: door.connect("n", "text"), orchlite.BadArgument, ("argument", "details")),
    ],
    ids=[
        "no zip",
        "bad entry",
        "bad requirement",
        "no orchestration",
        "no task",
        "no id",
        "no task to kill",
        "no run",
        "no name",
        "no details",
    ],
)
def test_both_refuse_with_the_same_error(
    door: Door, client: Client, do: Any, error: type[Exception], fact: tuple[str, object] | None
) -> None:
    with pytest.raises(error) as refusal:
        do(door)
    if fact is not None:
        assert refusal.value.details[fact[0]] == fact[1]  # type: ignore[attr-defined]
    assert (client.list_orchestrations(), client.list_tasks(), client.list_connections()) == ([], [], [])
    assert list((client.path() / "bundles").iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"timeout": float(10**300)}, {"name": ""}, {"name": "x" * 257}, {"arguments": {"a": "x" * 2**20}}, {"env": {"=": ""}}],
    ids=lambda wrong: str(wrong)[:30],
)
def test_both_refuse_an_argument_with_the_same_error(
    door: Door, client: Client, upload: Callable[[str], str], wrong: dict[str, Any]
) -> None:
    orchestration_id = upload("print()")
    with pytest.raises(orchlite.BadArgument):
        door.run_once(orchestration_id, **wrong)
    for schedule in ("60 * * * *", "0 0 30 2 *", "@reboot", ""):
        with pytest.raises(orchlite.BadSchedule):
            door.run_scheduled(orchestration_id, schedule)
    assert client.list_tasks() == []


def _zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()
