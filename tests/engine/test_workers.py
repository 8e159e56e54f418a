"""Worker slots: each is given to one run at a time, however many threads reserve slots at once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchlite import Client, Orchestration
from orchlite.core.status import TaskKind
from orchlite.engine.executors import ProgramExecutor
from orchlite.engine.workers import Workers
from orchlite.operations.context import Assignment, Context

MakeFolder = Callable[..., Path]
Until = Callable[[Callable[[], object]], None]


class _CountingExecutor(ProgramExecutor):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.executed: list[Assignment] = []

    def execute(self, assignment: Assignment) -> None:
        self.executed.append(assignment)


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Threads switch a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def _assignment(context: Context, orchestration: Orchestration) -> Assignment:
    """Return what a worker is given for the packaging of an orchestration."""
    store = context.store
    run = store.runs.get(orchestration.task().last_runs()[0].id())
    return Assignment(run, store.tasks.get(run.task_id), store.orchestrations.get(orchestration.id()))


@pytest.mark.usefixtures("_hasty_threads")
def test_no_slot_is_lost_in_thousands_of_runs(client: Client, folder: MakeFolder, until: Until) -> None:
    context = client._engine.context
    assignment = _assignment(context, client.upload_orchestration(path=folder("")).wait())
    assigned, executor = [], _CountingExecutor(context)
    workers = Workers(context, executor)
    workers.start()

    def submit(name: str) -> None:
        for number in range(2000):
            if workers.reserve(run_id := f"{name}-{number}"):
                if number % 3 == 0:
                    workers.release(run_id)  # as after an interrupt
                    continue
                assigned.append(1)
                workers.assign(assignment._replace(run=assignment.run._replace(run_id=run_id)))
                workers.release(run_id)  # as after a later one: it is assigned
            else:
                workers.wake()

    threads = [threading.Thread(target=submit, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(executor.executed) == len(assigned))
    assert len(assigned) > 0
    for number in range(context.settings.workers):
        until(partial(workers.reserve, str(number)))  # once they have found nothing more to do
    further = sum(workers.reserve(f"further-{number}") for number in range(50))
    workers.stop(0)
    assert further == 0


class _LastingExecutor(ProgramExecutor):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.ending = threading.Event()

    def execute(self, assignment: Assignment) -> None:
        self.ending.wait()


def test_a_thread_that_was_idle_before_ends_the_standby_in_time_while_another_is_busy(
    open_client: Callable[..., Client], folder: MakeFolder, until: Until
) -> None:
    client = open_client(workers=2, standby_seconds=1)
    context = client._engine.context
    assignment = _assignment(context, client.upload_orchestration(path=folder("")).wait())
    client._engine._workers.stop(5)  # which have the same standby
    executor = _LastingExecutor(context)
    workers = Workers(context, executor)
    workers.start()
    assert all([workers.reserve("a"), workers.reserve("b")])
    workers.release("a")
    workers.release("b")
    time.sleep(0.05)  # until both threads wait, for nothing that is due
    row: Any = SimpleNamespace(orchestration_id="some", kind=TaskKind.ONCE)  # no other field is read
    for _ in range(2):
        context.standbys.note(row, row, row)
    assert context.standbys.begin() is not None
    assert context.standbys.finish("task", "run", "some", lambda: True)
    until(partial(workers.reserve, assignment.run.run_id))
    workers.assign(assignment)
    workers.begin_assigned()
    until(lambda: context.standbys.seconds_left() is None)
    executor.ending.set()
    workers.stop(0)
