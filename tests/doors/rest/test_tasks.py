"""The endpoints `task/…`, as the platform's clients use them."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchlite import Client
from orchlite.core.records import RunResult
from orchlite.core.status import RunStatus
from orchlite.testing import ManualClock, StubProcess

_START = datetime(2026, 3, 1, tzinfo=UTC)
_NOBODY = "00000000-0000-4000-8000-000000000000"
_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F hello")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(_START)


@pytest.fixture
def still(tmp_path: Path, empty_store: Path, clock: ManualClock) -> Any:
    """A client in whose store nothing happens unless the clock is moved."""
    shutil.copytree(empty_store, tmp_path / "still")
    with Client(tmp_path / "still", clock=clock, process=StubProcess("success", duration_seconds=60)) as client:
        yield client


@pytest.fixture
def there(still: Client, api_of: Any) -> Any:
    """The REST door of `still`."""
    return api_of(still)


@pytest.fixture
def made(there: Any) -> str:
    """An orchestration of `still`."""
    found: str = there.orchestration()
    return found


@pytest.fixture(scope="module")
def there_already(settled: Any) -> str:
    """An orchestration of `settled`."""
    found: str = settled.orchestration()
    return found


class TestRunOnce:
    def test_runs_a_program_with_its_arguments(self, api: Any, client: Client) -> None:
        made = api.orchestration("import wallaroo\nprint(wallaroo.Client().task_args()['word'])")
        response = api.post("task/run_once", orch_id=made, workspace_id=1, json={"word": "hello"}, name="greet", timeout=30, debug=None)
        assert (response.status_code, list(response.json())) == (201, ["id"])
        task = client.get_task_by_id(response.json()["id"])
        assert (task.wait().status(), task.name(), task.timeout(), task.input_data()) == ("success", "greet", 30, {"word": "hello"})
        [run] = api.runs(task.id())
        [line] = api.ask("task/get_logs_for_run", id=run["run_id"])["logs"]
        assert _LINE.fullmatch(line)

    @pytest.mark.parametrize("absent", [{}, dict.fromkeys(["name", "timeout", "debug", "json", "env"])], ids=["absent", "null"])
    def test_what_is_optional_may_be_absent_or_null(self, there: Any, still: Client, made: str, absent: dict[str, None]) -> None:
        task = still.get_task_by_id(there.ask("task/run_once", 201, orch_id=made, workspace_id=1, **absent)["id"])
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
    def test_an_argument_that_cannot_be_meant_is_refused_by_name(
        self, settled: Any, there_already: str, fields: dict[str, Any], argument: str
    ) -> None:
        found = settled.refusal(400, "task/run_once", **{"orch_id": there_already, "workspace_id": 1, "json": {}, **fields})
        assert (found["error"], found["details"]["argument"]) == ("BadArgument", argument)
        assert settled.ask("task/list", killed=True) == []

    def test_arguments_are_bounded_in_size_and_depth(self, there: Any, still: Client, made: str) -> None:
        deep: dict[str, Any] = {}
        for _ in range(150):
            deep = {"deeper": deep}
        for arguments in (deep, {"much": "x" * 1_100_000}):
            found = there.refusal(400, "task/run_once", orch_id=made, workspace_id=1, json=arguments)
            assert found["details"]["argument"] == "json"
            assert found["msg"].startswith("json ")
        assert still.list_tasks() == []

    def test_an_orchestration_of_another_workspace_is_not_found(self, there: Any, still: Client, made: str) -> None:
        other = still.create_workspace("other").id()
        found = there.refusal(404, "task/run_once", orch_id=made, workspace_id=other, json={})
        assert found["details"] == {"orchestration_id": made, "workspace_id": other}
        there.refusal(404, "task/run_once", orch_id=made, workspace_id=99, json={})
        there.refusal(404, "task/run_once", orch_id=str(uuid.uuid4()), workspace_id=1, json={})
        assert still.list_tasks() == []


class TestRunScheduled:
    def test_runs_at_every_slot(self, there: Any, still: Client, made: str, clock: ManualClock) -> None:
        task = there.ask("task/run_scheduled", 201, orch_id=made, workspace_id=1, json={}, name="n", schedule="*/10 * * * *", timeout=None)
        clock.advance(minutes=21)
        assert [run["scheduled_at"] for run in there.runs(task["id"])] == [
            "2026-03-01T00:20:00.000000+00:00",
            "2026-03-01T00:10:00.000000+00:00",
        ]
        shown = there.ask("task/get_by_id", id=task["id"])
        assert (shown["run_type"], shown["schedule"], shown["status"]) == ("CronJob", "*/10 * * * *", "started")
        assert shown["next_run_at"] == "2026-03-01T00:30:00.000000+00:00"
        assert "flavor" not in shown

    def test_takes_what_only_orchlite_knows(self, there: Any, still: Client, made: str) -> None:
        policy = {"timezone": "Europe/Berlin", "concurrency": "forbid", "missed": "none", "starting_deadline_seconds": 90}
        task = there.ask("task/run_scheduled", 201, orch_id=made, workspace_id=1, schedule="0 2 * * *", **policy)["id"]
        shown = there.ask("task/get_by_id", id=task)
        assert {name: shown[name] for name in policy} == policy
        assert still.get_task_by_id(task).timezone() == "Europe/Berlin"

    @pytest.mark.parametrize(
        ("fields", "error", "field"),
        [
            ({"schedule": None}, "BadArgument", "schedule"),
            ({"schedule": "60 * * * *"}, "BadSchedule", "minute"),
            ({"timezone": "../etc"}, "BadSchedule", "timezone"),
            ({"concurrency": "odd"}, "BadArgument", "concurrency"),
            ({"missed": 5}, "BadArgument", "missed"),
            ({"starting_deadline_seconds": 0}, "BadArgument", "starting_deadline_seconds"),
        ],
        ids=repr,
    )
    def test_a_schedule_that_cannot_be_kept_is_refused(
        self, settled: Any, there_already: str, fields: dict[str, Any], error: str, field: str
    ) -> None:
        asked = {"orch_id": there_already, "workspace_id": 1, "json": {}, "schedule": "0 2 * * *", **fields}
        found = settled.refusal(400, "task/run_scheduled", **asked)
        assert (found["error"], found["details"].get("argument", found["details"].get("field"))) == (error, field)
        assert settled.ask("task/list", killed=True) == []


def test_a_continuous_task_is_started_and_shown_as_a_service(there: Any, made: str) -> None:
    task = there.ask("task/run_continuously", 201, orch_id=made, workspace_id=1, json={}, name="poller", debug=True)["id"]
    shown = there.ask("task/get_by_id", id=task)
    assert (shown["run_type"], shown["status"], shown["name"]) == ("NetworkService", "started", "poller")
    assert shown["service_name"]
    assert shown["extra_env_vars"]["TASK_DEBUG"] == "true"


class TestLooks:
    def test_a_task_looks_as_in_the_guide(self, there: Any, still: Client, made: str, clock: ManualClock) -> None:
        task = there.ask("task/run_once", 201, orch_id=made, workspace_id=1, json={})["id"]
        clock.advance(seconds=61)
        shown = there.ask("task/get_by_id", id=task)
        [run] = shown.pop("last_runs")
        assert set(run) == {"run_id", "status", "created_at", "updated_at"}
        assert (run["status"], run["updated_at"]) == ("success", "2026-03-01T00:01:00.000000+00:00")
        variables = shown.pop("extra_env_vars")
        assert set(variables) == {"MINIO_URL", "ORCH_ID", "ORCH_OWNER_ID", "ORCH_SHA", "TASK_ID"}
        assert (variables["ORCH_SHA"], variables["TASK_ID"]) == (still.get_orchestration_by_id(made).sha(), task)
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
            "orch_id": made,
        }
        assert {name: shown[name] for name in (*constant, *facts)} == {**constant, **facts}

    def test_its_newest_runs_are_shown_oldest_first(self, there: Any, made: str, clock: ManualClock) -> None:
        task = there.ask("task/run_scheduled", 201, orch_id=made, workspace_id=1, schedule="* * * * *")["id"]
        clock.advance(minutes=12)
        newest_first = [run["run_id"] for run in there.runs(task, limit=100)]
        assert len(newest_first) == 12
        assert [run["run_id"] for run in there.ask("task/get_by_id", id=task)["last_runs"]] == newest_first[4::-1]
        assert [run["run_id"] for run in there.ask("task/get_by_id", id=task, run_limit=2)["last_runs"]] == newest_first[1::-1]
        assert there.ask("task/get_by_id", id=task, run_limit=0)["last_runs"] == []
        assert there.ask("task/list", run_limit=2) == [there.ask("task/get_by_id", id=task, run_limit=2)]
        assert [run["run_id"] for run in there.runs(task)] == newest_first[:10]

    def test_a_run_that_has_not_begun_and_a_slot_without_one_are_not_shown(
        self, there: Any, still: Client, made: str, clock: ManualClock
    ) -> None:
        task = still.get_orchestration_by_id(made).run_scheduled("n", "*/1 * * * *", concurrency="forbid", missed="none")
        task.pause()
        clock.advance(minutes=3)
        task.resume()
        assert len(task.last_runs(status="skipped")) > 0
        assert there.runs(task.id(), status="all") == []
        [skipped, *_] = task.last_runs(status="skipped")
        details = there.ask("task/get_run_details", task=task.id(), pod_id=skipped.id())
        assert details["status"] == "unknown"

    @pytest.mark.parametrize("path", ["task/get_by_id", "task/kill", "task/get_logs_for_run"])
    @pytest.mark.parametrize(("given", "status"), [(_NOBODY, 404), ("x", 404), ("\0", 400), ("x" * 500, 400), (5, 400), (None, 400)])
    def test_an_id_of_nothing_is_refused(self, settled: Any, path: str, given: object, status: int) -> None:
        settled.refusal(status, path, id=given)


class TestList:
    @pytest.fixture
    def tasks(self, there: Any, still: Client, made: str, clock: ManualClock) -> list[str]:
        """Three tasks of two orchestrations in two workspaces, oldest first; the second is killed."""
        other = still.create_workspace("other").id()
        elsewhere = there.orchestration("print(2)", workspace_id=other)
        found = []
        for orchestration, workspace in ((made, 1), (made, 1), (elsewhere, other)):
            found.append(there.ask("task/run_once", 201, orch_id=orchestration, workspace_id=workspace, json={})["id"])
            clock.advance(seconds=61)
        there.ask("task/kill", 202, id=found[1])
        return found

    def _listed(self, there: Any, **fields: Any) -> list[str]:
        return [task["id"] for task in there.ask("task/list", **fields)]

    def test_has_the_newest_first_and_killed_ones_on_request(self, there: Any, tasks: list[str]) -> None:
        assert self._listed(there) == [tasks[2], tasks[0]]
        assert self._listed(there, killed=None, workspace_id=None, orch_sha=None, orch_id=None) == [tasks[2], tasks[0]]
        assert self._listed(there, killed=True) == tasks[::-1]
        assert self._listed(there, workspace_id=1, killed=True) == [tasks[1], tasks[0]]

    def test_is_narrowed_by_orchestration_and_bytes(self, there: Any, still: Client, made: str, tasks: list[str]) -> None:
        sha = still.get_orchestration_by_id(made).sha()
        assert self._listed(there, orch_id=made) == [tasks[0]]
        assert self._listed(there, orch_sha=sha, killed=True) == [tasks[1], tasks[0]]
        assert self._listed(there, orch_sha=sha, orch_id=made) == [tasks[0]]
        assert self._listed(there, orch_sha="0" * 64, orch_id=made) == []
        assert self._listed(there, orch_sha=sha, workspace_id=2) == []
        assert there.ask("task/get_tasks_by_orch_sha", sha=sha) == {"ids": [tasks[1], tasks[0]]}
        assert there.ask("task/get_tasks_by_orch_sha", sha="0" * 64) == {"ids": []}

    def test_of_nothing_that_is_there_is_refused(self, there: Any, tasks: list[str]) -> None:
        there.refusal(404, "task/list", workspace_id=99)
        there.refusal(404, "task/list", orch_id=str(uuid.uuid4()))
        there.refusal(400, "task/list", killed="yes")
        there.refusal(400, "task/list", run_limit=-1)
        there.refusal(400, "task/get_tasks_by_orch_sha")

    def test_of_several_pages_has_every_task_once_in_order(self, there: Any, still: Client, tasks: list[str]) -> None:
        store = still._engine.store
        known = store.tasks.get(tasks[0])
        added = [known._replace(task_id=str(uuid.uuid4()), created_at=_START + timedelta(days=1, seconds=number)) for number in range(1200)]
        with store.transaction() as transaction:
            for task in added:
                store.tasks.insert(transaction, task)
                run_id = str(uuid.uuid4())
                store.runs.insert(transaction, run_id, task.task_id, "nobody", _START)
                store.runs.end(transaction, run_id, RunResult(RunStatus.KILLED, None, None, _START, None))
        listed = there.ask("task/list", workspace_id=1)
        assert [task["id"] for task in listed] == [*[task.task_id for task in reversed(added)], tasks[0]]
        assert {len(task["last_runs"]) for task in listed} == {1}


class TestRuns:
    def test_details_are_those_of_a_run_of_that_task(self, there: Any, made: str, clock: ManualClock) -> None:
        first, second = (there.ask("task/run_once", 201, orch_id=made, workspace_id=1, json={})["id"] for _ in range(2))
        clock.advance(minutes=3)
        [run] = there.runs(first)
        assert there.ask("task/get_run_details", task=first, pod_id=run["run_id"]) == run
        assert (run["task"], run["exit_code"], run["ended_at"]) == (first, 0, run["updated_at"])
        there.refusal(404, "task/get_run_details", task=second, pod_id=run["run_id"])
        there.refusal(404, "task/get_run_details", task=str(uuid.uuid4()), pod_id=run["run_id"])
        there.refusal(404, "task/get_run_details", task=first, pod_id=str(uuid.uuid4()))

    def test_are_found_by_status_and_time(self, there: Any, made: str, clock: ManualClock) -> None:
        task = there.ask("task/run_scheduled", 201, orch_id=made, workspace_id=1, schedule="0 * * * *")["id"]
        clock.advance(hours=5, minutes=30)
        assert len(there.runs(task, status="success")) == 5
        assert there.runs(task, status="failure") == there.runs(task, status="timed_out") == []
        between = there.runs(task, time_range=["2026-03-01T01:30:00Z", "2026-03-01T05:30:00+02:00"])
        assert [run["scheduled_at"][11:13] for run in between] == ["03", "02"]
        assert [run["scheduled_at"][11:13] for run in there.runs(task, limit=1, status="all")] == ["05"]

    @pytest.mark.parametrize("status", ["queued", "skipped", "odd", ""])
    def test_a_status_that_is_no_word_for_runs_is_refused(self, there: Any, made: str, status: str) -> None:
        task = there.ask("task/run_once", 201, orch_id=made, workspace_id=1, json={})["id"]
        assert there.refusal(400, "task/list_task_runs", task_id=task, status=status)["details"]["argument"] == "status"

    def test_of_nothing_are_not_found(self, settled: Any) -> None:
        settled.refusal(404, "task/list_task_runs", task_id=str(uuid.uuid4()))

    def test_the_newest_lines_of_a_log_come_in_order(self, api: Any) -> None:
        task = api.task(api.orchestration("print('a\\nb\\n\\nc')"))
        [run] = api.runs(task)

        def texts(**fields: Any) -> list[str]:
            return [line.split(" ", 3)[3] for line in api.ask("task/get_logs_for_run", id=run["run_id"], **fields)["logs"]]

        assert texts() == texts(lines=None) == ["a", "b", "", "c"]
        assert (texts(lines=2), texts(lines=0)) == (["", "c"], [])


class TestKill:
    def test_is_answered_with_the_request_and_then_done(self, there: Any, made: str) -> None:
        task = there.ask("task/run_scheduled", 201, orch_id=made, workspace_id=1, schedule="0 * * * *")["id"]
        asked = there.ask("task/kill", 202, id=task)
        assert (asked["id"], asked["status"], asked["killed"]) == (task, "pending_kill", False)
        done = there.ask("task/get_by_id", id=task)
        assert (done["status"], done["killed"]) == ("killed", True)
        assert there.ask("task/kill", 202, id=task)["killed"] is True
        assert there.ask("task/list") == []

    def test_ends_what_runs(self, api: Any, client: Client) -> None:
        made = api.orchestration("import time; time.sleep(60)")
        task = api.ask("task/run_once", 201, orch_id=made, workspace_id=1, json={})["id"]
        api.until(lambda: api.runs(task))
        api.ask("task/kill", 202, id=task)
        api.until(lambda: api.ask("task/get_by_id", id=task)["killed"])
        assert [run["status"] for run in api.runs(task)] == ["killed"]


class TestPause:
    def test_and_resume_are_answered_with_the_task(self, there: Any, made: str) -> None:
        task = there.ask("task/run_scheduled", 201, orch_id=made, workspace_id=1, schedule="0 * * * *")["id"]
        assert there.ask("task/pause", 202, id=task, pause=True)["status"] in ("pending_pause", "paused")
        assert there.ask("task/get_by_id", id=task)["next_run_at"] is None
        assert there.ask("task/pause", 202, id=task, pause=False)["status"] in ("pending_resume", "started")
        assert there.ask("task/get_by_id", id=task)["status"] == "started"

    def test_of_a_task_that_runs_once_is_a_conflict(self, there: Any, made: str) -> None:
        task = there.ask("task/run_once", 201, orch_id=made, workspace_id=1, json={})["id"]
        assert there.refusal(409, "task/pause", id=task, pause=True)["error"] == "IllegalMove"
        there.refusal(400, "task/pause", id=task)
        there.refusal(404, "task/pause", id=str(uuid.uuid4()), pause=True)


class TestClientsOf2023:
    """They break on words that came later: one of them makes a whole list unreadable."""

    def test_read_their_own_words_for_tasks(self, there: Any, still: Client, made: str) -> None:
        killed, paused = (there.ask("task/run_scheduled", 201, orch_id=made, workspace_id=1, schedule="0 * * * *")["id"] for _ in range(2))
        there.ask("task/kill", 202, id=killed)
        there.ask("task/pause", 202, id=paused, pause=True)
        words = {task["id"]: (task["status"], task["killed"]) for task in there.ask_as_2023("task/list", killed=True)}
        assert words == {killed: ("pending_kill", True), paused: ("pending", False)}
        assert there.ask_as_2023("task/get_by_id", id=paused)["status"] == "pending"
        assert there.ask("task/get_by_id", id=paused)["status"] == "paused"

    def test_read_a_run_out_of_time_as_a_failure_and_find_it_so(self, api_of: Callable[..., Any]) -> None:
        with Client.temporary(clock=ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), process=StubProcess("timed_out")) as client:
            api = api_of(client)
            task = api.task(api.orchestration())
            [run] = api.runs(task, status="timed_out")
            assert (run["status"], api.runs(task, status="failure")) == ("timed_out", [])
            [old] = api.ask_as_2023("task/list_task_runs", task_id=task, status="failure")
            assert (old["run_id"], old["status"]) == (run["run_id"], "failure")
            assert api.ask_as_2023("task/get_by_id", id=task)["last_runs"][0]["status"] == "failure"

    def test_are_known_by_name_unless_the_server_is_told_otherwise(self, still: Client, api_of: Callable[..., Any], made: str) -> None:
        task = still.get_orchestration_by_id(made).run_scheduled("n", "0 * * * *")
        task.pause()

        def words(api: Any) -> list[str]:
            asked = (
                api.request("POST", "/v1/api/task/get_by_id", json={"id": task.id()}, headers={"User-Agent": agent}) for agent in agents
            )
            return [answer.json()["status"] for answer in asked]

        agents = ["python-httpx/0.23.3", "python-httpx/0.18", "python-httpx/0.28.1", "python-requests/2.31", "WallarooSDK/2026.1.3"]
        assert words(api_of(still)) == ["pending", "pending", "paused", "paused", "paused"]
        assert words(api_of(still, compatibility="2023")) == ["pending"] * 5
        assert words(api_of(still, compatibility="2026")) == ["paused"] * 5
