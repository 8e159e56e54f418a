"""Recurring tasks in the store: when they are due, their slots, and which were skipped."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from orchlite.core.errors import DeviceFailed
from orchlite.core.records import Claim, RunResult, SchedulePolicy, SkippedSlots, TaskRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.store.database import Database
from orchlite.store.store import Store

AddRecurring = Callable[..., TaskRow]

_MINUTE = timedelta(minutes=1)


@pytest.fixture
def add_recurring(store: Store, add_task: Callable[..., TaskRow], now: datetime) -> AddRecurring:
    """Insert a scheduled task that is due in `minutes`; `started` by default."""

    def add(minutes: int | None = 0, status: TaskStatus = TaskStatus.STARTED, **policy: object) -> TaskRow:
        fields = {"concurrency": "allow", "missed": "latest", "starting_deadline_seconds": None, **policy}
        task = add_task()._replace(
            task_id=str(uuid.uuid4()),
            kind=TaskKind.SCHEDULED,
            status=status,
            schedule=SchedulePolicy("* * * * *", "Europe/Berlin", **fields),  # type: ignore[arg-type]
            next_at=None if minutes is None else now + minutes * _MINUTE,
        )
        with store.transaction() as transaction:
            store.tasks.insert(transaction, task)
        return task

    return add


def _add_slot(store: Store, task: TaskRow, slot_at: datetime, *, claim: bool = False) -> str:
    run_id = str(uuid.uuid4())
    with store.transaction() as transaction:
        store.runs.insert_slots(transaction, [(run_id, task.task_id, slot_at)], "host", slot_at)
        if claim:
            store.runs.claim(transaction, run_id, Claim("host", "boot", slot_at))
    return run_id


def test_a_task_is_read_with_its_schedule(store: Store, add_recurring: AddRecurring) -> None:
    written = add_recurring(5, missed="all", starting_deadline_seconds=1.5)
    assert store.tasks.get(written.task_id) == written


class TestWhatIsDue:
    def test_is_read_longest_overdue_first(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        third, first, second = (add_recurring(minutes) for minutes in (3, 1, 2))
        add_recurring(4)
        assert store.tasks.next_due() == now + _MINUTE
        assert store.tasks.due(now, 10) == []
        assert store.tasks.due(now + 3 * _MINUTE, 10) == [first, second, third]
        assert store.tasks.due(now + 3 * _MINUTE, 2) == [first, second]

    @pytest.mark.parametrize("status", [pytest.param(status, id=status) for status in TaskStatus])
    def test_is_started_or_in_a_crash_loop(self, store: Store, add_recurring: AddRecurring, now: datetime, status: TaskStatus) -> None:
        task = add_recurring(0, status)
        is_due = status in (TaskStatus.STARTED, TaskStatus.CRASH_LOOP)
        assert store.tasks.due(now, 10) == ([task] if is_due else [])
        assert store.tasks.next_due() == (now if is_due else None)

    def test_is_none_if_no_task_recurs(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        add_recurring(None)
        assert store.tasks.next_due() is None
        assert store.tasks.due(now, 10) == []


class TestAdvancingATask:
    def test_happens_once_for_each_due_time(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task = add_recurring()
        with store.transaction() as transaction:
            assert store.tasks.advance(transaction, task, now + _MINUTE, 7)
            assert not store.tasks.advance(transaction, task, now + _MINUTE)
        moved = store.tasks.get(task.task_id)
        assert (moved.next_at, moved.skipped_in_row) == (now + _MINUTE, 7)

    def test_does_not_happen_if_its_status_has_changed(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task = add_recurring()
        with store.transaction() as transaction:
            store.tasks.move(transaction, task.task_id, TaskStatus.PENDING_PAUSE, now)
            assert not store.tasks.advance(transaction, task, now + _MINUTE)
            assert not store.tasks.advance_all(transaction, [(task, now + _MINUTE)])
        assert store.tasks.get(task.task_id).next_at == now

    def test_happens_for_many_or_reports_that_one_has_changed(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        tasks = [add_recurring() for _ in range(3)]
        with store.transaction() as transaction:
            store.tasks.set_skipped_in_row(transaction, tasks[0].task_id, 5)
            assert store.tasks.advance_all(transaction, [(task, now + _MINUTE) for task in tasks])
            assert not store.tasks.advance_all(transaction, [(task, now + _MINUTE) for task in tasks])
        assert {(task.next_at, task.skipped_in_row) for task in store.tasks.due(now + _MINUTE, 9)} == {(now + _MINUTE, 0)}


class TestASlot:
    def test_has_one_run(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task, other = add_recurring(), add_recurring()
        run = store.runs.get(_add_slot(store, task, now))
        assert (run.status, run.slot_at, run.submitted_by) == (RunStatus.QUEUED, now, "host")
        with pytest.raises(DeviceFailed, match="UNIQUE"):
            _add_slot(store, task, now)
        _add_slot(store, other, now)
        assert len(store.runs.of_task(task.task_id)) == 1

    def test_that_was_skipped_has_none(self, store: Store, database: Database, add_recurring: AddRecurring, now: datetime) -> None:
        task = add_recurring()
        with store.transaction() as transaction:
            store.runs.insert_skipped(transaction, task.task_id, SkippedSlots(now, "because", 3), now + _MINUTE)
        [run] = store.runs.of_task(task.task_id, statuses=frozenset({RunStatus.SKIPPED}))
        assert (run.status, run.slot_at, run.slots, run.reason, run.ended_at) == (RunStatus.SKIPPED, now, 3, "because", now + _MINUTE)
        [event] = database.rows("SELECT became, reason FROM events WHERE object_id = ?", (run.run_id,))
        assert tuple(event) == ("skipped", "because")
        with pytest.raises(DeviceFailed, match="UNIQUE"):
            _add_slot(store, task, now)

    def test_may_be_added_to_the_newest_row_of_its_task(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task, other = add_recurring(), add_recurring()
        with store.transaction() as transaction:
            store.runs.insert_skipped(transaction, other.task_id, SkippedSlots(now, "old"), now)
            store.runs.insert_skipped(transaction, task.task_id, SkippedSlots(now, "old"), now)
            store.runs.insert_skipped(transaction, task.task_id, SkippedSlots(now + _MINUTE, "old"), now)
            store.runs.add_to_newest_skipped(transaction, task.task_id, SkippedSlots(now + 9 * _MINUTE, "new", 8), now)
        rows = store.runs.of_task(task.task_id, statuses=frozenset({RunStatus.SKIPPED}))
        assert [(row.slot_at, row.slots, row.reason) for row in rows] == [(now + 9 * _MINUTE, 9, "new"), (now, 1, "old")]
        assert (store.runs.count_skipped(task.task_id), store.runs.count_skipped(other.task_id)) == (10, 1)


class TestAClockThatWasSetBack:
    def test_is_noticed_by_slots_or_a_task_from_later(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        ahead, other = add_recurring(5), add_recurring(5)
        _add_slot(store, ahead, now + _MINUTE)
        _add_slot(store, other, now)
        assert store.tasks.ahead_of_clock(now) == [ahead]
        assert store.tasks.ahead_of_clock(now - _MINUTE / 2) == [ahead, other]
        assert store.tasks.ahead_of_clock(now + 5 * _MINUTE) == []

    @pytest.mark.parametrize("status", [TaskStatus.PENDING, TaskStatus.CRASH_LOOP, TaskStatus.PENDING_RESUME])
    def test_is_noticed_by_tasks_that_have_not_started_too(
        self, store: Store, add_recurring: AddRecurring, now: datetime, status: TaskStatus
    ) -> None:
        waiting = add_recurring(5, status)
        _add_slot(store, waiting, now + _MINUTE)
        assert store.tasks.ahead_of_clock(now) == [waiting]

    def test_brings_a_task_forward_once(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task = add_recurring(5)
        with store.transaction() as transaction:
            assert store.tasks.bring_forward(transaction, task, now + _MINUTE)
            assert not store.tasks.bring_forward(transaction, task, now)
        assert store.tasks.get(task.task_id).next_at == now + _MINUTE

    def test_brings_none_forward_to_where_rows_may_be_pruned(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task = add_recurring(5)
        run_id = _add_slot(store, task, now + _MINUTE, claim=True)
        with store.transaction() as transaction:
            store.runs.end(transaction, run_id, RunResult(RunStatus.SUCCESS, 0, now, now, 0.0))
        with store.transaction() as transaction:
            assert store.maintenance.delete_runs(transaction, [run_id], now + _MINUTE) == [run_id]
            assert not store.tasks.bring_forward(transaction, task, now + _MINUTE)
            assert store.tasks.bring_forward(transaction, task, now + 2 * _MINUTE)
        assert store.tasks.get(task.task_id).pruned_until == now + _MINUTE

    def test_finds_the_slots_that_have_rows(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task, other = add_recurring(), add_recurring()
        for minutes in (3, 1, 2, 0):
            _add_slot(store, task, now + minutes * _MINUTE)
        _add_slot(store, other, now + 5 * _MINUTE)
        assert store.runs.slots_since(task.task_id, now + _MINUTE, now + 9 * _MINUTE) == [now + minutes * _MINUTE for minutes in (1, 2, 3)]
        assert store.runs.slots_since(task.task_id, now, now + _MINUTE) == [now, now + _MINUTE]
        assert store.runs.newest_slot(task.task_id, now + 2.5 * _MINUTE) == now + 2 * _MINUTE
        assert store.runs.newest_slot(task.task_id, now - _MINUTE) is None
        assert store.runs.has_slot(task.task_id, now + 3 * _MINUTE)
        assert not store.runs.has_slot(task.task_id, now + 5 * _MINUTE)


class TestTheQueue:
    def test_holds_a_run_that_replaces_another_until_that_has_ended(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        task = add_recurring(concurrency="replace")
        _add_slot(store, task, now, claim=True)
        new = _add_slot(store, task, now + _MINUTE)
        assert store.runs.next_claimable("host", now, whole_store=True) is None
        with store.transaction() as transaction:
            store.runs.requeue(transaction, store.runs.of_task(task.task_id)[-1].run_id, now, "for the test")
        assert store.runs.next_claimable("host", now, whole_store=True) not in (None, new)

    @pytest.mark.parametrize("concurrency", ["allow", "forbid"])
    def test_holds_no_other(self, store: Store, add_recurring: AddRecurring, now: datetime, concurrency: str) -> None:
        task = add_recurring(concurrency=concurrency)
        _add_slot(store, task, now, claim=True)
        new = _add_slot(store, task, now + _MINUTE)
        assert store.runs.next_claimable("host", now, whole_store=True) == new

    @pytest.mark.parametrize(("late", "is_claimed"), [(timedelta(seconds=90), True), (timedelta(seconds=90, microseconds=1), False)])
    def test_skips_a_run_past_its_deadline(
        self, store: Store, add_recurring: AddRecurring, now: datetime, late: timedelta, is_claimed: bool
    ) -> None:
        run_id = _add_slot(store, add_recurring(starting_deadline_seconds=90.0), now)
        with store.transaction() as transaction:
            claimed = store.claim(transaction, run_id, Claim("host", "boot", now + late))
        assert (claimed is not None) is is_claimed
        assert store.runs.get(run_id).status is (RunStatus.RUNNING if is_claimed else RunStatus.SKIPPED)

    def test_is_handed_over_with_the_task(self, store: Store, add_recurring: AddRecurring, now: datetime) -> None:
        run_id = _add_slot(store, add_recurring(), now)
        assert store.runs.next_claimable("another host", now, whole_store=False) is None
        with store.transaction() as transaction:
            store.runs.hand_over(transaction, store.runs.get(run_id).task_id, "another host")
        assert store.runs.next_claimable("another host", now, whole_store=False) == run_id


def test_the_newest_runs_of_a_task_are_those_that_were_not_skipped(store: Store, add_recurring: AddRecurring, now: datetime) -> None:
    task = add_recurring()
    old, new = (_add_slot(store, task, now + number * _MINUTE) for number in range(2))
    with store.transaction() as transaction:
        store.runs.insert_skipped(transaction, task.task_id, SkippedSlots(now + 5 * _MINUTE, "because"), now)
        assert [run.run_id for run in store.runs.newest_of_task(transaction, task.task_id, 9)] == [new, old]
        assert [run.run_id for run in store.runs.newest_of_task(transaction, task.task_id, 1)] == [new]
