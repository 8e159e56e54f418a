"""What `schedule` does if a live task has the name already: refuse or, with `--replace`, replace what that task runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.lookup import lookup_of
from orchlite.cli.options import common_options
from orchlite.cli.output import time_text
from orchlite.core.errors import Conflict, NotFound
from orchlite.core.status import STARTS_NO_MORE, TaskKind
from orchlite.core.text import listed, short_id

if TYPE_CHECKING:
    from orchlite.cli.run_options import Commands, RunOptions
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_MAX_NAMES = 10


def live_task(client: Client, name: str, expression: str | None, policy: dict[str, Any]) -> Task | None:
    """Return the live task of this name, which `schedule` replaces; None if there is none, so that a new one can be created.

    Raises:
        Conflict: there is one, and `--replace` is not given; or it is of the other kind; or there are several.
        NotFound: there is none, and the call does not say when a new one runs.
    """
    tasks = [task for task in lookup_of(client).tasks(name) if task.name() == name and task.kind() is not TaskKind.ONCE]
    live = [task for task in tasks if task.status() not in STARTS_NO_MORE]
    if not live:
        _check_says_when(client, name, expression, policy)
        return None
    if not policy["replace"]:
        raise _taken(name, live, "--replace has it run this from now on; another --name keeps both.")
    if len(live) > 1:
        kill = common_options().command("kill", "ID")
        raise _taken(name, live, f"`{kill}` ends the others first.")
    _check_kind(live[0], expression, policy)
    return live[0]


def replace(
    task: Task, orchestration: Orchestration, expression: str | None, options: RunOptions, commands: Commands, policy: dict[str, Any]
) -> str:
    """Replace what the task runs, and what else is given on the command line. Return what was done, without the subject.

    Raises:
        OrchliteError: as `Task.replace` raises.
    """
    given, running = click.get_current_context().params, task.last_runs(status="running")
    task.replace(
        orchestration,
        schedule=expression,
        json_args=options.arguments if given["args"] or given["args_file"] else None,
        timeout=_seconds(policy["timeout"]),
        timezone=policy["timezone"],
        concurrency=policy["concurrency"],
        missed=policy["missed"],
        starting_deadline_seconds=_seconds(policy["deadline"]),
        env=options.variables if given["env"] or given["env_file"] else None,
        **commands,
        **policy["retry"],
        **policy["resources"],
    )
    return f"runs orchestration {short_id(orchestration.id())} {_from_when(task)}{_continues(task, running)}"


def _taken(name: str, live: Sequence[Task], hint: str) -> Conflict:
    listed = ", ".join(f"{short_id(task.id())} ({task.kind()}, {task.status()})" for task in live)
    are = "is already a live task" if len(live) == 1 else f"are already {len(live)} live tasks"
    return Conflict(f"There {are} named {name!r:.80}: {listed}.", hint=hint, task_ids=[task.id() for task in live])


def _check_says_when(client: Client, name: str, expression: str | None, policy: dict[str, Any]) -> None:
    if expression is None and not policy["continuously"]:
        others = [one for one in client.list_tasks() if one.kind() is not TaskKind.ONCE and one.status() not in STARTS_NO_MORE]
        names = listed(list(dict.fromkeys(f"{one.name()!r:.80}" for one in others if one.name())), _MAX_NAMES)
        others_text = f"--name replaces another one: {names}. " if names else ""
        hint = f"{others_text}Give EXPRESSION to schedule a new one."
        raise NotFound(f"There is no live task {name!r:.80} to replace.", hint=hint, name=name)


def _check_kind(task: Task, expression: str | None, policy: dict[str, Any]) -> None:
    is_continuous = task.kind() is TaskKind.CONTINUOUS
    if (is_continuous and expression is not None) or (not is_continuous and policy["continuously"]):
        way_out = common_options().command("kill", short_id(task.id()))
        message = f"Task {short_id(task.id())} is {task.kind()}, and cannot become {'scheduled' if is_continuous else 'continuous'}."
        raise Conflict(message, hint=f"`{way_out}` ends it; then schedule a new one.", task_ids=[task.id()])


def _from_when(task: Task) -> str:
    if task.kind() is TaskKind.CONTINUOUS:
        return "from its next start on"
    next_at = task.next_run_at()
    return f"from now on, next at {time_text(next_at, task.timezone())}" if next_at else f"from now on, and is {task.status()}"


def _continues(task: Task, running: Sequence[TaskRun]) -> str:
    """Return which runs of before the replacement continue, and how to end that of a continuous task."""
    if not running:
        return ""
    if task.kind() is TaskKind.CONTINUOUS:
        return f"; run {short_id(running[0].id())} continues: `{common_options().command('kill', short_id(running[0].id()))}` ends it"
    return f"; run {short_id(running[0].id())} continues" if len(running) == 1 else f"; {len(running)} runs continue"


def _seconds(duration: timedelta | None) -> float | EllipsisType:
    """Return the argument of `Task.replace` for an option: `...` if it was not given."""
    return ... if duration is None else duration.total_seconds()
