"""The verbs `trigger` and `rerun`: a run of a scheduled task outside its slots, and a run like an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.errors import SUCCESS
from orchlite.cli.key_values import read_arguments
from orchlite.cli.lookup import IdOrName, lookup_of, task_named, way_to_run
from orchlite.cli.options import Verb, common_options, raw_option
from orchlite.cli.ray_options import log_if_on_cluster, ray_options
from orchlite.cli.run import follow_to_end, leave_running
from orchlite.cli.run_options import SEEN
from orchlite.cli.signals import Interrupted, Signals
from orchlite.cli.upload import closing
from orchlite.core.errors import IllegalMove, NotFound
from orchlite.core.status import STARTS_NO_MORE, TaskKind
from orchlite.core.text import short_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchlite.client.client import Client
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun
    from orchlite.ray import RayJobs


@click.command(cls=Verb, short_help="Run a scheduled task now.")
@click.argument("word", metavar="TASK", type=IdOrName("tasks"))
@click.option("--detach", "-d", is_flag=True, help="Print the id of the run, and leave it running.")
@raw_option
@ray_options
def trigger(word: str, detach: bool, raw: bool, engine: RayJobs | None) -> int:
    """Run a scheduled task once, now, with its arguments. Its schedule does not change.

    Prints its output as it arrives, and exits with its exit code, as `run` does. Ctrl-C kills the run.
    """
    return _started(lambda client: _scheduled(client, word).run_now(), engine, detach=detach, raw=raw)


@click.command(cls=Verb, short_help="Run again what a run has run.")
@click.argument("word", metavar="RUN", type=IdOrName("tasks", "runs", killed=True))
@click.option("--detach", "-d", is_flag=True, help="Print the id of the run, and leave it running.")
@click.option("--arg", "args", multiple=True, metavar="K=V", help=f"Change an argument: K=text, or K:=JSON. Repeatable. {SEEN}")
@raw_option
@ray_options
def rerun(word: str, detach: bool, args: tuple[str, ...], raw: bool, engine: RayJobs | None) -> int:
    """Run the same orchestration again, with the arguments and variables of an earlier run, as a task of its own.

    RUN is a run, or a task or a name for its newest run. Prints its output as it arrives, and exits with its exit code, as `run` does.
    """
    changed = read_arguments(args, None)
    return _started(lambda client: _rerun(client, word, changed), engine, detach=detach, raw=raw)


def _rerun(client: Client, word: str, changed: dict[str, Any]) -> TaskRun:
    run = client.get_task_run(word)
    again = run.rerun({**run.input_data(), **changed} if changed else None)
    task = client.get_task_by_id(run.task())
    was_replaced = (task.orchestration(), task.input_data()) != (run.orchestration(), run.input_data())
    if was_replaced and task.kind() is TaskKind.SCHEDULED and task.status() not in STARTS_NO_MORE:
        trigger_it = common_options().command("trigger", short_id(task.id()))
        common_options().output().note(
            f"this runs what run {short_id(run.id())} ran; its task was replaced since: `{trigger_it}` runs that"
        )
    return again


def _scheduled(client: Client, word: str) -> Task:
    def can_be(task: Task) -> bool:
        return task.kind() is TaskKind.SCHEDULED and task.status() not in STARTS_NO_MORE

    try:
        return task_named(client, word, can_be, "triggered") or lookup_of(client).only_task(word)
    except (NotFound, IllegalMove) as error:
        raise type(error)(error.message, hint=way_to_run(client, word) or error.hint, **error.details) from None


def _started(start: Callable[[Client], TaskRun], engine: RayJobs | None, *, detach: bool, raw: bool) -> int:
    """Start a run; follow it to its end, or leave it running. Return the exit code."""
    out, interrupts = common_options().output(), Signals()
    log_if_on_cluster(engine, out)
    client = common_options().open_client(engine=engine)
    try:
        with interrupts.handled(), closing(client, out):
            with interrupts.deferred():
                one = start(client)
                if detach:
                    leave_running(client, one, out)
                    return SUCCESS
            return follow_to_end(client, one, out, raw=raw)
    except Interrupted as stop:
        return stop.exit_code
