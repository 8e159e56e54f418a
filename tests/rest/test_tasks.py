"""The endpoints `task/…`, as the platform's clients use them."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchlite import Client
from orchlite.core.records import RunResult
from orchlite.core.status import RunStatus
from orchlite.testing import ManualClock, StubProcess
from tests.fake_cluster import FakeCluster

_START = datetime(2026, 3, 1, tzinfo=UTC)
_MISSING_ID = "00000000-0000-4000-8000-000000000000"
_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F hello")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START)


@pytest.fixture
def stepped_client(tmp_path: Path, empty_store: Path, clock: ManualClock) -> Any:
    """A client in whose store nothing happens until the clock is advanced."""
    shutil.copytree(empty_store, tmp_path / "stepped")
    with Client(tmp_path / "stepped", clock=clock, process=StubProcess("success", duration_seconds=60)) as client:
        yield client


@pytest.fixture
def stepped_api(stepped_client: Client, api_of: Any) -> Any:
    """The REST API of `stepped_client`."""
    return api_of(stepped_client)


@pytest.fixture
def orch_id(stepped_api: Any) -> str:
    """An orchestration of `stepped_client`."""
    return str(stepped_api.orchestration())


@pytest.fixture(scope="module")
def shared_orch_id(shared_api: Any) -> str:
    """An orchestration of `shared_api`."""
    return str(shared_api.orchestration())


class TestRunOnce:
    def test_runs_a_program_with_its_arguments(self, api: Any, client: Client) -> None:
        orch_id = api.orchestration("import wallaroo\nprint(wallaroo.Client().task_args()['word'])")
        response = api.post("task/run_once", orch_id=orch_id, workspace_id=1, json={"word": "hello"}, name="greet", timeout=30, debug=None)
        assert (response.status_code, list(response.json())) == (201, ["id"])
        task = client.get_task_by_id(response.json()["id"])
        assert (task.wait().status(), task.name(), task.timeout(), task.input_data()) == ("success", "greet", 30, {"word": "hello"})
        [run] = api.runs(task.id())
        [line] = api.call("task/get_logs_for_run", id=run["run_id"])["logs"]
        assert _LINE.fullmatch(line)

    @pytest.mark.parametrize("absent", [{}, dict.fromkeys(["name", "timeout", "debug", "env"])], ids=["absent", "null"])
    def test_optional_fields_may_be_absent_or_null(
        self, stepped_api: Any, stepped_client: Client, orch_id: str, absent: dict[str, None]
    ) -> None:
        task = stepped_client.get_task_by_id(stepped_api.create("task/run_once", orch_id=orch_id, workspace_id=1, json={}, **absent))
        assert (task.name(), task.timeout(), task.input_data()) == (None, None, {})

    @pytest.mark.parametrize(
        ("fields", "argument"),
        [
            ({"orch_id": None}, "orch_id"),
            ({"orch_id": 5}, "orch_id"),
            ({"workspace_id": None}, "workspace_id"),
            ({"workspace_id": "1"}, "workspace_id"),
            ({"workspace_id": -1}, "workspace_id"),
            ({"json": []}, "json"),
            ({"json": None}, "json"),
            ({"json": {"a": "\ud800"}}, "json"),
            ({"name": ""}, "name"),
            ({"name": "\0"}, "name"),
            ({"name": "x" * 10_000}, "name"),
            ({"name": 5}, "name"),
            ({"timeout": 0}, "timeout"),
            ({"timeout": -1}, "timeout"),
            ({"timeout": 1e300}, "timeout"),
            ({"timeout": True}, "timeout"),
            ({"timeout": "5"}, "timeout"),
            ({"debug": 1}, "debug"),
            ({"env": {"A=": "x"}}, "env"),
            ({"env": {"A": 5}}, "env.A"),
        ],
        ids=repr,
    )
    def test_an_invalid_argument_is_refused_by_name(
        self, shared_api: Any, shared_orch_id: str, fields: dict[str, Any], argument: str
    ) -> None:
        found = shared_api.refusal(400, "task/run_once", **{"orch_id": shared_orch_id, "workspace_id": 1, "json": {}, **fields})
        assert (found["kind"], found["details"]["argument"]) == ("BadArgument", argument)
        assert shared_api.call("task/list", killed=True) == []

    def test_arguments_are_limited_in_size_and_depth(self, stepped_api: Any, stepped_client: Client, orch_id: str) -> None:
        deep: dict[str, Any] = {}
        for _ in range(150):
            deep = {"deeper": deep}
        for arguments in (deep, {"much": "x" * 1_100_000}):
            found = stepped_api.refusal(400, "task/run_once", orch_id=orch_id, workspace_id=1, json=arguments)
            assert found["details"]["argument"] == "json"
            assert found["msg"].startswith("json ")
        assert stepped_client.list_tasks() == []

    def test_an_orchestration_of_another_workspace_is_not_found(self, stepped_api: Any, stepped_client: Client, orch_id: str) -> None:
        other = stepped_client.create_workspace("other").id()
        found = stepped_api.refusal(404, "task/run_once", orch_id=orch_id, workspace_id=other, json={})
        assert found["details"] == {"orchestration_id": orch_id, "workspace_id": other}
        stepped_api.refusal(404, "task/run_once", orch_id=orch_id, workspace_id=99, json={})
        stepped_api.refusal(404, "task/run_once", orch_id=str(uuid.uuid4()), workspace_id=1, json={})
        assert stepped_client.list_tasks() == []


class TestRunScheduled:
    def test_runs_at_every_slot(self, stepped_api: Any, stepped_client: Client, orch_id: str, clock: ManualClock) -> None:
        fields: dict[str, Any] = {"json": {}, "name": "n", "schedule": "*/10 * * * *", "timeout": None}
        task = stepped_api.create("task/run_scheduled", orch_id=orch_id, workspace_id=1, **fields)
        clock.advance(minutes=21)
        assert [run["scheduled_at"] for run in stepped_api.runs(task)] == [
            "2026-03-01T00:20:00.000000+00:00",
            "2026-03-01T00:10:00.000000+00:00",
        ]
        shown = stepped_api.call("task/get_by_id", id=task)
        assert (shown["run_type"], shown["schedule"], shown["status"]) == ("CronJob", "*/10 * * * *", "started")
        assert shown["next_run_at"] == "2026-03-01T00:30:00.000000+00:00"
        assert "flavor" not in shown

    def test_accepts_the_fields_that_are_orchlites(self, stepped_api: Any, stepped_client: Client, orch_id: str) -> None:
        policy = {"timezone": "Europe/Berlin", "concurrency": "forbid", "missed": "none", "starting_deadline_seconds": 90}
        task = stepped_api.create("task/run_scheduled", orch_id=orch_id, workspace_id=1, json={}, schedule="0 2 * * *", **policy)
        shown = stepped_api.call("task/get_by_id", id=task)
        assert {name: shown[name] for name in policy} == policy
        assert stepped_client.get_task_by_id(task).timezone() == "Europe/Berlin"

    def test_accepts_limits_of_what_runs_may_use(self, stepped_api: Any, orch_id: str) -> None:
        fields = {"orch_id": orch_id, "workspace_id": 1, "json": {}, "name": "n", "memory": "1.5GiB", "cpu_seconds": 600, "nice": 10}
        paths = {"task/run_once": {}, "task/run_scheduled": {"schedule": "0 2 * * *"}, "task/run_continuously": {}}
        for path, more in paths.items():
            shown = stepped_api.call("task/get_by_id", id=stepped_api.create(path, **fields, **more))
            assert (shown["memory"], shown["cpu_seconds"], shown["nice"]) == (3 * 2**29, 600, 10)

    def test_accepts_retries_and_shows_the_tries(self, open_client: Callable[..., Client], clock: ManualClock, api_of: Any) -> None:
        api = api_of(open_client(clock=clock, process=StubProcess("failure")))
        fields = {"orch_id": api.orchestration(), "workspace_id": 1, "json": {}}
        retry = {"retries": 1, "retry_delay": "5m", "retry_unknown": True}
        tasks = api.create("task/run_once", **fields, **retry), api.create("task/run_scheduled", schedule="0 2 * * *", **fields, **retry)
        shown = [api.call("task/get_by_id", id=task) for task in tasks]
        assert [(task["retries"], task["retry_delay"]) for task in shown] == [(1, 300)] * 2
        clock.advance(minutes=5)
        second, first = api.runs(tasks[0])
        assert (first["try_number"], first["retry_of"], second["try_number"], second["retry_of"]) == (1, None, 2, first["run_id"])

    @pytest.mark.parametrize(
        ("fields", "error", "field"),
        [
            ({"memory": "4G"}, "BadArgument", "memory"),
            ({"retries": 101}, "BadArgument", "retries"),
            ({"retries": 1, "retry_delay": "soon"}, "BadArgument", "retry_delay"),
            ({"retry_unknown": True}, "BadArgument", "retry_unknown"),
            ({"schedule": None}, "BadArgument", "schedule"),
            ({"json": None}, "BadArgument", "json"),
            ({"schedule": "60 * * * *"}, "BadSchedule", "minute"),
            ({"timezone": "../etc"}, "BadSchedule", "timezone"),
            ({"concurrency": "odd"}, "BadArgument", "concurrency"),
            ({"missed": 5}, "BadArgument", "missed"),
            ({"starting_deadline_seconds": 0}, "BadArgument", "starting_deadline_seconds"),
        ],
        ids=repr,
    )
    def test_an_invalid_schedule_is_refused(
        self, shared_api: Any, shared_orch_id: str, fields: dict[str, Any], error: str, field: str
    ) -> None:
        valid = {"orch_id": shared_orch_id, "workspace_id": 1, "json": {}, "schedule": "0 2 * * *"}
        found = shared_api.refusal(400, "task/run_scheduled", **{**valid, **fields})
        assert (found["kind"], found["details"].get("argument", found["details"].get("field"))) == (error, field)
        assert shared_api.call("task/list", killed=True) == []


def test_a_continuous_task_is_started_and_described_as_a_service(stepped_api: Any, orch_id: str) -> None:
    task = stepped_api.create("task/run_continuously", orch_id=orch_id, workspace_id=1, json={}, name="poller", debug=True)
    shown = stepped_api.call("task/get_by_id", id=task)
    assert (shown["run_type"], shown["status"], shown["name"]) == ("NetworkService", "started", "poller")
    assert shown["service_name"]
    assert shown["extra_env_vars"]["TASK_DEBUG"] == "true"


@pytest.mark.parametrize("name", [{}, {"name": None}], ids=["absent", "null"])
def test_a_continuous_task_needs_a_name(shared_api: Any, shared_orch_id: str, name: dict[str, None]) -> None:
    found = shared_api.refusal(400, "task/run_continuously", orch_id=shared_orch_id, workspace_id=1, json={}, **name)
    assert found["details"]["argument"] == "name"


@pytest.mark.parametrize("path", ["task/run_once", "task/run_scheduled", "task/run_continuously"])
def test_arguments_are_required(shared_api: Any, shared_orch_id: str, path: str) -> None:
    fields = {"orch_id": shared_orch_id, "workspace_id": 1, "name": "n", "schedule": "0 2 * * *"}
    for arguments in ({}, {"json": None}):
        found = shared_api.refusal(400, path, **fields, **arguments)
        assert (found["details"]["argument"], found["error"].startswith("'json': ")) == ("json", True)


class TestAMisspeltField:
    @pytest.mark.parametrize(
        ("path", "name", "meant"),
        [
            ("task/run_scheduled", "timezon", "timezone"),
            ("task/run_scheduled", "time_zone", "timezone"),
            ("task/run_scheduled", "concurency", "concurrency"),
            ("task/run_once", "retry_delays", "retry_delay"),
            ("task/run_continuously", "envs", "env"),
        ],
    )
    def test_is_refused_with_the_right_name(self, shared_api: Any, shared_orch_id: str, path: str, name: str, meant: str) -> None:
        fields = {"orch_id": shared_orch_id, "workspace_id": 1, "json": {}, "name": "n", "schedule": "30 2 * * *", name: "x"}
        headers = {"User-Agent": "curl/8.5"}
        found = shared_api.request("POST", f"/v1/api/{path}", json=fields, headers=headers)
        assert (found.status_code, found.json()["details"]) == (400, {"argument": name})
        assert (f"'{name}' is no field of this request" in found.text, f"Use {meant}." in found.text) == (True, True)

    @pytest.mark.parametrize("name", ["time_out", "workspace", "schedules", "json_args", "future_field"])
    def test_near_one_of_the_platforms_is_ignored(self, stepped_api: Any, orch_id: str, name: str) -> None:
        fields = {"orch_id": orch_id, "workspace_id": 1, "json": {}, "name": "n", "schedule": "30 2 * * *", name: "x"}
        found = stepped_api.request("POST", "/v1/api/task/run_scheduled", json=fields, headers={"User-Agent": "curl/8.5"})
        assert found.status_code == 201

    @pytest.mark.parametrize(("path", "name"), [("task/run_once", "timezon"), ("task/run_continuously", "retrie")])
    def test_near_a_field_of_another_request_is_ignored_as_that_field_is(
        self, stepped_api: Any, orch_id: str, path: str, name: str
    ) -> None:
        fields = {"orch_id": orch_id, "workspace_id": 1, "json": {}, "name": "n", name: "x"}
        assert stepped_api.request("POST", f"/v1/api/{path}", json=fields, headers={"User-Agent": "curl/8.5"}).status_code == 201

    @pytest.mark.parametrize("agent", ["python-httpx/0.28.1", "python-httpx/0.23.3", "python-requests/2.31.0", "WallarooSDK/2026.1.3"])
    def test_of_an_sdk_is_ignored(self, stepped_api: Any, orch_id: str, agent: str) -> None:
        fields = {"orch_id": orch_id, "workspace_id": 1, "json": {}, "name": "n", "schedule": "30 2 * * *", "timezon": "x"}
        assert stepped_api.request("POST", "/v1/api/task/run_scheduled", json=fields, headers={"User-Agent": agent}).status_code == 201


class TestReading:
    def test_a_task_has_the_fields_of_the_guide(self, stepped_api: Any, stepped_client: Client, orch_id: str, clock: ManualClock) -> None:
        task = stepped_api.create("task/run_once", orch_id=orch_id, workspace_id=1, json={})
        clock.advance(seconds=61)
        shown = stepped_api.call("task/get_by_id", id=task)
        [run] = shown.pop("last_runs")
        assert set(run) == {"run_id", "status", "created_at", "updated_at"}
        assert (run["status"], run["updated_at"]) == ("success", "2026-03-01T00:01:00.000000+00:00")
        variables = shown.pop("extra_env_vars")
        assert set(variables) == {"MINIO_URL", "ORCH_ID", "ORCH_OWNER_ID", "ORCH_SHA", "TASK_DEBUG", "TASK_ID"}
        assert variables["TASK_DEBUG"] == "false"
        assert (variables["ORCH_SHA"], variables["TASK_ID"]) == (stepped_client.get_orchestration_by_id(orch_id).sha(), task)
        constant = {
            "image": "proxy.replicated.com/proxy/wallaroo/ghcr.io/wallaroolabs/arbex-orch-deploy",
            "bind_secrets": ["minio"],
            "auth_init": True,
            "flavor": "exec_orch_oneshot",
            "reap_threshold_secs": 900,
            "exec_type": "job",
        }
        facts = {
            "name": None,
            "id": task,
            "workspace_id": 1,
            "status": "started",
            "input_data": {},
            "killed": False,
            "created_at": "2026-03-01T00:00:00.000000+00:00",
            "updated_at": "2026-03-01T00:00:00.000000+00:00",
            "run_type": "Oneshot",
            "orch_id": orch_id,
        }
        assert {name: shown[name] for name in (*constant, *facts)} == {**constant, **facts}

    def test_the_newest_runs_are_listed_oldest_first(self, stepped_api: Any, orch_id: str, clock: ManualClock) -> None:
        task = stepped_api.create("task/run_scheduled", orch_id=orch_id, workspace_id=1, json={}, schedule="* * * * *")
        clock.advance(minutes=12)
        newest_first = [run["run_id"] for run in stepped_api.runs(task, limit=100)]
        assert len(newest_first) == 12
        assert [run["run_id"] for run in stepped_api.call("task/get_by_id", id=task)["last_runs"]] == newest_first[4::-1]
        assert [run["run_id"] for run in stepped_api.call("task/get_by_id", id=task, run_limit=2)["last_runs"]] == newest_first[1::-1]
        assert stepped_api.call("task/get_by_id", id=task, run_limit=0)["last_runs"] == []
        assert stepped_api.call("task/list", run_limit=2) == [stepped_api.call("task/get_by_id", id=task, run_limit=2)]
        assert [run["run_id"] for run in stepped_api.runs(task)] == newest_first[:10]

    def test_of_runs_that_overlap_the_one_that_ended_last_is_the_newest(self, api_of: Callable[..., Any], clock: ManualClock) -> None:
        lengths = {1: 600.0, 2: 30.0, 3: 30.0}
        process = StubProcess(lambda run: ("success", lengths[run.number]))
        with Client.temporary(clock=clock, process=process, workers=3) as client:
            api = api_of(client)
            task = api.create("task/run_scheduled", orch_id=api.orchestration(), workspace_id=1, json={}, schedule="1,2,5 0 * * *")
            clock.advance(minutes=20)
            long, short, late = (run.run_id for run in process.runs)
            assert [run["run_id"] for run in api.runs(task)] == [long, late, short]
            assert [run["run_id"] for run in api.runs(task, limit=1)] == [long]
            assert [run["run_id"] for run in api.call("task/get_by_id", id=task)["last_runs"]] == [short, late, long]
            assert [run["run_id"] for run in api.call("task/list", run_limit=2)[0]["last_runs"]] == [late, long]

    def test_a_list_of_tasks_begins_with_the_one_that_changed_last(self, stepped_api: Any, orch_id: str, clock: ManualClock) -> None:
        fields: dict[str, Any] = {"orch_id": orch_id, "workspace_id": 1, "json": {}, "schedule": "0 * * * *"}
        first, second = (stepped_api.create("task/run_scheduled", **fields) for _ in range(2))
        assert [task["id"] for task in stepped_api.call("task/list")] == [second, first]
        clock.advance(minutes=1)
        stepped_api.call("task/pause", 202, id=first, pause=True)
        assert [task["id"] for task in stepped_api.call("task/list")] == [first, second]
        assert [task["id"] for task in stepped_api.call("task/list", orch_id=orch_id)] == [first, second]

    def test_queued_and_skipped_runs_are_not_listed(
        self, stepped_api: Any, stepped_client: Client, orch_id: str, clock: ManualClock
    ) -> None:
        task = stepped_client.get_orchestration_by_id(orch_id).run_scheduled("n", "*/1 * * * *", concurrency="forbid", missed="none")
        task.pause()
        clock.advance(minutes=3)
        task.resume()
        assert stepped_api.runs(task.id(), status="all") == []
        [skipped, *_] = task.last_runs(status="skipped")
        details = stepped_api.call("task/get_run_details", task=task.id(), pod_id=skipped.id())
        assert details["status"] == "unknown"

    @pytest.mark.parametrize("path", ["task/get_by_id", "task/kill", "task/get_logs_for_run"])
    @pytest.mark.parametrize(("value", "status"), [(_MISSING_ID, 404), ("x", 404), ("\0", 400), ("x" * 500, 400), (5, 400), (None, 400)])
    def test_an_unknown_id_is_refused(self, shared_api: Any, path: str, value: object, status: int) -> None:
        found = shared_api.refusal(status, path, id=value)
        assert found["kind"] == ("NotFound" if status == 404 else "BadArgument")
        assert found["details"], "the id, or the name of the field"


class TestList:
    @pytest.fixture
    def tasks(self, stepped_api: Any, stepped_client: Client, orch_id: str, clock: ManualClock) -> list[str]:
        """Three tasks of two orchestrations in two workspaces, oldest first; the second is killed."""
        other = stepped_client.create_workspace("other").id()
        elsewhere = stepped_api.orchestration("print(2)", workspace_id=other)
        found = []
        for orchestration, workspace in ((orch_id, 1), (orch_id, 1), (elsewhere, other)):
            found.append(stepped_api.create("task/run_once", orch_id=orchestration, workspace_id=workspace, json={}))
            clock.advance(seconds=61)
        stepped_api.call("task/kill", 202, id=found[1])
        return found

    def _listed(self, stepped_api: Any, **fields: Any) -> list[str]:
        return [task["id"] for task in stepped_api.call("task/list", **fields)]

    def test_has_killed_tasks_on_request(self, stepped_api: Any, tasks: list[str]) -> None:
        assert self._listed(stepped_api) == [tasks[2], tasks[0]]
        assert self._listed(stepped_api, killed=None, workspace_id=None, orch_sha=None, orch_id=None) == [tasks[2], tasks[0]]
        assert self._listed(stepped_api, killed=True) == [tasks[1], tasks[2], tasks[0]]
        assert self._listed(stepped_api, workspace_id=1, killed=True) == [tasks[1], tasks[0]]

    def test_is_limited_on_request(self, stepped_api: Any, orch_id: str, tasks: list[str]) -> None:
        assert self._listed(stepped_api, killed=True, limit=2) == [tasks[1], tasks[2]]
        assert self._listed(stepped_api, workspace_id=1, killed=True, limit=1) == [tasks[1]]
        assert self._listed(stepped_api, orch_id=orch_id, killed=True, limit=1) == [tasks[1]]
        assert self._listed(stepped_api, limit=0) == []

    def test_is_filtered_by_orchestration_and_sha(self, stepped_api: Any, stepped_client: Client, orch_id: str, tasks: list[str]) -> None:
        sha = stepped_client.get_orchestration_by_id(orch_id).sha()
        assert self._listed(stepped_api, orch_id=orch_id) == [tasks[0]]
        assert self._listed(stepped_api, orch_sha=sha, killed=True) == [tasks[1], tasks[0]]
        assert self._listed(stepped_api, orch_sha=sha, orch_id=orch_id) == [tasks[0]]
        assert self._listed(stepped_api, orch_sha="0" * 64, orch_id=orch_id) == []
        assert self._listed(stepped_api, orch_sha=sha, workspace_id=2) == []
        assert stepped_api.call("task/get_tasks_by_orch_sha", sha=sha) == {"ids": [tasks[1], tasks[0]]}
        assert stepped_api.call("task/get_tasks_by_orch_sha", sha="0" * 64) == {"ids": []}

    def test_of_something_missing_is_refused(self, stepped_api: Any, tasks: list[str]) -> None:
        absent = str(uuid.uuid4())
        assert stepped_api.refusal(404, "task/list", workspace_id=99)["details"] == {"workspace_id": 99}
        assert stepped_api.refusal(404, "task/list", orch_id=absent)["details"] == {"orchestration_id": absent}
        for argument, value in (("killed", "yes"), ("limit", -1), ("run_limit", -1)):
            assert stepped_api.refusal(400, "task/list", **{argument: value})["details"] == {"argument": argument}
        assert stepped_api.refusal(400, "task/get_tasks_by_orch_sha")["details"] == {"argument": "sha"}

    def test_of_several_pages_has_every_task_once_and_in_order(self, stepped_api: Any, stepped_client: Client, tasks: list[str]) -> None:
        store = stepped_client._engine.store
        known = store.tasks.get(tasks[0])
        added = [known._replace(task_id=str(uuid.uuid4()), created_at=_START + timedelta(days=1, seconds=number)) for number in range(1200)]
        with store.transaction() as transaction:
            for task in added:
                store.tasks.insert(transaction, task)
                run_id = str(uuid.uuid4())
                store.runs.insert(transaction, run_id, task.task_id, "nobody", _START)
                store.runs.end(transaction, run_id, RunResult(RunStatus.KILLED, None, None, _START, None))
        listed = stepped_api.call("task/list", workspace_id=1)
        assert [task["id"] for task in listed] == [*[task.task_id for task in reversed(added)], tasks[0]]
        assert {len(task["last_runs"]) for task in listed} == {1}


class TestRuns:
    def test_details_are_found_by_run_and_task(self, stepped_api: Any, orch_id: str, clock: ManualClock) -> None:
        first, second = (stepped_api.create("task/run_once", orch_id=orch_id, workspace_id=1, json={}) for _ in range(2))
        clock.advance(minutes=3)
        [run] = stepped_api.runs(first)
        assert stepped_api.call("task/get_run_details", task=first, pod_id=run["run_id"]) == run
        assert (run["task"], run["exit_code"], run["ended_at"]) == (first, 0, run["updated_at"])
        stepped_api.refusal(404, "task/get_run_details", task=second, pod_id=run["run_id"])
        stepped_api.refusal(404, "task/get_run_details", task=str(uuid.uuid4()), pod_id=run["run_id"])
        stepped_api.refusal(404, "task/get_run_details", task=first, pod_id=str(uuid.uuid4()))

    def test_are_found_by_status_and_time(self, stepped_api: Any, orch_id: str, clock: ManualClock) -> None:
        task = stepped_api.create("task/run_scheduled", orch_id=orch_id, workspace_id=1, json={}, schedule="0 * * * *")
        clock.advance(hours=5, minutes=30)
        assert len(stepped_api.runs(task, status="success")) == 5
        assert stepped_api.runs(task, status="failure") == stepped_api.runs(task, status="timed_out") == []
        between = stepped_api.runs(task, time_range=["2026-03-01T01:30:00Z", "2026-03-01T05:30:00+02:00"])
        assert [run["scheduled_at"][11:13] for run in between] == ["03", "02"]
        assert [run["scheduled_at"][11:13] for run in stepped_api.runs(task, limit=1, status="all")] == ["05"]

    @pytest.mark.parametrize("status", ["queued", "skipped", "odd", ""])
    def test_an_unknown_status_is_refused(self, stepped_api: Any, orch_id: str, status: str) -> None:
        task = stepped_api.create("task/run_once", orch_id=orch_id, workspace_id=1, json={})
        assert stepped_api.refusal(400, "task/list_task_runs", task_id=task, status=status)["details"]["argument"] == "status"

    def test_of_a_missing_task_are_not_found(self, shared_api: Any) -> None:
        absent = str(uuid.uuid4())
        assert shared_api.refusal(404, "task/list_task_runs", task_id=absent)["details"] == {"task_id": absent}

    def test_the_newest_lines_of_a_log_are_in_order(self, api: Any) -> None:
        task = api.task(api.orchestration("print('a\\nb\\n\\nc')"))
        [run] = api.runs(task)

        def texts(**fields: Any) -> list[str]:
            return [line.split(" ", 3)[3] for line in api.call("task/get_logs_for_run", id=run["run_id"], **fields)["logs"]]

        assert texts() == texts(lines=None) == ["a", "b", "", "c"]
        assert (texts(lines=2), texts(lines=0)) == (["", "c"], [])


class TestKill:
    def test_responds_with_the_request_and_then_happens(self, stepped_api: Any, orch_id: str) -> None:
        task = stepped_api.create("task/run_scheduled", orch_id=orch_id, workspace_id=1, json={}, schedule="0 * * * *")
        fields_sent = stepped_api.call("task/kill", 202, id=task)
        assert (fields_sent["id"], fields_sent["status"], fields_sent["killed"]) == (task, "pending_kill", False)
        done = stepped_api.call("task/get_by_id", id=task)
        assert (done["status"], done["killed"]) == ("killed", True)
        assert stepped_api.call("task/kill", 202, id=task)["killed"] is True
        assert stepped_api.call("task/list") == []

    def test_ends_running_runs(self, api: Any, client: Client) -> None:
        orch_id = api.orchestration("import time; time.sleep(60)")
        task = api.create("task/run_once", orch_id=orch_id, workspace_id=1, json={})
        api.until(lambda: api.runs(task))
        api.call("task/kill", 202, id=task)
        api.until(lambda: api.call("task/get_by_id", id=task)["killed"])
        assert [run["status"] for run in api.runs(task)] == ["killed"]


class TestPause:
    def test_and_resume_respond_with_the_task(self, stepped_api: Any, orch_id: str) -> None:
        task = stepped_api.create("task/run_scheduled", orch_id=orch_id, workspace_id=1, json={}, schedule="0 * * * *")
        assert stepped_api.call("task/pause", 202, id=task, pause=True)["status"] in ("pending_pause", "paused")
        assert stepped_api.call("task/get_by_id", id=task)["next_run_at"] is None
        assert stepped_api.call("task/pause", 202, id=task, pause=False)["status"] in ("pending_resume", "started")
        assert stepped_api.call("task/get_by_id", id=task)["status"] == "started"

    def test_of_a_task_that_runs_once_is_a_conflict(self, stepped_api: Any, orch_id: str) -> None:
        task = stepped_api.create("task/run_once", orch_id=orch_id, workspace_id=1, json={})
        assert stepped_api.refusal(409, "task/pause", id=task, pause=True)["kind"] == "IllegalMove"
        stepped_api.refusal(400, "task/pause", id=task)
        stepped_api.refusal(404, "task/pause", id=str(uuid.uuid4()), pause=True)


class TestClientsOf2023:
    """They fail on statuses that were added later: one of them makes a whole list unreadable."""

    def test_receive_the_task_statuses_of_2023(self, stepped_api: Any, stepped_client: Client, orch_id: str) -> None:
        killed, paused = (
            stepped_api.create("task/run_scheduled", orch_id=orch_id, workspace_id=1, json={}, schedule="0 * * * *") for _ in range(2)
        )
        stepped_api.call("task/kill", 202, id=killed)
        stepped_api.call("task/pause", 202, id=paused, pause=True)
        statuses = {task["id"]: (task["status"], task["killed"]) for task in stepped_api.call_as_2023("task/list", killed=True)}
        assert statuses == {killed: ("pending_kill", True), paused: ("pending", False)}
        assert stepped_api.call_as_2023("task/get_by_id", id=paused)["status"] == "pending"
        assert stepped_api.call("task/get_by_id", id=paused)["status"] == "paused"

    def test_receive_a_timed_out_run_as_a_failure_and_find_it_as_one(self, api_of: Callable[..., Any]) -> None:
        with Client.temporary(clock=ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), process=StubProcess("timed_out")) as client:
            api = api_of(client)
            task = api.task(api.orchestration())
            [run] = api.runs(task, status="timed_out")
            assert (run["status"], api.runs(task, status="failure")) == ("timed_out", [])
            [old] = api.call_as_2023("task/list_task_runs", task_id=task, status="failure")
            assert (old["run_id"], old["status"]) == (run["run_id"], "failure")
            assert api.call_as_2023("task/get_by_id", id=task)["last_runs"][0]["status"] == "failure"

    def test_are_recognized_by_user_agent_unless_the_server_is_configured(
        self, stepped_client: Client, api_of: Callable[..., Any], orch_id: str
    ) -> None:
        task = stepped_client.get_orchestration_by_id(orch_id).run_scheduled("n", "0 * * * *")
        task.pause()

        def statuses(api: Any) -> list[str]:
            post = partial(api.request, "POST", "/v1/api/task/get_by_id", json={"id": task.id()})
            return [post(headers={"User-Agent": agent}).json()["status"] for agent in agents]

        agents = ["python-httpx/0.23.3", "python-httpx/0.18", "python-httpx/0.28.1", "python-requests/2.31", "WallarooSDK/2026.1.3"]
        assert statuses(api_of(stepped_client)) == ["pending", "pending", "paused", "paused", "paused"]
        assert statuses(api_of(stepped_client, compatibility="2023")) == ["pending"] * 5
        assert statuses(api_of(stepped_client, compatibility="2026")) == ["paused"] * 5


def test_a_run_on_a_cluster_says_where_it_is_and_any_other_nothing(tmp_path: Path, api_of: Any, smallest_bundle: bytes) -> None:
    with Client(tmp_path / "far", engine=FakeCluster(tmp_path / "cluster")) as client:
        task = client.upload_orchestration(smallest_bundle).wait().run_once()
        run, packaging = task.wait(), client.list_orchestrations()[0].task().last_runs()[0]
        far, near = (api_of(client).call("task/get_run_details", task=one.task(), pod_id=one.id()) for one in (run, packaging))
    assert (far["placement"]["engine"], far["placement"]["job_id"], near["placement"]) == ("fake", f"{run.id()}-1", None)
