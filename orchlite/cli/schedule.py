"""The verbs `schedule` and `upcoming`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import task_json, time_json
from orchlite.cli.lookup import IdOrName, lookup_of
from orchlite.cli.options import Duration, Verb, Zone, common_options, seconds_of
from orchlite.cli.output import Output, time_text
from orchlite.cli.replacing import live_task, replace
from orchlite.cli.resource_options import resource_options
from orchlite.cli.retry_options import check_retry, retry_options
from orchlite.cli.run_options import Commands, RunOptions, notification_options, run_options
from orchlite.cli.upload import closing, packaged
from orchlite.client.schedule_facts import schedule_warnings
from orchlite.core.errors import BadArgument
from orchlite.core.text import short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task

_QUOTE = 'Quote it: "30 2 * * *".'


@click.command(cls=Verb, short_help="Run something on a cron schedule.")
@click.argument("path_or_id", type=IdOrName("orchestrations", paths=True))
@click.argument("words", metavar="[EXPRESSION]", nargs=-1)
@click.option("--continuously", is_flag=True, help="Instead of EXPRESSION: start it again whenever it ends.")
@click.option("--name", metavar="NAME", help="Name of the task.  [default: that of the orchestration]")
@click.option("--replace", is_flag=True, help="Have the live task of this name run PATH_OR_ID from now on. What is not given is kept.")
@click.option("--timezone", type=Zone(), metavar="ZONE", help="Time zone of EXPRESSION.  [default: UTC]")
@click.option(
    "--concurrency",
    type=click.Choice(["allow", "forbid", "replace"]),
    help="If the previous run is still in progress: start another, skip, or replace it.  [default: allow]",
)
@click.option(
    "--missed",
    type=click.Choice(["latest", "all", "none"]),
    help="Which runs to catch up on that were due while no host was up.  [default: latest]",
)
@click.option("--deadline", type=Duration(), help="Skip a run that cannot start within this time after it is due.")
@click.option("--timeout", type=Duration(), help="Time limit of a run: 90s, 5m, 1h30m.")
@retry_options
@resource_options
@notification_options("failure", "success", "late")
@run_options
def schedule(path_or_id: str, words: tuple[str, ...], options: RunOptions, commands: Commands, **policy: Any) -> None:
    """Run PATH_OR_ID at the times of EXPRESSION, and print the id of the task.

    EXPRESSION has five cron fields, or is a macro such as @daily. `orchlite start` keeps the schedules.

    A name that a live task has already is refused. With --replace, that task runs PATH_OR_ID from now on, as soon as it is packaged: no
    slot is lost or runs twice, and runs in progress continue. EXPRESSION may be left out.
    """
    out, name = common_options().output(), policy["name"]
    expression = _expression(words)
    _check_policy(expression, policy, commands)
    client = common_options().open_client(create=True, **options.source.settings)
    with closing(client, out):
        if name is not None:
            live_task(client, name, expression, policy)  # before anything is uploaded
        orchestration = packaged(client, path_or_id, options.source, out)
        name = name or orchestration.name() or orchestration.file_name()
        task = live_task(client, name, expression, policy)
        if task is None:
            task = _submitted(orchestration, name, expression, options, commands, policy)
            done = f"is {task.kind()}{_first_text(task)}"
        else:
            done = replace(task, orchestration, expression, options, commands, policy)
        out.json(task_json(task)) if out.as_json else out.line(task.id())
        _print_done(client, task, done, out)
        client.close(drain=False)


def _expression(words: tuple[str, ...]) -> str | None:
    """Return the expression. It must be one word: unquoted, the shell replaces each `*` by file names."""
    if len(words) > 1:
        raise BadArgument(f"EXPRESSION has {len(words)} words.", hint=_QUOTE, argument="EXPRESSION")
    return words[0] if words else None


def _check_policy(expression: str | None, policy: dict[str, Any], commands: Commands) -> None:
    """Refuse what cannot be scheduled, before anything is uploaded."""
    from orchlite.schedules.schedule import parse

    if policy["retry"] and policy["continuously"]:
        raise BadArgument("--retries does not go with --continuously.", hint="It starts again by itself.", argument="--retries")
    if not policy["replace"]:
        check_retry(policy["retry"])
    if expression is None and policy["replace"] and not policy["continuously"]:
        return
    if (expression is None) == (not policy["continuously"]):
        raise BadArgument("Give either EXPRESSION or --continuously.", hint=_QUOTE, argument="EXPRESSION")
    if expression is not None:
        parse(expression, policy["timezone"] or "UTC")
    elif policy["timeout"] is not None:
        raise BadArgument("--timeout does not go with --continuously.", hint="A continuous task has no time limit.", argument="--timeout")
    elif commands["on_late"] is not None:
        raise BadArgument("--on-late does not go with --continuously.", hint="A continuous task is never late.", argument="--on-late")


def _submitted(
    orchestration: Orchestration, name: str, expression: str | None, options: RunOptions, commands: Commands, policy: dict[str, Any]
) -> Task:
    if expression is None:
        outcomes = {event: command for event, command in commands.items() if event != "on_late"}
        return orchestration.run_continuously(name, options.arguments, env=options.variables, **outcomes, **policy["resources"])
    return orchestration.run_scheduled(
        name,
        expression,
        options.arguments,
        seconds_of(policy["timeout"]),
        timezone=policy["timezone"] or "UTC",
        concurrency=policy["concurrency"] or "allow",
        missed=policy["missed"] or "latest",
        starting_deadline_seconds=seconds_of(policy["deadline"]),
        env=options.variables,
        **commands,
        **policy["retry"],
        **policy["resources"],
    )


def _first_text(task: Task) -> str:
    next_at = task.next_run_at()
    return f", first at {time_text(next_at, task.timezone())}" if next_at and task.schedule() else ""


def _print_done(client: Client, task: Task, done: str, out: Output) -> None:
    for warning in schedule_warnings(task):
        out.note(f"warning: {warning}")
    start = common_options().command("start", anywhere=True)
    host = "" if lookup_of(client).are_schedules_kept() else f"; no process keeps this store's schedules: run `{start}`"
    out.note(f"task {short_id(task.id())} {done}{host}")


@click.command(cls=Verb, anywhere=True, short_help="Show when a cron expression is due.")
@click.argument("words", metavar="EXPRESSION", nargs=-1, required=True)
@click.option("-n", "count", type=click.IntRange(1, 10_000), metavar="N", default=5, show_default=True, help="Number of times.")
@click.option("--timezone", type=Zone(), metavar="ZONE", default="UTC", show_default=True, help="Time zone of EXPRESSION.")
def upcoming(words: tuple[str, ...], count: int, timezone: str) -> None:
    """Print when EXPRESSION is due next, in its time zone.

    EXPRESSION has five cron fields, or is a macro such as @daily.
    """
    from orchlite.schedules.schedule import parse
    from orchlite.schedules.schedule import upcoming as slots_of

    out, expression = common_options().output(), _expression(words) or ""
    warnings = parse(expression, timezone).warnings
    slots = slots_of(expression, count, timezone=timezone)
    if out.as_json:
        out.json([{"at": time_json(slot), "local": slot.isoformat()} for slot in slots])
        return
    for warning in warnings:
        out.note(f"warning: {warning}")
    for slot in slots:
        out.line(slot.strftime("%a %Y-%m-%d %H:%M %Z"))
