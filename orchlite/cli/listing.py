"""The verbs that list and show what a store holds: `orchestrations`, `tasks`, `runs`, `show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.options import Verb, setting
from orchlite.cli.output import Output, seconds_text, short
from orchlite.cli.resolve import Word, all_of, anything_of, search_of
from orchlite.cli.shapes import orchestration_shape, run_shape, task_shape, whole_run_shape
from orchlite.status import RunStatus

if TYPE_CHECKING:
    from orchlite.client import Client
    from orchlite.orchestration import Orchestration
    from orchlite.task import Task
    from orchlite.task_run import TaskRun

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
        names = _Names(client)
        columns = ("id", "name", "orchestration", "kind", "status", "last run", "next run")
        _list(out, columns, client.list_tasks(killed=killed), lambda task: _task_cells(task, names), task_shape)


@click.command(cls=Verb, short_help="List runs.")
@click.argument("word", metavar="[TASK]", required=False, type=Word("tasks", "orchestrations"))
@click.option("--status", type=click.Choice(_STATUSES), metavar="STATUS", help=f"Only these: {', '.join(_STATUSES[1:])}.")
@_COUNT
def runs(word: str | None, status: str | None, count: int) -> None:
    """List runs, newest first: those of a TASK or an orchestration, of all that have the name, else the workspace's."""
    with looking() as (client, out):
        asked = count + 1 if count else None  # one more than is shown, to see whether there are more
        found = _runs_of(client, word, status, asked)
        names = _Names(client)
        columns = ("id", "task", "status", "exit", "started", "took", "slot")
        _list(out, columns, found, lambda run: _run_cells(run, names), run_shape)


@click.command(cls=Verb, short_help="Show all about one thing.")
@click.argument("word", metavar="ID", type=Word("orchestrations", "tasks", "runs"))
def show(word: str) -> None:
    """Show all that is known about an orchestration, a task or a run; of a run, its files too."""
    with looking() as (client, out):
        one = anything_of(client, word)
        kind, shape = _shape_of(one)
        if out.as_json:
            out.json({"what": kind, **shape})
        else:
            out.facts({"what": kind, **{name.replace("_", " "): value for name, value in shape.items()}})


def _shape_of(one: Orchestration | Task | TaskRun) -> tuple[str, dict[str, Any]]:
    """What it is, and all that is known about it."""
    from orchlite.orchestration import Orchestration
    from orchlite.task import Task

    if isinstance(one, Orchestration):
        return "orchestration", orchestration_shape(one)
    return ("task", task_shape(one)) if isinstance(one, Task) else ("run", whole_run_shape(one))


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
    found = [run for one in all_of(client, word) for run in runs_below(one, limit, status)]
    return sorted(found, key=lambda run: run.created_at(), reverse=True)[:limit]


def runs_below(one: Orchestration | Task | TaskRun, limit: int | None, status: str | None = None) -> Sequence[TaskRun]:
    """The runs of a task, of an orchestration's tasks, or the run itself."""
    from orchlite.orchestration import Orchestration
    from orchlite.task import Task

    if isinstance(one, Orchestration):
        return [run for task in one.list_tasks() for run in task.last_runs(limit, status)]
    return one.last_runs(limit, status) if isinstance(one, Task) else [one]


def _statuses_of(status: str | None) -> frozenset[RunStatus] | None:
    """What a status asks for: `failure` includes those whose end nobody saw."""
    if status in (None, "all"):
        return None
    return frozenset({RunStatus.FAILURE, RunStatus.UNKNOWN}) if status == "failure" else frozenset({RunStatus(status)})


class _Names:
    """What tasks and orchestrations are called, asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, str] = {}

    def orchestration(self, orchestration_id: str) -> str:
        if orchestration_id not in self._known:
            self._known[orchestration_id] = self._client.get_orchestration_by_id(orchestration_id).name() or short(orchestration_id)
        return self._known[orchestration_id]

    def task(self, task_id: str) -> str:
        if task_id not in self._known:
            task = self._client.get_task_by_id(task_id)
            self._known[task_id] = task.name() or f"{short(task_id)} ({self.orchestration(task.orchestration())})"
        return self._known[task_id]


def run_names(client: Client) -> Callable[[TaskRun], tuple[object, ...]]:
    """Gives the cells of runs in a table: id, task, status, exit code, start, duration, slot."""
    names = _Names(client)
    return lambda run: _run_cells(run, names)


def _orchestration_cells(one: Orchestration) -> tuple[object, ...]:
    return short(one.id()), one.name(), one.status(), len(one.installed()), one.file_name(), one.created_at()


def _task_cells(task: Task, names: _Names) -> tuple[object, ...]:
    newest = task.last_runs(1)
    last = newest[0].status() if newest else None
    return (
        short(task.id()),
        task.name(),
        names.orchestration(task.orchestration()),
        task.schedule() or task.kind(),
        task.status(),
        last,
        task.next_run_at(),
    )


def _run_cells(run: TaskRun, names: _Names) -> tuple[object, ...]:
    name = names.task(run.task())
    return short(run.id()), name, run.status(), run.exit_code(), run.started_at(), seconds_text(run.duration()), run.scheduled_at()
