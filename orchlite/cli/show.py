"""The verb `show`: everything about one orchestration, task, run, pipeline or model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orchlite.cli.health import awaited_host_text
from orchlite.cli.json_models import JsonObject, full_orchestration_json, full_pipeline_json, full_run_json, model_json, task_json_maker
from orchlite.cli.lists import open_store
from orchlite.cli.lookup import IdOrName, everything_of, kind_of, lookup_of
from orchlite.cli.options import ShellCommand, Verb, common_options
from orchlite.cli.output import Marks, time_text
from orchlite.client.failures import last_lines
from orchlite.client.schedule_facts import schedule_warnings
from orchlite.core.durations import seconds_text
from orchlite.core.errors import NotFound
from orchlite.core.pipeline_steps import step_texts
from orchlite.core.sizes import size_text
from orchlite.core.sparklines import sparkline
from orchlite.core.status import STARTS_NO_MORE, RunStatus
from orchlite.core.text import counted, listed, number_text, short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.model import Model
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.pipeline import Pipeline, PipelineVersion
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

    Thing = Orchestration | Task | TaskRun | Pipeline | Model

_MAX_OTHERS = 5
_SHOWN_LINES = 10
_KINDS = ("orchestration", "task", "run", "pipeline", "model")
_CHARTED = 30
_ENDS = {RunStatus.SUCCESS: ".", RunStatus.FAILURE: "F", RunStatus.TIMED_OUT: "T", RunStatus.UNKNOWN: "?", RunStatus.KILLED: "K"}
Facts = dict[str, object]
"""Values by label, for `Output.facts`, which leaves out the empty ones."""


@click.command(cls=Verb, short_help="Show everything about one thing.")
@click.argument("word", metavar="ID", type=IdOrName("orchestrations", "tasks", "runs", "pipelines", "models", killed=True))
@click.option("--what", type=click.Choice(_KINDS), help="Which kind of thing to show, where several have the name.")
def show(word: str, what: str | None) -> None:
    """Show everything about an orchestration, a task, a run, a pipeline or a model, including the files and arguments of a run.

    ID is an id, its first digits, or a name: of the task that has a schedule or runs continuously, else of the newest task, else of the
    newest orchestration, of the pipeline, of the model.
    """
    with open_store() as (client, out):
        one, *others = _found(client, word, what)
        if out.as_json:
            out.json({"what": kind_of(one), **_json(client, one)})
        else:
            out.facts({"what": kind_of(one), **_facts(client, one)})
        if others:
            out.note(_others_text(others, word))


def _found(client: Client, word: str, what: str | None) -> Sequence[Thing]:
    found = everything_of(client, word)
    wanted = [one for one in found if what in (None, kind_of(one))]
    if not wanted:
        raise NotFound(f"There is no {what} {word!r:.80} here.", hint=f"--what {kind_of(found[0])} shows what has the name.", word=word)
    return sorted(wanted, key=lambda one: not _recurs(one))


def _recurs(one: Thing) -> bool:
    """Return whether it is a task that will start runs by itself. Reruns of its runs are newer tasks, and have its name."""
    from orchlite.client.task import Task

    return isinstance(one, Task) and one.kind() != "once" and one.status() not in STARTS_NO_MORE


def _json(client: Client, one: Thing) -> JsonObject:
    from orchlite.client.model import Model
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.pipeline import Pipeline
    from orchlite.client.task import Task

    match one:
        case Orchestration():
            return full_orchestration_json(one)
        case Task():
            return {**task_json_maker(client)(one), "warnings": schedule_warnings(one)}
        case Pipeline():
            return full_pipeline_json(client, one)
        case Model():
            return model_json(one)
        case _:
            return full_run_json(client, one)


def _facts(client: Client, one: Thing) -> Facts:
    from orchlite.client.model import Model
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.pipeline import Pipeline
    from orchlite.client.task import Task

    match one:
        case Orchestration():
            return _orchestration_facts(one)
        case Task():
            return _task_facts(client, one)
        case Pipeline():
            return _pipeline_facts(client, one)
        case Model():
            return _model_facts(one)
        case _:
            return _run_facts(client, one)


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
    from orchlite.client.task import shown_status

    newest = _newest_runs(task)
    return {
        "id": task.id(),
        "name": task.name(),
        "kind": task.kind(),
        "status": shown_status(task),
        "reason": _first_line(task.reason()),
        "orchestration": _orchestration_text(client, task.orchestration()),
        "arguments": task.input_data(),
        "timeout": seconds_text(task.timeout()),
        **_resource_facts(task),
        "schedule": task.schedule(),
        "timezone": task.timezone(),
        "warnings": schedule_warnings(task),
        "next run at": time_text(task.next_run_at(), task.timezone()),
        "missed": task.missed() or None,
        **{name.replace("_", " "): _command_text(command) for name, command in task.commands().items()},
        "retries": f"{task.retries()}, {seconds_text(task.retry_delay())} after a failure" if task.retries() else None,
        "last run": [f"{short_id(run.id())}, {run.status()}, {time_text(run.created_at())}" for run in newest],
        "last runs": _last_runs(task),
        "last lines": [line for run in newest[-1:] for line in last_lines(run, _SHOWN_LINES)],
        "workspace id": task.workspace_id(),
        "created at": time_text(task.created_at()),
    }


def _newest_runs(task: Task) -> Sequence[TaskRun]:
    """Return the newest run that has started, after those that wait."""
    runs = task.last_runs(_CHARTED)
    started = next((place for place, run in enumerate(runs) if run.started_at() is not None), 0)
    return runs[: started + 1]


def _last_runs(task: Task) -> list[Marks]:
    """Return charts of how long the task's last runs took, and of how they ended, the oldest first; nothing if there is only one."""
    runs = [run for run in reversed(task.last_runs(_CHARTED)) if run.status() in _ENDS]
    if len(runs) < 2:
        return []
    seconds, statuses = [run.duration() for run in runs], [run.status() for run in runs]
    known = [duration for duration in seconds if duration is not None]
    took = f"{seconds_text(min(known))} to {seconds_text(max(known))}" if known else ""
    ends = [f"{mark} {status}" for status, mark in _ENDS.items() if status in statuses]
    return [
        Marks(sparkline(seconds, sys.stdout.encoding), statuses, took),
        Marks("".join(_ENDS[status] for status in statuses), statuses, ", ".join(ends)),
    ]


def _run_facts(client: Client, run: TaskRun) -> Facts:
    task = client.get_task_by_id(run.task())
    is_cut = run.status().is_final and not run.log_is_complete()
    return {
        "id": run.id(),
        "task": f"{task.name()}, {task.id()}" if task.name() else task.id(),
        "orchestration": _orchestration_text(client, run.orchestration()),
        "status": run.status(),
        "exit code": run.exit_code(),
        "reason": _first_line(run.reason()),
        **_placement_facts(client, run),
        "arguments": run.input_data(),
        "timeout": seconds_text(run.timeout()),
        **_resource_facts(run),
        "scheduled at": time_text(run.scheduled_at(), task.timezone()),
        "try": f"{run.try_number()}, after {run.retry_of()}" if run.retry_of() else None,
        "not before": time_text(run.not_before()) if run.status() == "queued" else None,
        "tried again by": _id_of(run.next_try()),
        "repeats": run.rerun_of(),
        "created at": time_text(run.created_at()),
        "started at": time_text(run.started_at()),
        "ended at": time_text(run.ended_at()),
        "duration": seconds_text(run.duration()),
        "log": lookup_of(client).log_path(run),
        "log is complete": "no" if is_cut else None,
        "files": list(map(str, run.files())),
        "metrics": [f"{name} {number_text(value)}" for name, value in run.metrics().items()],
        **_package_facts(run),
        "last lines": last_lines(run, _SHOWN_LINES),
    }


def _placement_facts(client: Client, run: TaskRun) -> Facts:
    if (placement := run.placement()) is None:
        return {}
    is_left = run.id() in lookup_of(client).unattended()
    return {
        "executed on": f"{placement.engine}, as {placement.job_id}",
        "waits for a host": awaited_host_text(placement.engine) if is_left else None,
    }


def _package_facts(run: TaskRun) -> Facts:
    packages = run.packages()
    if packages is None:
        return {}
    host = f"{counted(len(packages.host), 'package')}; --json lists them" if packages.host else None
    return {"python": packages.python, "installed": list(packages.installed), "host packages": host}


def _resource_facts(one: Task | TaskRun) -> Facts:
    memory_bytes, cpu_seconds = one.memory(), one.cpu_seconds()
    return {
        "memory": None if memory_bytes is None else f"{size_text(memory_bytes)} a process",
        "processor time": None if cpu_seconds is None else f"{cpu_seconds} s a process",
        "nice": one.nice() or None,
    }


def _id_of(run: TaskRun | None) -> str | None:
    return None if run is None else run.id()


def _pipeline_facts(client: Client, pipeline: Pipeline) -> Facts:
    versions, deployed = pipeline.versions(), lookup_of(client).deployed_version(pipeline)
    is_newest = deployed is not None and versions[:1] == [deployed]
    return {
        "id": pipeline.id(),
        "name": pipeline.name(),
        "status": "undeployed" if deployed is None else "deployed",
        "steps": list(step_texts(pipeline.steps())),
        "deployed": None if deployed is None or is_newest else _version_text(deployed),
        "versions": [*map(_version_text, versions[:_MAX_OTHERS]), *_rest(versions)],
        "workspace id": pipeline.workspace_id(),
        "created at": time_text(pipeline.created_at()),
    }


def _version_text(version: PipelineVersion) -> str:
    steps = "; ".join(step_texts(version.definition().get("steps", []))) or "no steps"
    return f"{version.name()}, {time_text(version.created_at())}, {steps}"


def _model_facts(model: Model) -> Facts:
    versions = model.versions()
    [newest] = versions[:1] or [None]
    return {
        "id": model.id(),
        "name": model.name(),
        "framework": None if newest is None else newest.framework(),
        "file name": None if newest is None else newest.file_name(),
        "SHA-256": None if newest is None else newest.sha(),
        "tensor fields": None if newest is None else newest.tensor_fields(),
        "versions": [*(f"{one.version()}, {time_text(one.created_at())}" for one in versions[:_MAX_OTHERS]), *_rest(versions)],
        "workspace id": model.workspace_id(),
        "created at": time_text(model.created_at()),
    }


def _rest(versions: Sequence[object]) -> list[str]:
    return [f"and {len(versions) - _MAX_OTHERS} older"] if len(versions) > _MAX_OTHERS else []


def _orchestration_text(client: Client, orchestration_id: str) -> str:
    """Return which version it is: its name and id, when it was uploaded, and its SHA-256."""
    one = client.get_orchestration_by_id(orchestration_id)
    uploaded = f"uploaded {time_text(one.created_at())}, SHA-256 {one.sha()[:12]}…"
    return ", ".join(filter(None, (one.name(), one.id(), uploaded)))


def _command_text(command: Sequence[str]) -> str:
    """Return a notification command as it is given on the command line, or as one would type it."""
    import shlex

    return command[-1] if (*command[:-1],) == ShellCommand.SHELL else shlex.join(command)


def _first_line(reason: str | None) -> str | None:
    """Return the first line of a reason. The lines after it are an installer's."""
    return None if reason is None else reason.partition("\n")[0]


def _others_text(others: Sequence[Thing], word: str) -> str:
    names = listed([f"{kind_of(one)} {short_id(str(one.id()))}" for one in others], _MAX_OTHERS)
    have = "other has" if len(others) == 1 else "others have"
    kinds = {kind_of(one) for one in others} & {"pipeline", "model"}
    way_out = common_options().command("show", *((word, "--what", min(kinds)) if kinds else ("ID",)))
    return f"{len(others)} {have} the name {word!r:.80}: {names}; `{way_out}` shows one"
