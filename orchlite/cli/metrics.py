"""The verb `metrics`: the numbers that runs have left, over time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from orchlite.cli.json_models import JsonObject, time_json
from orchlite.cli.lists import count_option, metric_names, open_store
from orchlite.cli.lookup import IdOrName, lookup_of
from orchlite.cli.options import Verb
from orchlite.cli.output import Exact
from orchlite.core.errors import NotFound
from orchlite.core.text import number_text, short_id

if TYPE_CHECKING:
    from orchlite.core.records import MeasuredRun


@click.command(cls=Verb, short_help="Show the metrics of a task's runs.")
@click.argument("word", metavar="ID", type=IdOrName("tasks", "orchestrations", "runs", killed=True))
@click.argument("names", metavar="[METRIC]...", nargs=-1)
@count_option
def metrics(word: str, names: tuple[str, ...], count: int) -> None:
    """Show the numbers that runs wrote to metrics.json, the oldest run first. METRIC... selects some; the default is all.

    ID is a task, an orchestration or a run; a name includes all that have it. With --json, a run is {"run_id", "at", "metrics"}, where
    `at` is its slot, or when it was submitted.
    """
    with open_store() as (client, out):
        runs = client.list_runs(task=word)
        left = lookup_of(client).measured(runs)
        known = metric_names(one.metrics for one in left)
        if missing := [name for name in names if name not in known]:
            hint = f"It has {', '.join(known)}." if known else "Its runs have left no metrics.json."
            raise NotFound(f"{word!r:.80} has no metric {missing[0]!r:.80}.", hint=hint, word=word)
        wanted = names or known
        shown = [one for one in left if not one.metrics.keys().isdisjoint(wanted)][-count:]
        if out.as_json:
            out.json([_json(one, wanted) for one in shown])
        elif shown:
            rows = [(short_id(one.run_id), one.at, *(number_text(one.metrics.get(name)) for name in wanted)) for one in shown]
            out.table(("run", "at", *map(Exact, wanted)), rows)
        else:
            out.note("none found")


def _json(one: MeasuredRun, wanted: Iterable[str]) -> JsonObject:
    return {"run_id": one.run_id, "at": time_json(one.at), "metrics": {name: one.metrics[name] for name in wanted if name in one.metrics}}
