"""The verb `logs`: the log of a run, or of packaging."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.escapes import shown_on
from orchlite.cli.json_models import time_json
from orchlite.cli.lists import newest_run_below, no_run_yet, open_store
from orchlite.cli.lookup import IdOrName, all_of, lookup_of
from orchlite.cli.options import Moment, Verb, raw_option
from orchlite.cli.output import Output
from orchlite.core.errors import BadArgument, NotFound

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun
    from orchlite.runs.logs import LogLine


@click.command(cls=Verb, short_help="Print the log of a run.")
@click.argument("word", metavar="[ID]", required=False, type=IdOrName("orchestrations", "tasks", "runs", killed=True))
@click.option("--follow", "-f", is_flag=True, help="Continue until the run has ended. Ctrl-C does not end the run.")
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", help="Number of the last lines to print.  [default: all]")
@click.option("--since", type=Moment(), help="Print only newer lines: 10m, 2d, or 2026-03-01T14:00.")
@click.option("--timestamps", "-t", is_flag=True, help="Print the time of arrival, in UTC, before each line.")
@click.option("--packaging", is_flag=True, help="Print the installer's log of the orchestration instead.")
@raw_option
def logs(word: str | None, follow: bool, count: int | None, since: datetime | None, timestamps: bool, packaging: bool, raw: bool) -> None:
    """Print the log of a run, by default of the newest one.

    ID is a run, or a task or an orchestration for its newest run; a name includes all that have it.

    Both streams of the program go to standard output. With --json, a line is {"at", "stream", "text"}.
    """
    with open_store() as (client, out):
        run = _packaging_run(client, word) if packaging else _run(client, word)
        for line in _lines(run, follow, count, since):
            _print(line, out, timestamps, flush=follow, raw=raw)


def _print(line: LogLine, out: Output, timestamps: bool, *, flush: bool, raw: bool) -> None:
    if out.as_json:
        out.json_line({"at": time_json(line.at), "stream": line.stream, "text": line.text})
    else:
        text = shown_on(sys.stdout, line.text, raw=raw)
        print(f"{time_json(line.at)} {text}" if timestamps else text, flush=flush)


def _lines(run: TaskRun, follow: bool, count: int | None, since: datetime | None) -> Iterator[LogLine]:
    # Times rise, so filtering the last `count` lines gives the last `count` of the filtered ones.
    lines = run.logs(count, follow=True) if follow else iter(run.logs(count))
    return (line for line in lines if since is None or line.at >= since)


def _run(client: Client, word: str | None) -> TaskRun:
    if word is None:
        newest = lookup_of(client).newest_runs(1)
        if not newest:
            raise NotFound("The workspace has no run.", hint="`orchlite run FOLDER` makes one.")
        return newest[0]
    return _newest_run(client, all_of(client, word), word)


def _newest_run(client: Client, found: Sequence[Orchestration | Task | TaskRun], word: str) -> TaskRun:
    from orchlite.client.orchestration import Orchestration

    newest = newest_run_below(client, found)
    uploads = [one for one in found if isinstance(one, Orchestration)]
    # If packaging of the newest upload failed, or nothing has run yet, the installer's log is the one to read.
    if uploads and (newest is None or uploads[0].created_at() > newest.created_at()) and uploads[0].status() == "error":
        return _packaging_log_run(uploads[0])
    if newest is None and isinstance(found[0], Orchestration):
        return _packaging_log_run(found[0])
    if newest is None:
        raise no_run_yet(word, found)
    return newest


def _packaging_run(client: Client, word: str | None) -> TaskRun:
    from orchlite.client.orchestration import Orchestration

    if word is None:
        raise BadArgument("--packaging needs an ID.", hint="`orchlite orchestrations` lists them.", argument="ID")
    found = all_of(client, word)
    uploads = [one for one in found if isinstance(one, Orchestration)]
    return _packaging_log_run(uploads[0] if uploads else _orchestration_of(client, found[0]))


def _orchestration_of(client: Client, one: Any) -> Orchestration:
    """Return the orchestration of a task or a run."""
    return client.get_orchestration_by_id(one.orchestration())


def _packaging_log_run(orchestration: Orchestration) -> TaskRun:
    return orchestration.task().last_runs()[0]
