"""A name that several things have: `show` takes the newest, `kill`, `pause` and `resume` the one that it can be done to."""

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
    """What ends the runs of `wl`: each takes a minute."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def wl(store: Path, clock: ManualClock) -> Iterator[orchlite.Client]:
    """A client that fills the store, and executes nothing."""
    with orchlite.Client(store, clock=clock, process=StubProcess("success", duration_seconds=60), workers=9) as client:
        yield client
        client.close(drain=False)


@pytest.fixture
def upload(wl: orchlite.Client, folder: MakeFolder) -> Upload:
    """Upload other bytes at each call, always under the same name."""
    texts = iter(range(100))
    return lambda: wl.upload_orchestration(path=folder(f"print({next(texts)})"), name=_NAME).wait()


def _told(done: Result) -> str:
    """The id of the one task that something was done to."""
    [task] = json.loads(done.stdout)
    task_id: str = task["id"]
    return task_id


def _candidates(refused: Result) -> set[str]:
    assert refused.exit_code == 2
    return set(json.loads(refused.stderr)["error"]["details"]["candidates"])


class TestShow:
    def test_shows_the_newest_and_says_how_many_others_there_are(self, call: Call, upload: Upload) -> None:
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

    def test_says_nothing_of_others_where_there_are_none(self, call: Call, upload: Upload) -> None:
        upload()
        assert call("show", _NAME).stderr == ""


class TestKill:
    def test_means_the_one_that_has_a_run_still(self, call: Call, upload: Upload, clock: ManualClock) -> None:
        orchestration = upload()
        orchestration.run_once(_NAME)
        clock.advance(hours=1)
        alive = orchestration.run_once(_NAME)
        orchestration.run_once(_NAME).kill()
        assert _told(call("kill", _NAME, "--no-wait", "--json")) == alive.id()

    def test_is_refused_with_those_alone_that_could_be_meant(self, call: Call, upload: Upload, clock: ManualClock) -> None:
        orchestration = upload()
        orchestration.run_once(_NAME)
        clock.advance(hours=1)
        alive = [orchestration.run_once(_NAME), orchestration.run_scheduled(_NAME, "@daily")]
        assert _candidates(call("kill", _NAME, "--json")) == {task.id() for task in alive}
        assert {task.status() for task in alive} == {"started"}

    def test_says_how_they_stand_where_all_is_over(self, call: Call, upload: Upload, clock: ManualClock) -> None:
        for _ in range(2):
            upload().run_once(_NAME)
        clock.advance(hours=1)
        refused = call("kill", _NAME)
        assert (refused.exit_code, refused.stderr) == (1, "orchlite: 'report' is the name of 2 one-shot tasks, which have ended.\n")

    def test_means_a_run_that_has_no_name_by_that_of_its_orchestration(self, call: Call, upload: Upload) -> None:
        unnamed = upload().run_once()
        assert _told(call("kill", _NAME, "--no-wait", "--json")) == unnamed.id()

    def test_never_means_a_task_by_another_name_than_its_own(self, call: Call, upload: Upload) -> None:
        orchestration = upload()
        task, other = orchestration.run_scheduled(_NAME, "@daily"), orchestration.run_scheduled("other", "@daily")
        task.kill()
        assert _told(call("kill", _NAME, "--json")) == task.id()
        assert other.status() == "started"

    def test_of_an_orchestration_that_was_never_run_finds_no_task(self, call: Call, upload: Upload) -> None:
        upload()
        assert call("kill", _NAME).exit_code == 2


@pytest.mark.parametrize(("verb", "became"), [("pause", "paused"), ("resume", "started")])
class TestPauseAndResume:
    def test_mean_the_one_that_it_can_be_done_to(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        orchestration = upload()
        orchestration.run_once(_NAME)
        tasks = {task.pause() if pauses else task.status(): task for pauses in (True, False) if (task := _nightly(orchestration))}
        meant = tasks[orchlite.TaskStatus.PAUSED if verb == "resume" else orchlite.TaskStatus.STARTED]
        assert _told(call(verb, _NAME, "--json")) == meant.id()
        assert meant.status() == became

    def test_are_refused_where_several_could_be_meant(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        tasks = [_nightly(upload()) for _ in range(2)]
        if verb == "resume":
            for task in tasks:
                task.pause()
        assert _candidates(call(verb, _NAME, "--json")) == {task.id() for task in tasks}

    def test_say_in_one_line_that_all_is_over(self, call: Call, upload: Upload, clock: ManualClock, verb: str, became: str) -> None:
        upload().run_once()
        going_on = call(verb, _NAME)
        assert (going_on.exit_code, going_on.stderr.count("\n")) == (1, 1)
        assert f"is the name of 1 one-shot task, which cannot be {verb}d: `orchlite kill` ends it." in going_on.stderr
        clock.advance(hours=1)
        assert call(verb, _NAME).stderr == "orchlite: 'report' is the name of 1 one-shot task, which has ended.\n"

    def test_list_what_has_runs_again_and_not_what_is_over(
        self, call: Call, upload: Upload, clock: ManualClock, verb: str, became: str
    ) -> None:
        once, nightly = upload().run_once(_NAME), _nightly(upload())
        clock.advance(minutes=5)
        if verb == "pause":
            nightly.pause()
        refused = call(verb, _NAME)
        assert (refused.exit_code, nightly.id() in refused.stderr, once.id() in refused.stderr) == (1, True, False)

    def test_say_how_they_stand_where_none_can_be_meant(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        tasks = [_nightly(upload()) for _ in range(2)]
        if verb == "pause":
            for task in tasks:
                task.pause()
        refused = call(verb, _NAME)
        assert refused.exit_code == 1
        assert refused.stderr.count("scheduled, paused" if verb == "pause" else "scheduled, started") == 2

    def test_can_be_said_again(self, call: Call, upload: Upload, verb: str, became: str) -> None:
        _nightly(upload())
        assert [call(verb, _NAME).exit_code for _ in range(2)] == [0, 0]


def _nightly(orchestration: orchlite.Orchestration) -> orchlite.Task:
    return orchestration.run_scheduled(_NAME, "30 2 * * *")


def test_runs_are_those_of_all_that_have_the_name_each_once(call: Call, upload: Upload) -> None:
    orchestration = upload()
    tasks = [orchestration.run_once(_NAME), orchestration.run_once(), upload().run_once("other")]
    listed = [run["task_id"] for run in json.loads(call("runs", _NAME, "--json").stdout)]
    assert sorted(listed) == sorted(task.id() for task in tasks)


def test_a_schedule_that_was_not_due_yet_does_not_hide_the_log_of_what_ran(call: Call, folder: MakeFolder) -> None:
    mine = folder("print('ran')")
    call("run", mine)
    call("schedule", mine, "@yearly")
    assert call("logs", mine.name).stdout == "ran\n"


def test_what_the_installer_said_is_found_by_a_name_that_several_have(call: Call, upload: Upload) -> None:
    upload()
    upload()
    assert call("logs", _NAME, "--packaging").exit_code == 0
