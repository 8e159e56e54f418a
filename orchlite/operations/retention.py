"""Removes what is over and old: runs, tasks, events, files that belong to nothing, environments that nobody uses. Never what lives.

Rows go first, in small transactions between which others have their turn, and then their files: a prune that is killed leaves folders
without a row, which the next one removes. Two prunes at once find less to do each, and nothing wrong. The database file does not
shrink: its free pages are used again by what comes, while a VACUUM would write all of it anew and keep every writer waiting meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from orchlite.core.errors import BadArgument
from orchlite.core.files import is_locked, remove_tree, tree_size_bytes
from orchlite.core.hints import Api, Argument, PythonOnly
from orchlite.core.settings import Retention
from orchlite.core.tables import table_html
from orchlite.operations import garbage
from orchlite.operations.context import Context
from orchlite.store import events
from orchlite.store.maintenance import EndedRun

_JUST_ENDED = timedelta(minutes=1)
"""Somebody may be about to look how it ended."""
_A_DAY = timedelta(days=1)
_LONGEST = timedelta(days=36_500)
_AGES = ("runs_older_than", "events_older_than", "environments_unused_for")


class Pruned(NamedTuple):
    """What a prune removed, or would remove: how many of each kind. `str()` says it in a line."""

    runs: int = 0
    tasks: int = 0
    events: int = 0
    bundles: int = 0
    """Files of bundles that no orchestration has, and of uploads that were interrupted."""
    leftovers: int = 0
    """Folders of runs that are not in the store, and files of hosts that are gone."""
    environments: int = 0
    bytes: int = 0
    """Of all the files. The database's own file keeps its size."""
    dry_run: bool = False

    def __str__(self) -> str:
        counts = (self.runs, self.tasks, self.events, self.bundles, self.leftovers, self.environments)
        named = [_counted(count, name) for count, name in zip(counts, self._fields, strict=False) if count]
        verb = "would remove" if self.dry_run else "removed"
        return f"{verb} {', '.join(named)}: {self.bytes / 2**20:.1f} MiB" if named else f"{verb} nothing"

    def _repr_html_(self) -> str:
        return table_html([name.replace("_", " ") for name in self._fields], [self])


def prune(context: Context, retention: Retention, *, dry_run: bool = False) -> Pruned:
    """Remove what is older than `retention` says; with `dry_run` only count it. Answers what was removed.

    Never removed: what is queued or running, what ended within the last minute, orchestrations, the packaging run of each, and
    environments in which a live task of this store runs. Blocks until it is done; others go on meanwhile.

    Raises:
        StoreBusy: another process keeps the store locked. What was removed until then is removed.
    """
    now = context.clock.now()
    parts = [*_old_rows(context, retention, now, dry_run), *_leftovers(context, dry_run)]
    if retention.environments_unused_for is not None:
        parts.append(_environments(context, now - retention.environments_unused_for, dry_run))
    pruned = _total(parts, dry_run)
    if any(pruned[:-2]) and not dry_run:
        with context.store.transaction() as transaction:
            events.record(transaction, "store", "store", None, "pruned", now, str(pruned))
    return pruned


def prune_daily(context: Context, retention: Retention) -> Pruned | None:
    """Prune, unless that was begun within the last day, by whichever host; None then. To be called every now and then."""
    now = context.clock.now()
    if not is_due(context, now):
        return None
    mark = _mark(context)
    mark.touch(mode=0o600)
    os.utime(mark, (now.timestamp(), now.timestamp()))
    return prune(context, retention)


def is_due(context: Context, now: datetime) -> bool:
    """Whether the daily prune has not been begun within a day of this moment."""
    try:
        begun_at = _mark(context).stat().st_mtime
    except FileNotFoundError:
        return True
    return abs(now.timestamp() - begun_at) >= _A_DAY.total_seconds()  # either way: the clock may have been set back


def older_than(age: object) -> Retention:
    """What keeps nothing that is over for longer than this.

    Raises:
        BadArgument: it is no positive timedelta.
    """
    checked = _checked_age(age, "older_than")
    return Retention(checked, 0, checked, checked)


def checked(retention: object) -> Retention:
    """A retention whose fields can be meant.

    Raises:
        BadArgument: one cannot.
    """
    if not isinstance(retention, Retention):
        raise BadArgument(
            Argument("retention") + f" is a {type(retention).__name__}.",
            hint=PythonOnly("It takes a Retention(...)."),
            argument="retention",
        )
    for name in _AGES:
        if getattr(retention, name) is not None:
            _checked_age(getattr(retention, name), name)
    keep = retention.keep_last_runs
    if isinstance(keep, bool) or not isinstance(keep, int) or not 0 <= keep < 2**31:
        raise BadArgument(
            Argument("keep_last_runs") + f" is {keep!r:.80}.", hint="It takes a whole number, 0 or more.", argument="keep_last_runs"
        )
    return retention


def _checked_age(age: object, argument: str) -> timedelta:
    if not isinstance(age, timedelta) or not timedelta(0) < age <= _LONGEST:
        given = str(age) if isinstance(age, timedelta) else repr(age)
        hint = f"It takes a duration of up to {_LONGEST.days} days, such as " + Api.THIRTY_DAYS + "."
        raise BadArgument(Argument(argument) + f" is {given:.80}.", hint=hint, argument=argument)
    return age


def _old_rows(context: Context, retention: Retention, now: datetime, dry_run: bool) -> Iterator[Pruned]:
    if retention.runs_older_than is not None:
        ended_before = now - max(retention.runs_older_than, _JUST_ENDED)
        yield from _runs(context, ended_before, retention.keep_last_runs, dry_run)
        yield from _tasks(context, ended_before, dry_run)
    if retention.events_older_than is not None:
        yield from _events(context, now - retention.events_older_than, dry_run)


def _runs(context: Context, ended_before: datetime, keep_last: int, dry_run: bool) -> Iterator[Pruned]:
    begins = context.store.maintenance.history_begins(keep_last)
    for page in context.store.maintenance.ended_runs(ended_before):
        run_ids = [run.run_id for run in page if _may_go(context, run, begins)]
        if not dry_run:
            with context.store.transaction() as transaction:
                run_ids = context.store.maintenance.delete_runs(transaction, run_ids, ended_before)
        yield Pruned(runs=len(run_ids), bytes=sum(_clear(context.folder.run(run_id).path, dry_run) for run_id in run_ids))


def _may_go(context: Context, run: EndedRun, begins: dict[str, int]) -> bool:
    is_kept = run.number >= begins.get(run.task_id, run.number + 1)
    return not (is_kept or is_locked(context.folder.run(run.run_id).alive_lock))


def _clear(folder: Path, dry_run: bool) -> int:
    size = tree_size_bytes(folder)
    return size if dry_run or remove_tree(folder) else 0


def _tasks(context: Context, over_before: datetime, dry_run: bool) -> Iterator[Pruned]:
    for task_ids in context.store.maintenance.finished_tasks(over_before):
        count = len(task_ids)
        if not dry_run:
            with context.store.transaction() as transaction:
                count = context.store.maintenance.delete_tasks(transaction, task_ids)
        yield Pruned(tasks=count)


def _events(context: Context, before: datetime, dry_run: bool) -> Iterator[Pruned]:
    for event_ids in context.store.maintenance.events_before(before):
        count = len(event_ids)
        if not dry_run:
            with context.store.transaction() as transaction:
                count = context.store.maintenance.delete_events(transaction, event_ids)
        yield Pruned(events=count)


def _leftovers(context: Context, dry_run: bool) -> Iterator[Pruned]:
    for leftover in garbage.find(context):
        size = tree_size_bytes(leftover.path) if dry_run else garbage.remove(context, leftover)
        if size is not None:
            is_bundle = leftover.kind in ("bundle", "upload")
            yield Pruned(bundles=1, bytes=size) if is_bundle else Pruned(leftovers=1, bytes=size)


def _environments(context: Context, unused_since: datetime, dry_run: bool) -> Pruned:
    needed = context.store.maintenance.needed_environments()
    unused = [found for found in context.environments.unused_since(unused_since) if needed.isdisjoint(found.path.parts)]
    gone = [found for found in unused if dry_run or context.environments.remove(found.path)]
    return Pruned(environments=len(gone), bytes=sum(found.size_bytes for found in gone))


def _total(parts: Sequence[Pruned], dry_run: bool) -> Pruned:
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in Pruned._fields[:-1]}
    return Pruned(**sums, dry_run=dry_run)


def _counted(count: int, name: str) -> str:
    return f"{count} {name.removesuffix('s') if count == 1 else name}"


def _mark(context: Context) -> Path:
    return context.folder.path / "pruned"
