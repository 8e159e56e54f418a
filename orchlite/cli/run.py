"""The verb `run`: run something once, show its output, and exit with its exit code."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.errors import FAILED, SUCCESS, TIMED_OUT
from orchlite.cli.health import awaited_host_text
from orchlite.cli.json_models import full_run_json, run_json
from orchlite.cli.lookup import IdOrName, lookup_of
from orchlite.cli.options import Duration, Verb, common_options, raw_option, seconds_of
from orchlite.cli.output import Output, time_text
from orchlite.cli.program_output import ProgramOutput, own_targets
from orchlite.cli.ray_options import log_if_on_cluster, ray_options
from orchlite.cli.resource_options import Resources, resource_options
from orchlite.cli.retry_options import Retry, check_retry, retry_options
from orchlite.cli.run_options import Commands, RunOptions, notification_options, run_options
from orchlite.cli.signals import Interrupted, Signals
from orchlite.cli.upload import open_packaged
from orchlite.core.durations import seconds_text
from orchlite.core.errors import IllegalMove, WaitTimeout
from orchlite.core.files import is_file, is_folder
from orchlite.core.text import counted, listed, quoted, short_id
from orchlite.runs.logs import UnfinishedLine

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.task_run import TaskRun
    from orchlite.ray import RayJobs

_POLL_SECONDS = 0.02
_MAX_FILES = 5


@click.command(cls=Verb, short_help="Run a folder, a ZIP or an orchestration.")
@click.argument("path_or_id", type=IdOrName("orchestrations", paths=True))
@click.option("--timeout", type=Duration(), help="Time limit of the run: 90s, 5m, 1h30m.")
@click.option("--detach", "-d", is_flag=True, help="Print the id of the run, and leave it running.")
@click.option("--name", metavar="NAME", help="Name of the task.")
@raw_option
@retry_options
@resource_options
@notification_options("failure", "success")
@ray_options
@run_options
def run(
    path_or_id: str,
    options: RunOptions,
    commands: Commands,
    retry: Retry,
    resources: Resources,
    engine: RayJobs | None,
    timeout: timedelta | None,
    detach: bool,
    name: str | None,
    raw: bool,
) -> int:
    """Run a folder, a ZIP, or an orchestration by id or name, once.

    Prints its output as it arrives, and exits with its exit code. Ctrl-C kills the run. With --json, its output goes to
    standard error.
    """
    out, interrupts = common_options().output(), Signals()
    check_retry(retry)
    log_if_on_cluster(engine, out)
    source = options.source._replace(settings={**options.source.settings, "engine": engine})
    try:
        with interrupts.handled(), open_packaged(path_or_id, source, out) as (client, orchestration):
            with interrupts.deferred():
                given = {**commands, **retry, **resources}
                task = orchestration.run_once(name, options.arguments, seconds_of(timeout), env=options.variables, **given)
                one = min(task.last_runs(), key=lambda run: run.try_number())  # a quick one may have failed, and be tried again
                if detach:
                    leave_running(client, one, out)
                    return SUCCESS
            if code := follow_to_end(client, one, out, raw=raw):
                _note_relative_paths(path_or_id, options.arguments, out)
            return code
    except Interrupted as stop:
        return stop.exit_code


def _note_relative_paths(bundle: str, arguments: dict[str, Any], out: Output) -> None:
    """Note which arguments are files for the shell, but not for the program, which runs in a copy of its folder."""
    for name, value in arguments.items() if is_folder(bundle) else ():
        if isinstance(value, str) and not Path(value).is_absolute() and is_file(Path(value)) and not is_file(Path(bundle, value)):
            there = shlex.quote(f"{name}={Path(value).absolute()}")
            out.note(f"the program ran in a copy of its folder, where {quoted(value)} is not: give --arg {there}")


def leave_running(client: Client, one: TaskRun, out: Output) -> None:
    """Print the id of the run, and close the client once the run has a runner, and so does not need this process."""
    search = lookup_of(client)
    while not search.has_started(one):
        with suppress(WaitTimeout):
            one.wait(_POLL_SECONDS)
    out.json(run_json(one)) if out.as_json else out.line(one.id())
    follow, kill = common_options().command("logs", "-f", short_id(one.id())), common_options().command("kill", short_id(one.id()))
    out.note(f"the run continues: `{follow}` follows it, `{kill}` ends it")
    if (placement := one.placement()) is not None and not one.status().is_final and not search.other_hosts():
        out.note(f"no process waits for it: {awaited_host_text(placement.engine)}")
    elif client.get_task_by_id(one.task()).retries() and not search.other_hosts():
        start = common_options().command("start", anywhere=True)
        out.note(f"if it fails, no process will try it again: run `{start}`")
    client.close(drain=False)


def follow_to_end(client: Client, one: TaskRun, out: Output, *, raw: bool) -> int:
    """Print the output of the run, and of each try that follows it, until the last has ended, and return the exit code of that.

    An interrupt kills the run; a second one ends the wait.
    """
    while True:
        _follow_one(client, one, out, raw=raw)
        if (following := one.next_try()) is None:
            return exit_code(one)
        one = following


def _follow_one(client: Client, one: TaskRun, out: Output, *, raw: bool) -> None:
    log = _LogPrinter(one, out, raw=raw)
    try:
        log.print_rest()
        one.wait()
    except Interrupted:
        out.note(f"killing run {short_id(one.id())}; Ctrl-C again leaves at once")
        with suppress(IllegalMove):  # it has just ended
            one.kill()
        log.print_rest()
        one.wait()
        _print_end(client, one, out)
        raise
    _print_end(client, one, out)


class _LogPrinter:
    """Prints the log of a run, each line once."""

    def __init__(self, one: TaskRun, out: Output, *, raw: bool) -> None:
        self._one = one
        self._output = ProgramOutput(own_targets(as_json=out.as_json), raw=raw, outlives_readers=True)
        self._count = 0

    def print_rest(self) -> None:
        """Print the lines that have not been printed, until the run has ended."""
        from orchlite.client.task_run import follow_in_parts

        count = 0
        try:
            for line in follow_in_parts(self._one):
                is_new = count >= self._count
                if not isinstance(line, UnfinishedLine):
                    count += 1
                    self._count = max(self._count, count)  # before it is printed, where a signal may arrive
                if is_new:
                    self._output.add(line)
        finally:
            self._output.finish()


def exit_code(one: TaskRun) -> int:
    """Return the exit code of the command for a run: its program's, 124 if it timed out, and never 0 unless it is a success."""
    if one.status() == "success":
        return SUCCESS
    return TIMED_OUT if one.status() == "timed_out" else one.exit_code() or FAILED


def _print_end(client: Client, one: TaskRun, out: Output) -> None:
    files, following = one.files(), one.next_try()
    if out.as_json and following is None:
        out.json(full_run_json(client, one))
    code = one.exit_code()
    how = f"{one.status()}{f' with exit code {code}' if code else ''}"
    reason = (one.reason() or "").removesuffix(".")
    why = f" ({reason})" if reason else ""
    out.note(f"run {short_id(one.id())} ended as {how}{why}, after {seconds_text(one.duration()) or 'no time'}{_next_text(following)}")
    if files and one.status() == "success":
        where = os.path.commonpath([path.parent for path in files])
        all_of_them = f"; `{common_options().command('files', short_id(one.id()))}` lists them" if len(files) > _MAX_FILES + 1 else ""
        out.note(f"it made {counted(len(files), 'file')} in {where}: {listed([path.name for path in files], _MAX_FILES)}{all_of_them}")


def _next_text(following: TaskRun | None) -> str:
    if following is None:
        return ""
    return f"; try {following.try_number()} is run {short_id(following.id())}, not before {time_text(following.not_before())}"
