"""The command `orchlite`: its verbs, and the one place that turns errors into messages and exit codes."""

from __future__ import annotations

import sys
from itertools import chain
from typing import Any, NoReturn

import click

from orchlite.cli import (
    bundles,
    compare,
    completion,
    connections,
    control,
    doctor,
    errors,
    events,
    files,
    health,
    lists,
    logs,
    maintenance,
    manual,
    metrics,
    models,
    report,
    run,
    schedule,
    seed,
    serve,
    show,
    status,
    token,
    trigger,
    upload,
    workspaces,
)
from orchlite.cli.options import CommonOptions, Verb, common_parameters
from orchlite.cli.output import discard
from orchlite.cli.synonyms import Suggesting

_SECTIONS = {
    "Create": (bundles.init, bundles.check, bundles.pack),
    "Run": (upload.upload, run.run, schedule.schedule, schedule.upcoming, trigger.trigger, trigger.rerun),
    "Inspect": (
        status.status,
        health.health,
        report.report,
        lists.orchestrations,
        lists.tasks,
        lists.runs,
        show.show,
        logs.logs,
        files.files,
        files.get,
        metrics.metrics,
        compare.compare,
        events.events,
    ),
    "Models": (seed.seed, models.models, models.pipelines, models.pipeline_logs),
    "Control": (control.kill, control.pause, control.resume),
    "Serve and share": (serve.start, serve.serve, serve.open_page, token.token, workspaces.workspaces, connections.connections),
    "Maintain": (
        doctor.doctor,
        maintenance.prune,
        maintenance.backup,
        maintenance.restore,
        completion.completion,
        manual.manual,
    ),
}
"""Every verb, in the order of the help."""


class CommandLine(Suggesting):
    """The verbs, in sections. A verb returns its exit code, or None for 0."""

    command_class = Verb

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run the command line and exit."""
        options = CommonOptions()
        try:
            code = super().main(*args, **{**extra, "obj": options, "standalone_mode": False})
        except click.Abort:  # Ctrl-C outside `run`
            code = errors.INTERRUPTED
        except Exception as error:
            code = errors.report(error, options)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. End quietly if the reader of standard output is gone."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            discard(sys.stdout)
            return errors.CUT_OFF
        return code

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs by section."""
        for title, verbs in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.name or "", verb.get_short_help_str(100)) for verb in verbs])


@click.group(
    cls=CommandLine,
    name="orchlite",
    params=common_parameters(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="orchlite", message="%(prog)s %(version)s")
@click.pass_context
def command_line(context: click.Context) -> None:
    """Run ML workload orchestrations on this machine: folders or ZIPs with a main.py and a requirements.txt.

    Get started with `orchlite init NAME` and `orchlite run NAME`. An id may be shortened to its first four digits, or replaced
    by a name.

    Exit codes: 0 success, 1 failure, 2 invalid input, 3 store or machine error, 130 interrupted. `run`, `trigger` and
    `rerun` exit with the code of the program.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _verb in chain.from_iterable(_SECTIONS.values()):
    command_line.add_command(_verb)
