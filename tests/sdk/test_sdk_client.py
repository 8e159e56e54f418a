"""The SDK's client over a store: what its methods take, return and raise. Programs for the platform depend on all of it."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import orchlite
import orchlite.sdk.wallaroo as wallaroo
from orchlite.sdk.inline import inline_task, run_program
from orchlite.sdk.wallaroo import Client

Folder = Callable[..., Path]
SECONDS = 30


def zipped(text: str = "print('hello')", **more: str) -> bytes:
    """A bundle: the same files always give the same bytes, since all have the time that `ZipInfo` has by default."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {"main.py": text, **more}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


@pytest.fixture
def orchestration(wl: Client) -> Any:
    """An orchestration that is ready."""
    return wl.upload_orchestration(zipped(), name="greeting").wait(SECONDS)


class TestTheStore:
    def test_is_opened_by_the_first_method_that_needs_it(self, wl: Client, store: Path) -> None:
        shutil.rmtree(store)  # the fixture's, which nothing has opened yet
        assert wl.in_task() is False
        assert not store.exists()
        wl.list_tasks()
        assert store.is_dir()

    def test_is_opened_once_for_all_clients(self, wl: Client, store: Path) -> None:
        wl.list_tasks()
        Client().list_tasks()
        assert len(list((store / "hosts").glob("*.lock"))) == 1

    def test_is_opened_again_in_a_forked_child(self, wl: Client) -> None:
        wl.create_workspace("parents")
        child = os.fork()
        if child == 0:
            os._exit(len(wl.list_workspaces()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2

    def test_is_closed_at_the_end_of_a_program_that_ran_inline(self, store: Path, tmp_path: Path) -> None:
        main = tmp_path / "main.py"
        main.write_text("import wallaroo\nnames = [ws.name() for ws in wallaroo.Client().list_workspaces()]")
        with inline_task():
            assert run_program(main)["names"] == ["default"]
            assert len(list((store / "hosts").glob("*.lock"))) == 1
        assert list((store / "hosts").glob("*.lock")) == []

    def test_that_cannot_be_used_is_orchlites_error(self, store: Path) -> None:
        store.write_text("a file")
        with pytest.raises(orchlite.BadArgument, match="is a file"):
            Client().list_tasks()


class TestUploading:
    def test_bytes_or_a_path_makes_an_orchestration_that_becomes_ready(self, wl: Client, tmp_path: Path) -> None:
        path = tmp_path / "bundle.zip"
        path.write_bytes(zipped())
        given = [wl.upload_orchestration(zipped()), wl.upload_orchestration(path=str(path), file_name="ignored.zip")]
        named = wl.upload_orchestration(bytes_buffer=zipped(), name="a name", file_name="c.zip")
        assert [one.file_name() for one in (*given, named)] == ["_", "bundle.zip", "c.zip"]
        assert [one.name() for one in (*given, named)] == [None, None, "a name"]
        assert {one.sha() for one in (*given, named)} == {given[0].sha()}
        for one in (*given, named):
            assert isinstance(one, wallaroo.orchestration.Orchestration)
            assert one.wait(SECONDS).status() == "ready"
            assert type(one.status()) is str
            assert isinstance(one.created_at(), datetime)

    def test_a_path_goes_before_bytes(self, wl: Client, tmp_path: Path) -> None:
        (tmp_path / "bundle.zip").write_bytes(zipped("print('from the file')"))
        one = wl.upload_orchestration(zipped(), tmp_path / "bundle.zip")
        assert one.sha() != wl.upload_orchestration(zipped()).sha()

    def test_nothing_at_all_is_refused(self, wl: Client) -> None:
        with pytest.raises(wallaroo.orchestration.OrchestrationMissingFile, match="requires either bytes or path"):
            wl.upload_orchestration()

    @pytest.mark.parametrize(("path", "error"), [("absent.zip", FileNotFoundError), (".", IsADirectoryError)])
    def test_a_file_that_cannot_be_read_is_pythons_error(self, wl: Client, tmp_path: Path, path: str, error: type[Exception]) -> None:
        with pytest.raises(error):
            wl.upload_orchestration(path=str(tmp_path / path))

    @pytest.mark.parametrize(
        ("content", "named", "reason"),
        [
            (b"no zip", {}, "not a ZIP"),
            (zipped(**{"requirements.txt": "-r more.txt"}), {}, "line 1"),
            (zipped(), {"name": ""}, "name"),
            (zipped(), {"file_name": "\0"}, "file_name"),
        ],
        ids=["no zip", "requirement", "name", "file name"],
    )
    def test_what_is_refused_says_why_and_is_not_stored(self, wl: Client, content: bytes, named: dict[str, str], reason: str) -> None:
        with pytest.raises(wallaroo.orchestration.OrchestrationUploadFailed, match=r"^Orchestration upload failed: ") as caught:
            wl.upload_orchestration(content, **named)
        assert reason in str(caught.value)
        assert isinstance(caught.value.__cause__, orchlite.OrchliteError)
        assert wl.list_orchestrations() == []

    def test_goes_into_the_current_workspace(self, wl: Client) -> None:
        workspace = wl.set_current_workspace(wl.create_workspace("mine"))
        assert wl.upload_orchestration(zipped()).workspace_id() == workspace.id()
        assert Client().upload_orchestration(zipped()).workspace_id() == 1, "it is held per client"


class TestRunning:
    def test_a_task_is_started_and_stays_so_and_has_a_run_with_a_log(self, orchestration: Any) -> None:
        task: Any = orchestration.run_once(name="once", json_args={"rows": 3}, timeout=60, debug=True)
        assert type(task) is wallaroo.task.Task
        assert issubclass(wallaroo.task.Task, orchlite.Task)
        run = task.wait(SECONDS)
        assert (task.status(), type(task.status()), task.name(), task.input_data()) == ("started", str, "once", {"rows": 3})
        assert task.task_type() == "Oneshot"
        assert task.last_runs() == [run]
        assert type(run) is wallaroo.task_run.TaskRun
        assert (run.status(), type(run.status())) == ("success", str)

    def test_a_log_is_a_list_of_lines_in_the_platforms_form(self, wl: Client) -> None:
        orchestration: Any = wl.upload_orchestration(zipped("print('one')\nprint('<two>')")).wait()
        logs: Any = orchestration.run_once(None).wait(SECONDS).logs()
        assert isinstance(logs, wallaroo.task_run.TaskRunLogs)
        assert issubclass(wallaroo.task_run.TaskRunLogs, list)
        assert [line.split(" ", 3)[1:] for line in logs] == [["stdout", "F", "one"], ["stdout", "F", "<two>"]]
        assert logs._repr_html_().endswith(" &lt;two&gt;</code></pre>")

    def test_a_log_may_be_limited_to_its_newest_lines(self, wl: Client) -> None:
        orchestration: Any = wl.upload_orchestration(zipped("print(1)\nprint(2)")).wait()
        run = orchestration.run_once(None).wait(SECONDS)
        assert [line[-1] for line in run.logs(limit=1)] == ["2"]
        assert run.logs(0)._repr_html_() == "(no logs yet)"

    @pytest.mark.parametrize(
        "arguments",
        [("x", {"a": {1}}), ("x", ["a"]), ("x", {}, -1), ("x", {}, None, "yes"), ("", {})],
        ids=["no JSON", "no object", "timeout", "debug", "name"],
    )
    def test_arguments_that_are_refused_fail_the_deployment(self, orchestration: Any, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(wallaroo.orchestration.OrchestrationDeployOneshotFailed, match=r"^Orchestration deploy failed: ") as caught:
            orchestration.run_once(*arguments)
        assert isinstance(caught.value.__cause__, orchlite.BadArgument)
        assert orchestration.list_tasks() == []

    @pytest.mark.parametrize("call", [{}, {"name": "x", "env": {"A": "b"}}], ids=["no name", "unknown keyword"])
    def test_it_takes_the_sdks_arguments_and_no_others(self, orchestration: Any, call: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            orchestration.run_once(**call)

    def test_an_orchestration_that_was_not_packaged_cannot_be_run(self, wl: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("UV_NO_INDEX", "1")
        orchestration = wl.upload_orchestration(zipped(**{"requirements.txt": "orchlite-does-not-exist==1"}))
        with pytest.raises(orchlite.PackagingFailed):
            orchestration.wait(60)
        assert orchestration.status() == "error"
        assert [run.status() for run in orchestration.task().last_runs()] == ["failure"]
        with pytest.raises(wallaroo.orchestration.OrchestrationDeployOneshotFailed, match="could not be packaged"):
            orchestration.run_once("x")

    def test_a_schedule_makes_a_task_that_says_so(self, orchestration: Any) -> None:
        task = orchestration.run_scheduled("nightly", "0 3 * * *", {"rows": 3}, 60)
        assert (type(task), task.task_type(), task.status(), task.last_runs()) == (wallaroo.task.Task, "CronJob", "started", [])
        assert "<td>Scheduled Run</td><td>True</td><td>0 3 * * *</td>" in task._repr_html_()
        assert task.kill() == "killed"

    def test_a_bad_schedule_fails_the_deployment(self, orchestration: Any) -> None:
        with pytest.raises(wallaroo.orchestration.OrchestrationDeployOneshotFailed) as caught:
            orchestration.run_scheduled("nightly", "61 3 * * *")
        assert isinstance(caught.value.__cause__, orchlite.BadSchedule)

    def test_a_continuous_task_says_so(self, orchestration: Any) -> None:
        task = orchestration.run_continuously("server", {"rows": 3})
        assert (type(task), task.task_type(), task.input_data()) == (wallaroo.task.Task, "NetworkService", {"rows": 3})
        assert "<td>Continuous Run</td>" in task._repr_html_()
        task.kill()


class TestTasks:
    def test_runs_are_found_by_status(self, wl: Client) -> None:
        task = wl.upload_orchestration(zipped("raise SystemExit(1)")).wait().run_once("x")
        run = task.wait(SECONDS)
        found = {status: task.last_runs(status=status) for status in ("all", "failure", "success", "running", "timed_out")}
        assert found == {"all": [run], "failure": [run], "success": [], "running": [], "timed_out": []}
        assert task.last_runs(limit=0) == []
        assert isinstance(task.last_runs(), wallaroo.task_run.TaskRunList)

    @pytest.mark.parametrize("named", [{"status": "queued"}, {"status": "nonsense"}, {"limit": -1}], ids=["queued", "nonsense", "limit"])
    def test_what_runs_have_not_is_a_value_error(self, orchestration: Any, named: dict[str, Any]) -> None:
        task = orchestration.run_once("x")
        with pytest.raises(ValueError, match=r"queued|nonsense|limit"):
            task.last_runs(**named)

    def test_a_run_that_has_not_begun_is_not_seen(self, wl: Client, tmp_path: Path) -> None:
        with orchlite.Client(tmp_path / "store", workers=1) as busy:
            waits = busy.upload_orchestration(zipped("import time; time.sleep(60)")).wait()
            first, second = waits.run_once(), waits.run_once()
            task = wl.get_task_by_id(second.id())
            assert (task.status(), task.last_runs()) == ("pending", [])
            assert task._repr_html_().count("<td>unknown</td>") == 1
            for one in (second, first):
                one.kill()
            assert [run.status() for run in task.last_runs()] == ["killed"]

    def test_a_killed_task_leaves_the_lists(self, wl: Client) -> None:
        orchestration = wl.upload_orchestration(zipped("import time; time.sleep(60)")).wait()
        task = orchestration.run_once("x")
        assert task.kill() in ("pending_kill", "killed")
        task.wait(SECONDS)
        assert (task.status(), wl.list_tasks(), orchestration.list_tasks()) == ("killed", [], [])
        assert wl.list_tasks(killed=True) == wl.list_tasks(True) == [task]

    def test_one_is_found_by_its_id(self, wl: Client, orchestration: Any) -> None:
        task = orchestration.run_once("x")
        found = wl.get_task_by_id(task.id().upper())
        assert (found, found.name(), type(found)) == (task, "x", wallaroo.task.Task)

    @pytest.mark.parametrize(
        ("task_id", "error", "text"),
        [
            ("7a2d57f0-0d2b-4f5f-9a3e-8d3a4a0c8f11", Exception, "^Failed to find Task ID 7a2d57f0"),
            ("nonsense", ValueError, "UUID"),
        ],
    )
    def test_an_id_that_is_none_is_said_so(self, wl: Client, task_id: str, error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            wl.get_task_by_id(task_id)


class TestLists:
    @pytest.fixture
    def ids(self, wl: Client) -> dict[str, list[str]]:
        """The ids of an orchestration and of a task in each of two workspaces."""
        made = {}
        for name in ("one", "two"):
            wl.set_current_workspace(wl.create_workspace(name))
            orchestration = wl.upload_orchestration(zipped())
            made[name] = [orchestration.id(), orchestration.run_once(name).id()]
        return made

    @pytest.mark.parametrize(
        ("named", "found"),
        [
            ({}, ["one", "two"]),
            ({"workspace_name": "one"}, ["one"]),
            ({"workspace_id": 3}, ["two"]),
            ({"workspace_id": 3, "workspace_name": "one"}, ["two"]),
            ({"workspace_id": 77}, []),
        ],
        ids=["all", "name", "id", "both", "unknown id"],
    )
    def test_show_all_workspaces_or_one(self, wl: Client, ids: dict[str, list[str]], named: dict[str, Any], found: list[str]) -> None:
        assert [one.id() for one in wl.list_orchestrations(**named)] == [ids[name][0] for name in found]
        assert [one.id() for one in wl.list_tasks(**named)] == [ids[name][1] for name in reversed(found)]

    @pytest.mark.parametrize("method", ["list_orchestrations", "list_tasks"])
    @pytest.mark.parametrize(
        ("named", "error", "text"),
        [
            ({"workspace_name": "absent"}, Exception, "^Workspace by name absent is not found$"),
            ({"workspace_name": 1}, TypeError, "must be a string"),
            ({"workspace_id": "1"}, TypeError, "must be an integer"),
        ],
        ids=["unknown name", "name", "id"],
    )
    def test_refuse_what_is_no_workspace(self, wl: Client, method: str, named: dict[str, Any], error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            getattr(wl, method)(**named)

    def test_are_tables_in_a_notebook(self, wl: Client, ids: dict[str, list[str]]) -> None:
        shown: list[Any] = [wl.list_orchestrations(), wl.list_tasks(), wl.list_workspaces(), wl.list_tasks()[0].last_runs()]
        assert [type(one).__name__ for one in shown] == ["OrchestrationList", "TaskList", "Workspaces", "TaskRunList"]
        assert all(one._repr_html_().startswith("<table>") for one in shown[:3])
        assert "<th>workspace name</th>" in shown[0]._repr_html_()
        assert "<td>Temporary Run</td>" in shown[1]._repr_html_()

    def test_say_that_they_are_empty(self, wl: Client) -> None:
        shown: list[Any] = [wl.list_orchestrations(), wl.list_tasks(), wl.list_connections()]
        assert [one._repr_html_() for one in shown] == ["(no orchestrations)", "(no tasks)", "(no connections)"]

    def test_show_times_as_the_client_was_told(self, wl: Client, ids: dict[str, list[str]]) -> None:
        assert "<td>in 20" in Client(time_format="in %Y").list_orchestrations()._repr_html_()


class TestWorkspaces:
    def test_one_is_found_or_created_by_name(self, wl: Client) -> None:
        created = wl.get_workspace("with_underscore", create_if_not_exist=True)
        assert isinstance(created, wallaroo.workspace.Workspace)
        assert wl.get_workspace("with_underscore") == wl.get_workspace("with_underscore", True) == created
        assert wl.list_workspaces() == [wl.get_current_workspace(), created]
        assert (created.name(), created.archived()) == ("with_underscore", False)
        assert datetime.fromisoformat(created.created_at()).tzinfo is not None

    @pytest.mark.parametrize("name", ["absent", "what nobody could create!", ""])
    def test_an_absent_one_says_how_to_create_it(self, wl: Client, name: str) -> None:
        with pytest.raises(Exception, match=f"^Error: Workspace with name {name} does not exist.*`create_if_not_exist`") as caught:
            wl.get_workspace(name)
        assert type(caught.value) is Exception

    @pytest.mark.parametrize("name", ["with_underscore", "1st", "end-", "a" * 64, "", "ümlaut"])
    def test_a_bad_name_is_the_sdks_error(self, wl: Client, name: str) -> None:
        with pytest.raises(wallaroo.object.InvalidNameError, match="DNS-compatible"):
            wl.create_workspace(name)
        assert len(wl.list_workspaces()) == 1

    @pytest.mark.parametrize(
        "create",
        [lambda wl: wl.create_workspace("taken"), lambda wl: wl.get_workspace("no name!", create_if_not_exist=True)],
        ids=["taken", "refused"],
    )
    def test_one_that_cannot_be_created_is_a_plain_exception(self, wl: Client, create: Callable[[Client], object]) -> None:
        wl.create_workspace("taken")
        with pytest.raises(Exception, match=r"(?m)^Failed to create workspace\.$") as caught:
            create(wl)
        assert type(caught.value) is Exception
        assert isinstance(caught.value.__context__, orchlite.OrchliteError)

    def test_the_current_one_is_what_was_set(self, wl: Client) -> None:
        workspace = wl.create_workspace("mine")
        assert wl.set_current_workspace(workspace) is workspace
        assert wl.get_current_workspace() is workspace
        assert Client().get_current_workspace().name() == "default"

    @pytest.mark.parametrize("workspace", ["mine", 1, None])
    def test_what_is_no_workspace_cannot_be_set(self, wl: Client, workspace: Any) -> None:
        with pytest.raises(TypeError, match="Workspace type was expected"):
            wl.set_current_workspace(workspace)


class TestConnections:
    def test_one_is_created_and_found_by_name(self, wl: Client) -> None:
        created = wl.create_connection("sales", "POSTGRES", {"password": "secret"})
        found = wl.get_connection("sales")
        assert isinstance(found, wallaroo.connection.Connection)
        assert (found, found.id(), found.name(), found.connection_type()) == (created, created.id(), "sales", "POSTGRES")
        assert found.details() == {"password": "secret"}
        assert datetime.fromisoformat(found.created_at()).tzinfo is not None
        assert wl.list_connections() == [created]
        assert "secret" not in wl.list_connections()._repr_html_()

    def test_a_workspace_lists_what_was_added_to_it(self, wl: Client) -> None:
        wl.create_connection(name="sales", connection_type="POSTGRES", details={})
        workspace = wl.get_current_workspace()
        assert workspace.list_connections() == []
        workspace.add_connection("sales")
        assert isinstance(workspace.list_connections(), wallaroo.connection.ConnectionList)
        assert workspace.list_connections()[0].workspace_names() == ["default"]
        workspace.remove_connection("sales")
        assert workspace.list_connections() == []

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda wl: wl.get_connection("absent"), r"(?m)^Failed to get connection$"),
            (lambda wl: wl.get_current_workspace().add_connection("absent"), r"(?m)^Failed to get connection$"),
            (lambda wl: wl.get_current_workspace().remove_connection("absent"), r"(?m)^Failed to get connection$"),
            (lambda wl: wl.create_connection("taken", "X", {}), "^This connection already exists"),
            (lambda wl: wl.create_connection("other", "X", {"a": {1}}), r"(?m)^Failed to create connection$"),
        ],
        ids=["get", "add", "remove", "taken", "no JSON"],
    )
    def test_what_fails_is_a_plain_exception_with_the_sdks_text(self, wl: Client, call: Callable[[Client], object], text: str) -> None:
        wl.create_connection("taken", "X", {})
        with pytest.raises(Exception, match=text) as caught:
            call(wl)
        assert type(caught.value) is Exception


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (lambda: wallaroo.object.EntityNotFoundError("Pipeline", {"pipeline_name": "X"}), "Pipeline not found: {'pipeline_name': 'X'}"),
        (lambda: wallaroo.object.InvalidNameError("X", "too short"), "Name 'X is invalid: too short"),
        (lambda: wallaroo.object.RequiredAttributeMissing("X", "id"), "X: Missing required attribute 'id' in response"),
    ],
    ids=["not found", "name", "attribute"],
)
def test_the_sdks_errors_have_its_texts_when_programs_raise_them(error: Callable[[], Exception], text: str) -> None:
    assert str(error()) == text
    assert type(error()).__module__ == "wallaroo.object"


PLATFORM_SHAPED = """
import time
import wallaroo
from wallaroo.object import EntityNotFoundError

wl = wallaroo.Client()
if wl.in_task() and "rows" in wl.task_args():
    print("rows", wl.task_args()["rows"])
else:
    wl.set_current_workspace(wl.get_workspace("nightly", create_if_not_exist=True))
    orchestration = wl.upload_orchestration(path="inner.zip", name="inner")
    while orchestration.status() not in ("ready", "error"):
        time.sleep(0.02)
    task = orchestration.run_once(name="inner run", json_args={"rows": 3})
    while task.status() != "started":
        time.sleep(0.02)
    while task.last_runs()[0].status() == "running":
        time.sleep(0.02)
    for line in task.last_runs()[0].logs():
        print(line.split(" ", 3)[3])
    print([one.name() for one in wl.list_orchestrations()], [one.name() for one in wl.list_tasks()])
"""


@pytest.mark.slow
@pytest.mark.parametrize("base_image", [pytest.param("host", marks=pytest.mark.slow), "clean"])
def test_a_program_for_the_platform_uploads_runs_and_reads_from_inside_a_task_where_there_is_one_worker(
    tmp_path: Path, folder: Folder, base_image: str
) -> None:
    bundle = folder(PLATFORM_SHAPED)
    (bundle / "inner.zip").write_bytes(zipped(PLATFORM_SHAPED))
    with orchlite.Client(tmp_path / "store", workers=1, base_image=base_image) as client:
        run = client.run(bundle, name="outer", timeout=60).raise_for_failure()
        assert str(run.logs()) == "rows 3\n['bundle-0', 'inner'] ['inner run', 'outer']\n"
