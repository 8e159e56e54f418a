"""The verbs `health` and `status` for schedules: kept by nobody, kept by a process that has stopped, overdue, late, missed and skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import orchlite
from orchlite.testing import ManualClock, StubProcess

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]
Open = Callable[..., orchlite.Client]

_HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def wl(store: Path, clock: ManualClock) -> orchlite.Client:
    """A client whose runs succeed at once, and that keeps no schedules yet."""
    return orchlite.Client(store, clock=clock, process=StubProcess())


@pytest.fixture
def orchestration(wl: orchlite.Client, folder: MakeFolder) -> orchlite.Orchestration:
    return wl.upload_orchestration(path=folder("print(1)"), name="report").wait()


@pytest.fixture
def task(store: Path, clock: ManualClock, folder: MakeFolder) -> orchlite.Task:
    """A task that was scheduled, every minute, three hours ago, by a client that is gone."""
    with orchlite.Client(store, clock=ManualClock(clock.now() - 3 * _HOUR), process=StubProcess()) as client:
        return client.upload_orchestration(path=folder("print(1)")).wait().run_scheduled("nightly", "* * * * *")


def _problems(call: Call, *words: str, code: int = 1) -> dict[str, dict[str, Any]]:
    told = call("health", "--json", *words)
    assert told.exit_code == code, told.stderr
    report = json.loads(told.stdout)
    assert report["ok"] is (code == 0)
    return {problem["kind"]: problem for problem in report["problems"]}


def test_a_store_without_schedules_is_healthy(call: Call, wl: orchlite.Client, orchestration: orchlite.Orchestration) -> None:
    orchestration.run_once().wait()
    wl.close()
    assert _problems(call, code=0) == {}
    assert "there are no schedules to keep; nothing is wrong" in call("health").stdout


def test_schedules_that_a_process_keeps_are_healthy_and_it_is_named(
    call: Call, wl: orchlite.Client, orchestration: orchlite.Orchestration
) -> None:
    orchestration.run_scheduled("nightly", "@daily")
    assert _problems(call, code=0) == {}
    for words in (["health"], ["status"]):
        assert f"process {os.getpid()} keeps its schedules, last seen " in call(*words).stdout
    told = json.loads(call("status", "--json").stdout)
    assert ([sign["process_id"] for sign in told["kept_by"]], told["unkept"]) == ([os.getpid()], False)
    wl.close()


def test_an_overdue_task_that_nobody_keeps_is_shown_first(call: Call, task: orchlite.Task) -> None:
    problems = _problems(call)
    assert set(problems) == {"unkept", "overdue"}
    assert problems["unkept"]["text"] == "nobody keeps the schedules of 1 task: run `orchlite start`"
    assert problems["overdue"]["task_id"] == task.id()

    shown = call("status").stdout.splitlines()
    assert shown[1] == problems["unkept"]["text"]
    assert shown[3] == "overdue (1)"
    [overdue] = json.loads(call("status", "--json").stdout)["overdue"]
    assert overdue["id"] == task.id()
    ids = f"{task.id()[:8]}  nightly  {overdue['orchestration_id'][:8]}"
    assert re.fullmatch(rf"{ids}  \* \* \* \* \*  [\d-]{{10}} [\d:]{{8}} UTC  (2 h 59|3 h 00) min", shown[5])
    assert "due next" not in shown


def test_an_overdue_task_is_a_failure_for_scripts(call: Call, task: orchlite.Task) -> None:
    assert call("status", "--failed-since", "1h").exit_code == 1
    assert call("status").exit_code == 0


def test_a_paused_task_needs_nobody(call: Call, store: Path, clock: ManualClock, task: orchlite.Task) -> None:
    with orchlite.Client(store, clock=ManualClock(clock.now() - 3 * _HOUR), process=StubProcess()) as client:
        client.get_task_by_id(task.id()).pause()
    assert _problems(call, code=0) == {}


def test_a_process_that_keeps_schedules_and_has_stopped_working_is_named(
    call: Call, store: Path, clock: ManualClock, folder: MakeFolder
) -> None:
    with orchlite.Client(store, clock=ManualClock(clock.now() - timedelta(minutes=10)), process=StubProcess()) as client:
        client.upload_orchestration(path=folder("print(1)")).wait().run_scheduled("nightly", "0 0 1 1 *")
        [(kind, problem)] = _problems(call).items()
        assert kind == "stalled"
        assert f"process {os.getpid()} has kept no schedule since " in problem["text"]
        assert problem["text"] in call("status").stdout


def test_who_starts_a_copy_must_adopt_it(call: Call, store: Path, task: orchlite.Task, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = store.with_name("copy")
    shutil.copytree(store, copy)
    monkeypatch.setenv("ORCHLITE_STORE", str(copy))
    assert "this store is a copy; unless the original keeps them, run `orchlite start --adopt-copy`" in _problems(call)["unkept"]["text"]


def test_late_missed_and_skipped_slots_count_as_failures_until_they_are_old(
    call: Call, wl: orchlite.Client, task: orchlite.Task, clock: ManualClock
) -> None:
    with wl:
        wl.start()
        clock.advance(timedelta(seconds=61 - clock.now().second))  # the newest slot is run in time, the others were missed
        assert set(_problems(call)) == {"skipped"}
        skipped = json.loads(call("status", "--json").stdout)["skipped"]
        assert len(skipped) > 170
        assert {one["task_id"] for one in skipped} == {task.id()}
        shown = call("status", "--failed-since", "1h")
        assert shown.exit_code == 1
        assert re.search(
            r"^missed or skipped since .* \(\d+\)\nTASK +SLOT +WHY\nnightly  .* UTC  missed: coalesced", shown.stdout, re.MULTILINE
        )
        assert re.match(r"skipped: nightly: missed or skipped slots, last .* UTC \(missed: ", call("health").stdout)
        assert _problems(call, "--since", "2099-01-01", code=0) == {}


def test_a_run_that_starts_long_after_its_slot_is_late(
    call: Call, wl: orchlite.Client, store: Path, clock: ManualClock, folder: MakeFolder
) -> None:
    before = clock.now() - 3 * _HOUR
    with orchlite.Client(store, clock=ManualClock(before), process=StubProcess()) as client:
        hour = (before.hour + 1) % 24
        client.upload_orchestration(path=folder("print(1)")).wait().run_scheduled("daily", f"0 {hour} * * *")
    with wl:
        wl.start()
        clock.advance(timedelta(seconds=1))
        [late] = json.loads(call("status", "--json").stdout)["late"]
        assert late["task_name"] == "daily"
        assert set(_problems(call)) == {"late"}
        assert re.search(r"^late in the last 24 h \(1\)\n", call("status").stdout, re.MULTILINE)


def test_a_failed_run_is_a_problem_once_for_its_task(call: Call, store: Path, clock: ManualClock, folder: MakeFolder) -> None:
    with orchlite.Client(store, clock=clock, process=StubProcess("failure")) as client:
        orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
        task = orchestration.run_scheduled("nightly", "* * * * *")
        clock.advance(timedelta(minutes=2))
        problem = _problems(call)["failed"]
        assert problem["task_id"] == task.id()
        assert problem["text"].startswith("nightly: 2 runs failed, last ")
        task.kill()
