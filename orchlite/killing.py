"""Ending runs and tasks on request. A kill is a request: whoever owns the run ends it and records how it ended."""

from __future__ import annotations

from orchlite import packager
from orchlite.errors import IllegalMove
from orchlite.open_store import OpenStore
from orchlite.records import RunResult, RunRow, TaskRow
from orchlite.status import RunStatus, TaskKind, TaskStatus
from orchlite.store.database import Transaction

_REASON = "it was killed on request"


def kill_run(store: OpenStore, run_id: str) -> None:
    """Ask for the run's end: a queued one ends at once, a running one within its grace.

    Raises:
        IllegalMove: it has ended already.
    """
    run = store.memory.runs.get(run_id)
    task = store.memory.tasks.get(run.task_id)
    with store.memory.transaction() as transaction:
        status = store.memory.runs.status(transaction, run_id)
        if status is None or status.is_final:
            raise IllegalMove(f"Run {run_id} has ended already: it is {status}.", status=status, run_id=run_id)
        _request(store, transaction, task, run_id, status)
        if store.memory.tasks.status(transaction, task.task_id) is TaskStatus.PENDING:
            store.memory.tasks.move(transaction, task.task_id, TaskStatus.FAILED, store.clock.now(), _REASON)
    _carry_out(store, task, [run_id])


def kill_task(store: OpenStore, task_id: str) -> TaskStatus:
    """Ask for no further runs of the task and for the end of those there are; idempotent. Answers the task's status now."""
    task = store.memory.tasks.get(task_id)
    with store.memory.transaction() as transaction:
        status = store.memory.tasks.status(transaction, task_id)
        if status is not TaskStatus.KILLED and status is not TaskStatus.PENDING_KILL:
            store.memory.tasks.move(transaction, task_id, TaskStatus.PENDING_KILL, store.clock.now(), _REASON)
        unfinished = store.memory.runs.unfinished_of_task(transaction, task_id)
        for run in unfinished:
            _request(store, transaction, task, run.run_id, run.status)
        store.memory.end_killed_task(transaction, task_id, store.clock.now())
        status = store.memory.tasks.status(transaction, task_id)
    _carry_out(store, task, [run.run_id for run in unfinished])
    return status or TaskStatus.KILLED


def _request(store: OpenStore, transaction: Transaction, task: TaskRow, run_id: str, status: RunStatus) -> None:
    store.memory.runs.request_kill(transaction, run_id)
    if status is RunStatus.QUEUED:
        result = RunResult(RunStatus.KILLED, None, None, store.clock.now(), None, "it was killed before it started")
        store.memory.runs.end(transaction, run_id, result)
        if task.kind is TaskKind.PACKAGING:
            packager.give_up(store, transaction, task.orchestration_id, "packaging was killed before it began")


def _carry_out(store: OpenStore, task: TaskRow, run_ids: list[str]) -> None:
    for run in map(store.memory.runs.get, run_ids):
        if run.status is RunStatus.RUNNING:
            _cancel(store, task, run)
    store.notify()


def _cancel(store: OpenStore, task: TaskRow, run: RunRow) -> None:
    folder = store.folder.run(run.run_id)
    # A run may be waiting for its environment to be rebuilt: then there is an installation to be ended, too.
    store.process.cancel(packager.install_files(folder, run.attempt).folder, _REASON)
    if task.kind is not TaskKind.PACKAGING:
        store.process.cancel(folder, _REASON)
