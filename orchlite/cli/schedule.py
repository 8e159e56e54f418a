"""The verbs about what runs again: `schedule`, `upcoming`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import task_shape, time_shape
from orchlite.cli.lookup import Word, search_of
from orchlite.cli.options import Duration, Verb, setting
from orchlite.cli.output import Output, short, time_text
from orchlite.cli.run_options import RunOptions, takes_run_options
from orchlite.cli.upload import ready
from orchlite.core.errors import BadArgument

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task

_QUOTE = 'Quote it: "30 2 * * *".'


@click.command(cls=Verb, short_help="Run something at every slot of a cron expression.")
@click.argument("path_or_id", type=Word("orchestrations", paths=True))
@click.argument("words", metavar="[EXPRESSION]", nargs=-1)
@click.option("--continuously", is_flag=True, help="Instead of an EXPRESSION: start it again whenever it ends.")
@click.option("--name", help="A name for the task; the orchestration's by default.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="The zone that EXPRESSION is read in.")
@click.option("--concurrency", type=click.Choice(["allow", "forbid", "replace"]), default="allow", help="If the run before goes on still.")
@click.option("--missed", type=click.Choice(["latest", "all", "none"]), default="latest", help="What to run of slots that nobody kept.")
@click.option("--deadline", type=Duration(), help="How late a slot's run may start.")
@click.option("--timeout", type=Duration(), help="Kill a run after so long: 90s, 5m, 1h30m.")
@takes_run_options
def schedule(path_or_id: str, words: tuple[str, ...], options: RunOptions, **policy: Any) -> None:
    """Run PATH_OR_ID at every slot of EXPRESSION, five fields of cron or @daily and the like; print the id of the task.

    Schedules are kept by `orchlite start`.
    """
    out = setting().output()
    expression = _expression(words)
    _check_order(expression, policy)
    with ready(path_or_id, options.source, out) as (client, orchestration):
        task = _submitted(orchestration, expression, options, policy)
        out.json(task_shape(task)) if out.as_json else out.line(task.id())
        _say_when(client, task, out)
        client.close(drain=False)


def _expression(words: tuple[str, ...]) -> str | None:
    """The expression, which is one word for a shell: without quotes it would have put file names in place of each `*`."""
    if len(words) > 1:
        raise BadArgument(f"The EXPRESSION came as {len(words)} words.", hint=_QUOTE, argument="EXPRESSION")
    return words[0] if words else None


def _check_order(expression: str | None, policy: dict[str, Any]) -> None:
    """Before anything is uploaded, see whether it can be scheduled at all."""
    from orchlite.schedules.schedule import parse

    if (expression is None) == (not policy["continuously"]):
        raise BadArgument("Give either an EXPRESSION or --continuously.", hint=_QUOTE, argument="EXPRESSION")
    if expression is not None:
        parse(expression, policy["timezone"])
    elif policy["timeout"] is not None:
        raise BadArgument("--timeout is for schedules.", hint="A continuous task has no time limit.", argument="--timeout")


def _submitted(orchestration: Orchestration, expression: str | None, options: RunOptions, policy: dict[str, Any]) -> Task:
    name = policy["name"] or orchestration.name() or orchestration.file_name()
    if expression is None:
        return orchestration.run_continuously(name, options.arguments, env=options.variables)
    return orchestration.run_scheduled(
        name,
        expression,
        options.arguments,
        _seconds(policy["timeout"]),
        timezone=policy["timezone"],
        concurrency=policy["concurrency"],
        missed=policy["missed"],
        starting_deadline_seconds=_seconds(policy["deadline"]),
        env=options.variables,
    )


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _say_when(client: Client, task: Task, out: Output) -> None:
    if (expression := task.schedule()) is not None:
        from orchlite.schedules.schedule import parse

        for warning in parse(expression, task.timezone() or "UTC").warnings:
            out.note(f"warning: {warning}")
    next_at = task.next_run_at()
    when = f", the first at {time_text(next_at, task.timezone())}" if next_at and task.schedule() else ""
    start = setting().command("start", anywhere=True)
    host = "" if search_of(client).other_hosts() else f"; nobody keeps this store's schedules at the moment: `{start}` does"
    out.note(f"task {short(task.id())} has runs from now on{when}{host}")


@click.command(cls=Verb, short_help="Show when a cron expression is due.")
@click.argument("words", metavar="EXPRESSION", nargs=-1, required=True)
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="The zone that EXPRESSION is read in.")
def upcoming(words: tuple[str, ...], count: int, timezone: str) -> None:
    """Print when EXPRESSION, five fields of cron or @daily and the like, is due next: in the zone that it is read in."""
    from orchlite.schedules.schedule import parse
    from orchlite.schedules.schedule import upcoming as slots_of

    out, expression = setting().output(), _expression(words) or ""
    warnings = parse(expression, timezone).warnings
    slots = slots_of(expression, count, timezone=timezone)
    if out.as_json:
        out.json([{"at": time_shape(slot), "local": slot.isoformat()} for slot in slots])
        return
    for warning in warnings:
        out.note(f"warning: {warning}")
    for slot in slots:
        out.line(slot.strftime("%a %Y-%m-%d %H:%M %Z"))
