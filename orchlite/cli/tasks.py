"""The verbs about what runs again, and what is to run no more: `schedule`, `upcoming`, `kill`, `pause`, `resume`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.options import (
    Duration,
    Verb,
    arguments_option,
    base_image_option,
    client_settings,
    environment_option,
    exclude_option,
    index_option,
    read_arguments,
    read_environment,
    setting,
)
from orchlite.cli.output import Output, short, time_text
from orchlite.cli.packaging import busy_closing, packaged, say_warnings, taken_in
from orchlite.cli.resolve import Word, search_of, task_of, task_or_run_of
from orchlite.cli.shapes import run_shape, task_shape, time_shape
from orchlite.errors import BadArgument, IllegalMove, WaitTimeout

if TYPE_CHECKING:
    from orchlite.client import Client
    from orchlite.orchestration import Orchestration
    from orchlite.task import Task
    from orchlite.task_run import TaskRun

_PATIENCE_SECONDS = 30.0


@click.command(cls=Verb, short_help="Run something at every slot of a cron expression.")
@click.argument("path_or_id", type=Word("orchestrations", paths=True))
@click.argument("expression", required=False)
@click.option("--continuously", is_flag=True, help="Instead of an EXPRESSION: start it again whenever it ends.")
@click.option("--name", help="A name for the task; the orchestration's by default.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="The zone that EXPRESSION is read in.")
@click.option("--concurrency", type=click.Choice(["allow", "forbid", "replace"]), default="allow", help="If the run before goes on still.")
@click.option("--missed", type=click.Choice(["latest", "all", "none"]), default="latest", help="What to run of slots that nobody kept.")
@click.option("--deadline", type=Duration(), help="How late a slot's run may start.")
@click.option("--timeout", type=Duration(), help="Kill a run after so long: 90s, 5m, 1h30m.")
@arguments_option
@environment_option
@exclude_option
@base_image_option
@index_option
def schedule(
    path_or_id: str,
    expression: str | None,
    args: tuple[str, ...],
    args_file: str | None,
    env: tuple[str, ...],
    exclude: tuple[str, ...],
    base_image: tuple[str, ...],
    index_url: tuple[str, ...],
    **policy: Any,
) -> None:
    """Run PATH_OR_ID at every slot of EXPRESSION, five fields of cron or @daily and the like; print the id of the task.

    Schedules are kept by `orchlite start`.
    """
    out = setting().output()
    arguments, variables = read_arguments(args, args_file), read_environment(env)
    _check_order(expression, policy)
    client = setting().opened(create=True, **client_settings(base_image, index_url))
    with busy_closing(client, out):
        orchestration = packaged(taken_in(client, path_or_id, out, exclude), out)
        say_warnings(orchestration, out)
        task = _submitted(orchestration, expression, arguments, variables, policy)
        out.json(task_shape(task)) if out.as_json else out.line(task.id())
        _say_when(client, task, out)
        client.close(drain=False)


def _check_order(expression: str | None, policy: dict[str, Any]) -> None:
    """Before anything is uploaded, see whether it can be scheduled at all."""
    from orchlite.schedule import parse

    if (expression is None) == (not policy["continuously"]):
        hint = 'Quote it: "30 2 * * *".'
        raise BadArgument("Give either an EXPRESSION or --continuously.", hint=hint, argument="EXPRESSION")
    if expression is not None:
        parse(expression, policy["timezone"])
    elif policy["timeout"] is not None:
        raise BadArgument("--timeout is for schedules.", hint="A continuous task has no time limit.", argument="--timeout")


def _submitted(
    orchestration: Orchestration, expression: str | None, arguments: dict[str, Any], variables: dict[str, str], policy: dict[str, Any]
) -> Task:
    name = policy["name"] or orchestration.name() or orchestration.file_name()
    if expression is None:
        return orchestration.run_continuously(name, arguments, env=variables)
    return orchestration.run_scheduled(
        name,
        expression,
        arguments,
        _seconds(policy["timeout"]),
        timezone=policy["timezone"],
        concurrency=policy["concurrency"],
        missed=policy["missed"],
        starting_deadline_seconds=_seconds(policy["deadline"]),
        env=variables,
    )


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _say_when(client: Client, task: Task, out: Output) -> None:
    if (expression := task.schedule()) is not None:
        from orchlite.schedule import parse

        for warning in parse(expression, task.timezone() or "UTC").warnings:
            out.note(f"warning: {warning}")
    next_at = task.next_run_at()
    when = f", the first at {time_text(next_at)} on this machine's clock" if next_at and task.schedule() else ""
    host = "" if search_of(client).other_hosts() else "; nobody keeps this store's schedules at the moment: orchlite start does"
    out.note(f"task {short(task.id())} has runs from now on{when}{host}")


@click.command(cls=Verb, short_help="Show when a cron expression is due.")
@click.argument("expression")
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="The zone that EXPRESSION is read in.")
def upcoming(expression: str, count: int, timezone: str) -> None:
    """Print when EXPRESSION, five fields of cron or @daily and the like, is due next: in the zone that it is read in."""
    from orchlite.schedule import parse
    from orchlite.schedules import upcoming as slots_of

    out = setting().output()
    warnings = parse(expression, timezone).warnings
    slots = slots_of(expression, count, timezone=timezone)
    if out.as_json:
        out.json([{"at": time_shape(slot), "local": slot.isoformat()} for slot in slots])
        return
    for warning in warnings:
        out.note(f"warning: {warning}")
    for slot in slots:
        out.line(slot.strftime("%a %Y-%m-%d %H:%M %Z"))


@click.command(cls=Verb, short_help="End runs, and tasks for good.")
@click.argument("words", metavar="ID...", nargs=-1, required=True, type=Word("tasks", "runs"))
@click.option("--no-wait", is_flag=True, help="Do not wait until what runs has ended.")
def kill(words: tuple[str, ...], no_wait: bool) -> None:
    """Kill tasks or runs: a task has no further runs then, and what runs of it is ended."""

    def act(client: Client, one: Task | TaskRun) -> None:
        one.kill()
        if not no_wait:
            _wait_for_end(client, one, setting().output())

    _each(words, task_or_run_of, act)


@click.command(cls=Verb, short_help="Let tasks begin no further runs.")
@click.argument("words", metavar="TASK...", nargs=-1, required=True, type=Word("tasks"))
def pause(words: tuple[str, ...]) -> None:
    """Let scheduled or continuous tasks begin no further runs, until they are resumed."""
    _each(words, task_of, lambda _, task: task.pause())


@click.command(cls=Verb, short_help="Let paused tasks run again.")
@click.argument("words", metavar="TASK...", nargs=-1, required=True, type=Word("tasks"))
def resume(words: tuple[str, ...]) -> None:
    """Let paused tasks, or tasks in schedule_error, run again."""
    _each(words, task_of, lambda _, task: task.resume())


def _each(words: Sequence[str], find: Callable[[Client, str], Any], act: Callable[[Client, Any], object]) -> None:
    """Find all of them before anything is done to the first; then say what became of each."""
    out = setting().output()
    client = setting().opened()
    with busy_closing(client, out):
        found = list({one.id(): one for one in (find(client, word) for word in words)}.values())
        for one in found:
            act(client, one)
        _say_status(found, out)
        client.close(drain=False)


def _say_status(found: Sequence[Any], out: Output) -> None:
    if out.as_json:
        out.json([task_shape(one) if hasattr(one, "kind") else run_shape(one) for one in found])
        return
    for one in found:
        out.line(f"{short(one.id())} {one.status()}")


def _wait_for_end(client: Client, one: Task | TaskRun, out: Output) -> None:
    unfinished = [run for run in search_of(client).unfinished() if one.id() in (run.id(), run.task())]
    with out.busy(f"waiting for the end of {short(one.id())}"), suppress(WaitTimeout, IllegalMove):
        for run in unfinished:
            run.wait(_PATIENCE_SECONDS)
