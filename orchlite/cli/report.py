"""The verb `report`: what the tasks of a store have done in a period, as a page for a mail."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchlite.cli.json_models import JsonObject, orchestration_json, run_json_maker, task_json_maker, time_json
from orchlite.cli.lists import open_store
from orchlite.cli.lookup import lookup_of
from orchlite.cli.options import Moment, Verb, absolute_path
from orchlite.core.clock import SystemClock
from orchlite.core.errors import BadArgument

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.report import Report, TaskReport

_WEEK = timedelta(days=7)
_STANDARD_OUTPUT = Path("-")


@click.command(cls=Verb, anywhere=True, short_help="Write a page for a mail: what the tasks have done in a week.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="HTML file to write; - prints it.")
@click.option("--since", type=Moment(), help="Report on what has happened since this time.  [default: 7d ago]")
def report(output: Path | None, since: datetime | None) -> None:
    """Report on all tasks of the store: outcomes, durations, late, missed and skipped slots, metrics, the last failure, what is due next.

    The page is one HTML file without scripts or resources from elsewhere. An existing FILE is replaced. With --json, print the
    figures.
    """
    with open_store() as (client, out):
        if output is None and not out.as_json:
            raise BadArgument("report needs a FILE.", hint="-o week.html writes one, -o - prints it.", argument="output")
        if output == _STANDARD_OUTPUT and out.as_json:
            raise BadArgument(
                "-o - and --json both print.", hint="-o week.html --json writes a file and prints the figures.", argument="output"
            )
        found = lookup_of(client).report(since or SystemClock().now() - _WEEK)
        if output is not None:
            _write(client, found, output)
        if out.as_json:
            out.json(_report_json(client, found))
        elif output is not None and output != _STANDARD_OUTPUT:
            out.line(str(absolute_path(output)))


def _write(client: Client, found: Report, output: Path) -> None:
    from orchlite.cli.report_page import report_page

    page = report_page(found, client.path())
    if output == _STANDARD_OUTPUT:
        click.echo(page.encode(), nl=False)
    else:
        absolute_path(output).write_text(page, encoding="utf-8")


def _report_json(client: Client, found: Report) -> JsonObject:
    """Return {since, until, tasks, due}.

    `tasks` are [{title, task, tasks, orchestration, runs, outcomes, failed, tried_again, late, skipped, median_seconds, longest_seconds,
    metrics, last_failure}]: `tasks` is how many one-shot tasks have the title, `outcomes` the number of runs by status, `failed` that of
    failed runs that were not tried again, and `metrics` {name: {newest, lowest, highest}}.
    """
    return {
        "since": time_json(found.since),
        "until": time_json(found.until),
        "tasks": [_task_json(client, one) for one in found.tasks],
        "due": list(map(task_json_maker(client), found.due)),
    }


def _task_json(client: Client, one: TaskReport) -> JsonObject:
    return {
        "title": one.title,
        "task": task_json_maker(client)(one.task),
        "tasks": one.tasks,
        "orchestration": orchestration_json(one.orchestration),
        "runs": len(one.runs),
        "outcomes": dict(one.outcomes),
        "failed": one.failed,
        "tried_again": one.tried_again,
        "late": one.late,
        "skipped": one.skipped,
        "median_seconds": one.median_seconds,
        "longest_seconds": one.longest_seconds,
        "metrics": {name: summary._asdict() for name, summary in one.metrics.items()},
        "last_failure": None if one.last_failure is None else run_json_maker(client)(one.last_failure),
    }
