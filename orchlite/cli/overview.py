"""The verb `status`: what a whole store is about at the moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.listing import looking, run_names
from orchlite.cli.options import Moment, Verb, setting
from orchlite.cli.output import Output, bytes_text, counted, short
from orchlite.cli.refusals import DONE, FAILED
from orchlite.cli.resolve import search_of
from orchlite.cli.shapes import run_shape, task_shape
from orchlite.clock import SystemClock

if TYPE_CHECKING:
    from orchlite.client import Client
    from orchlite.task import Task

_DUE = 5
_RECENT = timedelta(days=1)
_SHOWN_FAILURES = 10
_RUN_COLUMNS = ("id", "task", "status", "exit", "started", "took", "slot")
_SIZES = (("database", "database_bytes"), ("bundles", "bundles_bytes"), ("runs", "runs_bytes"), ("environments", "environments_bytes"))


@click.command(cls=Verb, short_help="Show what runs, is queued, is due, has failed, and sizes on disk.")
@click.option("--failed-since", type=Moment(), help="Look so far back, 1d by default; end with 1 where something has failed since.")
def status(failed_since: datetime | None) -> int:
    """Show what runs, what is queued, what is due next, what has failed, and the sizes on disk: of all workspaces."""
    with looking() as (client, out):
        facts = _facts(client, failed_since or SystemClock().now() - _RECENT)
        if out.as_json:
            out.json(_shape(client, facts))
        else:
            _say(client, facts, out)
        return FAILED if failed_since is not None and facts["failed"] else DONE


def _facts(client: Client, since: datetime) -> dict[str, Any]:
    search = search_of(client)
    unfinished = search.unfinished()
    return {
        "running": [run for run in unfinished if run.status() == "running"],
        "queued": [run for run in unfinished if run.status() == "queued"],
        "due": search.due_next(_DUE),
        "failed": search.bad_ends(since),
        "hosts": search.other_hosts(),
        "disk": _sizes(client),
    }


def _sizes(client: Client) -> dict[str, int]:
    from orchlite import leftovers, paths

    folder = setting().folder()
    with setting().output().busy("measuring what is on disk"):
        database = sum(leftovers.size_bytes(path) for path in folder.path.glob(f"{folder.database.name}*"))
        sizes = [database, *map(leftovers.size_bytes, (folder.bundles, folder.runs, paths.cache_folder()))]
    return {name: size for (_, name), size in zip(_SIZES, sizes, strict=True)}


def _shape(client: Client, facts: dict[str, Any]) -> dict[str, Any]:
    """The status: {store, hosts, running, queued, due, failed, disk: {database_bytes, bundles_bytes, runs_bytes, environments_bytes}}."""
    return {
        "store": str(client.path()),
        "hosts": facts["hosts"],
        **{name: [run_shape(run) for run in facts[name]] for name in ("running", "queued", "failed")},
        "due": [task_shape(task) for task in facts["due"]],
        "disk": facts["disk"],
    }


def _say(client: Client, facts: dict[str, Any], out: Output) -> None:
    hosts = f"{counted(facts['hosts'], 'other process').replace('processs', 'processes')} at work on it"
    out.line(f"{client.path()}, {hosts}" if facts["hosts"] else f"{client.path()}, nobody else has it open: nothing is kept on time")
    cells = run_names(client)
    for name in ("running", "queued"):
        if facts[name]:
            out.heading(f"{name} ({len(facts[name])})")
            out.table(_RUN_COLUMNS, [cells(run) for run in facts[name]])
    if facts["due"]:
        out.heading("due next")
        out.table(("id", "task", "schedule", "zone", "at"), [_due_cells(task) for task in facts["due"]])
    if facts["failed"]:
        out.heading(f"failed ({len(facts['failed'])})")
        out.table(_RUN_COLUMNS, [cells(run) for run in facts["failed"][:_SHOWN_FAILURES]])
    if not any(facts[name] for name in ("running", "queued", "due", "failed")):
        out.line("nothing runs, is queued or due, or has failed lately")
    out.heading("on disk")
    out.facts({title: bytes_text(facts["disk"][name]) for title, name in _SIZES})


def _due_cells(task: Task) -> tuple[object, ...]:
    return short(task.id()), task.name(), task.schedule() or task.kind(), task.timezone(), task.next_run_at()
