"""The verb `health`, for monitors, and the alarms that `status` shows first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import click

from orchlite.cli.errors import FAILED, SUCCESS
from orchlite.cli.json_models import JsonObject, time_json
from orchlite.cli.lists import Names, open_store
from orchlite.cli.lookup import lookup_of
from orchlite.cli.options import Moment, Verb, common_options
from orchlite.cli.output import Output, time_text
from orchlite.client.failures import why_failed
from orchlite.core.clock import SystemClock
from orchlite.core.durations import seconds_text
from orchlite.core.text import counted, one_line, short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.health import Health
    from orchlite.client.task import Task
    from orchlite.client.task_run import TaskRun
    from orchlite.operations.liveness import SignOfLife

_RECENT = timedelta(days=1)
_OVERDUE_COLUMNS = ("id", "task", "runs", "schedule", "due at", "late by")


class _Problem(NamedTuple):
    kind: str
    text: str
    task_id: str | None = None
    run_id: str | None = None
    at: datetime | None = None


@click.command(cls=Verb, anywhere=True, short_help="Exit with 1 if schedules are not kept or something has failed.")
@click.option("--since", type=Moment(), help="Examine what has happened since this time.  [default: 24h ago]")
def health(since: datetime | None) -> int:
    """Examine the schedules of the whole store, for monitors: print a line for each problem, and exit with 1 if there is one.

    Problems are schedules that no process keeps, a process that no longer works, runs on a cluster that no process waits for, tasks that
    are overdue, in schedule_error or in crash_loop, and, since the time given, runs and packaging that have failed, and slots that were
    late, missed or skipped.
    """
    with open_store() as (client, out):
        found = lookup_of(client).health(since or SystemClock().now() - _RECENT)
        problems = list(_problems(client, found))
        if out.as_json:
            out.json(_health_json(client, found, problems))
        else:
            _print_health(client, found, problems, out)
        return SUCCESS if found.is_ok else FAILED


def _health_json(client: Client, found: Health, problems: Sequence[_Problem]) -> JsonObject:
    """Return {store, ok, since, kept_by, problems}; `problems` are [{kind, text, task_id, run_id, at}].

    A kind is `unkept`, `stalled`, `unattended`, `overdue`, `schedule_error`, `crash_loop`, `failed`, `packaging_failed`, `late` or
    `skipped`.
    """
    return {
        "store": str(client.path()),
        "ok": found.is_ok,
        "since": time_json(found.since),
        "kept_by": signs_json(found.keeping.kept_by),
        "problems": [{**problem._asdict(), "at": time_json(problem.at)} for problem in problems],
    }


def signs_json(signs: Sequence[SignOfLife]) -> list[JsonObject]:
    """Return [{process_id, seen_at}] of processes that keep schedules."""
    return [{"process_id": sign.process_id, "seen_at": time_json(sign.at)} for sign in signs]


def _print_health(client: Client, found: Health, problems: Sequence[_Problem], out: Output) -> None:
    for problem in problems:
        out.alarm(one_line(f"{problem.kind}: {problem.text}"))
    if not problems:
        out.line(f"{client.path()}: {keepers_text(found) or 'there are no schedules to keep'}; nothing is wrong")


def keepers_text(found: Health) -> str:
    """Return which processes keep the schedules, and when they last worked; empty if none does."""
    at_work = [sign for sign in found.keeping.kept_by if sign not in found.keeping.stalled]
    if not at_work:
        return ""
    numbers = ", ".join(str(sign.process_id) for sign in at_work)
    keep = f"process {numbers} keeps" if len(at_work) == 1 else f"processes {numbers} keep"
    return f"{keep} its schedules, last seen {_ago(at_work[0].at)}"


def alarm_texts(found: Health) -> list[str]:
    """Return what must be mended before any schedule is kept again, and before the ends of runs on a cluster are known."""
    return [problem.text for problem in (*_unkept(found), *_stalled(found), *_unattended(found))]


def print_alarms(found: Health, out: Output) -> None:
    """Print `alarm_texts`, and what is overdue."""
    for text in alarm_texts(found):
        out.alarm(text)
    if found.overdue:
        out.alarm(f"\noverdue ({len(found.overdue)})")
        out.table(_OVERDUE_COLUMNS, [_overdue_cells(task) for task in found.overdue])


def _problems(client: Client, found: Health) -> Iterator[_Problem]:
    yield from _unkept(found)
    yield from _stalled(found)
    yield from _unattended(found)
    for task in found.overdue:
        at = task.next_run_at()
        yield _Problem("overdue", f"{_title(task)}: it was due at {time_text(at, task.timezone())}", task.id(), at=at)
    for task in found.unsound:
        yield _Problem(str(task.status()), f"{_title(task)}: {task.reason() or ''}", task.id(), at=task.updated_at())
    names = Names(client)
    for kind, runs in (("failed", found.failed), ("late", found.late), ("skipped", found.skipped)):
        yield from _run_problems(kind, runs, names)
    for failure in found.packaging_failed:
        one, why = failure.orchestration, (failure.run.reason() or "").partition("\n")[0]
        yield _Problem("packaging_failed", f"{one.name() or short_id(one.id())}: {why}", run_id=failure.run.id(), at=failure.run.ended_at())


def _run_problems(kind: str, runs: Sequence[TaskRun], names: Names) -> Iterator[_Problem]:
    """Yield one problem for each task, about its newest run."""
    of_tasks: dict[str, list[TaskRun]] = {}
    for run in runs:
        of_tasks.setdefault(run.task(), []).append(run)
    for newest, *others in of_tasks.values():
        slot, reason = newest.scheduled_at(), why_failed(newest) if kind == "failed" else newest.reason()
        why = f" ({reason})" if reason else ""
        what = {
            "failed": f"{counted(1 + len(others), 'run')} failed, last {short_id(newest.id())} as {newest.status()}",
            "late": f"{counted(1 + len(others), 'run')} late, last for {time_text(slot)}: {newest.status()}",
            "skipped": f"missed or skipped slots, last {time_text(slot)}",
        }[kind]
        yield _Problem(kind, f"{names.task(newest.task())}: {what}{why}", newest.task(), newest.id(), slot or newest.ended_at())


def _unkept(found: Health) -> Iterator[_Problem]:
    if found.keeping.is_unkept:
        words = ("start", "--adopt-copy") if found.keeping.is_copy else ("start",)
        start = f"run `{common_options().command(*words, anywhere=True)}`"
        way_out = f"this store is a copy; unless the original keeps them, {start}" if found.keeping.is_copy else start
        yield _Problem("unkept", f"nobody keeps the schedules of {counted(found.keeping.recurring, 'task')}: {way_out}")


def _stalled(found: Health) -> Iterator[_Problem]:
    for sign in found.keeping.stalled:
        yield _Problem("stalled", f"process {sign.process_id} has kept no schedule since {time_text(sign.at)}: restart it", at=sign.at)


def _unattended(found: Health) -> Iterator[_Problem]:
    of_engines: dict[str, list[TaskRun]] = {}
    for run in found.unattended:
        if (placement := run.placement()) is not None:
            of_engines.setdefault(placement.engine, []).append(run)
    for engine, [first, *others] in of_engines.items():
        count = counted(1 + len(others), "run")
        text = f"{count} on {engine}, and no host waits for {'them' if others else 'it'}: {awaited_host_text(engine)}"
        yield _Problem("unattended", text, run_id=first.id(), at=first.started_at())


def awaited_host_text(engine: str) -> str:
    """Return how a host with this engine is started."""
    kind, _, url = engine.partition(" at ")
    if kind != "ray":
        return f"start a host with the engine {engine!r:.40}"
    return f"run `{common_options().command('start', '--ray', url, anywhere=True)}`"


def _overdue_cells(task: Task) -> tuple[object, ...]:
    at = task.next_run_at()
    late = None if at is None else (SystemClock().now() - at).total_seconds()
    when = task.schedule() or task.kind(), time_text(at, task.timezone()), seconds_text(late)
    return short_id(task.id()), task.name(), short_id(task.orchestration()), *when


def _title(task: Task) -> str:
    return task.name() or short_id(task.id())


def _ago(at: datetime) -> str:
    return f"{max(0, (SystemClock().now() - at).total_seconds()):.0f} s ago"
