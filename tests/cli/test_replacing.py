"""The verb `schedule` where a live task has the name already: it refuses or, with `--replace`, replaces what that task runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import orchlite
from orchlite.testing import ManualClock, StubProcess

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


@pytest.fixture
def nightly(call: Call, folder: MakeFolder) -> str:
    """The id of a scheduled task named `nightly`."""
    options = (
        "--name",
        "nightly",
        "--timezone",
        "Europe/Berlin",
        "--missed",
        "none",
        "--arg",
        "n:=1",
        "--env",
        "LEVEL=1",
        "--timeout",
        "5m",
    )
    return call("schedule", folder("print(1)"), "30 2 * * *", *options).stdout.strip()


@pytest.fixture
def shown(call: Call) -> Callable[[str], dict[str, Any]]:
    """Return what `show` says of a task or a run."""

    def show(word: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(call("show", word, "--json").stdout)
        return found

    return show


Shown = Callable[[str], dict[str, Any]]


def test_a_name_that_a_live_task_has_is_refused_with_both_ways_out(call: Call, folder: MakeFolder, nightly: str) -> None:
    refused = call("schedule", folder("print(2)"), "@daily", "--name", "nightly")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"already a live task named 'nightly': {nightly[:8]} (scheduled, started)" in refused.stderr
    assert "--replace has it run this from now on; another --name keeps both" in refused.stderr
    assert len(json.loads(call("orchestrations", "--json").stdout)) == 1, "nothing was uploaded"


def test_so_is_the_name_of_the_folder(call: Call, folder: MakeFolder) -> None:
    path = folder("print(1)")
    call("schedule", path, "@daily")
    (path / "main.py").write_text("print(2)")
    refused = call("schedule", path, "@daily")
    assert (refused.exit_code, len(json.loads(call("tasks", "--json").stdout))) == (1, 1)
    assert "already a live task" in refused.stderr


@pytest.mark.parametrize("verb", ["kill", "pause"])
def test_only_a_killed_task_frees_its_name(call: Call, folder: MakeFolder, nightly: str, verb: str) -> None:
    call(verb, "nightly")
    again = call("schedule", folder("print(2)"), "@daily", "--name", "nightly")
    assert again.exit_code == (0 if verb == "kill" else 1)


def test_a_task_that_runs_once_does_not_take_its_name(call: Call, folder: MakeFolder) -> None:
    call("run", folder("print(1)"), "--name", "nightly")
    assert call("schedule", folder("print(1)"), "@daily", "--name", "nightly").exit_code == 0


def test_a_name_of_another_workspace_is_free(call: Call, folder: MakeFolder, nightly: str) -> None:
    call("workspaces", "create", "reports")
    assert call("schedule", folder("print(2)"), "@daily", "--name", "nightly", "--workspace", "reports").exit_code == 0


def test_replace_has_the_task_run_the_other_bundle_and_keeps_the_rest(call: Call, folder: MakeFolder, nightly: str, shown: Shown) -> None:
    before = shown("nightly")
    replaced = call("schedule", folder("print(2)"), "--name", "nightly", "--replace")
    after = shown("nightly")
    changed = {name for name in before if before[name] != after[name]}
    assert (replaced.stdout.strip(), replaced.exit_code) == (nightly, 0)
    assert changed == {"orchestration_id", "orchestration_name", "orchestration_sha", "orchestration_created_at"}
    assert f"runs orchestration {after['orchestration_id'][:8]} from now on, next at" in replaced.stderr
    assert len(json.loads(call("tasks", "--json").stdout)) == 1


def test_replace_takes_what_is_given(call: Call, folder: MakeFolder, nightly: str, shown: Shown) -> None:
    given = ("--timezone", "Asia/Tokyo", "--arg", "n:=2", "--timeout", "1h", "--env", "DEPTH=2")
    call("schedule", folder("print(2)"), "0 5 * * *", "--name", "nightly", "--replace", *given)
    task = shown("nightly")
    assert (task["schedule"], task["timezone"], task["arguments"], task["timeout_seconds"]) == ("0 5 * * *", "Asia/Tokyo", {"n": 2}, 3600)


def test_replace_says_which_run_continues(call: Call, folder: MakeFolder, store: Path, clock: ManualClock) -> None:
    with orchlite.Client(store, clock=clock, process=StubProcess("success", 600)) as client:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_continuously("poller")
        clock.advance(seconds=1)
        [run] = task.last_runs()
        said = call("schedule", folder("print(2)"), "--name", "poller", "--replace").stderr
        assert "from its next start on" in said
        assert f"run {run.id()[:8]} continues: `orchlite kill {run.id()[:8]}` ends it" in said


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--concurrency", "forbid"),
        ("--deadline", "5m"),
        ("--missed", "all"),
        ("--on-late", "true"),
        ("--retries", "2"),
        ("--timezone", "UTC"),
    ],
)
def test_replace_names_the_option_that_a_continuous_task_cannot_have(call: Call, folder: MakeFolder, option: str, value: str) -> None:
    call("schedule", folder("print(1)"), "--continuously", "--name", "poller")
    refused = call("schedule", folder("print(2)"), "--name", "poller", "--replace", option, value)
    assert (refused.exit_code, refused.stderr.startswith(f"orchlite: {option} ")) == (2, True)


def test_replace_creates_the_task_if_there_is_none(call: Call, folder: MakeFolder, shown: Shown) -> None:
    created = call("schedule", folder("print(1)"), "@daily", "--name", "nightly", "--replace")
    assert (created.exit_code, shown("nightly")["id"]) == (0, created.stdout.strip())


def test_replace_without_an_expression_needs_a_task(call: Call, folder: MakeFolder) -> None:
    refused = call("schedule", folder("print(1)"), "--name", "nightly", "--replace")
    assert refused.stderr.endswith("There is no live task 'nightly' to replace. Give EXPRESSION to schedule a new one.\n")
    call("schedule", folder("print(1)"), "@daily", "--name", "nightly")
    refused = call("schedule", folder("print(1)"), "--name", "nightlies", "--replace")
    assert (refused.exit_code, "--name replaces another one: 'nightly'." in refused.stderr) == (2, True)


@pytest.mark.slow
def test_a_rerun_of_what_was_replaced_since_says_so(call: Call, folder: MakeFolder, nightly: str) -> None:
    call("trigger", "nightly")
    [run] = json.loads(call("runs", "nightly", "--json").stdout)
    assert "replaced since" not in call("rerun", run["id"]).stderr
    call("schedule", folder("print(2)"), "--name", "nightly", "--replace")
    again = call("rerun", run["id"])
    assert again.stdout == "1\n"
    assert f"its task was replaced since: `orchlite trigger {nightly[:8]}` runs that" in again.stderr


def test_a_scheduled_task_does_not_become_continuous(call: Call, folder: MakeFolder, nightly: str, shown: Shown) -> None:
    refused = call("schedule", folder("print(2)"), "--continuously", "--name", "nightly", "--replace")
    assert (refused.exit_code, shown("nightly")["kind"]) == (1, "scheduled")
    assert f"orchlite kill {nightly[:8]}" in refused.stderr


def test_of_several_live_tasks_none_is_replaced(call: Call, folder: MakeFolder, nightly: str, store: Path) -> None:
    with orchlite.Client(store) as client:
        other = client.list_orchestrations()[0].run_scheduled("nightly", "@daily")
        client.close(drain=False)
    refused = call("schedule", folder("print(2)"), "--name", "nightly", "--replace")
    assert refused.exit_code == 1
    assert all(word in refused.stderr for word in ("2 live tasks", nightly[:8], other.id()[:8], "orchlite kill ID"))


def test_status_names_the_version_that_is_due(call: Call, folder: MakeFolder, nightly: str, shown: Shown) -> None:
    call("schedule", folder("print(2)"), "--name", "nightly", "--replace")
    [line] = [line for line in call("status").stdout.splitlines() if line.startswith(nightly[:8])]
    assert shown("nightly")["orchestration_id"][:8] in line


class _Versions:
    """A task with a run of each of two versions, whose orchestrations have names of their own."""

    def __init__(self, client: orchlite.Client, clock: ManualClock, folder: MakeFolder) -> None:
        paths = [folder(f"print({number})") for number in (1, 2)]
        self.old, self.new = [client.upload_orchestration(path=path, name=path.name).wait() for path in paths]
        task = self.old.run_scheduled("nightly", "0 * * * *", {"n": 1})
        clock.advance(hours=1)
        task.replace(self.new, json_args={"n": 2})
        clock.advance(hours=1)
        self.runs = task.last_runs()[::-1]


class TestVersions:
    @pytest.fixture
    def versions(self, folder: MakeFolder, store: Path, clock: ManualClock) -> Iterator[_Versions]:
        with orchlite.Client(store, clock=clock, process=StubProcess()) as client:
            yield _Versions(client, clock, folder)

    def test_show_names_the_one_that_runs(self, call: Call, versions: _Versions) -> None:
        new = versions.new
        text = " ".join(call("show", "nightly").stdout.split())
        assert f"{new.name()}, {new.id()}, uploaded 2026-03-01 00:00:00 UTC, SHA-256 {new.sha()[:12]}…" in text

    def test_show_names_the_one_that_a_run_ran(self, shown: Shown, versions: _Versions) -> None:
        runs = [shown(run.id()) for run in versions.runs]
        assert [(run["orchestration_id"], run["arguments"]["n"]) for run in runs] == [(versions.old.id(), 1), (versions.new.id(), 2)]

    def test_runs_lists_those_of_an_orchestration(self, call: Call, versions: _Versions) -> None:
        for orchestration, run in ((versions.old, versions.runs[0]), (versions.new, versions.runs[1])):
            [listed] = json.loads(call("runs", orchestration.id(), "--json").stdout)
            assert (listed["id"], listed["orchestration_name"]) == (run.id(), orchestration.name())
