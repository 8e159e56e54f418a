"""The verbs that end or hold what was begun: `kill`, `pause`, `resume`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import run_shape, task_shape
from orchlite.cli.lookup import Word, search_of, task_named, task_of, task_or_run_of
from orchlite.cli.options import Verb, setting
from orchlite.cli.output import Output, short
from orchlite.cli.upload import busy_closing
from orchlite.core.errors import IllegalMove, WaitTimeout
from orchlite.core.status import TaskKind, TaskStatus, sources_of

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_PATIENCE_SECONDS = 30.0
_CAN_PAUSE = sources_of(TaskStatus.PENDING_PAUSE)
_CAN_RESUME = sources_of(TaskStatus.PENDING_RESUME) | {TaskStatus.SCHEDULE_ERROR}


@click.command(cls=Verb, short_help="End runs, and tasks for good.")
@click.argument("words", metavar="ID...", nargs=-1, required=True, type=Word("tasks", "runs"))
@click.option("--no-wait", is_flag=True, help="Do not wait until what runs has ended.")
def kill(words: tuple[str, ...], no_wait: bool) -> None:
    """Kill tasks or runs: a task has no further runs then, and what runs of it is ended.

    A name means the one task of that name that can have runs still; what `run` began without a name is called like its orchestration.
    """

    def act(client: Client, one: Task | TaskRun) -> None:
        one.kill()
        if not no_wait:
            _wait_for_end(client, one, setting().output())

    _each(words, _to_kill, act)


@click.command(cls=Verb, short_help="Let tasks begin no further runs.")
@click.argument("words", metavar="TASK...", nargs=-1, required=True, type=Word("tasks"))
def pause(words: tuple[str, ...]) -> None:
    """Let scheduled or continuous tasks begin no further runs, until they are resumed."""
    _each(words, lambda client, word: _recurring(client, word, _CAN_PAUSE, "paused"), lambda _, task: task.pause())


@click.command(cls=Verb, short_help="Let paused tasks run again.")
@click.argument("words", metavar="TASK...", nargs=-1, required=True, type=Word("tasks"))
def resume(words: tuple[str, ...]) -> None:
    """Let paused tasks, or tasks in schedule_error, run again."""
    _each(words, lambda client, word: _recurring(client, word, _CAN_RESUME, "resumed"), lambda _, task: task.resume())


def _to_kill(client: Client, word: str) -> Task | TaskRun:
    unfinished = {run.task() for run in search_of(client).unfinished()}

    def can_be_killed(task: Task) -> bool:
        return task.id() in unfinished or (task.kind() is not TaskKind.ONCE and task.status() is not TaskStatus.KILLED)

    return task_named(client, word, can_be_killed, "killed") or task_or_run_of(client, word)


def _recurring(client: Client, word: str, statuses: Collection[object], done: str) -> Task:
    def can_be(task: Task) -> bool:
        return task.kind() is not TaskKind.ONCE and task.status() in statuses

    return task_named(client, word, can_be, done) or task_of(client, word)


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
