"""The verb `status`: what a whole store is about at the moment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from orchlite.cli.errors import DONE, FAILED
from orchlite.cli.json_models import Shape, run_shapes, task_shapes, time_shape
from orchlite.cli.lists import looking, run_names
from orchlite.cli.lookup import search_of
from orchlite.cli.options import Moment, Verb, setting
from orchlite.cli.output import Output, bytes_text, counted, short, time_text
from orchlite.core.clock import SystemClock

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_DUE = 5
_RECENT = timedelta(days=1)
_SHOWN_FAILURES = 10
_RUN_COLUMNS = ("id", "task", "status", "exit", "started", "took", "slot")
_SIZES = (("database", "database_bytes"), ("bundles", "bundles_bytes"), ("runs", "runs_bytes"), ("environments", "environments_bytes"))


class _PackagingFailure(NamedTuple):
    """An orchestration whose environment could not be made, and the packaging run that says why."""

    orchestration: Orchestration
    run: TaskRun


class _Facts(NamedTuple):
    """What is told of a store."""

    hosts: int
    running: Sequence[TaskRun]
    queued: Sequence[TaskRun]
    due: Sequence[Task]
    paused: Sequence[Task]
    failed: Sequence[TaskRun]
    packaging_failed: Sequence[_PackagingFailure]
    disk: dict[str, int]
    since: datetime
    """How far back was looked for what has failed."""


@click.command(cls=Verb, short_help="Show what runs, is queued, due or paused, has failed, and sizes on disk.")
@click.option("--failed-since", type=Moment(), help="Look so far back, 24h by default; end with 1 where something has failed since.")
def status(failed_since: datetime | None) -> int:
    """Show what runs, what is queued, what is due next or paused, what has failed, and the sizes on disk: of all workspaces.

    Packaging that failed is told once for each name, and not where a later upload of that name is ready.
    """
    with looking() as (client, out):
        facts = _facts(client, failed_since or SystemClock().now() - _RECENT)
        if out.as_json:
            out.json(_shape(client, facts))
        else:
            _say(client, facts, out, "in the last 24 h" if failed_since is None else f"since {time_text(failed_since)}")
        return FAILED if failed_since is not None and (facts.failed or facts.packaging_failed) else DONE


def _facts(client: Client, since: datetime) -> _Facts:
    search = search_of(client)
    unfinished, failed = search.unfinished(), search.failed_since(since)
    packaging = {run.id() for run in failed if client.get_task_by_id(run.task()).kind() == "packaging"}
    return _Facts(
        hosts=search.other_hosts(),
        running=[run for run in unfinished if run.status() == "running"],
        queued=[run for run in unfinished if run.status() == "queued"],
        due=search.due_next(_DUE),
        paused=search.suspended(),
        failed=[run for run in failed if run.id() not in packaging],
        packaging_failed=_still_failing(client, (run for run in failed if run.id() in packaging)),
        disk=_sizes(),
        since=since,
    )


def _still_failing(client: Client, runs: Iterable[TaskRun]) -> list[_PackagingFailure]:
    """Of these packaging runs, newest first, that of each name, unless what was uploaded later under the name is ready."""
    newest: dict[object, _PackagingFailure] = {}
    for run in runs:
        one = client.get_orchestration_by_id(client.get_task_by_id(run.task()).orchestration())
        newest.setdefault((one.workspace_id(), one.name() or one.id()), _PackagingFailure(one, run))
    return [failure for failure in newest.values() if not _is_mended(client, failure.orchestration)]


def _is_mended(client: Client, one: Orchestration) -> bool:
    uploads = [] if one.name() is None else search_of(client, one.workspace_id()).orchestrations(str(one.name()))
    return any(later.status() == "ready" for later in takewhile(lambda upload: upload.id() != one.id(), uploads))


def _sizes() -> dict[str, int]:
    from orchlite.core import folders as paths
    from orchlite.core.files import tree_size_bytes

    folder = setting().folder()
    with setting().output().busy("measuring what is on disk"):
        database = sum(tree_size_bytes(path) for path in folder.path.glob(f"{folder.database.name}*"))
        sizes = [database, *map(tree_size_bytes, (folder.bundles, folder.runs, paths.cache_folder()))]
    return {name: size for (_, name), size in zip(_SIZES, sizes, strict=True)}


def _shape(client: Client, facts: _Facts) -> Shape:
    """The status: {store, hosts, running, queued, failed_since, failed, packaging_failed, due, paused, disk}.

    `failed` are runs of programs, `packaging_failed` what never came to that: [{orchestration_id, name, reason, run_id, ended_at, log}],
    where `log` is the command that shows what the installer said. `paused` has tasks in `schedule_error`, too; `disk` is
    {database_bytes, bundles_bytes, runs_bytes, environments_bytes}.
    """
    run, task = run_shapes(client), task_shapes(client)
    return {
        "store": str(client.path()),
        "hosts": facts.hosts,
        "running": [run(one) for one in facts.running],
        "queued": [run(one) for one in facts.queued],
        "failed_since": time_shape(facts.since),
        "failed": [run(one) for one in facts.failed],
        "packaging_failed": [_failure_shape(one) for one in facts.packaging_failed],
        "due": [task(one) for one in facts.due],
        "paused": [task(one) for one in facts.paused],
        "disk": facts.disk,
    }


def _failure_shape(one: _PackagingFailure) -> Shape:
    return {
        "orchestration_id": one.orchestration.id(),
        "name": one.orchestration.name(),
        "reason": one.run.reason() or "",
        "run_id": one.run.id(),
        "ended_at": time_shape(one.run.ended_at()),
        "log": _log_command(short(one.orchestration.id())),
    }


def _log_command(word: str) -> str:
    return setting().command("logs", word, "--packaging", anywhere=True)


def _say(client: Client, facts: _Facts, out: Output, lately: str) -> None:
    _say_who_works(client, facts.hosts, out)
    cells = run_names(client)
    for name, runs in (("running", facts.running), ("queued", facts.queued)):
        _section(out, f"{name} ({len(runs)})", _RUN_COLUMNS, [cells(run) for run in runs])
    _section(out, "due next", ("id", "task", "schedule", "zone", "at"), [_due_cells(task) for task in facts.due])
    columns = ("id", "task", "schedule", "status", "since")
    _section(out, f"paused ({len(facts.paused)})", columns, [_paused_cells(task) for task in facts.paused])
    _section(out, f"failed {lately} ({len(facts.failed)})", _RUN_COLUMNS, [cells(run) for run in facts.failed[:_SHOWN_FAILURES]])
    _say_packaging_failed(facts.packaging_failed, out, lately)
    if not any((facts.running, facts.queued, facts.due, facts.paused, facts.failed, facts.packaging_failed)):
        out.line(f"nothing runs, is queued or due, or has failed {lately}")
    out.heading("on disk")
    out.facts({title: bytes_text(facts.disk[name]) for title, name in _SIZES})


def _say_who_works(client: Client, hosts: int, out: Output) -> None:
    start = setting().command("start", anywhere=True)
    others = f"{counted(hosts, 'other process').replace('processs', 'processes')} at work on it"
    out.line(f"{client.path()}, {others if hosts else f'no other process at work on it: schedules are kept by `{start}`'}")


def _section(out: Output, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        out.heading(title)
        out.table(columns, rows)


def _say_packaging_failed(found: Sequence[_PackagingFailure], out: Output, lately: str) -> None:
    rows = [_failure_cells(one) for one in found[:_SHOWN_FAILURES]]
    _section(out, f"packaging failed {lately} ({len(found)})", ("id", "name", "at", "why"), rows)
    if found:
        out.line(f"`{_log_command('ID')}` has what the installer said")


def _failure_cells(one: _PackagingFailure) -> tuple[object, ...]:
    why = (one.run.reason() or "").partition("\n")[0]
    first_sentence = re.split(r"(?<=\.) ", why, maxsplit=1)[0]
    return short(one.orchestration.id()), one.orchestration.name(), one.run.ended_at(), first_sentence


def _due_cells(task: Task) -> tuple[object, ...]:
    return short(task.id()), task.name(), task.schedule() or task.kind(), task.timezone(), time_text(task.next_run_at(), task.timezone())


def _paused_cells(task: Task) -> tuple[Any, ...]:
    return short(task.id()), task.name(), task.schedule() or task.kind(), task.status(), task.updated_at()
