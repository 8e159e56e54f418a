"""Worker slots: each is given to one run at a time, however many threads reserve slots at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from orchlite import Client
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


@pytest.mark.usefixtures("_hasty_threads")
def test_no_slot_is_lost_in_thousands_of_runs(client: Client, folder: MakeFolder, until: Until) -> None:
    context = client._engine.context
    store = context.store
    orchestration = client.upload_orchestration(path=folder("")).wait()
    run, row = store.runs.get(orchestration.task().last_runs()[0].id()), store.orchestrations.get(orchestration.id())
    assignment = Assignment(run, store.tasks.get(run.task_id), row)
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
                workers.assign(assignment._replace(run=run._replace(run_id=run_id)))
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
