"""A name that several things have: `show` takes the newest; `kill`, `pause` and `resume` the task that allows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
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

    def test_shows_a_schedule_before_the_reruns_of_its_runs(self, call: Call, upload: Upload, clock: ManualClock) -> None:
        task = _nightly(upload())
        run = task.run_now()
        clock.advance(minutes=2)
        run.rerun()
        assert json.loads(call("show", _NAME, "--json").stdout)["id"] == task.id()

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
        else:
            _nightly(upload()).pause()  # which is no candidate
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

    def test_are_idempotent_beside_one_shot_tasks_of_the_name(
        self, call: Call, upload: Upload, clock: ManualClock, verb: str, became: str
    ) -> None:
        upload().run_once(_NAME)
        nightly = _nightly(upload())
        clock.advance(minutes=5)
        assert [_told(call(verb, _NAME, "--json")) for _ in range(2)] == [nightly.id()] * 2
        nightly.kill()
        assert f"Task {nightly.id()} is killed for good." in call(verb, _NAME).stderr

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


def test_the_log_of_a_try_that_waits_names_the_one_before_it(call: Call, store: Path, clock: ManualClock, folder: MakeFolder) -> None:
    with orchlite.Client(store, clock=clock, process=StubProcess("failure")) as wl:
        task = wl.upload_orchestration(path=folder("print(1)")).wait().run_once("tried", retries=1)
        clock.advance()
        failed = min(task.last_runs(), key=orchlite.TaskRun.try_number)
        shown = call("logs", "tried")
        wl.close(drain=False)
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr.endswith(f"; `orchlite logs {failed.id()[:8]}` prints the log of the try before it\n")


def test_the_installers_log_is_found_by_a_shared_name(call: Call, upload: Upload) -> None:
    upload()
    upload()
    assert call("logs", _NAME, "--packaging").exit_code == 0


def test_a_name_that_several_uploads_have_is_the_newest_and_this_is_said(call: Call, upload: Upload) -> None:
    first, newest = upload(), upload()
    scheduled = call("schedule", _NAME, "@daily", "--name", "nightly", "--json")
    assert json.loads(scheduled.stdout)["orchestration_id"] == newest.id()
    assert f"'report' is the name of 2 uploads: this is the newest, {newest.id()[:8]} of " in scheduled.stderr
    assert call("schedule", first.id()[:8], "@daily", "--name", "other").stderr.count("uploads") == 0


class TestInPython:
    def test_a_name_or_the_first_digits_of_an_id_stand_for_an_id(self, wl: orchlite.Client, upload: Upload, clock: ManualClock) -> None:
        orchestration = upload()
        once, nightly = orchestration.run_once(_NAME), orchestration.run_scheduled("nightly", "@daily")
        clock.advance(days=1, minutes=5)
        [run] = once.last_runs()
        assert [wl.get_orchestration(word) for word in (_NAME, orchestration.id(), orchestration.id()[:4].upper())] == [orchestration] * 3
        assert [wl.get_task(word) for word in ("nightly", nightly.id(), nightly.id()[:6])] == [nightly] * 3
        assert [wl.get_task_run(word) for word in (run.id()[:8], once.id(), "nightly")] == [run, run, *nightly.last_runs()]

    def test_a_name_is_the_task_that_can_still_have_runs_else_the_newest(
        self, wl: orchlite.Client, upload: Upload, clock: ManualClock
    ) -> None:
        orchestration = upload()
        nightly = _nightly(orchestration)
        ended = [orchestration.run_once(_NAME), orchestration.run_once()]
        clock.advance(minutes=5)
        assert wl.get_task(_NAME) == nightly
        nightly.kill()
        assert wl.get_task(_NAME) == ended[-1]
        alive = [_nightly(orchestration), _nightly(orchestration)]
        with pytest.raises(orchlite.Ambiguous) as refused:
            wl.get_task(_NAME)
        assert set(refused.value.details["candidates"]) == {task.id() for task in alive}

    def test_a_name_that_several_uploads_have_is_the_newest(self, wl: orchlite.Client, upload: Upload) -> None:
        _, newest = upload(), upload()
        assert wl.get_orchestration(_NAME) == newest

    def test_what_is_not_there_is_not_found_with_the_call_that_lists(self, wl: orchlite.Client) -> None:
        for find, listing in ((wl.get_task, "list_tasks()"), (wl.get_task_run, "list_runs()"), (wl.get_orchestration, "list_orch")):
            with pytest.raises(orchlite.NotFound, match="'nosuch' here") as refused:
                find("nosuch")
            assert listing in str(refused.value)

    def test_runs_are_listed_by_status_time_and_task(self, wl: orchlite.Client, upload: Upload, clock: ManualClock) -> None:
        orchestration = upload()
        first = orchestration.run_once("first").last_runs()[0]
        clock.advance(hours=2)
        since = clock.now()
        second = orchestration.run_once("second").last_runs()[0]
        assert wl.list_runs() == wl.list_runs(task=_NAME, status="all") == [second, first]
        assert wl.list_runs(status="success") == wl.list_runs(task="first") == wl.list_runs(since="1d")[1:] == [first]
        for given in (since, "1h", timedelta(minutes=1)):
            assert wl.list_runs(since=given) == [second]
        assert wl.list_runs(limit=1) == wl.list_runs(task=orchestration, limit=1) == [second]
        for bad in ({"status": "done"}, {"since": "yesterday"}, {"since": datetime(2026, 1, 1)}, {"limit": -1}, {"task": 5}):
            with pytest.raises(orchlite.BadArgument, match=next(iter(bad))):
                wl.list_runs(**bad)

    def test_run_takes_a_name_unless_it_is_a_path(self, store: Path, folder: MakeFolder) -> None:
        with orchlite.Client(store, clock=ManualClock(datetime.now(UTC)), process=StubProcess()) as client:
            named = client.upload_orchestration(path=folder("print(1)"), name=_NAME)
            other = client.upload_orchestration(path=folder("print(2)"), name="other")
            with pytest.raises(orchlite.BadArgument, match="cannot be read"):
                client.run("nosuch")
            assert client.get_orchestration_by_id(client.get_task_by_id(client.run(_NAME).task()).orchestration()) == named
            folder({"main.py": "print(3)"}).rename("other")
            assert client.get_task_by_id(client.run("other").task()).orchestration() != other.id()


def test_a_one_shot_task_that_has_ended_is_shown_as_done(call: Call, upload: Upload, clock: ManualClock) -> None:
    task = upload().run_once(_NAME)
    assert "started" in call("tasks").stdout
    clock.advance(hours=1)
    for shown in (call("tasks").stdout, call("show", task.id()).stdout, task._repr_html_()):
        assert ("done" in shown, "started" in shown.replace("started at", "")) == (True, False)
    assert (task.status(), json.loads(call("show", task.id(), "--json").stdout)["status"]) == ("started", "started")


def test_slots_that_were_skipped_are_listed_among_all_runs_with_the_reason(call: Call, upload: Upload, clock: ManualClock) -> None:
    task = upload().run_scheduled(_NAME, "* * * * *")
    clock.advance(minutes=2)
    task.pause()
    clock.advance(minutes=2)
    task.resume()
    skipped = json.loads(call("runs", "--status", "skipped", "--json").stdout)
    assert len(skipped) == 2
    assert len(json.loads(call("runs", "--status", "all", "--json").stdout)) == 4
    shown = call("runs", _NAME, "--status", "all").stdout
    assert (shown.count("skipped"), shown.count(skipped[0]["reason"])) == (2, 2)
    assert "skipped" not in call("runs").stdout
