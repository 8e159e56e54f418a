"""Limits of what a run's processes may use: they are a task's, kept by replacements, retries and reruns, and reach the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, Client, Orchestration, Task, TaskRun
from orchlite.testing import ManualClock

Travel = Callable[..., Orchestration]
Submit = Callable[[Orchestration, dict[str, Any]], Task]

_GIVEN: dict[str, Any] = {"memory": "1.5GiB", "cpu_seconds": 600, "nice": 10}
_MEMORY_BYTES = 3 * 2**29


def _limits(one: Task | TaskRun) -> tuple[int | None, int | None, int]:
    return one.memory(), one.cpu_seconds(), one.nice()


@pytest.mark.parametrize(
    "submit",
    [
        lambda orchestration, given: orchestration.run_once(**given),
        lambda orchestration, given: orchestration.run_scheduled("nightly", "* * * * *", **given),
        lambda orchestration, given: orchestration.run_continuously("poller", **given),
    ],
    ids=["once", "scheduled", "continuous"],
)
def test_every_kind_of_task_takes_limits_and_its_runs_have_them(travel: Travel, clock: ManualClock, submit: Submit) -> None:
    orchestration = travel("success", 90)
    limited, free = submit(orchestration, _GIVEN), submit(orchestration, {})
    clock.advance(minutes=1)
    assert (_limits(limited), _limits(free)) == ((_MEMORY_BYTES, 600, 10), (None, None, 0))
    assert _limits(limited.last_runs()[0]) == _limits(limited)


def test_a_replacement_keeps_or_changes_limits_and_runs_keep_those_that_they_were_started_with(travel: Travel, clock: ManualClock) -> None:
    orchestration = travel()
    task = orchestration.run_scheduled("nightly", "@daily", **_GIVEN)
    clock.advance(days=1)
    [run] = task.last_runs()
    task.replace(orchestration, json_args={"n": 1})
    assert _limits(task) == (_MEMORY_BYTES, 600, 10)
    task.replace(orchestration, memory=2**30, nice=0)
    assert _limits(task) == (2**30, 600, 0)
    task.replace(orchestration, memory=None, cpu_seconds=None)
    assert _limits(task) == (None, None, 0)
    again = run.rerun()
    assert (_limits(run), _limits(again)) == ((_MEMORY_BYTES, 600, 10),) * 2


def test_the_program_has_the_limits_of_its_task_and_so_have_tries_and_reruns(client: Client, folder: Callable[..., Path]) -> None:
    program = (
        "import os, resource\nprint(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CPU)[0], os.nice(0))"
    )
    run = client.run(folder(f"{program}\nraise MemoryError"), retries=1, retry_delay=0, **{**_GIVEN, "nice": 0})
    again = run.rerun().wait(20)
    assert [str(one.logs()).splitlines()[0] for one in (run, again)] == [f"{_MEMORY_BYTES} 600 0"] * 2
    assert (run.try_number(), run.reason()) == (2, "it needed more memory than its limit of 1536 MiB")


@pytest.mark.parametrize(
    "given",
    [
        {"memory": "63MiB"},
        {"memory": 4},
        {"memory": "4G"},
        {"memory": "1025TiB"},
        {"memory": True},
        {"cpu_seconds": 0},
        {"cpu_seconds": 1.5},
        {"nice": -1},
        {"nice": 20},
    ],
    ids=str,
)
def test_limits_that_cannot_be_are_refused(travel: Travel, given: dict[str, Any]) -> None:
    with pytest.raises(BadArgument) as refusal:
        travel().run_once(**given)
    assert refusal.value.details["argument"] == next(iter(given))
