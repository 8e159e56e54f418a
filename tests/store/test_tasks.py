"""Tasks in the store, and the transitions of their status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from orchlite.core.errors import IllegalMove, NotFound
from orchlite.core.records import OrchestrationRow, TaskRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus, targets_of
from orchlite.store.database import Database
from orchlite.store.store import Store

_LEGAL = [pytest.param(was, target, id=f"{was}-{target}") for was in TaskStatus for target in TaskStatus if target in targets_of(was)]
_EVERY_STATUS = [pytest.param(status, id=status) for status in TaskStatus]


def _events(database: Database, object_id: str) -> list[tuple[str | None, str, str | None]]:
    rows = database.rows("SELECT was, became, reason FROM events WHERE object_id = ? ORDER BY event_id", (object_id,))
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(("was", "target"), _LEGAL)
def test_every_legal_transition_is_made_and_recorded(
    store: Store, database: Database, add_task: Callable[..., TaskRow], now: datetime, was: TaskStatus, target: TaskStatus
) -> None:
    task_id = add_task(was).task_id
    later = now + timedelta(seconds=1)
    with store.transaction() as transaction:
        store.tasks.move(transaction, task_id, target, later, "because")
    moved = store.tasks.get(task_id)
    assert (moved.status, moved.reason, moved.created_at, moved.updated_at) == (target, "because", now, later)
    assert _events(database, task_id) == [(None, was, None), (was, target, "because")]


@pytest.mark.parametrize("was", _EVERY_STATUS)
def test_every_other_transition_is_refused_and_changes_nothing(
    store: Store, database: Database, add_task: Callable[..., TaskRow], now: datetime, was: TaskStatus
) -> None:
    before = add_task(was)
    for target in set(TaskStatus) - targets_of(was):
        with pytest.raises(IllegalMove, match=f"is {was}") as refusal, store.transaction() as transaction:
            store.tasks.move(transaction, before.task_id, target, now)
        assert refusal.value.details["status"] is was
    assert store.tasks.get(before.task_id) == before
    assert len(_events(database, before.task_id)) == 1


def test_a_task_is_read_as_it_was_written(store: Store, add_task: Callable[..., TaskRow]) -> None:
    written = add_task()
    assert store.tasks.get(written.task_id) == written


def test_an_unknown_id_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="'absent'"):
        store.tasks.get("absent")


def test_lists_are_newest_first_without_packaging(
    store: Store, add_orchestration: Callable[..., OrchestrationRow], add_task: Callable[..., TaskRow]
) -> None:
    orchestration = add_orchestration()
    add_task(kind=TaskKind.PACKAGING, orchestration=orchestration)
    older, newer = add_task(orchestration=orchestration), add_task(orchestration=orchestration)
    assert store.tasks.of_workspace(1, killed=False) == [newer, older]
    assert store.tasks.of_orchestration(orchestration.orchestration_id) == [newer, older]


def test_killed_tasks_are_listed_only_on_request(store: Store, add_task: Callable[..., TaskRow]) -> None:
    killed, alive = add_task(TaskStatus.KILLED), add_task()
    assert store.tasks.of_workspace(1, killed=False) == [alive]
    assert store.tasks.of_workspace(1, killed=True) == [alive, killed]


class TestATaskIsActive:
    """A task is active if it has, or may yet get, an unfinished run; then its orchestration cannot be deleted."""

    @pytest.mark.parametrize("status", [pytest.param(status, id=status) for status in RunStatus])
    def test_if_a_run_is_unfinished(
        self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str], status: RunStatus
    ) -> None:
        task = add_task()
        add_run(status, task=task)
        with store.transaction() as transaction:
            alive = store.tasks.active_of_orchestration(transaction, task.orchestration_id)
        assert alive == ([] if status.is_final else [task])

    @pytest.mark.parametrize("kind", [pytest.param(kind, id=kind) for kind in TaskKind])
    def test_if_it_may_have_further_runs(self, store: Store, add_task: Callable[..., TaskRow], kind: TaskKind) -> None:
        task = add_task(TaskStatus.STARTED, kind=kind)
        with store.transaction() as transaction:
            alive = store.tasks.active_of_orchestration(transaction, task.orchestration_id)
        assert alive == ([task] if kind in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS) else [])

    def test_never_once_it_was_killed(self, store: Store, add_task: Callable[..., TaskRow]) -> None:
        task = add_task(TaskStatus.KILLED, kind=TaskKind.SCHEDULED)
        with store.transaction() as transaction:
            assert store.tasks.active_of_orchestration(transaction, task.orchestration_id) == []


def test_those_that_wait_for_an_orchestration_are_pending_and_no_packaging(
    store: Store, add_orchestration: Callable[..., OrchestrationRow], add_task: Callable[..., TaskRow]
) -> None:
    orchestration = add_orchestration()
    add_task(kind=TaskKind.PACKAGING, orchestration=orchestration)
    add_task(TaskStatus.STARTED, orchestration=orchestration)
    add_task()
    waiting = add_task(orchestration=orchestration)
    with store.transaction() as transaction:
        assert store.tasks.waiting_for(transaction, orchestration.orchestration_id) == [waiting]
