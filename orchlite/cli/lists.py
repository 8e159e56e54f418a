"""The verbs that list what a store holds: `orchestrations`, `tasks`, `runs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import orchestration_shape, run_shapes, task_shapes
from orchlite.cli.lookup import Word, all_of, search_of
from orchlite.cli.options import Verb, setting
from orchlite.cli.output import Output, seconds_text, short, time_text
from orchlite.core.clock import SystemClock
from orchlite.core.status import RunStatus

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_COUNT = click.option("-n", "count", type=click.IntRange(min=0), default=20, show_default=True, help="The newest so many; 0 for all.")
_STATUSES = ["all", *(status.value for status in RunStatus)]


@click.command(cls=Verb, short_help="List what was uploaded.")
@_COUNT
def orchestrations(count: int) -> None:
    """List the workspace's orchestrations, newest first."""
    with looking() as (client, out):
        columns = ("id", "name", "status", "packages", "file", "uploaded")
        _list(out, columns, client.list_orchestrations()[::-1], _orchestration_cells, orchestration_shape)


@click.command(cls=Verb, short_help="List tasks.")
@click.option("--all", "-a", "killed", is_flag=True, help="Killed ones, too.")
@_COUNT
def tasks(killed: bool, count: int) -> None:
    """List the workspace's tasks, newest first, each with its newest run."""
    with looking() as (client, out):
        names = Names(client)
        columns = ("id", "name", "orchestration", "kind", "status", "last run", "next run")
        _list(out, columns, client.list_tasks(killed=killed), lambda task: _task_cells(task, names), task_shapes(client))


@click.command(cls=Verb, short_help="List runs.")
@click.argument("word", metavar="[TASK]", required=False, type=Word("tasks", "orchestrations", killed=True))
@click.option("--status", type=click.Choice(_STATUSES), metavar="STATUS", help=f"Only these: {', '.join(_STATUSES[1:])}.")
@_COUNT
def runs(word: str | None, status: str | None, count: int) -> None:
    """List runs, newest first: those of a TASK or an orchestration, of all that have the name, else the workspace's."""
    with looking() as (client, out):
        asked = count + 1 if count else None  # one more than is shown, to see whether there are more
        found = _runs_of(client, word, status, asked)
        names = Names(client)
        columns = ("id", "task", "status", "exit", "started", "took", "slot")
        _list(out, columns, found, lambda run: _run_cells(run, names), run_shapes(client))


@contextmanager
def looking() -> Iterator[tuple[Client, Output]]:
    """The store, opened to be looked at, and how to speak."""
    client = setting().opened()
    try:
        yield client, setting().output()
    finally:
        client.close(drain=False)


def _list(
    out: Output, columns: Sequence[str], found: Sequence[Any], cells: Callable[[Any], Sequence[object]], shape: Callable[[Any], object]
) -> None:
    """Print the newest of them, as many as were asked for, and say where there are more."""
    count: int = click.get_current_context().params["count"]
    shown = found[:count] if count else found
    if out.as_json:
        out.json([shape(one) for one in shown])
        return
    if shown:
        out.table(columns, [cells(one) for one in shown])
    else:
        out.note("there are none")
    if len(found) > len(shown):
        out.note(f"there are more than these {count}; -n 0 lists all")


def _runs_of(client: Client, word: str | None, status: str | None, limit: int | None) -> Sequence[TaskRun]:
    if word is None:
        return search_of(client).newest_runs(limit, _statuses_of(status))
    found = {run.id(): run for one in all_of(client, word) for run in runs_below(one, limit, status)}
    return sorted(found.values(), key=lambda run: run.created_at(), reverse=True)[:limit]


def runs_below(one: Orchestration | Task | TaskRun, limit: int | None, status: str | None = None) -> Sequence[TaskRun]:
    """The runs of a task, of an orchestration's tasks, or the run itself."""
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task

    if isinstance(one, Orchestration):
        return [run for task in one.list_tasks() for run in task.last_runs(limit, status)]
    return one.last_runs(limit, status) if isinstance(one, Task) else [one]


def _statuses_of(status: str | None) -> frozenset[RunStatus] | None:
    """What a status asks for: `failure` includes those whose end nobody saw."""
    if status in (None, "all"):
        return None
    return frozenset({RunStatus.FAILURE, RunStatus.UNKNOWN}) if status == "failure" else frozenset({RunStatus(status)})


class Names:
    """What tasks and orchestrations are called, asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, str] = {}
        self._zones: dict[str, str | None] = {}

    def orchestration(self, orchestration_id: str) -> str:
        """The name of an orchestration, else its short id."""
        if orchestration_id not in self._known:
            self._known[orchestration_id] = self._client.get_orchestration_by_id(orchestration_id).name() or short(orchestration_id)
        return self._known[orchestration_id]

    def task(self, task_id: str) -> str:
        """The name of a task, else its short id and what it runs."""
        if task_id not in self._known:
            task = self._client.get_task_by_id(task_id)
            runs = self.orchestration(task.orchestration())
            unnamed = f"packaging of {runs}" if task.kind() == "packaging" else f"{short(task_id)} ({runs})"
            self._known[task_id] = task.name() or unnamed
            self._zones[task_id] = task.timezone()
        return self._known[task_id]

    def zone(self, task_id: str) -> str | None:
        """The zone that the schedule of a task is read in."""
        self.task(task_id)
        return self._zones[task_id]

    def run(self, run_id: str) -> str:
        """What the task of a run is called."""
        return self.task(self._client.get_task_run_by_id(run_id).task())


def run_names(client: Client) -> Callable[[TaskRun], tuple[object, ...]]:
    """Gives the cells of runs in a table: id, task, status, exit code, start, duration, slot."""
    names = Names(client)
    return lambda run: _run_cells(run, names)


def _orchestration_cells(one: Orchestration) -> tuple[object, ...]:
    return short(one.id()), one.name(), one.status(), len(one.installed()), one.file_name(), one.created_at()


def _task_cells(task: Task, names: Names) -> tuple[object, ...]:
    newest = task.last_runs(1)
    last = newest[0].status() if newest else None
    return (
        short(task.id()),
        task.name(),
        names.orchestration(task.orchestration()),
        task.schedule() or task.kind(),
        task.status(),
        last,
        time_text(task.next_run_at(), task.timezone()),
    )


def _run_cells(run: TaskRun, names: Names) -> tuple[object, ...]:
    name, started_at = names.task(run.task()), run.started_at()
    seconds = (SystemClock().now() - started_at).total_seconds() if started_at and run.status() == "running" else run.duration()
    slot = time_text(run.scheduled_at(), names.zone(run.task()))
    return short(run.id()), name, run.status(), run.exit_code(), started_at, seconds_text(seconds), slot
