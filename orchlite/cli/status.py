"""The verb `status`: the state of a whole store."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from orchlite.cli.errors import FAILED, INTERRUPTED, SUCCESS
from orchlite.cli.health import keepers_text, print_alarms, signs_json
from orchlite.cli.json_models import JsonObject, run_json_maker, task_json_maker, time_json
from orchlite.cli.lists import Names, open_store, run_cells
from orchlite.cli.lookup import lookup_of
from orchlite.cli.options import Moment, Verb, common_options
from orchlite.cli.output import Output, can_redraw, time_text
from orchlite.cli.signals import Interrupted, Signals
from orchlite.client.failures import why_failed
from orchlite.core.clock import SystemClock
from orchlite.core.errors import BadArgument
from orchlite.core.sizes import size_text
from orchlite.core.text import short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.health import Health, PackagingFailure
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun

_DUE = 5
_RECENT = timedelta(days=1)
_MAX_FAILURES = 10
_RUN_COLUMNS = ("id", "task", "status", "exit", "started", "took", "slot")
_SIZES = tuple((kind, f"{kind}_bytes") for kind in ("database", "bundles", "models", "runs", "environments"))

_REDRAW_SECONDS = 1.0
_READ_SECONDS = 10.0
_MEASURED_SECONDS = 60.0
_WITH_HOLES = "runs_with_holes_bytes"


class _Facts(NamedTuple):
    """The state of a store."""

    hosts: int
    health: Health
    running: Sequence[TaskRun]
    queued: Sequence[TaskRun]
    due: Sequence[Task]
    paused: Sequence[Task]
    disk: dict[str, int]
    names: Names
    why: Mapping[str, str]
    """Why the failed runs that are listed have failed, by their ids."""


@click.command(cls=Verb, anywhere=True, short_help="Show what is running, queued, due, paused and failed.")
@click.option(
    "--failed-since",
    type=Moment(),
    help="Show failures, and late, missed and skipped slots, since this time, and exit with 1 if there are any.  [default: 24h ago]",
)
@click.option("--watch", is_flag=True, help="Redraw it on the terminal as it changes, until Ctrl-C.")
def status(failed_since: datetime | None, watch: bool) -> int:
    """Show what is running, queued, due next, paused and failed in all workspaces, and the sizes on disk.

    Failed packaging is shown once for each name, and not if a later upload of that name is ready.
    """
    if watch:
        return _watch(failed_since)
    with open_store() as (client, out):
        with out.busy("measuring sizes on disk"):
            disk = _sizes()
        facts = _facts(client, failed_since, disk)
        if out.as_json:
            out.json(_status_json(client, facts))
        else:
            _print_status(client, facts, out, _period(failed_since))
        return FAILED if failed_since is not None and facts.health.has_failures else SUCCESS


def _watch(failed_since: datetime | None) -> int:
    """Redraw the status every second until a signal arrives. The store is read when it has changed, else every ten seconds."""
    out, interrupts = common_options().output(), Signals()
    if out.as_json or not can_redraw(sys.stdout):
        where = "--json prints once" if out.as_json else "standard output is no terminal that can be redrawn"
        way_out = common_options().command("events", "--follow")
        raise BadArgument(f"--watch redraws a terminal, and {where}.", hint=f"`{way_out}` prints what happens.", argument="watch")
    try:
        with interrupts.handled(), open_store() as (client, out), out.redrawn() as show:
            for facts in _changing_facts(client, failed_since):
                show(partial(_print_status, client, facts, out, _period(failed_since)))
                time.sleep(_REDRAW_SECONDS)
    except Interrupted as stop:
        return SUCCESS if stop.exit_code == INTERRUPTED else stop.exit_code
    return SUCCESS


def _changing_facts(client: Client, failed_since: datetime | None) -> Iterator[_Facts]:
    """Yield the state again and again, as it was when it was last read. Sizes on disk are measured once a minute."""
    version, read_at, measured_at, facts, disk = None, 0.0, 0.0, None, _sizes()
    measured_at = time.monotonic()
    while True:
        now, newest = time.monotonic(), lookup_of(client).version()
        if now - measured_at > _MEASURED_SECONDS:
            measured_at, disk = now, _sizes()
        # What depends on the time, such as slots that become overdue, changes without a commit.
        if facts is None or newest != version or now - read_at > _READ_SECONDS:
            version, read_at, facts = newest, now, _facts(client, failed_since, disk)
        yield facts


def _period(failed_since: datetime | None) -> str:
    return "in the last 24 h" if failed_since is None else f"since {time_text(failed_since)}"


def _facts(client: Client, failed_since: datetime | None, disk: dict[str, int]) -> _Facts:
    search = lookup_of(client)
    unfinished, health = search.unfinished(), search.health(failed_since or SystemClock().now() - _RECENT)
    overdue = set(health.overdue)
    return _Facts(
        hosts=search.other_hosts(),
        health=health,
        running=[run for run in unfinished if run.status() == "running"],
        queued=[run for run in unfinished if run.status() == "queued"],
        due=[task for task in search.due_next(_DUE + len(overdue)) if task not in overdue],
        paused=search.suspended(),
        disk=disk,
        names=Names(client),
        why={run.id(): why_failed(run) for run in health.failed[:_MAX_FAILURES]},
    )


def _sizes() -> dict[str, int]:
    from orchlite.core import folders
    from orchlite.core.files import tree_size, tree_size_bytes

    folder = common_options().store_folder()
    database = sum(tree_size_bytes(path) for path in folder.path.glob(f"{folder.database.name}*"))
    runs = tree_size(folder.runs)
    bundles, models, environments = map(tree_size_bytes, (folder.bundles, folder.models, folders.cache_folder()))
    sizes = (database, bundles, models, runs.allocated_bytes, environments)
    return {name: size for (_, name), size in zip(_SIZES, sizes, strict=True)} | {_WITH_HOLES: runs.apparent_bytes}


def _status_json(client: Client, facts: _Facts) -> JsonObject:
    """Return the state: {store, hosts, kept_by, unkept, unattended, overdue, running, queued, failed_since, failed, late, skipped, …}.

    The others are `packaging_failed`, `due`, `paused` and `disk`. `kept_by` is [{process_id, seen_at}], the processes that keep schedules;
    `unkept`, whether there are schedules that none keeps. `unattended`, `failed`, `late` and `skipped` are runs of programs, the first of
    them on a cluster, where no process waits for them; `overdue` are tasks. `packaging_failed` is [{orchestration_id, name, reason, run_id,
    ended_at, log}], where `log` is the command that shows the installer's log. `paused` includes tasks in `schedule_error`. `disk` is
    {database_bytes, bundles_bytes, models_bytes, runs_bytes, environments_bytes, runs_with_holes_bytes}; the last is the sum of the sizes
    that `ls` shows for the files of runs.
    """
    run, task, health = run_json_maker(client), task_json_maker(client), facts.health
    return {
        "store": str(client.path()),
        "hosts": facts.hosts,
        "kept_by": signs_json(health.keeping.kept_by),
        "unkept": health.keeping.is_unkept,
        "unattended": [run(one) for one in health.unattended],
        "overdue": [task(one) for one in health.overdue],
        "running": [run(one) for one in facts.running],
        "queued": [run(one) for one in facts.queued],
        "failed_since": time_json(health.since),
        "failed": [run(one) for one in health.failed],
        "late": [run(one) for one in health.late],
        "skipped": [run(one) for one in health.skipped],
        "packaging_failed": [_failure_json(one) for one in health.packaging_failed],
        "due": [task(one) for one in facts.due],
        "paused": [task(one) for one in facts.paused],
        "disk": facts.disk,
    }


def _failure_json(one: PackagingFailure) -> JsonObject:
    return {
        "orchestration_id": one.orchestration.id(),
        "name": one.orchestration.name(),
        "reason": one.run.reason() or "",
        "run_id": one.run.id(),
        "ended_at": time_json(one.run.ended_at()),
        "log": _log_command(short_id(one.orchestration.id())),
    }


def _log_command(word: str) -> str:
    return common_options().command("logs", word, "--packaging", anywhere=True)


def _print_status(client: Client, facts: _Facts, out: Output, period: str) -> None:
    _print_hosts(client, facts, out)
    print_alarms(facts.health, out)
    names, health = facts.names, facts.health
    for name, runs in (("running", facts.running), ("queued", facts.queued)):
        _section(out, f"{name} ({len(runs)})", _RUN_COLUMNS, [run_cells(run, names) for run in runs])
    _section(out, "due next", ("id", "task", "runs", "schedule", "zone", "at"), [_due_cells(task) for task in facts.due])
    columns = ("id", "task", "runs", "schedule", "status", "since")
    _section(out, f"paused ({len(facts.paused)})", columns, [_paused_cells(task) for task in facts.paused])
    _print_failed(facts, out, period)
    late = [run_cells(run, names) for run in health.late[:_MAX_FAILURES]]
    _section(out, f"late {period} ({len(health.late)})", _RUN_COLUMNS, late)
    skipped = [_skipped_cells(run, names) for run in health.skipped[:_MAX_FAILURES]]
    _section(out, f"missed or skipped {period} ({len(health.skipped)})", ("task", "slot", "why"), skipped)
    _print_packaging_failed(health.packaging_failed, out, period)
    if not (any((facts.running, facts.queued, facts.due, facts.paused)) or health.has_failures):
        out.line(f"nothing is running, queued, due or paused, and nothing has failed {period}")
    out.heading("on disk")
    out.facts({title: size_text(facts.disk[name]) + _holes_text(facts.disk, name) for title, name in _SIZES})


def _holes_text(disk: Mapping[str, int], name: str) -> str:
    has_holes = name == "runs_bytes" and disk[_WITH_HOLES] > disk[name]
    return f" ({size_text(disk[_WITH_HOLES])} with the holes in files)" if has_holes else ""


def _print_hosts(client: Client, facts: _Facts, out: Output) -> None:
    # Where schedules wait for a host, the alarm below says how to start one.
    start = "" if facts.health.keeping.is_unkept else f"`{common_options().command('start', anywhere=True)}` keeps its schedules"
    others = f"{facts.hosts or 'no'} other process{'es have' if facts.hosts > 1 else ' has'} it open"
    out.line("; ".join(filter(None, (f"{client.path()}: {others}", keepers_text(facts.health) or start))))


def _section(out: Output, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, wraps: bool = False) -> None:
    if rows:
        out.heading(title)
        out.table(columns, rows, wraps=wraps)


def _print_failed(facts: _Facts, out: Output, period: str) -> None:
    runs, task = facts.health.failed, facts.names.task
    cells = [(short_id(run.id()), task(run.task()), run.status(), run.ended_at(), facts.why[run.id()]) for run in runs[:_MAX_FAILURES]]
    _section(out, f"failed {period} ({len(runs)})", ("id", "task", "status", "ended", "why"), cells, wraps=True)
    if runs:
        out.line(f"`{common_options().command('logs', 'ID', anywhere=True)}` shows what a run wrote")


def _print_packaging_failed(found: Sequence[PackagingFailure], out: Output, period: str) -> None:
    rows = [_failure_cells(one) for one in found[:_MAX_FAILURES]]
    _section(out, f"packaging failed {period} ({len(found)})", ("id", "name", "at", "why"), rows)
    if found:
        out.line(f"`{_log_command('ID')}` shows the installer's log")


def _failure_cells(one: PackagingFailure) -> tuple[object, ...]:
    why = (one.run.reason() or "").partition("\n")[0]
    first_sentence = re.split(r"(?<=\.) ", why, maxsplit=1)[0]
    return short_id(one.orchestration.id()), one.orchestration.name(), one.run.ended_at(), first_sentence


def _skipped_cells(run: TaskRun, names: Names) -> tuple[object, ...]:
    return names.task(run.task()), time_text(run.scheduled_at(), names.zone(run.task())), run.reason()


def _due_cells(task: Task) -> tuple[object, ...]:
    when = task.schedule() or task.kind(), task.timezone(), time_text(task.next_run_at(), task.timezone())
    return short_id(task.id()), task.name(), short_id(task.orchestration()), *when


def _paused_cells(task: Task) -> tuple[Any, ...]:
    when = task.schedule() or task.kind(), task.status(), task.updated_at()
    return short_id(task.id()), task.name(), short_id(task.orchestration()), *when
