"""A name that several things have: `show` takes the newest; `kill`, `pause` and `resume` the task that allows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from orchlite.testing import ManualClock, StubProcess

Call = Callable[..., Result]
Upload = Callable[[], orchlite.Orchestration]
MakeFolder = Callable[..., Path]

_NAME = "report"


@pytest.fixture
def clock() -> ManualClock:
    """The clock of `wl`, whose runs each take a minute."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def wl(store: Path, clock: ManualClock) -> Iterator[orchlite.Client]:
    """A client of the store that executes nothing."""
    with orchlite.Client(store, clock=clock, process=StubProcess("success", duration_seconds=60), workers=9) as client:
        yield client
        client.close(drain=False)


@pytest.fixture
def upload(wl: orchlite.Client, folder: MakeFolder) -> Upload:
    """Upload different bytes at each call, under the same name."""
    texts = iter(range(100))
    return lambda: wl.upload_orchestration(path=folder(f"print({next(texts)})"), name=_NAME).wait()


def _told(done: Result) -> str:
    """The id of the one task that a command has changed."""
    [task] = json.loads(done.stdout)
    task_id: str = task["id"]
    return task_id


def _candidates(refused: Result) -> set[str]:
    assert refused.exit_code == 2
    return set(json.loads(refused.stderr)["error"]["details"]["candidates"])


class TestShow:
    def test_shows_the_newest_and_counts_the_others(self, call: Call, upload: Upload) -> None:
        first, _, newest = upload(), upload(), upload()
        shown = call("show", _NAME, "--json")
        assert json.loads(shown.stdout)["id"] == newest.id()
        assert "2 others have the name 'report'" in shown.stderr
        assert first.id()[:8] in shown.stderr

    def test_shows_a_task_before_an_orchestration(self, call: Call, upload: Upload) -> None:
        task = upload().run_scheduled(_NAME, "@daily")
        upload()
        shown = call("show", _NAME, "--json")
        assert json.loads(shown.stdout)["id"] == task.id()
        assert "2 others" in shown.stderr
        task.kill()
        assert json.loads(call("show", _NAME, "--json").stdout)["what"] == "orchestration"

    def test_does_not_mention_others_if_there_are_none(self, call: Call, upload: Upload) -> None:
        upload()
        assert call("show", _NAME).stderr == ""


class TestKill:
    def test_takes_the_task_that_has_an_unfinished_run(self, call: Call, upload: Upload, clock: ManualClock) -> None:
        orchestration = upload()
        orchestration.run_once(_NAME)
        clock.advance(hours=1)
        alive = orchestration.run_once(_NAME)
        orchestration.run_once(_NAME).kill()
        assert _told(call("kill", _NAME, "--no-wait", "--json")) == alive.id()

    def test_lists_only_the_candidates_when_it_is_ambiguous(self, call: Call, upload: Upload, clock: ManualClock) -> None:
        orchestration = upload()
        orchestration.run_once(_NAME)
        clock.advance(hours=1)
        alive = [orchestration.run_once(_NAME), orchestration.run_scheduled(_NAME, "@daily")]
        assert _candidates(call("kill", _NAME, "--json")) == {task.id() for task in alive}
        assert {task.status() for task in alive} == {"started"}

    def test_says_that_all_have_ended(self, call: Call, upload: Upload, clock: ManualClock) -> None:
        for _ in range(2):
            upload().run_once(_NAME)
        clock.advance(hours=1)
        refused = call("kill", _NAME)
        assert (refused.exit_code, refused.stderr) == (1, "orchlite: 'report' is the name of 2 one-shot tasks, which have ended.\n")

    def test_finds_an_unnamed_task_by_the_name_of_its_orchestration(self, call: Call, upload: Upload) -> None:
        unnamed = upload().run_once()
        assert _told(call("kill", _NAME, "--no-wait", "--json")) == unnamed.id()

    def test_does_not_find_a_named_task_by_the_name_of_its_orchestration(self, call: Call, upload: Upload) -> None:
        orchestration = upload()
        task, other = orchestration.run_scheduled(_NAME, "@daily"), orchestration.run_scheduled("other", "@daily")
        task.kill()
        assert _told(call("kill", _NAME, "--json")) == task.id()
        assert other.status() == "started"

    def test_finds_no_task_for_an_orchestration_without_runs(self, call: Call, upload: Upload) -> None:
        upload()
        assert call("kill", _NAME).exit_code == 2


@pytest.mark.parametrize(("verb", "became"), [("pause", "paused"), ("resume", "started")])
class TestPauseAndResume:
    def test_take_the_task_that_allows_it(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        orchestration = upload()
        orchestration.run_once(_NAME)
        tasks = {task.pause() if pauses else task.status(): task for pauses in (True, False) if (task := _nightly(orchestration))}
        meant = tasks[orchlite.TaskStatus.PAUSED if verb == "resume" else orchlite.TaskStatus.STARTED]
        assert _told(call(verb, _NAME, "--json")) == meant.id()
        assert meant.status() == became

    def test_are_refused_if_several_tasks_allow_it(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        tasks = [_nightly(upload()) for _ in range(2)]
        if verb == "resume":
            for task in tasks:
                task.pause()
        assert _candidates(call(verb, _NAME, "--json")) == {task.id() for task in tasks}

    def test_say_in_one_line_that_a_one_shot_task_does_not_allow_it(
        self, call: Call, upload: Upload, clock: ManualClock, verb: str, became: str
    ) -> None:
        upload().run_once()
        going_on = call(verb, _NAME)
        assert (going_on.exit_code, going_on.stderr.count("\n")) == (1, 1)
        assert f"is the name of 1 one-shot task, which cannot be {verb}d: `orchlite kill` ends it." in going_on.stderr
        clock.advance(hours=1)
        assert call(verb, _NAME).stderr == "orchlite: 'report' is the name of 1 one-shot task, which has ended.\n"

    def test_list_recurring_tasks_only(self, call: Call, upload: Upload, clock: ManualClock, verb: str, became: str) -> None:
        once, nightly = upload().run_once(_NAME), _nightly(upload())
        clock.advance(minutes=5)
        if verb == "pause":
            nightly.pause()
        refused = call(verb, _NAME)
        assert (refused.exit_code, nightly.id() in refused.stderr, once.id() in refused.stderr) == (1, True, False)

    def test_list_the_statuses_if_no_task_allows_it(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        tasks = [_nightly(upload()) for _ in range(2)]
        if verb == "pause":
            for task in tasks:
                task.pause()
        refused = call(verb, _NAME)
        assert refused.exit_code == 1
        assert refused.stderr.count("scheduled, paused" if verb == "pause" else "scheduled, started") == 2

    def test_are_idempotent_by_name(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        _nightly(upload())
        assert [call(verb, _NAME).exit_code for _ in range(2)] == [0, 0]


def _nightly(orchestration: orchlite.Orchestration) -> orchlite.Task:
    return orchestration.run_scheduled(_NAME, "30 2 * * *")


def test_runs_of_a_name_are_listed_once_each(call: Call, upload: Upload) -> None:
    orchestration = upload()
    tasks = [orchestration.run_once(_NAME), orchestration.run_once(), upload().run_once("other")]
    listed = [run["task_id"] for run in json.loads(call("runs", _NAME, "--json").stdout)]
    assert sorted(listed) == sorted(task.id() for task in tasks)


def test_a_task_without_runs_does_not_hide_the_log_of_another_with_its_name(call: Call, folder: MakeFolder) -> None:
    mine = folder("print('ran')")
    call("run", mine)
    call("schedule", mine, "@yearly")
    assert call("logs", mine.name).stdout == "ran\n"


def test_the_installers_log_is_found_by_a_shared_name(call: Call, upload: Upload) -> None:
    upload()
    upload()
    assert call("logs", _NAME, "--packaging").exit_code == 0
