"""The verbs `kill`, `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import run_json, task_json
from orchlite.cli.lookup import IdOrName, lookup_of, task_named
from orchlite.cli.options import Verb, common_options
from orchlite.cli.output import Output
from orchlite.cli.upload import closing
from orchlite.core.errors import IllegalMove, WaitTimeout
from orchlite.core.status import TaskKind, TaskStatus, sources_of
from orchlite.core.text import short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_WAIT_SECONDS = 30.0
_CAN_PAUSE = sources_of(TaskStatus.PENDING_PAUSE)
_CAN_RESUME = sources_of(TaskStatus.PENDING_RESUME) | {TaskStatus.SCHEDULE_ERROR}


@click.command(cls=Verb, short_help="End runs and tasks.")
@click.argument("words", metavar="ID...", nargs=-1, required=True, type=IdOrName("tasks", "runs"))
@click.option("--no-wait", is_flag=True, help="Do not wait until the runs have ended.")
def kill(words: tuple[str, ...], no_wait: bool) -> None:
    """Kill tasks or runs. Killing a task ends its runs, and it never starts another.

    A name stands for the one task of that name that can still have runs. A task without a name goes by its orchestration's.
    """

    def act(client: Client, one: Task | TaskRun) -> None:
        one.kill()
        if not no_wait:
            _wait_for_end(client, one, common_options().output())

    _each(words, _to_kill, act)


@click.command(cls=Verb, short_help="Stop tasks from starting runs.")
@click.argument("words", metavar="TASK...", nargs=-1, required=True, type=IdOrName("tasks"))
def pause(words: tuple[str, ...]) -> None:
    """Stop scheduled or continuous tasks from starting runs, until `resume`. A running scheduled run continues."""
    _each(words, lambda client, word: _recurring(client, word, _CAN_PAUSE, "paused"), lambda _, task: task.pause())


@click.command(cls=Verb, short_help="Let paused tasks start runs again.")
@click.argument("words", metavar="TASK...", nargs=-1, required=True, type=IdOrName("tasks"))
def resume(words: tuple[str, ...]) -> None:
    """Let paused tasks, or tasks in schedule_error, start runs again."""
    _each(words, lambda client, word: _recurring(client, word, _CAN_RESUME, "resumed"), lambda _, task: task.resume())


def _to_kill(client: Client, word: str) -> Task | TaskRun:
    return task_named(client, word, lookup_of(client).can_have_runs, "killed") or lookup_of(client).task_or_run(word)


def _recurring(client: Client, word: str, statuses: Collection[object], done: str) -> Task:
    def can_be(task: Task) -> bool:
        return task.kind() is not TaskKind.ONCE and task.status() in statuses

    return task_named(client, word, can_be, done) or lookup_of(client).only_task(word)


def _each(words: Sequence[str], find: Callable[[Client, str], Any], act: Callable[[Client, Any], object]) -> None:
    """Apply `act` to everything that the words mean, once all of it is found; then print each status."""
    out = common_options().output()
    client = common_options().open_client()
    with closing(client, out):
        found = list({one.id(): one for one in (find(client, word) for word in words)}.values())
        for one in found:
            act(client, one)
        _print_status(found, out)
        client.close(drain=False)


def _print_status(found: Sequence[Any], out: Output) -> None:
    if out.as_json:
        out.json([task_json(one) if hasattr(one, "kind") else run_json(one) for one in found])
        return
    for one in found:
        out.line(f"{short_id(one.id())} {one.status()}")


def _wait_for_end(client: Client, one: Task | TaskRun, out: Output) -> None:
    unfinished = [run for run in lookup_of(client).unfinished() if one.id() in (run.id(), run.task())]
    with out.busy(f"waiting until {short_id(one.id())} has ended"), suppress(WaitTimeout, IllegalMove):
        for run in unfinished:
            run.wait(_WAIT_SECONDS)
