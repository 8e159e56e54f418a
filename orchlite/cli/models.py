"""The verbs `models`, `pipelines` and `pipeline-logs`, which list what inference works with and what it has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import model_json, pipeline_json_maker, time_json
from orchlite.cli.lists import count_option, open_store, print_list
from orchlite.cli.lookup import IdOrName, lookup_of
from orchlite.cli.options import Moment, Verb, common_options
from orchlite.cli.output import Output
from orchlite.core.clock import SystemClock
from orchlite.core.pipeline_steps import step_texts

if TYPE_CHECKING:
    from orchlite.client.lookup import Lookup
    from orchlite.client.model import Model
    from orchlite.client.pipeline import Pipeline
    from orchlite.operations.inference import InferenceLogs

_DEFAULT_COUNT = 20
_NO_LIMIT = 2**31
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(milliseconds=1)
"""Times of records are whole milliseconds."""


@click.command(cls=Verb, short_help="List models.")
@count_option
def models(count: int) -> None:
    """List the workspace's models, newest first, each with its newest version."""
    with open_store() as (client, out):
        columns = ("id", "name", "framework", "file", "version", "versions", "uploaded")
        print_list(out, columns, client.list_models()[::-1], _model_cells, model_json)


@click.command(cls=Verb, short_help="List pipelines.")
@count_option
def pipelines(count: int) -> None:
    """List the workspace's pipelines, newest first, each with the steps of its newest version."""
    with open_store() as (client, out):
        search = lookup_of(client)
        columns = ("id", "name", "status", "steps", "versions", "changed")
        found = client.list_pipelines()[::-1]
        print_list(out, columns, found, lambda pipeline: _pipeline_cells(pipeline, search), pipeline_json_maker(client))


@click.command("pipeline-logs", cls=Verb, short_help="Print what a pipeline has inferred.")
@click.argument("name", metavar="NAME", type=IdOrName("pipelines"))
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=0),
    metavar="N",
    help="Number of records to print; 0 prints all.  [default: 20, or all with --since or --until]",
)
@click.option("--since", type=Moment(), help="Print records from this time on: 10m, 2d, or 2026-03-01T14:00.")
@click.option("--until", type=Moment(), help="Print records up to this time.")
def pipeline_logs(name: str, count: int | None, since: datetime | None, until: datetime | None) -> None:
    """Print the records of a pipeline's inferences, newest first; with --since or --until, oldest first.

    --json prints a list of objects with the columns as keys. The records need the extra `inference`.
    """
    by_dates = since is not None or until is not None
    limit = _DEFAULT_COUNT if count is None and not by_dates else count or _NO_LIMIT
    since, until = (since or _EPOCH, until or SystemClock().now()) if by_dates else (None, None)
    with open_store() as (client, out):
        found = lookup_of(client).inference_logs(client.get_pipeline(name), limit, since, until)
        _print_records(found.records(), out)
        if found.stopped_by not in (None, "rows") or (found.stopped_by and not out.as_json):
            out.note(_rest_text(found, limit, name, by_dates=by_dates))


def _print_records(records: Sequence[Mapping[str, Any]], out: Output) -> None:
    if out.as_json:
        out.json([{column: time_json(cell) if isinstance(cell, datetime) else cell for column, cell in one.items()} for one in records])
    elif records:
        out.table(list(records[0]), [list(one.values()) for one in records])
    else:
        out.note("none found")


def _rest_text(found: InferenceLogs, limit: int, name: str, *, by_dates: bool) -> str:
    """Return a note about the records that were not read."""
    if found.stopped_by == "rows":
        return f"these are the {'oldest' if by_dates else 'newest'} {limit}; -n 0 prints all"
    assert found.end is not None
    option, rest, next_at = ("--since", "later", found.end.at + _STEP) if by_dates else ("--until", "earlier", found.end.at - _STEP)
    command = common_options().command("pipeline-logs", name, option, time_json(next_at) or "")
    what = f"{rest} records have other columns" if found.stopped_by == "schema" else f"there are {rest} records"
    return f"{what}: `{command}`"


def _model_cells(model: Model) -> tuple[object, ...]:
    versions = model.versions()
    newest = [(one.framework(), one.file_name(), one.version()) for one in versions[:1]] or [("", "", "")]
    return (model.id(), model.name(), *newest[0], len(versions), versions[0].created_at() if versions else None)


def _pipeline_cells(pipeline: Pipeline, search: Lookup) -> tuple[object, ...]:
    status = "undeployed" if search.deployed_version(pipeline) is None else "deployed"
    steps = "; ".join(step_texts(pipeline.steps()))
    return pipeline.id(), pipeline.name(), status, steps, len(pipeline.versions()), pipeline.updated_at()
