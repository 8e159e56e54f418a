"""Scheduled tasks in one host: each slot has one run, on time, through changes of the clock; a bad schedule affects no other."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchlite import BadArgument, BadSchedule, Client, Orchestration, RunStatus, Task, TaskStatus
from orchlite.core.status import TaskKind
from orchlite.testing import ManualClock, StubProcess
from tests import large_bundles

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]
Until = Callable[[Callable[[], object]], None]

_ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]


def _slots(task: Task) -> list[datetime]:
    """Return the slots of its runs, oldest first."""
    return [slot for run in reversed(task.last_runs()) if (slot := run.scheduled_at())]


def _readings(task: Task) -> list[str]:
    zone = ZoneInfo(task.timezone() or "")
    return [f"{slot.astimezone(zone):%d %H:%M%z}" for slot in _slots(task)]


class TestAYear:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("zone", "day", "around"),
        [
            pytest.param(
                *_ZONES[:1],
                "2026-03-08",
                ["07 02:30-0500", "08 03:00-0400", "09 02:30-0400"],
                id="New York, forward",
                marks=pytest.mark.slow,
            ),
            pytest.param(
                *_ZONES[:1], "2026-11-01", ["31 02:30-0400", "01 02:30-0500", "02 02:30-0500"], id="New York, back", marks=pytest.mark.slow
            ),
            pytest.param(
                *_ZONES[1:2],
                "2026-03-29",
                ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"],
                id="Berlin, forward",
                marks=pytest.mark.slow,
            ),
            pytest.param(*_ZONES[1:2], "2026-10-25", ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"], id="Berlin, back"),
            pytest.param(*_ZONES[2:], "2026-10-04", ["03 02:30+1030", "04 02:30+1100", "05 02:30+1100"], id="Lord Howe, forward"),
            pytest.param(
                *_ZONES[2:], "2026-04-05", ["04 02:30+1100", "05 02:30+1030", "06 02:30+1030"], id="Lord Howe, back", marks=pytest.mark.slow
            ),
        ],
    )
    def test_of_nightly_runs_skips_no_night_and_repeats_none(
        self, travel: Travel, clock: ManualClock, zone: str, day: str, around: list[str]
    ) -> None:
        task = travel().run_scheduled("nightly", "30 2 * * *", timezone=zone)
        clock.advance(days=365)
        slots, readings = _slots(task), _readings(task)
        assert len(slots) == len(set(slots)) == 365
        changed = next(number for number, slot in enumerate(slots) if f"{slot.astimezone(ZoneInfo(zone)):%Y-%m-%d}" == day)
        assert readings[changed - 1 : changed + 2] == around
        assert task.missed() == 0

    @pytest.mark.parametrize(
        ("zone", "change"),
        [
            pytest.param(_ZONES[0], "2026-03-08T07:00+00:00", id="New York, forward"),
            pytest.param(_ZONES[0], "2026-11-01T06:00+00:00", id="New York, back"),
            pytest.param(_ZONES[1], "2026-03-29T01:00+00:00", id="Berlin, forward"),
            pytest.param(_ZONES[1], "2026-10-25T01:00+00:00", id="Berlin, back"),
            pytest.param(_ZONES[2], "2026-10-03T15:30+00:00", id="Lord Howe, forward"),
            pytest.param(_ZONES[2], "2026-04-04T15:00+00:00", id="Lord Howe, back"),
        ],
    )
    def test_of_half_hours_follows_real_time_through_every_change(self, travel: Travel, clock: ManualClock, zone: str, change: str) -> None:
        begin = datetime.fromisoformat(change) - timedelta(hours=5)
        clock.set(begin)
        task = travel().run_scheduled("often", "*/30 * * * *", timezone=zone)
        clock.advance(hours=10)
        assert _slots(task) == [begin + number * timedelta(minutes=30) for number in range(1, 21)]


class TestARunOfASlot:
    def test_knows_its_slot_and_starts_and_ends_by_the_clock(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("success", 90).run_scheduled("daily", "0 12 * * *", timezone="Europe/Berlin")
        noon = datetime(2026, 3, 1, 11, tzinfo=UTC)
        assert task.next_run_at() == noon
        clock.advance(hours=11, seconds=30)
        [run] = task.last_runs()
        assert (run.status(), run.scheduled_at(), run.created_at()) == (RunStatus.RUNNING, noon, noon)
        assert task.next_run_at() == noon + timedelta(days=1)
        clock.advance(minutes=1)
        assert (run.started_at(), run.ended_at(), run.duration()) == (noon, noon + timedelta(seconds=90), 90.0)

    def test_of_no_schedule_has_no_slot(self, travel: Travel) -> None:
        [run] = travel().run_once().last_runs()
        assert run.scheduled_at() is None

    def test_is_in_its_programs_environment(self, open_client: OpenClient, folder: MakeFolder, clock: ManualClock) -> None:
        program = folder("import os; print(os.environ.get('ORCHLITE_SCHEDULED_AT'))")
        orchestration = open_client(clock=clock).upload_orchestration(path=program)
        once, hourly = orchestration.run_once(), orchestration.run_scheduled("hourly", "0 * * * *", timezone="Asia/Kolkata")
        clock.advance(hours=1)
        assert str(once.wait().logs()) == "None\n"
        assert str(hourly.wait().logs()) == "2026-03-01T00:30:00+00:00\n"

    def test_is_listed_with_the_schedule_of_its_task(self, travel: Travel, clock: ManualClock) -> None:
        task = travel().run_scheduled("a name", "@daily", {"n": 1}, 60.0, timezone="Asia/Tokyo")
        assert (task.kind(), task.name(), task.input_data(), task.timeout()) == (TaskKind.SCHEDULED, "a name", {"n": 1}, 60.0)
        assert (task.schedule(), task.timezone(), task.status()) == ("0 0 * * *", "Asia/Tokyo", TaskStatus.STARTED)
        clock.advance(days=2)
        assert len(task.last_runs()) == 2

    def test_may_fail_without_affecting_the_next(self, travel: Travel, clock: ManualClock) -> None:
        task = travel("failure").run_scheduled("hourly", "0 * * * *")
        clock.advance(hours=3)
        assert [run.exit_code() for run in task.last_runs(status="failure")] == [1, 1, 1]
        assert task.status() is TaskStatus.STARTED

    @pytest.mark.slow
    def test_many_tasks_are_due_at_once(self, travel: Travel, clock: ManualClock) -> None:
        orchestration = travel()
        tasks = [orchestration.run_scheduled(str(number), "0 * * * *") for number in range(520)]
        clock.advance(hours=1)
        assert {len(task.last_runs()) for task in tasks} == {1}


_REFUSED: list[Any] = [
    pytest.param({"schedule": "60 * * * *"}, "minute", id="minute"),
    pytest.param({"schedule": "* * * *"}, "expression", id="four fields"),
    pytest.param({"schedule": None}, "expression", id="no expression"),
    pytest.param({"timezone": "Mars/Olympus"}, "timezone", id="zone"),
    pytest.param({"timezone": None}, "timezone", id="no zone"),
    pytest.param({"concurrency": "deny"}, "concurrency", id="concurrency"),
    pytest.param({"missed": ["all"]}, "missed", id="missed"),
    pytest.param({"starting_deadline_seconds": 0}, "starting_deadline_seconds", id="deadline of nothing"),
    pytest.param({"starting_deadline_seconds": "60"}, "starting_deadline_seconds", id="deadline as text"),
    pytest.param({"timeout": 0.5}, "timeout", id="timeout"),
    pytest.param({"name": ""}, "name", id="name"),
    pytest.param({"json_args": [1]}, "json_args", id="arguments"),
    pytest.param({"debug": "yes"}, "debug", id="debug"),
    pytest.param({"env": {"A=B": "1"}}, "env", id="env"),
]


class TestABadArgument:
    @pytest.mark.parametrize(("argument", "field"), _REFUSED)
    def test_of_a_schedule_is_refused_by_name_and_nothing_is_stored(self, travel: Travel, argument: dict[str, Any], field: str) -> None:
        orchestration = travel()
        with pytest.raises((BadSchedule, BadArgument)) as refusal:
            orchestration.run_scheduled(**{"name": "name", "schedule": "* * * * *", **argument})
        assert field in (refusal.value.details.get("field"), refusal.value.details.get("argument"))
        assert list(orchestration.list_tasks()) == []

    @pytest.mark.parametrize(("argument", "field"), [row for row in _REFUSED if row.id in ("name", "arguments", "debug", "env")])
    def test_of_a_continuous_task_is_refused_by_name_and_nothing_is_stored(
        self, travel: Travel, argument: dict[str, Any], field: str
    ) -> None:
        orchestration = travel()
        with pytest.raises(BadArgument) as refusal:
            orchestration.run_continuously(**{"name": "name", **argument})
        assert refusal.value.details["argument"] == field
        assert list(orchestration.list_tasks()) == []


class TestBeforeTheOrchestrationIsReady:
    def test_a_task_is_pending_and_slots_that_pass_meanwhile_are_missed(
        self,
        open_client: OpenClient,
        smallest_bundle: bytes,
        clock: ManualClock,
        until: Until,
        gate: Path,
        waiting_program: str,
        folder: MakeFolder,
    ) -> None:
        # The only worker is busy, so that packaging has to wait.
        client = open_client(clock=clock)
        blocking = client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        until(lambda: "begun" in blocking.last_runs()[0].logs())
        task = client.upload_orchestration(large_bundles.packed("")).run_scheduled("hourly", "0 * * * *")
        assert (task.status(), task.next_run_at()) == (TaskStatus.PENDING, datetime(2026, 3, 1, 1, tzinfo=UTC))
        clock.set(datetime(2026, 3, 1, 2, 30, tzinfo=UTC))
        gate.touch()
        clock.advance()
        assert task.status() is TaskStatus.STARTED
        assert _slots(task) == [datetime(2026, 3, 1, 2, tzinfo=UTC)]
        assert task.missed() == 1

    @pytest.mark.parametrize("kind", ["scheduled", "continuous"])
    def test_a_task_fails_if_packaging_does_and_says_why(
        self, open_client: OpenClient, folder: MakeFolder, clock: ManualClock, tmp_path: Path, kind: str
    ) -> None:
        index = tmp_path / "empty"
        index.mkdir()
        client = open_client(clock=clock, installer="uv", index_urls=[index.as_uri() + "/"])
        orchestration = client.upload_orchestration(path=folder({"main.py": "", "requirements.txt": "absent-package==1.0"}))
        task = orchestration.run_scheduled("x", "* * * * *") if kind == "scheduled" else orchestration.run_continuously("x")
        clock.advance(minutes=5)
        assert task.status() is TaskStatus.FAILED
        assert "could not be packaged" in (task.reason() or "")
        assert (task.next_run_at(), task.missed()) == (None, 0)
        assert [run.status() for run in task.last_runs()] == ([] if kind == "scheduled" else [RunStatus.FAILURE])


class _Repaired:
    """A task whose schedule was broken in the store's file, and an intact one."""

    def __init__(self, client: Client, orchestration: Orchestration) -> None:
        self.client = client
        self.task = orchestration.run_scheduled("broken", "0 * * * *")
        self.well = orchestration.run_scheduled("well", "0 * * * *")

    def write(self, schedule: str | None) -> None:
        with sqlite3.connect(self.client.path() / "store.sqlite") as database:
            database.execute("UPDATE tasks SET schedule = ? WHERE task_id = ?", (schedule, self.task.id()))
        database.close()

    def read(self) -> dict[str, Any]:
        with sqlite3.connect(self.client.path() / "store.sqlite") as database:
            [[text]] = database.execute("SELECT schedule FROM tasks WHERE task_id = ?", (self.task.id(),))
        database.close()
        found: dict[str, Any] = json.loads(text)
        return found


@pytest.fixture
def broken(open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes) -> _Repaired:
    client = open_client(clock=clock, process=StubProcess())
    return _Repaired(client, client.upload_orchestration(smallest_bundle))


class TestAScheduleThatCannotBeKept:
    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            pytest.param({"expression": "61 * * * *"}, "minute", id="expression"),
            pytest.param({"timezone": "Mars/Olympus"}, "Mars/Olympus", id="zone"),
            pytest.param({"starting_deadline_seconds": "soon"}, "TypeError", id="a deadline that is no number"),
            pytest.param({"unforeseen": 1}, "has no schedule", id="a field of another version"),
            pytest.param(None, "has no schedule", id="none at all"),
        ],
    )
    def test_stops_its_task_and_no_other(self, broken: _Repaired, clock: ManualClock, damage: dict[str, str] | None, words: str) -> None:
        broken.write(None if damage is None else json.dumps({**broken.read(), **damage}))
        clock.advance(hours=3)
        assert broken.task.status() is TaskStatus.SCHEDULE_ERROR
        assert words in (broken.task.reason() or "")
        assert (list(broken.task.last_runs()), broken.task.next_run_at()) == ([], None)
        assert len(broken.well.last_runs()) == 3
        [stopped] = [event for event in broken.client.events() if event.became() == TaskStatus.SCHEDULE_ERROR]
        assert (stopped.object_id(), stopped.was(), stopped.reason()) == (broken.task.id(), TaskStatus.STARTED, broken.task.reason())

    def test_stops_no_other_if_that_shows_only_when_it_is_dispatched(
        self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes
    ) -> None:
        client = open_client(clock=clock, process=StubProcess(lambda _: ("success", 3 * 3600)))
        orchestration = client.upload_orchestration(smallest_bundle)
        spoiled = orchestration.run_scheduled("spoiled", "0 * * * *", concurrency="forbid")
        well = orchestration.run_scheduled("well", "0 * * * *")
        clock.advance(hours=1)
        with closing(sqlite3.connect(client.path() / "store.sqlite", isolation_level=None)) as database:
            [[slot_at]] = database.execute("SELECT slot_at FROM runs WHERE task_id = ?", (spoiled.id(),))
            write_slot = "UPDATE runs SET slot_at = ? WHERE task_id = ?"
            database.execute(write_slot, (1 << 60, spoiled.id()))  # a time that no calendar has
            clock.advance(hours=1)
            database.execute(write_slot, (slot_at, spoiled.id()))  # else the store could not be closed
        assert spoiled.status() is TaskStatus.SCHEDULE_ERROR
        assert "OverflowError" in (spoiled.reason() or "")
        assert len(well.last_runs()) == 2

    def test_is_kept_again_after_resume_and_its_slots_were_skipped(self, broken: _Repaired, clock: ManualClock) -> None:
        was = broken.read()
        broken.write(json.dumps({**was, "timezone": "Mars/Olympus"}))
        clock.advance(hours=3)
        with pytest.raises(BadSchedule, match="Mars/Olympus"):
            broken.task.resume()
        assert broken.task.status() is TaskStatus.SCHEDULE_ERROR
        broken.write(json.dumps(was))
        assert broken.task.resume() is TaskStatus.STARTED
        assert (broken.task.missed(), broken.task.next_run_at()) == (3, datetime(2026, 3, 1, 4, tzinfo=UTC))
        reasons = {run.reason() for run in broken.task.last_runs(status="skipped")}
        assert all("could not be kept" in (reason or "") for reason in reasons)
        clock.advance(hours=1)
        assert _slots(broken.task) == [datetime(2026, 3, 1, 4, tzinfo=UTC)]

    def test_cannot_be_resumed_while_its_zone_is_missing(self, broken: _Repaired, clock: ManualClock) -> None:
        broken.write(None)
        clock.advance(hours=1)
        with pytest.raises(BadSchedule, match="has no schedule"):
            broken.task.resume()

    @pytest.mark.parametrize("schedule", ["{", '{"concurrency": "replace", "starting_deadline_seconds": "soon"}'])
    def test_does_not_hold_up_the_queue(self, open_client: OpenClient, clock: ManualClock, smallest_bundle: bytes, schedule: str) -> None:
        stub = StubProcess(lambda run: ("success", 3600 if run.task_name == "busy" else 0))
        client = open_client(clock=clock, process=stub)
        orchestration = client.upload_orchestration(smallest_bundle)
        orchestration.run_once("busy")
        broken = _Repaired(client, orchestration)
        clock.advance(minutes=59)
        orchestration.run_once("busy")
        clock.advance(minutes=31)
        assert [task.last_runs()[0].status() for task in (broken.task, broken.well)] == [RunStatus.QUEUED] * 2
        broken.write(schedule)
        clock.advance(hours=1)
        assert RunStatus.SUCCESS in {run.status() for run in broken.well.last_runs()}

    def test_may_be_killed(self, broken: _Repaired, clock: ManualClock) -> None:
        broken.write(json.dumps({**broken.read(), "expression": "never"}))
        clock.advance(hours=1)
        assert broken.task.kill() is TaskStatus.KILLED


@pytest.mark.slow
def test_a_stored_expression_that_is_refused_by_now_continues_with_one_warning(
    broken: _Repaired, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    broken.write(json.dumps({**broken.read(), "expression": "0 16 */2 * 6"}))
    clock.advance(days=14)
    days = [slot.day for slot in _slots(broken.task) if slot.hour == 16]
    assert days == [1, 3, 5, 7, 9, 11, 13, 14]
    [warning] = [record for record in caplog.records if "Debian's cron" in record.getMessage()]
    assert "'0 16 1-31/2 * 6'" in warning.getMessage()


class _RunningClock:
    """A clock that runs, and that can be set to half a second before noon."""

    def __init__(self) -> None:
        self.put()

    def put(self) -> None:
        self._ahead = datetime(2026, 3, 1, 11, 59, 59, 500_000, tzinfo=UTC) - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def monotonic(self) -> float:
        return time.monotonic()


def _loops() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "orchlite-scheduler"}


@pytest.fixture
def new_loops() -> Callable[[], int]:
    """Return how many more cron loops there are than before the test."""
    before = _loops()
    return lambda: len(_loops() - before)


class TestTheLoop:
    def test_queues_the_run_of_a_slot_on_time(self, open_client: OpenClient, folder: MakeFolder) -> None:
        clock = _RunningClock()
        orchestration = open_client(clock=clock).upload_orchestration(path=folder("print('ran')")).wait()
        clock.put()
        task = orchestration.run_scheduled("x", "* * * * *")
        slot = task.next_run_at()
        run = task.wait(100)
        assert (run.status(), run.scheduled_at()) == (RunStatus.SUCCESS, slot)
        assert slot is not None
        assert run.created_at() >= slot

    def test_starts_with_a_scheduled_task_and_not_with_the_store(
        self, open_client: OpenClient, smallest_bundle: bytes, new_loops: Callable[[], int]
    ) -> None:
        first = open_client()
        orchestration = first.upload_orchestration(smallest_bundle).wait()
        orchestration.run_once().wait()
        assert new_loops() == 0
        task = orchestration.run_scheduled("yearly", "@yearly")
        orchestration.run_scheduled("yearly, too", "@yearly")
        assert new_loops() == 1
        other = open_client()
        assert other.get_task_by_id(task.id()).status() is TaskStatus.STARTED
        assert new_loops() == 1
        other.start()
        assert new_loops() == 2

    def test_does_not_start_on_a_clock_moved_by_hand(self, travel: Travel, clock: ManualClock, new_loops: Callable[[], int]) -> None:
        travel().run_scheduled("hourly", "0 * * * *")
        clock.advance(hours=2)
        assert new_loops() == 0

    def test_starts_with_resume_in_a_client_that_has_submitted_nothing(
        self, open_client: OpenClient, folder: MakeFolder, clock: ManualClock
    ) -> None:
        clock.set(datetime(2026, 3, 1, 11, 59, tzinfo=UTC))
        first = open_client(clock=clock)
        task = first.upload_orchestration(path=folder("print('ran')")).wait().run_scheduled("x", "* * * * *")
        task.pause()
        first.close()
        resumed = open_client(clock=_RunningClock()).get_task_by_id(task.id())
        resumed.resume()
        assert resumed.wait(100).status() is RunStatus.SUCCESS
