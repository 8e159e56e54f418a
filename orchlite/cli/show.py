"""The verb `show`: everything about one orchestration, task or run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orchlite.cli.json_models import JsonObject, full_orchestration_json, full_run_json, task_json_maker
from orchlite.cli.lists import open_store
from orchlite.cli.lookup import IdOrName, all_of, kind_of, lookup_of
from orchlite.cli.options import Verb, common_options
from orchlite.cli.output import seconds_text, short_id, time_text
from orchlite.cli.schedule import schedule_warnings

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_MAX_OTHERS = 5
Facts = dict[str, object]
"""Values by label, for `Output.facts`, which leaves out the empty ones."""


@click.command(cls=Verb, short_help="Show everything about one thing.")
@click.argument("word", metavar="ID", type=IdOrName("orchestrations", "tasks", "runs", killed=True))
def show(word: str) -> None:
    """Show everything about an orchestration, a task or a run, including the files and arguments of a run.

    ID is an id, its first digits, or a name: of the newest task that has it, else of the newest orchestration.
    """
    with open_store() as (client, out):
        one, *others = all_of(client, word)
        if out.as_json:
            out.json({"what": kind_of(one), **_json(client, one)})
        else:
            out.facts({"what": kind_of(one), **_facts(client, one)})
        if others:
            out.note(_others_text(others, word))


def _json(client: Client, one: Orchestration | Task | TaskRun) -> JsonObject:
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task

    if isinstance(one, Orchestration):
        return full_orchestration_json(one)
    if isinstance(one, Task):
        return {**task_json_maker(client)(one), "warnings": schedule_warnings(one)}
    return full_run_json(client, one)


def _facts(client: Client, one: Orchestration | Task | TaskRun) -> Facts:
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task

    if isinstance(one, Orchestration):
        return _orchestration_facts(one)
    return _task_facts(client, one) if isinstance(one, Task) else _run_facts(client, one)


def _orchestration_facts(one: Orchestration) -> Facts:
    [packaging, *_] = one.task().last_runs(1)
    return {
        "id": one.id(),
        "name": one.name(),
        "status": one.status(),
        "reason": _first_line(packaging.reason()) if one.status() == "error" else None,
        "file name": one.file_name(),
        "SHA-256": one.sha(),
        "entry point": one.entrypoint(),
        "requirements": one.requirements(),
        "installed": one.installed(),
        "warnings": one.warnings(),
        "workspace id": one.workspace_id(),
        "created at": time_text(one.created_at()),
    }


def _task_facts(client: Client, task: Task) -> Facts:
    newest = [f"{short_id(run.id())}, {run.status()}, {time_text(run.created_at())}" for run in task.last_runs(1)]
    return {
        "id": task.id(),
        "name": task.name(),
        "kind": task.kind(),
        "status": task.status(),
        "reason": _first_line(task.reason()),
        "orchestration": _orchestration_text(client, task),
        "arguments": task.input_data(),
        "timeout": seconds_text(task.timeout()),
        "schedule": task.schedule(),
        "timezone": task.timezone(),
        "warnings": schedule_warnings(task),
        "next run at": time_text(task.next_run_at(), task.timezone()),
        "missed": task.missed() or None,
        "last run": newest,
        "workspace id": task.workspace_id(),
        "created at": time_text(task.created_at()),
    }


def _run_facts(client: Client, run: TaskRun) -> Facts:
    task = client.get_task_by_id(run.task())
    is_cut = run.status().is_final and not run.log_is_complete()
    return {
        "id": run.id(),
        "task": f"{task.name()}, {task.id()}" if task.name() else task.id(),
        "orchestration": _orchestration_text(client, task),
        "status": run.status(),
        "exit code": run.exit_code(),
        "reason": _first_line(run.reason()),
        "arguments": task.input_data(),
        "timeout": seconds_text(task.timeout()),
        "scheduled at": time_text(run.scheduled_at(), task.timezone()),
        "created at": time_text(run.created_at()),
        "started at": time_text(run.started_at()),
        "ended at": time_text(run.ended_at()),
        "duration": seconds_text(run.duration()),
        "log": lookup_of(client).log_path(run),
        "log is complete": "no" if is_cut else None,
        "files": list(map(str, run.files())),
    }


def _orchestration_text(client: Client, task: Task) -> str:
    orchestration = client.get_orchestration_by_id(task.orchestration())
    return ", ".join(filter(None, (orchestration.name(), orchestration.id())))


def _first_line(reason: str | None) -> str | None:
    """Return the first line of a reason. The lines after it are an installer's."""
    return None if reason is None else reason.partition("\n")[0]


def _others_text(others: Sequence[Orchestration | Task | TaskRun], word: str) -> str:
    names = [f"{kind_of(one)} {short_id(one.id())}" for one in others[:_MAX_OTHERS]] + ["…"] * (len(others) > _MAX_OTHERS)
    have = "other has" if len(others) == 1 else "others have"
    return f"{len(others)} {have} the name {word!r:.80}: {', '.join(names)}; `{common_options().command('show', 'ID')}` shows one"
