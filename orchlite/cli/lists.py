"""The verbs `orchestrations`, `tasks` and `runs`, which list what is in a store, and `orchestrations delete`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import orchestration_json, run_json_maker, task_json_maker
from orchlite.cli.lookup import IdOrName, lookup_of
from orchlite.cli.options import Moment, Verb, VerbGroup, common_options
from orchlite.cli.output import Exact, Output, time_text
from orchlite.core.clock import SystemClock
from orchlite.core.durations import seconds_text
from orchlite.core.status import RunStatus
from orchlite.core.text import number_text, short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

count_option = click.option(
    "-n", "count", type=click.IntRange(min=0), metavar="N", default=20, show_default=True, help="Number of the newest to list; 0 lists all."
)
"""Decorate a verb that lists with `-n`, passed as `count`."""
_STATUSES = ["all", *(status.value for status in RunStatus)]


@click.group(cls=VerbGroup, invoke_without_command=True, short_help="List or delete orchestrations.")
@count_option
@click.pass_context
def orchestrations(context: click.Context, count: int) -> None:
    """List the workspace's orchestrations, newest first, or delete some."""
    if context.invoked_subcommand is not None:
        return
    with open_store() as (client, out):
        columns = ("id", "name", "status", "packages", "file", "uploaded")
        print_list(out, columns, client.list_orchestrations()[::-1], _orchestration_cells, orchestration_json)


@orchestrations.command("delete")
@click.argument("words", metavar="ID...", nargs=-1, required=True, type=IdOrName("orchestrations"))
def delete_orchestrations(words: tuple[str, ...]) -> None:
    """Delete orchestrations with their tasks, runs, logs and files: all of them or, if one is still in use, none.

    ID is an id, its first digits, or a name that one orchestration has.
    """
    from orchlite.client.client import engine_of

    with open_store() as (client, out):
        ids = list(dict.fromkeys(lookup_of(client).only_orchestration(word).id() for word in words))
        engine_of(client).delete(*ids)
        if out.as_json:
            out.json([{"id": deleted, "deleted": True} for deleted in ids])
            return
        for deleted in ids:
            out.line(f"deleted {short_id(deleted)}")


@click.command(cls=Verb, short_help="List tasks.")
@click.option("--all", "-a", "killed", is_flag=True, help="Include killed tasks.")
@count_option
def tasks(killed: bool, count: int) -> None:
    """List the workspace's tasks, newest first, with the status of each one's newest run."""
    with open_store() as (client, out):
        names, found = Names(client), client.list_tasks(killed=killed, limit=_one_more(count))
        columns = ("id", "name", "orchestration", "kind", "status", "last run", "next run")
        print_list(out, columns, found, lambda task: _task_cells(task, names), task_json_maker(client))


@click.command(cls=Verb, short_help="List runs.")
@click.argument("word", metavar="[TASK]", required=False, type=IdOrName("tasks", "orchestrations", killed=True))
@click.option(
    "--status",
    type=click.Choice(_STATUSES),
    metavar="STATUS",
    help=f"List only runs with this status: {', '.join(_STATUSES[1:])}; or all, with the slots that were skipped.",
)
@click.option("--since", type=Moment(), help="List only runs that were created since this time: 10m, 2d, or 2026-03-01T14:00.")
@click.option("--metrics", is_flag=True, help="Add a column for each metric that the runs have left.")
@count_option
def runs(word: str | None, status: str | None, since: datetime | None, metrics: bool, count: int) -> None:
    """List runs, newest first: those of a task or an orchestration, or all of the workspace.

    TASK is an id or a name, of tasks or of orchestrations; a name includes all that have it.
    """
    with open_store() as (client, out):
        found = client.list_runs(status=status, since=since, task=word, limit=_one_more(count))
        names = Names(client)
        left = {one.run_id: one.metrics for one in lookup_of(client).measured(found)} if metrics else {}
        to_json = run_json_maker(client)
        why = ("why",) if status in ("all", RunStatus.SKIPPED) else ()
        print_list(
            out,
            ("id", "task", "status", "exit", "started", "took", "slot", *why, *map(Exact, added := metric_names(left.values()))),
            found,
            lambda run: (
                *run_cells(run, names),
                *[_why(run)] * len(why),
                *(number_text(left.get(run.id(), {}).get(name)) for name in added),
            ),
            lambda run: {**to_json(run), "metrics": left.get(run.id(), {})} if metrics else to_json(run),
        )


@contextmanager
def open_store() -> Iterator[tuple[Client, Output]]:
    """Open the store for reading, and yield its client and the output; close the client at the end of the block."""
    client = common_options().open_client()
    try:
        yield client, common_options().output()
    finally:
        client.close(drain=False)


def print_list(
    out: Output, columns: Sequence[str], found: Sequence[Any], cells: Callable[[Any], Sequence[object]], to_json: Callable[[Any], object]
) -> None:
    """Print the first of them, as many as `-n` says, and note if there are more."""
    count: int = click.get_current_context().params["count"]
    shown = found[:count] if count else found
    if out.as_json:
        out.json([to_json(one) for one in shown])
        return
    if shown:
        out.table(columns, [cells(one) for one in shown])
    else:
        out.note("none found")
    if len(found) > len(shown):
        out.note(f"these are the newest {count}; -n 0 lists all")


def _one_more(count: int) -> int | None:
    """Return the limit of a list of which `count` are printed: one more shows whether there are more. 0 prints all."""
    return count + 1 if count else None


def metric_names(found: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the names of all these metrics, sorted."""
    return sorted({name for metrics in found for name in metrics})


class Names:
    """The names of tasks and orchestrations, each read once from the store."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, str] = {}
        self._zones: dict[str, str | None] = {}

    def orchestration(self, orchestration_id: str) -> str:
        """Return the name of an orchestration, or its short id."""
        if orchestration_id not in self._known:
            self._known[orchestration_id] = self._client.get_orchestration_by_id(orchestration_id).name() or short_id(orchestration_id)
        return self._known[orchestration_id]

    def task(self, task_id: str) -> str:
        """Return the name of a task, or its short id and the name of its orchestration."""
        if task_id not in self._known:
            task = self._client.get_task_by_id(task_id)
            runs = self.orchestration(task.orchestration())
            unnamed = f"packaging of {runs}" if task.kind() == "packaging" else f"{short_id(task_id)} ({runs})"
            self._known[task_id] = task.name() or unnamed
            self._zones[task_id] = task.timezone()
        return self._known[task_id]

    def zone(self, task_id: str) -> str | None:
        """Return the time zone of a task's schedule."""
        self.task(task_id)
        return self._zones[task_id]

    def run(self, run_id: str) -> str:
        """Return the name of a run's task."""
        return self.task(self._client.get_task_run_by_id(run_id).task())


def _orchestration_cells(one: Orchestration) -> tuple[object, ...]:
    return short_id(one.id()), one.name(), one.status(), len(one.installed()), one.file_name(), one.created_at()


def _task_cells(task: Task, names: Names) -> tuple[object, ...]:
    from orchlite.client.task import shown_status

    newest = task.last_runs(1)
    last = newest[0].status() if newest else None
    return (
        short_id(task.id()),
        task.name(),
        names.orchestration(task.orchestration()),
        task.schedule() or task.kind(),
        shown_status(task),
        last,
        time_text(task.next_run_at(), task.timezone()),
    )


def run_cells(run: TaskRun, names: Names) -> tuple[object, ...]:
    """Return the cells of a run in a table: id, task, status, exit code, start, duration, slot."""
    name, started_at = names.task(run.task()), run.started_at()
    seconds = (SystemClock().now() - started_at).total_seconds() if started_at and run.status() == "running" else run.duration()
    return short_id(run.id()), name, run.status(), run.exit_code(), started_at, seconds_text(seconds), _slot_text(run, names)


def _why(run: TaskRun) -> str:
    """Return the first line of a run's reason."""
    return (run.reason() or "").partition("\n")[0]


def _slot_text(run: TaskRun, names: Names) -> str | None:
    """Return the slot of a run or, if it has none, whether it is a try or a rerun, and when a try that is queued may start."""
    if (rerun_of := run.rerun_of()) is not None:
        return f"rerun of {short_id(rerun_of)}"
    if run.retry_of() is None:
        return time_text(run.scheduled_at(), names.zone(run.task()))
    waits = f", from {time_text(run.not_before(), names.zone(run.task()))}" if run.status() == "queued" else ""
    return f"try {run.try_number()}{waits}"
