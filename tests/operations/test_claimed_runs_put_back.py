"""Claimed runs that could not be started: which go back into the queue, and which of their attempts count."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchlite.core.clock import Clock, SystemClock
from orchlite.core.folders import StoreFolder
from orchlite.core.records import SchedulePolicy
from orchlite.core.settings import Settings
from orchlite.core.status import RunStatus, TaskKind
from orchlite.environments.environments import Environments
from orchlite.operations.context import Assignment, Context
from orchlite.operations.execution import LocalSite, finalize
from orchlite.operations.postponement import try_postpone
from orchlite.runs.spec import NeverStarted
from orchlite.store.store import Store
from orchlite.testing import ManualClock, StubProcess
from tests.rows import orchestration_row, task_row

_SHORTAGE = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
OpenContext = Callable[[Clock], Context]


@pytest.fixture
def open_context(tmp_path: Path, empty_store: Path, shared_cache: Path) -> Iterator[OpenContext]:
    """Open a store with no thread at work on it."""
    shutil.copytree(empty_store, tmp_path / "store")
    folder = StoreFolder(tmp_path / "store")
    store = Store(folder.database)

    def make(clock: Clock) -> Context:
        return Context(
            folder=folder,
            store=store,
            environments=Environments(shared_cache),
            process=StubProcess(),
            clock=clock,
            settings=Settings(),
            host_id="this host",
            boot_id="this boot",
        )

    yield make
    store.close()


@pytest.fixture
def context(open_context: OpenContext) -> Context:
    return open_context(SystemClock())


def _claimed(context: Context, *, attempts: int = 1) -> Assignment:
    """Insert a run, and claim it a number of times."""
    store, now, run_id = context.store, context.clock.now(), str(uuid.uuid4())
    orchestration = orchestration_row(now)
    task = task_row(orchestration)
    with store.transaction() as transaction:
        store.orchestrations.insert(transaction, orchestration)
        store.tasks.insert(transaction, task)
        store.runs.insert(transaction, run_id, task.task_id, context.host_id, now)
        run = store.runs.claim(transaction, run_id, context.claim())
        for _ in range(attempts - 1):
            store.runs.requeue(transaction, run_id, now, "again")
            run = store.runs.claim(transaction, run_id, context.claim())
    return Assignment(run, task, orchestration)


def _status(context: Context, assignment: Assignment) -> RunStatus:
    return context.store.runs.get(assignment.run.run_id).status


def test_a_shortage_puts_a_run_back_and_says_why_and_for_how_long(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    assignment = _claimed(context)
    assert try_postpone(context, assignment, _SHORTAGE)
    assert _status(context, assignment) == "queued"
    reason = "it could not be started for the moment: [Errno 12] Cannot allocate memory The next attempt follows in 1 s."
    assert [event.reason for event in context.store.events.after(0)][-1] == reason
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"run {assignment.run.run_id}: {reason}"),
    ]


@pytest.mark.parametrize(
    ("deadline_seconds", "is_put_back"),
    [
        pytest.param(None, True, id="none"),
        pytest.param(3600.0, True, id="far away"),
        pytest.param(10.5, False, id="before the next attempt"),
    ],
)
def test_a_run_is_put_back_only_if_the_next_attempt_is_before_its_starting_deadline(
    context: Context, deadline_seconds: float | None, is_put_back: bool
) -> None:
    run, task, orchestration, *_ = assignment = _claimed(context)
    policy = SchedulePolicy("0 * * * *", "UTC", "allow", "latest", deadline_seconds)
    slot_at = context.clock.now() - timedelta(seconds=10)
    scheduled = Assignment(run._replace(slot_at=slot_at), task._replace(kind=TaskKind.SCHEDULED, schedule=policy), orchestration)
    assert try_postpone(context, scheduled, _SHORTAGE) is is_put_back
    assert _status(context, assignment) == ("queued" if is_put_back else "running")


def test_no_run_is_put_back_to_wait_for_a_clock_that_stands_still(open_context: OpenContext, clock: ManualClock) -> None:
    context = open_context(clock)
    assignment = _claimed(context)
    assert not try_postpone(context, assignment, _SHORTAGE)
    assert _status(context, assignment) == "running"


@pytest.mark.parametrize(
    ("postponed", "status"), [pytest.param(2, "queued", id="two for want of a resource"), pytest.param(0, "unknown", id="none of them")]
)
def test_attempts_that_failed_for_want_of_a_resource_do_not_count(context: Context, postponed: int, status: str) -> None:
    assignment = _claimed(context, attempts=4)
    for _ in range(postponed):
        context.postponed.postpone(assignment.run.run_id)
    finalize(context, LocalSite(context), assignment.run, NeverStarted())
    assert _status(context, assignment) == status
