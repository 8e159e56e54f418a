"""The verb `run`: run something now, show its output, and end with its exit code."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from orchlite.cli.errors import DONE, FAILED, TIMED_OUT
from orchlite.cli.json_models import run_shape, whole_run_shape
from orchlite.cli.lookup import Word, search_of
from orchlite.cli.options import Duration, Verb, setting
from orchlite.cli.output import Output, counted, seconds_text, short
from orchlite.cli.run_options import RunOptions, takes_run_options
from orchlite.cli.signals import Interrupted, Interrupts
from orchlite.cli.upload import ready
from orchlite.core.errors import IllegalMove, WaitTimeout

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.task_run import TaskRun

_LOOK_SECONDS = 0.02
_SHOWN_FILES = 5


@click.command(cls=Verb, short_help="Run a folder, a ZIP or an orchestration, and show its output.")
@click.argument("path_or_id", type=Word("orchestrations", paths=True))
@click.option("--timeout", type=Duration(), help="Kill it after so long: 90s, 5m, 1h30m.")
@click.option("--detach", "-d", is_flag=True, help="Print the run's id and leave; the run goes on by itself.")
@click.option("--name", help="A name for the task.")
@takes_run_options
def run(path_or_id: str, options: RunOptions, timeout: timedelta | None, detach: bool, name: str | None) -> int:
    """Run PATH_OR_ID once: a folder, a ZIP, or an orchestration by id or name. Ends with the exit code of the run.

    Shows its output as it arrives. Ctrl-C kills the run. With --json the output goes to standard error.
    """
    out, interrupts = setting().output(), Interrupts()
    try:
        with interrupts.heeded(), ready(path_or_id, options.source, out) as (client, orchestration):
            with interrupts.held_back():
                seconds = None if timeout is None else timeout.total_seconds()
                task = orchestration.run_once(name, options.arguments, seconds, env=options.variables)
                [one] = task.last_runs()
                if detach:
                    _detach(client, one, out)
                    return DONE
            return _follow(client, one, out)
    except Interrupted as stop:
        return stop.exit_code


def _detach(client: Client, one: TaskRun, out: Output) -> None:
    """Leave once its runner has it: from then on it needs nobody here."""
    search = search_of(client)
    while not search.has_started(one):
        with suppress(WaitTimeout):
            one.wait(_LOOK_SECONDS)
    out.json(run_shape(one)) if out.as_json else out.line(one.id())
    follow, kill = setting().command("logs", "-f", short(one.id())), setting().command("kill", short(one.id()))
    out.note(f"it goes on by itself: `{follow}` follows it, `{kill}` ends it")
    client.close(drain=False)


def _follow(client: Client, one: TaskRun, out: Output) -> int:
    """Show the run's output until it has ended, which an interrupt makes it do; a second one does not wait for that."""
    shown = _Shown(one, out)
    try:
        shown.rest()
        one.wait()
    except Interrupted:
        out.note(f"killing run {short(one.id())}; again to leave at once")
        with suppress(IllegalMove):  # it has ended a moment ago
            one.kill()
        shown.rest()
        one.wait()
        _say_end(client, one, out)
        raise
    _say_end(client, one, out)
    return exit_code(one)


class _Shown:
    """What of a log was shown, so that one that is looked at again goes on there."""

    def __init__(self, one: TaskRun, out: Output) -> None:
        self._one = one
        self._out = out
        self._count = 0

    def rest(self) -> None:
        """Show what is new, until the run has ended."""
        for number, line in enumerate(self._one.logs(follow=True), start=1):
            if number > self._count:
                self._count = number
                self._out.program(line.text, line.stream)


def exit_code(one: TaskRun) -> int:
    """The exit code that says how a run ended: its program's, but 124 where it timed out, and never 0 for what was no success."""
    if one.status() == "success":
        return DONE
    return TIMED_OUT if one.status() == "timed_out" else one.exit_code() or FAILED


def _say_end(client: Client, one: TaskRun, out: Output) -> None:
    files = one.files()
    if out.as_json:
        out.json(whole_run_shape(client, one))
    code = one.exit_code()
    how = f"{one.status()}{f' with exit code {code}' if code else ''}"
    why = f" ({one.reason()})" if one.reason() else ""
    out.note(f"run {short(one.id())} ended as {how}{why}, after {seconds_text(one.duration()) or 'no time'}")
    if files and one.status() == "success":
        where = os.path.commonpath([path.parent for path in files])
        names = [path.name for path in files[:_SHOWN_FILES]] + ["…"] * (len(files) > _SHOWN_FILES)
        out.note(f"it made {counted(len(files), 'file')} in {where}: {', '.join(names)}")
