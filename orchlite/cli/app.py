"""The command `orchlite`: its verbs put together, and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from orchlite.cli import (
    bundles,
    completion,
    connections,
    control,
    doctor,
    events,
    lists,
    logs,
    maintenance,
    manual,
    run,
    schedule,
    serve,
    show,
    status,
    upload,
    workspaces,
)
from orchlite.cli.errors import CUT_OFF, INTERRUPTED, report
from orchlite.cli.options import Setting, Verb, common_options
from orchlite.cli.output import silence

_SECTIONS = {
    "Write": ("init", "check", "pack"),
    "Run": ("upload", "run", "schedule", "upcoming"),
    "Look": ("status", "orchestrations", "tasks", "runs", "show", "logs", "events"),
    "Steer": ("kill", "pause", "resume"),
    "Keep": ("start", "serve", "workspaces", "connections"),
    "Care": ("doctor", "prune", "backup", "restore", "completion", "manual"),
}


class CommandLine(click.Group):
    """The verbs in sections. A verb answers its exit code, or None for 0."""

    command_class = Verb

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run the command line, and exit."""
        setting = Setting()
        try:
            code = super().main(*args, **{**extra, "obj": setting, "standalone_mode": False})
        except click.Abort:  # Ctrl-C where nothing is to be said about it
            code = INTERRUPTED
        except Exception as error:
            code = report(error, setting)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Do what the verb does, and be silent where nobody reads it any more."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            silence(sys.stdout)
            return CUT_OFF
        return answer

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by what they are for."""
        for title, names in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(100)) for name in names])


@click.group(
    cls=CommandLine,
    name="orchlite",
    params=common_options(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="orchlite", message="%(prog)s %(version)s")
@click.pass_context
def command_line(context: click.Context) -> None:
    """Run ML workload orchestrations on this machine: folders and ZIPs with a main.py and a requirements.txt.

    `orchlite init NAME` makes one to begin with, `orchlite run NAME` runs it. Ids may be given by their first four digits, or
    by a name. Exit codes: 0 done, 1 it failed, 2 it was refused, 3 it was not possible, 130 interrupted; `run` ends with its program's.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _verb in (
    *(bundles.init, bundles.check, bundles.pack),
    *(upload.upload, run.run, schedule.schedule, schedule.upcoming),
    *(status.status, lists.orchestrations, lists.tasks, lists.runs, show.show, logs.logs, events.events),
    *(control.kill, control.pause, control.resume),
    *(serve.start, serve.serve, workspaces.workspaces, connections.connections),
    *(doctor.doctor, maintenance.prune, maintenance.backup, maintenance.restore, completion.completion, manual.manual),
):
    command_line.add_command(_verb)
