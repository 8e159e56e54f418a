"""Submits tasks: inserts a task and its run, and starts the run at once if a worker is free."""

from __future__ import annotations

import threading
import uuid
from typing import NamedTuple

from orchlite.core.errors import Closed, IllegalMove
from orchlite.core.records import OrchestrationRow, ResourceLimits, RetryPolicy, RunRow, SchedulePolicy, TaskRow
from orchlite.core.status import OrchestrationStatus, TaskKind, TaskStatus
from orchlite.engine.workers import Workers
from orchlite.operations import execution, packaging, preparation
from orchlite.operations.context import Assignment, Context
from orchlite.store.database import Transaction


class TaskRequest(NamedTuple):
    """What a caller asks to run, and how; its arguments were checked."""

    name: str | None
    arguments: str
    timeout_seconds: float | None
    debug: bool
    env: dict[str, str]
    kind: TaskKind = TaskKind.ONCE
    schedule: SchedulePolicy | None = None
    on_failure: tuple[str, ...] | None = None
    on_success: tuple[str, ...] | None = None
    on_late: tuple[str, ...] | None = None
    retry: RetryPolicy | None = None
    resources: ResourceLimits = ResourceLimits()


def submit(context: Context, workers: Workers, orchestration_id: str, request: TaskRequest) -> TaskRow:
    """Create a task. Its run starts now if a worker is free, else in its turn; a scheduled task's run starts when it is due.

    Raises:
        NotFound: there is no such orchestration.
        PackagingFailed: the orchestration is in `error`.
        BadSchedule: the schedule is refused.
    """
    orchestration = _usable(context, orchestration_id)
    task = _task(context, orchestration, request)
    if request.schedule is not None:
        return _submit_scheduled(context, orchestration, task, request.schedule)
    return _submit_run(context, workers, orchestration, task)


def rerun(context: Context, workers: Workers, run_id: str, arguments: str | None = None) -> TaskRow:
    """Create a one-shot task that repeats a run, with the orchestration, arguments, limits and variables that the run was started with.

    arguments: other ones, as JSON.

    Raises:
        NotFound: there is no such run.
        IllegalMove: it is a packaging run.
        PackagingFailed: its orchestration is in `error`.
    """
    run = context.store.runs.get(run_id)
    old = context.store.task_versions.as_run(context.store.tasks.get(run.task_id), run_id)
    if old.kind is TaskKind.PACKAGING:
        hint = "Upload the bundle again."
        raise IllegalMove(f"Run {run_id} is the packaging of an orchestration, which is not repeated.", hint=hint, status=run.status)
    task = _repeated_task(context, old if arguments is None else old._replace(arguments=arguments))
    return _submit_run(context, workers, _usable(context, old.orchestration_id), task, run)


def _usable(context: Context, orchestration_id: str) -> OrchestrationRow:
    orchestration = context.store.orchestrations.get(orchestration_id)
    if orchestration.status is OrchestrationStatus.ERROR:
        raise packaging.packaging_failed(orchestration)
    return orchestration


def _submit_run(
    context: Context, workers: Workers, orchestration: OrchestrationRow, task: TaskRow, repeated: RunRow | None = None
) -> TaskRow:
    """Submit a pending task with its first run, which repeats the other one, if that is given."""
    if orchestration.status is OrchestrationStatus.READY:
        standby = context.standbys.take(orchestration.orchestration_id)
        task_id, run_id = (task.task_id, str(uuid.uuid4())) if standby is None else (standby.task_id, standby.run_id)
        started = task._replace(task_id=task_id, status=TaskStatus.STARTED)
        run = context.claim().new_run(run_id, task_id)
        if repeated is not None:
            run = run._replace(rerun_of=repeated.run_id, repeated_slot_at=repeated.slot_at or repeated.repeated_slot_at)
        assignment = Assignment(run, started, orchestration, is_prepared=standby is not None)
        try:
            if workers.reserve(run_id):
                return _submit_claimed(context, workers, assignment)
        except BaseException:  # perhaps before the run was assigned
            if workers.release(run_id):
                preparation.withdraw(context, run_id)
            raise
        if standby is not None:
            preparation.put_back(context, standby)
    return _submit_queued(context, workers, orchestration, task, repeated)


def _submit_scheduled(context: Context, orchestration: OrchestrationRow, task: TaskRow, policy: SchedulePolicy) -> TaskRow:
    from orchlite.schedules.schedule import parse

    task = task._replace(next_at=parse(policy.expression, policy.timezone).next_after(task.created_at))
    with context.store.transaction() as transaction:
        if context.store.orchestrations.status(transaction, orchestration.orchestration_id) is OrchestrationStatus.READY:
            task = task._replace(status=TaskStatus.STARTED)
        else:
            context.store.runs.hand_over(transaction, orchestration.task_id, context.host_id)
        _insert(context, transaction, task)
    return task


def _submit_queued(context: Context, workers: Workers, orchestration: OrchestrationRow, task: TaskRow, repeated: RunRow | None) -> TaskRow:
    claim, run_id = context.claim(), str(uuid.uuid4())
    try:
        with context.store.transaction() as transaction:
            _insert(context, transaction, task)
            context.store.runs.insert(transaction, run_id, task.task_id, claim.host_id, claim.at)
            if repeated is not None:
                context.store.runs.set_rerun(transaction, run_id, repeated.run_id)
            context.store.runs.hand_over(transaction, orchestration.task_id, claim.host_id)
    finally:
        workers.wake()  # after an interrupt, too: the run may have been committed
    return task


def _submit_claimed(context: Context, workers: Workers, assignment: Assignment) -> TaskRow:
    """Submit and claim in one commit. The reserved worker starts the run once that is durable."""
    unsettled = threading.Lock()  # not an event: no interrupt comes between the call of `release` and its effect
    unsettled.acquire()
    is_committed = is_refused = False

    def is_claimed() -> bool:
        with unsettled:
            pass
        # An interrupt may have come between the commit and the assignment below: then the store knows.
        return is_committed or (not is_refused and context.store.runs.find(assignment.run.run_id) is not None)

    assignment = execution.prepare_at_once(context, assignment)
    try:
        workers.assign(assignment._replace(is_claimed=is_claimed))
        context.standbys.forget(assignment.run.run_id)  # the worker removes it if the commit fails
        with context.store.transaction() as transaction:
            _insert(context, transaction, assignment.task)
            context.store.runs.insert_claimed(transaction, assignment.run)
            if assignment.run.rerun_of is not None:
                context.store.runs.set_rerun(transaction, assignment.run.run_id, assignment.run.rerun_of)
        is_committed = True
    except Closed:  # nothing was committed, and the store cannot be asked any more
        is_refused = True
        preparation.withdraw(context, assignment.run.run_id)  # its worker may have stopped
        raise
    finally:
        unsettled.release()
        workers.begin_assigned()
    return assignment.task


def _insert(context: Context, transaction: Transaction, task: TaskRow) -> None:
    # Packaging may have failed a moment ago: a task inserted after that would wait forever.
    if context.store.orchestrations.status(transaction, task.orchestration_id) in (None, OrchestrationStatus.ERROR):
        raise packaging.packaging_failed(context.store.orchestrations.get(task.orchestration_id))
    context.store.tasks.insert(transaction, task)


def _task(context: Context, orchestration: OrchestrationRow, request: TaskRequest) -> TaskRow:
    now = context.clock.now()
    return TaskRow(
        task_id=str(uuid.uuid4()),
        workspace_id=orchestration.workspace_id,
        orchestration_id=orchestration.orchestration_id,
        kind=request.kind,
        name=request.name,
        arguments=request.arguments,
        timeout_seconds=request.timeout_seconds,
        debug=request.debug,
        env={**context.settings.env, **request.env},
        env_passthrough=context.settings.env_passthrough,
        status=TaskStatus.PENDING,
        reason=None,
        created_at=now,
        updated_at=now,
        schedule=request.schedule,
        on_failure=request.on_failure or context.settings.on_failure,
        on_success=request.on_success or context.settings.on_success,
        on_late=request.on_late or context.settings.on_late,
        retry=request.retry,
        resources=request.resources,
    )


def _repeated_task(context: Context, old: TaskRow) -> TaskRow:
    now = context.clock.now()
    task = old._replace(task_id=str(uuid.uuid4()), kind=TaskKind.ONCE, status=TaskStatus.PENDING, created_at=now, updated_at=now)
    return task._replace(reason=None, schedule=None, next_at=None, skipped_in_row=0, pruned_until=None, schedule_since=None)
