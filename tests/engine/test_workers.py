"""Worker slots: each is given to one run at a time, however many threads reserve slots at once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from orchlite import Client
from orchlite.engine.executors import ProgramExecutor
from orchlite.engine.workers import Workers
from orchlite.operations.context import Assignment, Context
from orchlite.operations.standbys import Standbys

MakeFolder = Callable[..., Path]
Until = Callable[[Callable[[], object]], None]


class _CountingExecutor(ProgramExecutor):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.executed: list[Assignment] = []

    def execute(self, assignment: Assignment) -> bool:
        self.executed.append(assignment)
        return False


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Threads switch a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def _assignment(context: Context, run_id: str) -> Assignment:
    """Return what a worker is given for a run."""
    store = context.store
    run = store.runs.get(run_id)
    task = store.tasks.get(run.task_id)
    return Assignment(run, task, store.orchestrations.get(task.orchestration_id))


@pytest.mark.usefixtures("_hasty_threads")
def test_no_slot_is_lost_in_thousands_of_runs(client: Client, folder: MakeFolder, until: Until) -> None:
    context = client._engine.context
    packaging = client.upload_orchestration(path=folder("")).wait().task()
    assignment = _assignment(context, packaging.last_runs()[0].id())
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
        self.has_begun, self.ending = threading.Event(), threading.Event()

    def execute(self, assignment: Assignment) -> bool:
        assignment.was_started()
        self.has_begun.set()
        return self.ending.wait()


class _TellingExecutor(ProgramExecutor):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.told: list[bool] = []

    def execute(self, assignment: Assignment) -> bool:
        self.told.append(super().execute(assignment))
        return self.told[-1]


@pytest.mark.parametrize(
    ("program", "may_start_another"),
    [("print()", False), ("import orchlite; orchlite.Client().create_connection('name', 'type', {})", True)],
    ids=["nothing", "something"],
)
def test_the_queue_is_checked_after_a_one_shot_run_during_which_something_was_committed(
    open_client: Callable[..., Client], folder: MakeFolder, until: Until, program: str, may_start_another: bool
) -> None:
    client = open_client()
    orchestration = client.upload_orchestration(path=folder(program)).wait()
    client._engine._workers._executor = executor = _TellingExecutor(client._engine.context)
    assert orchestration.run_once().wait().status() == "success"
    until(lambda: executor.told)
    assert executor.told == [may_start_another]


def test_a_thread_that_was_idle_before_ends_what_stands_by_for_too_long_while_another_run_lasts(
    open_client: Callable[..., Client], folder: MakeFolder, until: Until
) -> None:
    client = open_client(workers=2)
    context, now = client._engine.context, [0.0]
    run = client.upload_orchestration(path=folder("")).wait().run_once().wait()
    assignment = _assignment(context, run.id())
    client._engine._workers.stop(5)  # which would have the same standby
    context.standbys = Standbys(1, lambda: now[0])
    executor = _LastingExecutor(context)
    workers = Workers(context, executor)
    workers.start()
    assert all([workers.reserve("a"), workers.reserve("b")])
    workers.release("a")
    workers.release("b")
    time.sleep(0.05)  # until both threads wait, for nothing that is due
    for _ in range(2):
        context.standbys.note(assignment.run, assignment.task, assignment.orchestration)
    assert workers.reserve(run.id())
    workers.assign(assignment)
    workers.begin_assigned()
    assert executor.has_begun.wait(20)
    assert context.standbys.seconds_left() == 1
    now[0] = 1.0
    until(lambda: context.standbys.seconds_left() is None)
    executor.ending.set()
    workers.stop(5)
