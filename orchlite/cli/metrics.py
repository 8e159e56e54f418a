"""The verb `metrics`: the numbers that runs have left, over time."""

from __future__ import annotations

import click

from orchlite.cli.json_models import time_json
from orchlite.cli.lists import count_option, metric_names, open_store, runs_below
from orchlite.cli.lookup import IdOrName, all_of
from orchlite.cli.options import Verb
from orchlite.cli.output import Exact, number_text, short_id
from orchlite.core.errors import NotFound


@click.command(cls=Verb, short_help="Show the metrics of a task's runs.")
@click.argument("word", metavar="ID", type=IdOrName("tasks", "orchestrations", "runs", killed=True))
@click.argument("names", metavar="[METRIC]...", nargs=-1)
@count_option
def metrics(word: str, names: tuple[str, ...], count: int) -> None:
    """Show the numbers that runs wrote to metrics.json, the oldest run first: these metrics, by default all.

    ID is a task, an orchestration or a run; a name includes all that have it. With --json, a run is {"run_id", "at", "metrics"}, where
    `at` is its slot, or when it was submitted.
    """
    with open_store() as (client, out):
        found = {run: run.metrics() for one in all_of(client, word) for run in runs_below(client, one, None)}
        known = metric_names(found.values())
        if missing := [name for name in names if name not in known]:
            hint = f"It has {', '.join(known)}." if known else "Its runs have left no metrics.json."
            raise NotFound(f"{word!r:.80} has no metric {missing[0]!r:.80}.", hint=hint, word=word)
        wanted = list(names) or known
        left = [(run, of_run) for run, of_run in found.items() if any(name in of_run for name in wanted)]
        newest = sorted(left, key=lambda pair: pair[0].created_at(), reverse=True)[: count or None][::-1]
        if out.as_json:
            chosen = [(run, {name: of_run[name] for name in wanted if name in of_run}) for run, of_run in newest]
            out.json(
                [{"run_id": run.id(), "at": time_json(run.scheduled_at() or run.created_at()), "metrics": of_run} for run, of_run in chosen]
            )
        elif newest:
            rows = [
                (short_id(run.id()), run.scheduled_at() or run.created_at(), *(number_text(of_run.get(name)) for name in wanted))
                for run, of_run in newest
            ]
            out.table(("run", "at", *map(Exact, wanted)), rows)
        else:
            out.note("none found")
