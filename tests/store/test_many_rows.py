"""Queries for lists: many rows at once, in the order in which they are shown."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from orchlite.core.records import ConnectionRow, OrchestrationRow, TaskRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.store.lookups import WantedRuns
from orchlite.store.store import Store

AddTask = Callable[..., TaskRow]
AddOrchestration = Callable[..., OrchestrationRow]
_FINAL = frozenset({RunStatus.SUCCESS, RunStatus.FAILURE})


@pytest.fixture
def tasks(store: Store, add_task: AddTask, add_orchestration: AddOrchestration, now: datetime) -> list[TaskRow]:
    """Packaging and two tasks of one orchestration, the second one killed; and a task of another workspace."""
    store.workspaces.create("other", now)
    here, there = add_orchestration(sha="a" * 64), add_orchestration(sha="b" * 64, workspace_id=2)
    return [
        add_task(kind=TaskKind.PACKAGING, orchestration=here),
        add_task(orchestration=here),
        add_task(TaskStatus.KILLED, orchestration=here),
        add_task(orchestration=there),
    ]


def test_ids_are_the_newest_first_without_packaging_and_killed_ones_on_request(store: Store, tasks: list[TaskRow]) -> None:
    _, first, killed, there = (task.task_id for task in tasks)
    here = [tasks[0].orchestration_id]
    assert store.tasks.all_ids(killed=False) == [there, first]
    assert store.tasks.all_ids(killed=True) == [there, killed, first]
    assert store.tasks.ids_of_workspace(1, killed=False) == [first]
    assert store.tasks.ids_of_workspace(1, killed=True) == [killed, first]
    assert store.tasks.ids_of_orchestrations(here, killed=False) == [first]
    assert store.tasks.ids_of_orchestrations([*here, tasks[3].orchestration_id], killed=True) == [there, killed, first]
    assert store.tasks.ids_of_orchestrations([], killed=True) == []


def test_pages_of_tasks_have_each_once_also_if_one_was_deleted_meanwhile(
    store: Store, add_task: AddTask, add_orchestration: AddOrchestration, now: datetime
) -> None:
    here = add_orchestration()
    expected = [add_task(orchestration=here).task_id for _ in range(5)][::-1]  # all of one time

    def page(after: str | None, limit: int | None = 2) -> list[str]:
        return [task.task_id for task in store.tasks.of_workspace(1, killed=False, limit=limit, after=(now, after) if after else None)]

    assert [page(None), page(expected[1]), page(expected[3]), page(expected[4])] == [expected[:2], expected[2:4], expected[4:], []]
    assert page(expected[0], None) == expected[1:]
    assert store.tasks.all_ids(killed=False, limit=2) == store.tasks.ids_of_workspace(1, killed=False, limit=2) == expected[:2]
    assert store.tasks.ids_of_orchestrations([here.orchestration_id], killed=False, limit=1) == expected[:1]
    with store.transaction() as transaction:
        store.tasks.move(transaction, expected[2], TaskStatus.STARTED, now - timedelta(hours=1))
    assert page(expected[4]) == [expected[2]]
    with store.transaction() as transaction:
        store.tasks.move(transaction, expected[3], TaskStatus.KILLED, now)
        store.maintenance.delete_tasks(transaction, [expected[3]])
    assert page(expected[3]) == [expected[2]]


def test_tasks_of_a_name_include_unnamed_ones_of_orchestrations(
    store: Store, tasks: list[TaskRow], add_task: AddTask, now: datetime
) -> None:
    _, first, killed, there = tasks
    here = store.orchestrations.get(first.orchestration_id)
    with store.transaction() as transaction:
        named = first._replace(task_id=str(uuid.uuid4()), name="nightly")
        elsewhere = there._replace(task_id=str(uuid.uuid4()), name="nightly")
        for task in (named, elsewhere):
            store.tasks.insert(transaction, task)

    def found(*orchestration_ids: str, killed: bool = False) -> list[str]:
        return [task.task_id for task in store.tasks.of_name(1, "nightly", orchestration_ids, killed=killed)]

    assert found() == [named.task_id]
    assert found(here.orchestration_id) == [named.task_id, first.task_id]
    assert found(here.orchestration_id, killed=True) == [named.task_id, killed.task_id, first.task_id]


def test_tasks_are_in_the_order_of_their_ids_without_deleted_ones(store: Store, tasks: list[TaskRow]) -> None:
    asked = [tasks[3], tasks[1], tasks[2]]
    assert store.tasks.of_ids([asked[0].task_id, str(uuid.uuid4()), asked[1].task_id, asked[2].task_id]) == asked
    assert store.tasks.of_ids([]) == []


def test_the_newest_runs_of_many_tasks_are_those_of_each(store: Store, tasks: list[TaskRow], add_run: Callable[..., str]) -> None:
    first, second = tasks[1], tasks[3]
    runs = [add_run(RunStatus.SUCCESS, task=first), add_run(RunStatus.FAILURE, task=second), add_run(RunStatus.FAILURE, task=first)]
    runs.append(add_run(RunStatus.QUEUED, task=first))
    runs.append(add_run(RunStatus.SUCCESS, task=first))
    ids = [task.task_id for task in tasks]

    def found(limit: int, statuses: frozenset[RunStatus] = _FINAL) -> dict[str, list[str]]:
        return {task: [run.run_id for run in rows] for task, rows in store.runs.newest_of_tasks(ids, limit, statuses).items()}

    assert found(2) == {first.task_id: [runs[4], runs[2]], second.task_id: [runs[1]]}
    assert found(9) == {first.task_id: [runs[4], runs[2], runs[0]], second.task_id: [runs[1]]}
    assert found(9, frozenset({RunStatus.QUEUED})) == {first.task_id: [runs[3]]}
    assert (found(0), found(9, frozenset())) == ({}, {})
    [newest, *_] = store.runs.newest_of_tasks([first.task_id], 1, _FINAL)[first.task_id]
    assert newest == store.runs.get(runs[4])


def test_the_newest_runs_of_an_orchestration_are_those_of_all_its_tasks_also_before_they_were_replaced(
    store: Store, tasks: list[TaskRow], add_run: Callable[..., str], now: datetime
) -> None:
    packaging, first, second, other = tasks
    before = [add_run(RunStatus.SUCCESS, task=task) for task in (first, second, first, packaging, other)]
    with store.transaction() as transaction:
        store.task_versions.keep(transaction, first.task_id, now)
        store.tasks.replace(transaction, first._replace(orchestration_id=other.orchestration_id), now, "replaced")
    after = [add_run(RunStatus.FAILURE, task=task) for task in (first, second)]

    def found(task: TaskRow, limit: int | None = None, statuses: frozenset[RunStatus] | None = None) -> list[str]:
        return [key.run_id for key in store.lookups.runs_of_orchestration(task.orchestration_id, WantedRuns(statuses, limit=limit))]

    assert found(second) == [after[1], before[2], before[1], before[0]]
    assert found(second, 2) == [after[1], before[2]]
    assert found(second, 2, frozenset({RunStatus.SUCCESS})) == [before[2], before[1]]
    assert found(other) == [after[0], before[4]]


def test_failed_runs_since_a_time_are_newest_first(store: Store, add_run: Callable[..., str], now: datetime) -> None:
    found = {status: add_run(status) for status in RunStatus if status.is_final and status is not RunStatus.SKIPPED}
    bad = [found[status] for status in (RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.UNKNOWN)]
    assert sorted(key.run_id for key in store.lookups.failed_since(now)) == sorted(bad)
    assert store.lookups.failed_since(now + timedelta(microseconds=1)) == []


def test_orchestrations_are_found_by_their_bytes_in_every_workspace(store: Store, tasks: list[TaskRow]) -> None:
    here, there = (store.orchestrations.get(task.orchestration_id) for task in (tasks[0], tasks[3]))
    assert store.orchestrations.all() == [here, there]
    assert (store.orchestrations.of_sha("b" * 64), store.orchestrations.of_sha("c" * 64)) == ([there], [])
    ids = [here.orchestration_id, there.orchestration_id]
    assert store.orchestrations.shas([*ids, "gone"]) == dict(zip(ids, ("a" * 64, "b" * 64), strict=True))


def test_the_workspaces_of_all_connections_are_those_of_each(store: Store, now: datetime) -> None:
    store.workspaces.create("other", now)
    rows = [ConnectionRow(str(uuid.uuid4()), name, "sql", "{}", now) for name in ("a", "b")]
    for row in rows:
        store.connections.insert(row)
    store.connections.add_to_workspace(rows[0].connection_id, 2)
    store.connections.add_to_workspace(rows[0].connection_id, 1)
    assert store.connections.all_workspace_names() == {rows[0].connection_id: ["default", "other"]}
    assert store.connections.workspace_names(rows[0].connection_id) == ["default", "other"]
