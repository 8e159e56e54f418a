"""The verb `compare`: what differs between two runs."""

from __future__ import annotations

import click

from orchlite.cli.json_models import comparison_json
from orchlite.cli.lists import open_store
from orchlite.cli.lookup import IdOrName
from orchlite.cli.options import Verb
from orchlite.cli.output import Exact
from orchlite.client.difference_texts import difference_texts
from orchlite.core.text import short_id

_RUN = IdOrName("runs", "tasks", "orchestrations", killed=True)


@click.command(cls=Verb, short_help="Show what differs between two runs.")
@click.argument("first", metavar="RUN", type=_RUN)
@click.argument("second", metavar="RUN", type=_RUN)
def compare(first: str, second: str) -> None:
    """Show what differs from the first run to the second: status, duration, code, packages, arguments, variables, metrics.

    RUN is a run, or a task or an orchestration for its newest run. Code is compared by file, and of variables only the names are
    shown. The exit code is 0, whether they differ or not.

    With --json, it is {"first", "second", "differences", "packages_unknown"}: the runs, a list of {"kind", "name", "change", "first",
    "second"}, and the ids of runs whose packages are not known, so that these were not compared.
    """
    with open_store() as (client, out):
        runs = client.get_task_run(first), client.get_task_run(second)
        found = runs[0].compare(runs[1])
        if out.as_json:
            out.json(comparison_json(client, *runs, found))
            return
        if found.differences:
            columns = ("what", "name", "change", *(Exact(short_id(run.id())) for run in runs))
            out.table(columns, map(difference_texts, found.differences))
        else:
            out.note("they do not differ")
        for run_id in found.packages_unknown:
            out.note(f"packages were not compared: those of run {short_id(run_id)} are not known")
