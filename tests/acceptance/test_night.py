"""A night in fast motion: the machine dies, slots are missed, runs fail, and in the morning the store tells it all and is mended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.client.health import examine
from orchlite.testing import ManualClock, StubProcess, StubRun
from tests.operations.notebook import Notebook

_EVENING = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
_MORNING = datetime(2026, 3, 2, 7, 30, tzinfo=UTC)
_HOUR = timedelta(hours=1)

# Keeps the schedules from half past ten, starts the run of eleven o'clock, and is killed while that runs.
_DIES = """
import os, signal, sys
from datetime import datetime
import orchlite
from orchlite.testing import ManualClock, StubProcess
clock = ManualClock(datetime.fromisoformat(sys.argv[2]))
orchlite.Client(sys.argv[1], clock=clock, process=StubProcess("success", 7200)).start()
clock.advance(minutes=45)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _at(run: orchlite.TaskRun) -> int | None:
    return None if (slot := run.scheduled_at()) is None else slot.hour


@pytest.mark.slow
def test_a_night_with_a_dead_host_missed_slots_retries_and_a_replacement_is_told_and_mended_in_the_morning(
    tmp_path: Path, folder: Callable[..., Path]
) -> None:
    store, notebook = tmp_path / "store", Notebook(tmp_path)
    with orchlite.Client(store, clock=ManualClock(_EVENING), process=StubProcess()) as client:
        broken = client.upload_orchestration(path=folder("broken"), name="nightly").wait()
        broken.run_scheduled(
            "nightly", "0 * * * *", retries=2, retry_delay="5m", on_failure=notebook.command("failed"), on_late=notebook.command("late")
        )
    died = subprocess.run([sys.executable, "-c", _DIES, store, _EVENING.isoformat()], check=False)
    assert died.returncode == -signal.SIGKILL

    def outcome(run: StubRun) -> tuple[str, float]:
        if run.orchestration_id == broken.id() and run.slot_at is not None and run.slot_at.hour == 4:
            return "failure", 0
        return "success", 2 * 3600 if run.slot_at is not None and run.slot_at.hour == 23 else 60

    clock = ManualClock(_MORNING - 5 * _HOUR)
    with orchlite.Client(store, clock=clock, process=StubProcess(outcome)).start() as client:
        [task] = client.list_tasks()
        assert examine(client._engine, _EVENING).overdue == [task]
        clock.advance(hours=2)
        # The dead host's run has continued without it; of the slots that nobody kept, the newest has a run; then one fails.
        first_try, *more_tries = reversed(task.last_runs(limit=3))
        assert [(_at(run), run.status()) for run in reversed(task.last_runs()[3:])] == [(23, "success"), (2, "success"), (3, "success")]
        assert [(run.status(), run.retry_of()) for run in (first_try, *more_tries)] == [
            ("failure", None),
            ("failure", first_try.id()),
            ("failure", more_tries[0].id()),
        ]
        mended = client.upload_orchestration(path=folder("mended"), name="nightly").wait()
        task.replace(mended)
        clock.advance_to(_MORNING)
        assert [(_at(run), run.orchestration()) for run in task.last_runs(limit=3)] == [(hour, mended.id()) for hour in (7, 6, 5)]

        health = examine(client._engine, _EVENING)
        assert [_at(run) for run in health.late] == [2]
        assert [_at(run) for run in health.skipped] == [1, 0]
        assert [run.id() for run in health.failed] == [more_tries[-1].id()]
        assert (health.overdue, health.keeping.is_unkept) == ([], False)
        rerun = more_tries[-1].rerun()
        now = task.run_now()
        clock.advance(minutes=1)
        assert (rerun.task() == task.id(), rerun.orchestration(), now.orchestration()) == (False, broken.id(), mended.id())
        assert (rerun.status(), now.status()) == ("failure", "success")
    told = [(line["arguments"][0], line["environment"]["ORCHLITE_RUN_ID"]) for line in notebook.lines()]
    assert sorted(told) == sorted([("late", health.late[0].id()), ("failed", more_tries[-1].id())])
