"""The verb `logs`: the log of a run, or of packaging."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import time_json
from orchlite.cli.lists import open_store
from orchlite.cli.lookup import IdOrName, lookup_of
from orchlite.cli.options import Moment, Verb, common_options, raw_option
from orchlite.cli.output import time_text
from orchlite.cli.program_output import ProgramOutput
from orchlite.core.errors import BadArgument, NotFound
from orchlite.core.text import short_id

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

    Both streams of the program go to standard output. Of a line that was redrawn, such as a progress bar, the last state is
    printed; --raw prints all that was written. With --json, a line is {"at", "stream", "text"}, as it was written.
    """
    from orchlite.client.task_run import follow_in_parts

    with open_store() as (client, out):
        run = _packaging_run(client, word) if packaging else _run(client, word)
        if run.status() == "queued" and not follow:
            out.note(_queued_text(run))
        if out.as_json:
            for line in _since(run.logs(count, follow=True) if follow else run.logs(count), since):
                out.json_line({"at": time_json(line.at), "stream": line.stream, "text": line.text})
        else:
            lines = follow_in_parts(run, count) if follow else run.logs(count)
            _print(
                _since(lines, since),
                ProgramOutput(dict.fromkeys(("stdout", "stderr"), sys.stdout), raw=raw, stamped=timestamps, live=follow),
            )


def _queued_text(run: TaskRun) -> str:
    """Return a note on a run that has written nothing yet: which log to read instead, or how to wait for it."""
    earlier = run.retry_of()
    waits = f"run {short_id(run.id())} is queued" + (f", not before {time_text(at)}" if (at := run.not_before()) else "")
    if earlier is not None:
        return f"{waits}; `{common_options().command('logs', short_id(earlier))}` prints the log of the try before it"
    return f"{waits}; `{common_options().command('logs', '-f', short_id(run.id()))}` waits for it"


def _print(lines: Iterable[LogLine], output: ProgramOutput) -> None:
    try:
        for line in lines:
            output.add(line)
    finally:
        output.finish()


def _since(lines: Iterable[LogLine], since: datetime | None) -> Iterator[LogLine]:
    # Times rise, so filtering the last `count` lines gives the last `count` of the filtered ones.
    return (line for line in lines if since is None or line.at >= since)


def _run(client: Client, word: str | None) -> TaskRun:
    if word is None:
        newest = client.list_runs(limit=1)
        if not newest:
            raise NotFound("The workspace has no run.", hint="`orchlite run FOLDER` makes one.")
        return newest[0]
    return _newest_run(client, lookup_of(client).all_of(word), word)


def _newest_run(client: Client, found: Sequence[Orchestration | Task | TaskRun], word: str) -> TaskRun:
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.resolution import no_run_yet

    newest = lookup_of(client).newest_run_below(found)
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
    found = lookup_of(client).all_of(word)
    uploads = [one for one in found if isinstance(one, Orchestration)]
    return _packaging_log_run(uploads[0] if uploads else _orchestration_of(client, found[0]))


def _orchestration_of(client: Client, one: Any) -> Orchestration:
    """Return the orchestration of a task or a run."""
    return client.get_orchestration_by_id(one.orchestration())


def _packaging_log_run(orchestration: Orchestration) -> TaskRun:
    return orchestration.task().last_runs()[0]
