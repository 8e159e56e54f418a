"""Notifications of success and of late slots, and the commands of a host for tasks that have none of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.operations import notification
from orchlite.testing import ManualClock, StubProcess
from tests.operations.notebook import Notebook

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
Travel = Callable[..., orchlite.Orchestration]

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@pytest.fixture
def open_at(tmp_path: Path) -> Callable[..., tuple[orchlite.Client, ManualClock]]:
    """Open the store of the test at a time: `open_at(_NOON, on_late=…)`; its runs succeed at once, or end in the given status."""

    def make(at: datetime, status: str = "success", **settings: object) -> tuple[orchlite.Client, ManualClock]:
        clock = ManualClock(at)
        return orchlite.Client(tmp_path / "store", clock=clock, process=StubProcess(status), **settings), clock  # type: ignore[arg-type]

    return make


OpenAt = Callable[..., tuple[orchlite.Client, ManualClock]]


@pytest.fixture
def schedule(open_at: OpenAt, folder: MakeFolder) -> Callable[..., str]:
    """Schedule a task every hour from noon on, by a client that leaves at once; return its id."""

    def make(**settings: object) -> str:
        client, _ = open_at(_NOON)
        with client:
            orchestration = client.upload_orchestration(path=folder("")).wait()
            return orchestration.run_scheduled("hourly", "@hourly", **settings).id()  # type: ignore[arg-type]

    return make


Schedule = Callable[..., str]


def test_a_success_is_notified(open_client: OpenClient, folder: MakeFolder, notebook: Notebook) -> None:
    with open_client(on_success=notebook.command("the client's")) as client:
        orchestration = client.upload_orchestration(path=folder("")).wait()
        first = orchestration.run_once().wait()
        orchestration.run_once(on_success=notebook.command("the task's")).wait()
    assert [line["arguments"] for line in sorted(notebook.lines(), key=str)] == [["the client's"], ["the task's"]]
    assert first.id() in notebook.run_ids()
    assert notebook.values("EVENT") == ["success"] * 2
    assert [event.became() for event in _events(client.path()) if event.became().startswith("on_")] == ["on_success_told"] * 2


def _events(store: Path) -> list[orchlite.Event]:
    with orchlite.Client(store) as client:
        return list(client.events())


def test_neither_failure_nor_packaging_is_a_success(travel: Travel, notebook: Notebook) -> None:
    orchestration = travel("failure", on_success=notebook.command())
    orchestration.run_once().wait()
    assert notebook.lines() == []


@pytest.mark.parametrize(("status", "event"), [("success", "success"), ("timed_out", "failure"), ("failure", "failure")])
def test_a_host_that_serves_the_store_notifies_for_tasks_without_a_command(
    open_at: OpenAt, schedule: Schedule, notebook: Notebook, status: str, event: str
) -> None:
    task_id = schedule()
    client, clock = open_at(_NOON, status, on_success=notebook.command(), on_failure=notebook.command())
    with client:
        clock.advance(_HOUR)
        assert notebook.lines() == []  # it works for itself only
        client.start()
        clock.advance(_HOUR)
        [run, _] = client.get_task_by_id(task_id).last_runs()
    assert (notebook.run_ids(), notebook.values("EVENT")) == ([run.id()], [event])


@pytest.mark.parametrize(("own", "expected"), [(None, "the host's"), ("the task's", "the task's")])
def test_an_outcome_recorded_before_the_host_served_the_store_is_notified_once(
    open_at: OpenAt, schedule: Schedule, notebook: Notebook, own: str | None, expected: str
) -> None:
    schedule(**{"on_failure": notebook.command(own)} if own else {})
    client, clock = open_at(_NOON, "failure", on_failure=notebook.command("the host's"))
    with client:
        clock.advance(_HOUR)
        [run] = client.list_tasks()[0].last_runs()
        client.start()
        notification.notify_recorded(client._engine.context, run.id())
    assert [line["arguments"] for line in notebook.lines()] == [[expected]]


def test_the_command_of_a_task_comes_before_the_hosts(open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
    schedule(on_failure=notebook.command("the task's"))
    client, clock = open_at(_NOON, "failure", on_failure=notebook.command("the host's"))
    with client.start():
        clock.advance(_HOUR)
    assert [line["arguments"] for line in notebook.lines()] == [["the task's"]]


def test_what_a_dead_host_has_not_told_waits_for_a_host_with_a_command(open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
    task_id = schedule()
    client, clock = open_at(_NOON, "failure")
    with client:
        clock.advance(_HOUR)
        [run] = client.get_task_by_id(task_id).last_runs()
        with client._engine.store.transaction() as transaction:
            client._engine.store.notifications.promise(transaction, run.id(), "failure", "dead", has_default=True)
    for settings in ({}, {"on_failure": notebook.command()}):
        client, _ = open_at(_NOON + _HOUR, **settings)
        with client.start():
            notification.send_overdue(client._engine.context)
        assert notebook.run_ids() == [run.id()] * len(settings)


class TestLate:
    def test_a_run_after_an_outage_is_notified_once_and_not_for_each_slot(
        self, open_at: OpenAt, schedule: Schedule, notebook: Notebook
    ) -> None:
        task_id = schedule(on_late=notebook.command())
        for again in (timedelta(hours=3, minutes=30), timedelta(hours=3, minutes=50)):
            client, clock = open_at(_NOON + again)
            with client:
                clock.advance(timedelta(minutes=2))
                [run] = client.get_task_by_id(task_id).last_runs()
        assert (notebook.values("EVENT"), notebook.run_ids()) == (["late"], [run.id()])
        assert notebook.values("RUN_SLOT") == ["2026-03-01T15:00:00+00:00"]
        [reason] = notebook.values("RUN_REASON")
        assert re.fullmatch(r"late: 18\d\d s after its slot it is queued", reason)

    def test_slots_that_were_missed_are_notified_once(self, open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
        schedule(missed="none", on_late=notebook.command())
        client, clock = open_at(_NOON + timedelta(hours=3, minutes=30))
        with client:
            clock.advance(timedelta(minutes=2))
        assert (notebook.values("EVENT"), notebook.values("RUN_STATUS")) == (["late"], ["skipped"])
        assert notebook.values("RUN_SLOT") == ["2026-03-01T15:00:00+00:00"]
        assert notebook.values("RUN_REASON") == ["missed: no host was running"]

    def test_what_runs_in_time_is_not_notified(self, open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
        schedule(on_late=notebook.command())
        client, clock = open_at(_NOON)
        with client:
            clock.advance(3 * _HOUR)
        assert notebook.lines() == []

    def test_slots_of_a_paused_task_are_not_late(self, open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
        task_id = schedule(on_late=notebook.command())
        client, clock = open_at(_NOON)
        with client:
            client.get_task_by_id(task_id).pause()
            clock.advance(3 * _HOUR)
            client.get_task_by_id(task_id).resume()
            clock.advance(timedelta(minutes=10))
        assert notebook.lines() == []

    def test_the_next_late_slot_is_notified_again(self, open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
        schedule(on_late=notebook.command())
        for hours in (1, 2):
            client, clock = open_at(_NOON + timedelta(hours=hours, minutes=30))
            with client:
                clock.advance(timedelta(minutes=2))
        assert [slot[11:16] for slot in notebook.values("RUN_SLOT")] == ["13:00", "14:00"]

    def test_a_run_that_waits_in_the_queue_is_late(self, open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
        schedule(on_late=notebook.command())
        client, _ = open_at(_NOON)
        with client:
            store, slot = client._engine.store, _NOON + _HOUR
            [task] = store.tasks.scheduled()
            with store.transaction() as transaction:
                store.runs.insert_slots(transaction, [("a-run", task.task_id, slot)], client._engine.context.host_id, slot)
            assert store.notifications.late(slot, _NOON, has_default=False) == []
            assert [run.run_id for run in store.notifications.late(slot + timedelta(seconds=1), _NOON, has_default=False)] == ["a-run"]
            with store.transaction() as transaction:
                assert store.notifications.promise_late(transaction, "a-run", "a-host")
                assert not store.notifications.promise_late(transaction, "a-run", "another")
            assert store.notifications.late(slot + timedelta(seconds=1), _NOON, has_default=False) == []

    def test_a_host_that_serves_the_store_notifies_for_tasks_without_a_command(
        self, open_at: OpenAt, schedule: Schedule, notebook: Notebook
    ) -> None:
        schedule()
        client, clock = open_at(_NOON + timedelta(minutes=90), on_late=notebook.command())
        with client.start():
            clock.advance(timedelta(minutes=2))
        assert notebook.values("EVENT") == ["late"]

    def test_what_a_dead_host_has_not_told_is_told_by_the_next(self, open_at: OpenAt, schedule: Schedule, notebook: Notebook) -> None:
        task_id = schedule(missed="none")
        client, clock = open_at(_NOON + timedelta(minutes=90))
        with client:
            clock.advance(timedelta(minutes=2))
            [row] = client.get_task_by_id(task_id).last_runs(status="skipped")
            with client._engine.store.transaction() as transaction:
                assert client._engine.store.notifications.promise_late(transaction, row.id(), "dead")
        client, _ = open_at(_NOON + 2 * _HOUR, on_late=notebook.command())
        with client.start():
            notification.send_overdue(client._engine.context)
        assert notebook.run_ids() == [row.id()]
