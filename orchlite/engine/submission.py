"""Taking orders in: a task and its run become rows, and begin at once where a worker is free."""

from __future__ import annotations

import threading
import uuid
from typing import NamedTuple

from orchlite.core.records import Assignment, Claim, OrchestrationRow, RunRow, TaskRow
from orchlite.core.recurrence import SchedulePolicy
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.engine.workers import Workers
from orchlite.operations import packaging as packager
from orchlite.operations.context import OpenStore
from orchlite.store.database import Transaction


class Order(NamedTuple):
    """What a caller wants run."""

    name: str | None
    arguments: str
    timeout_seconds: float | None
    debug: bool
    env: dict[str, str]
    kind: TaskKind = TaskKind.ONCE
    schedule: SchedulePolicy | None = None
    on_failure: tuple[str, ...] | None = None


def submit(store: OpenStore, workers: Workers, orchestration_id: str, order: Order) -> TaskRow:
    """Make a task. Its run begins now where a worker is free, else in its turn; that of a scheduled task when it is due.

    Raises:
        PackagingFailed: the orchestration is in `error`.
        BadSchedule: the schedule cannot be kept.
    """
    orchestration = store.memory.orchestrations.get(orchestration_id)
    if orchestration.status is OrchestrationStatus.ERROR:
        raise packager.packaging_failed(orchestration)
    if order.schedule is not None:
        return _submit_scheduled(store, orchestration, order, order.schedule)
    if orchestration.status is OrchestrationStatus.READY:
        task = _task(store, orchestration, order, TaskStatus.STARTED)
        begun = Assignment(_claimed_run(task, store.claim()), task, orchestration)
        if workers.reserve():  # last, since an interrupt between this and the handing over would lose the worker's place
            return _begin(store, workers, begun)
    task, claim = _task(store, orchestration, order, TaskStatus.PENDING), store.claim()
    try:
        with store.memory.transaction() as transaction:
            _insert(store, transaction, task)
            store.memory.runs.insert(transaction, str(uuid.uuid4()), task.task_id, claim.host_id, claim.at)
            store.memory.runs.hand_over(transaction, orchestration.task_id, claim.host_id)
    finally:
        workers.look()  # after an interrupt, too: it may have come when the run was there already
    return task


def _submit_scheduled(store: OpenStore, orchestration: OrchestrationRow, order: Order, policy: SchedulePolicy) -> TaskRow:
    from orchlite.schedules.schedule import parse

    task = _task(store, orchestration, order, TaskStatus.PENDING)
    task = task._replace(next_at=parse(policy.expression, policy.timezone).next_after(task.created_at))
    with store.memory.transaction() as transaction:
        if store.memory.orchestrations.status(transaction, orchestration.orchestration_id) is OrchestrationStatus.READY:
            task = task._replace(status=TaskStatus.STARTED)
        else:
            store.memory.runs.hand_over(transaction, orchestration.task_id, store.host_id)
        _insert(store, transaction, task)
    return task


def _begin(store: OpenStore, workers: Workers, begun: Assignment) -> TaskRow:
    """Submit and claim in one step. The reserved worker prepares the run meanwhile, and starts it when the step is durable."""
    settled = threading.Event()
    is_given = False

    def is_claimed() -> bool:
        settled.wait()
        # An interrupt may have come between the commit and the word: then the store knows.
        return is_given or store.memory.runs.find(begun.run.run_id) is not None

    try:
        workers.hand(begun._replace(is_claimed=is_claimed))
        with store.memory.transaction() as transaction:
            _insert(store, transaction, begun.task)
            store.memory.runs.insert_claimed(transaction, begun.run)
        is_given = True
    finally:
        settled.set()
    return begun.task


def _insert(store: OpenStore, transaction: Transaction, task: TaskRow) -> None:
    # Packaging may have failed a moment ago; nobody would ever look at a task that came after that.
    if store.memory.orchestrations.status(transaction, task.orchestration_id) in (None, OrchestrationStatus.ERROR):
        raise packager.packaging_failed(store.memory.orchestrations.get(task.orchestration_id))
    store.memory.tasks.insert(transaction, task)


def _task(store: OpenStore, orchestration: OrchestrationRow, order: Order, status: TaskStatus) -> TaskRow:
    now = store.clock.now()
    return TaskRow(
        task_id=str(uuid.uuid4()),
        workspace_id=orchestration.workspace_id,
        orchestration_id=orchestration.orchestration_id,
        kind=order.kind,
        name=order.name,
        arguments=order.arguments,
        timeout_seconds=order.timeout_seconds,
        debug=order.debug,
        env={**store.settings.env, **order.env},
        env_passthrough=store.settings.env_passthrough,
        status=status,
        reason=None,
        created_at=now,
        updated_at=now,
        schedule=order.schedule,
        on_failure=order.on_failure if order.on_failure is not None else store.settings.on_failure,
    )


def _claimed_run(task: TaskRow, claim: Claim) -> RunRow:
    return RunRow(
        run_id=str(uuid.uuid4()),
        task_id=task.task_id,
        status=RunStatus.RUNNING,
        attempt=1,
        submitted_by=claim.host_id,
        host_id=claim.host_id,
        boot_id=claim.boot_id,
        created_at=claim.at,
        claimed_at=claim.at,
        started_at=None,
        ended_at=None,
        duration_seconds=None,
        exit_code=None,
        reason=None,
        kill_requested=False,
        log_complete=True,
    )
