"""The verbs that read a store: `orchestrations`, `tasks`, `runs`, `show`, `logs` and `status`."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_LOOKS = ["orchestrations", "tasks", "runs", "workspaces", "connections", "status", "logs", "prune"]
_SHAPES = {
    "orchestrations": {
        *("id", "name", "status", "file_name", "sha", "entrypoint", "requirements", "installed", "warnings", "workspace_id", "created_at")
    },
    "tasks": {
        *("id", "name", "kind", "status", "reason", "orchestration_id", "workspace_id", "arguments", "timeout_seconds", "schedule"),
        *(
            "timezone",
            "next_run_at",
            "missed",
            "memory_bytes",
            "cpu_seconds",
            "nice",
            "retries",
            "retry_delay_seconds",
            "created_at",
            "orchestration_name",
            "orchestration_sha",
            "orchestration_created_at",
            "last_run",
        ),
    },
    "runs": {
        *("id", "task_id", "status", "exit_code", "reason", "duration_seconds", "log_is_complete", "created_at", "scheduled_at"),
        *("started_at", "ended_at", "task_name", "orchestration_id", "orchestration_name"),
        *("try_number", "retry_of", "not_before", "rerun_of"),
    },
    "workspaces": {"id", "name", "created_at"},
    "connections": {"id", "name", "type", "workspaces", "created_at"},
}


@pytest.fixture
def wl(store: Path) -> Iterator[orchlite.Client]:
    """A client of the store that the command line reads."""
    with orchlite.Client(store, grace_seconds=0.2, workers=2) as client:
        yield client
        client.close(drain=False)


@pytest.fixture(scope="module")
def one_of_everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a successful run, a failed run, a schedule, and a connection with a secret."""
    path = tmp_path_factory.mktemp("one-of-everything")
    programs = ("print('fine')", "import sys\nprint('first')\nprint('last', file=sys.stderr)\nsys.exit(3)\n")
    with orchlite.Client(path / "store", workers=1) as wl:
        for number, program in enumerate(programs):
            (path / f"bundle-{number}").mkdir()
            (path / f"bundle-{number}" / "main.py").write_text(program)
            wl.run(path / f"bundle-{number}", {"n": 1}, name=("good", "bad")[number])
        wl.list_orchestrations()[0].run_scheduled("nightly", "30 2 * * *", timezone="Europe/Berlin")
        wl.create_connection("warehouse", "postgres", {"password": "hidden-word"})
    return path / "store"


@pytest.fixture
def filled(store: Path, one_of_everything: Path) -> Iterator[orchlite.Client]:
    """A client of a copy of that store."""
    # Another test's `prune` may open it, since they share a cache.
    shutil.copytree(one_of_everything, store, ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    with orchlite.Client(store, grace_seconds=0.2, workers=2) as client:
        yield client
        client.close(drain=False)


@pytest.mark.parametrize("verb", _LOOKS)
def test_reading_a_missing_store_creates_none(call: Call, store: Path, verb: str) -> None:
    refused = call(verb)
    assert refused.exit_code == 2
    assert "There is no store" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not store.exists()


@pytest.mark.parametrize("verb", _SHAPES)
def test_json_lists_have_the_documented_fields(call: Call, filled: orchlite.Client, verb: str) -> None:
    listed = json.loads(call(verb, "--json").stdout)
    assert listed
    assert all(set(one) == _SHAPES[verb] for one in listed)


def test_json_lists_have_the_names_that_tables_have(call: Call, filled: orchlite.Client) -> None:
    runs = json.loads(call("runs", "--json").stdout)
    assert [(run["task_name"], run["orchestration_name"]) for run in runs] == [("bad", "bundle-1"), ("good", "bundle-0")]
    tasks = json.loads(call("tasks", "--json").stdout)
    assert [(task["orchestration_name"], (task["last_run"] or {}).get("status")) for task in tasks] == [
        ("bundle-0", None),
        ("bundle-1", "failure"),
        ("bundle-0", "success"),
    ]
    status = json.loads(call("status", "--json").stdout)
    assert (status["failed"], status["due"]) == (runs[:1], tasks[:1])


@pytest.mark.usefixtures("only_store_of_the_cache")
@pytest.mark.parametrize("verb", _LOOKS)
def test_secrets_of_connections_are_not_shown(call: Call, filled: orchlite.Client, verb: str) -> None:
    assert "hidden-word" not in call(verb).output + call(verb, "--json").output


def test_tables_in_a_pipe_are_plain_aligned_and_not_cut(call: Call, wl: orchlite.Client, folder: MakeFolder) -> None:
    wl.run(folder("print(1)"), name="a" * 200)
    header, row = call("tasks").stdout.splitlines()
    assert header.split()[:2] == ["ID", "NAME"]
    assert "a" * 200 in row
    assert header.index("ORCHESTRATION") == row.index("bundle-0")
    assert "\x1b" not in call("tasks").output


def test_runs_lists_those_of_a_task_an_orchestration_or_the_workspace(call: Call, filled: orchlite.Client) -> None:
    def statuses(*words: str) -> list[str]:
        return [run["status"] for run in json.loads(call("runs", *words, "--json").stdout)]

    assert statuses() == ["failure", "success"]
    assert statuses("good") == ["success"]
    assert statuses("bundle-1") == ["failure"]
    assert statuses("--status", "failure") == ["failure"]
    assert statuses("-n", "1") == ["failure"]
    assert "-n 0 lists all" in call("runs", "-n", "1").stderr


def test_killed_tasks_are_listed_with_all(call: Call, filled: orchlite.Client) -> None:
    call("kill", "nightly")
    names = [task["name"] for task in json.loads(call("tasks", "--json").stdout)]
    assert names == ["bad", "good"]
    assert "nightly" in call("tasks", "--all").stdout


def test_a_name_includes_all_that_have_it_for_verbs_that_read(call: Call, folder: MakeFolder) -> None:
    mine = folder("print(1)")
    call("run", mine)
    (mine / "main.py").write_text("print(2)")
    call("run", mine)
    assert len(json.loads(call("runs", mine.name, "--json").stdout)) == 2
    assert call("logs", mine.name).stdout == "2\n"


@pytest.mark.slow
def test_the_log_after_failed_packaging_is_the_installers(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    mine = folder("print(1)")
    call("run", mine)
    (mine / "requirements.txt").write_text("no-such-package-here==1.0\n")
    (tmp_path / "index").mkdir()
    assert call("run", mine, "--index-url", (tmp_path / "index").as_uri()).exit_code == 1
    assert "no-such-package-here" in call("logs", mine.name).stdout


@pytest.mark.parametrize("what", ["orchestration", "task", "run"])
def test_show_finds_a_thing_by_its_first_digits(call: Call, filled: orchlite.Client, what: str) -> None:
    task = filled.list_tasks()[-1]
    one = {"orchestration": task.orchestration(), "task": task.id(), "run": task.last_runs()[0].id()}[what]
    shown = json.loads(call("show", one[:6], "--json").stdout)
    assert (shown["what"], shown["id"]) == (what, one)
    assert one in call("show", one[:6]).stdout


def test_show_warns_of_a_stored_schedule_that_would_be_refused_now(call: Call, filled: orchlite.Client, store: Path) -> None:
    [task] = filled.list_tasks()[:1]
    with closing(sqlite3.connect(store / "store.sqlite")) as database, database:
        database.execute("UPDATE tasks SET schedule = json_set(schedule, '$.expression', '0 16 */2 * 6') WHERE task_id = ?", (task.id(),))
    [warning] = json.loads(call("show", task.id(), "--json").stdout)["warnings"]
    assert "It runs as in Kubernetes." in warning
    assert "For either, write '0 16 1-31/2 * 6'." in warning
    assert "It runs as in Kubernetes." in call("show", task.id()).stdout


@pytest.mark.parametrize(("zone", "warnings"), [("Europe/Berlin", 1), ("Mars/Olympus", 0)])
def test_show_has_what_schedule_warned_of(
    call: Call, wl: orchlite.Client, store: Path, folder: MakeFolder, zone: str, warnings: int
) -> None:
    orchestration = wl.upload_orchestration(path=folder("print(1)"))
    task = orchestration.run_scheduled("report", "0 9 1 * 1", timezone="Europe/Berlin")
    with closing(sqlite3.connect(store / "store.sqlite")) as database, database:
        database.execute("UPDATE tasks SET schedule = json_set(schedule, '$.timezone', ?) WHERE task_id = ?", (zone, task.id()))
    assert len(json.loads(call("show", "report", "--json").stdout)["warnings"]) == warnings
    assert call("show", "report").stdout.count("both set") == warnings


@pytest.mark.parametrize("word", ["abc", "zzzzzzzz", "%", "ffff' OR 1"], ids=["short", "no digits", "a pattern", "SQL"])
def test_an_invalid_id_finds_nothing(call: Call, filled: orchlite.Client, word: str) -> None:
    assert call("show", word).exit_code == 2


class TestLogs:
    def test_are_of_the_newest_run_by_default(self, call: Call, filled: orchlite.Client) -> None:
        assert call("logs").stdout == "first\nlast\n"

    @pytest.mark.parametrize("word", ["bad", "bundle-1"], ids=["task", "orchestration"])
    def test_of_a_task_or_an_orchestration_are_of_its_newest_run(self, call: Call, filled: orchlite.Client, word: str) -> None:
        assert call("logs", word).stdout == "first\nlast\n"

    def test_can_be_the_last_lines_only(self, call: Call, filled: orchlite.Client) -> None:
        assert call("logs", "bad", "-n", "1").stdout == "last\n"
        assert call("logs", "bad", "-n", "1", "-f").stdout == "last\n"

    def test_can_be_newer_lines_only(self, call: Call, filled: orchlite.Client) -> None:
        assert call("logs", "bad", "--since", "1h").stdout == "first\nlast\n"
        ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        assert call("logs", "bad", "--since", ahead).stdout == ""

    def test_have_times_and_streams_in_json(self, call: Call, filled: orchlite.Client) -> None:
        lines = [json.loads(line) for line in call("logs", "bad", "--json").stdout.splitlines()]
        assert [(line["stream"], line["text"]) for line in lines] == [("stdout", "first"), ("stderr", "last")]
        assert call("logs", "bad", "-t").stdout.startswith(lines[0]["at"])

    def test_of_packaging_list_the_installed_packages(self, call: Call, filled: orchlite.Client) -> None:
        assert "Installed in the environment" in call("logs", "bad", "--packaging").stdout

    def test_of_a_task_without_a_run_are_refused(self, call: Call, filled: orchlite.Client) -> None:
        refused = call("logs", "nightly")
        assert refused.exit_code == 2
        assert "has had no run yet" in refused.stderr


class TestStatus:
    def test_tells_both_sizes_of_files_with_holes(self, call: Call, filled: orchlite.Client) -> None:
        with (filled.path() / "runs" / "sparse").open("wb") as file:
            file.truncate(2**31)
        assert "(2 GiB with the holes in files)" in call("status").stdout
        disk = json.loads(call("status", "--json").stdout)["disk"]
        assert disk["runs_with_holes_bytes"] - disk["runs_bytes"] == 2**31

    def test_shows_due_tasks_failures_and_sizes(self, call: Call, filled: orchlite.Client) -> None:
        told = json.loads(call("status", "--json").stdout)
        lists = {"running", "queued", "failed", "packaging_failed", "late", "skipped", "overdue", "due", "paused", "kept_by", "unattended"}
        assert set(told) == {"store", "hosts", "unkept", "failed_since", "disk", *lists}
        assert [task["name"] for task in told["due"]] == ["nightly"]
        assert [run["exit_code"] for run in told["failed"]] == [3]
        assert told["disk"]["database_bytes"] > 0
        assert told["hosts"] == 1
        for words in ("due next", "nightly", "failed in the last 24 h (1)", "on disk"):
            assert words in call("status").stdout

    def test_names_the_period_of_the_failures(self, call: Call, filled: orchlite.Client) -> None:
        assert "\nfailed since 2000-01-01 12:00:00 UTC (1)\n" in call("status", "--failed-since", "2000-01-01T12:00Z").stdout
        told = json.loads(call("status", "--failed-since", "2000-01-01T12:00Z", "--json").stdout)
        assert told["failed_since"] == "2000-01-01T12:00:00.000000Z"

    def test_shows_running_runs(self, call: Call, wl: orchlite.Client, slow: Path) -> None:
        task = wl.upload_orchestration(path=slow).wait().run_once("waiting")
        [run] = task.last_runs()
        next(iter(run.logs(follow=True)))
        assert [one["id"] for one in json.loads(call("status", "--json").stdout)["running"]] == [run.id()]

    def test_exits_with_1_if_something_has_failed_since(self, call: Call, filled: orchlite.Client) -> None:
        assert call("status").exit_code == 0
        assert call("status", "--failed-since", "1d").exit_code == 1
        assert call("status", "--failed-since", (datetime.now(UTC) + timedelta(hours=1)).isoformat()).exit_code == 0

    @pytest.mark.parametrize("text", ["2000-01-01", "2000-01-01T12:00", "2000-01-01 12:00:00+02:00", "1h30m", "52w"])
    def test_takes_dates_and_durations(self, call: Call, filled: orchlite.Client, text: str) -> None:
        assert call("status", "--failed-since", text).exit_code == 1

    @pytest.mark.parametrize("text", ["yesterday", "1x", "-1d", "", "20260301", "2026-W10", "2026-02-30"])
    def test_refuses_an_invalid_time(self, call: Call, filled: orchlite.Client, text: str) -> None:
        assert call("status", "--failed-since", text).exit_code == 2
