"""The past of a task, read back from the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchlite.core.records import TaskRow
from orchlite.core.status import RunStatus, TaskKind, TaskStatus
from orchlite.store.store import Store
from tests.rows import orchestration_row


def test_is_read_in_pages_that_neither_repeat_nor_leave_out_a_run(
    store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str]
) -> None:
    task = add_task()
    runs = [add_run(RunStatus.SUCCESS, task=task) for _ in range(5)]  # all of them ended at the same time
    first = [past.run.run_id for past in store.run_history.newest(task.task_id, 2)]
    rest = [past.run.run_id for past in store.run_history.newest(task.task_id, 5, before=first[-1])]
    assert first + rest == runs[::-1]


def test_names_what_each_run_was_started_with(
    store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str], now: datetime
) -> None:
    task = add_task(TaskStatus.STARTED, kind=TaskKind.SCHEDULED)
    old, other = add_run(RunStatus.SUCCESS, task=task), orchestration_row(now)
    with store.transaction() as transaction:
        store.orchestrations.insert(transaction, other)
        store.run_metrics.insert(transaction, old, {"rmse": 0.5})
        store.task_versions.keep(transaction, task.task_id, now)
        store.tasks.replace(transaction, task._replace(orchestration_id=other.orchestration_id), now, "other")
    add_run(RunStatus.RUNNING, task=task)
    ran = [(past.orchestration_id, past.metrics) for past in store.run_history.newest(task.task_id, 9)]
    assert sorted(ran, key=lambda one: len(one[1])) == [(other.orchestration_id, {}), (task.orchestration_id, {"rmse": 0.5})]
