"""Prunes what has ended and is old: runs, tasks, events, inference logs, orphaned files, unused environments. Never what is alive.

Rows are deleted first, in small transactions between which other writers have their turn, and then their files: a prune that is killed
leaves folders without a row, which the next prune removes as orphans. Concurrent prunes share the work. The database file does not
shrink: its free pages are used again, while a VACUUM would write the whole file again and block every writer meanwhile.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from orchlite.core.arguments import checked_seconds
from orchlite.core.errors import BadArgument, OrchliteError
from orchlite.core.files import is_locked, remove_tree, tree_size_bytes
from orchlite.core.folders import StoreFolder
from orchlite.core.hints import Api, Argument, PythonOnly
from orchlite.core.settings import Retention
from orchlite.core.tables import table_html
from orchlite.environments.store_references import StoreReference
from orchlite.operations import garbage, preparation
from orchlite.operations.context import Context
from orchlite.store import events
from orchlite.store.maintenance import EndedRun, needed_environments_of

_MIN_AGE = timedelta(minutes=1)
"""A run that has just ended stays: its submitter may be about to read how."""
_INTERVAL = timedelta(days=1)
_MAX_AGE = timedelta(days=36_500)
_COUNTS = 8
"""The first fields of `Pruned` count what was removed."""
_AGES = ("runs_older_than", "events_older_than", "environments_unused_for", "inference_logs_older_than")
_FIELDS = {"bundle": "bundles", "upload": "bundles", "model": "models"}
"""Where `Pruned` counts an orphan of this kind; all others are leftovers."""
_log = logging.getLogger(__name__)


class Pruned(NamedTuple):
    """How many of each kind a prune removed, or would remove. `str()` is one line."""

    runs: int = 0
    tasks: int = 0
    events: int = 0
    bundles: int = 0
    """Bundles that no orchestration refers to, and interrupted uploads, of models as well."""
    models: int = 0
    """Model files that no model refers to."""
    inference_logs: int = 0
    """Inferences whose records were removed: by age, or beyond the limits of a pipeline."""
    leftovers: int = 0
    """Folders of runs that are not in the store, and files of dead hosts."""
    environments: int = 0
    bytes: int = 0
    """The size of all removed files. The database file keeps its size."""
    unseen_stores: tuple[str, ...] = ()
    """Other stores for which all environments stayed: they use the same cache and cannot be read."""
    dry_run: bool = False

    def __str__(self) -> str:
        counts: list[int] = [getattr(self, name) for name in self._fields[:_COUNTS]]
        named = [_counted(count, name.replace("_", " ")) for count, name in zip(counts, self._fields, strict=False) if count]
        verb = "would remove" if self.dry_run else "removed"
        return f"{verb} {', '.join(named)}: {self.bytes / 2**20:.1f} MiB" if named else f"{verb} nothing"

    def _repr_html_(self) -> str:
        return table_html([name.replace("_", " ") for name in self._fields], [self])


def prune(context: Context, retention: Retention, *, dry_run: bool = False, force: bool = False) -> Pruned:
    """Remove what is older than `retention` says, or with `dry_run` only count it. Return what was removed.

    Never removed: what is queued or running, what ended within the last minute, orchestrations and their newest packaging runs, and
    environments that an active task uses, of this store or of another one that shares the cache. While one of these cannot be read, no
    environment is removed, unless `force`: then it is forgotten. Block until it is done; other hosts continue meanwhile.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes. What was removed before stays removed.
        OSError: a folder cannot be listed, or an orphan cannot be removed.
    """
    now = context.clock.now()
    if not dry_run:
        preparation.end(context)  # it uses an environment
    parts = [*_old_rows(context, retention, now, dry_run), *_inference_logs(context, retention, now, dry_run), *_orphans(context, dry_run)]
    if retention.environments_unused_for is not None:
        parts.append(_environments(context, now - retention.environments_unused_for, dry_run, force))
    pruned = _total(parts, dry_run)
    if any(pruned[:_COUNTS]) and not dry_run:
        with context.store.transaction() as transaction:
            events.record(transaction, "store", "store", None, "pruned", now, str(pruned))
    return pruned


def prune_daily(context: Context, retention: Retention) -> Pruned | None:
    """Prune, unless a host has started a daily prune within the last day; then return None. May be called at any interval.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: as `prune`.
        OSError: as `prune`, or the time of this prune cannot be written.
    """
    now = context.clock.now()
    if not is_due(context, now):
        return None
    marker = _marker(context)
    marker.touch(mode=0o600)
    os.utime(marker, (now.timestamp(), now.timestamp()))
    pruned = prune(context, retention)
    for store in pruned.unseen_stores:
        _log.warning("no environment was removed, because the store %s uses the same cache and cannot be read", store)
    return pruned


def is_due(context: Context, now: datetime) -> bool:
    """Return whether the last daily prune was started a day or more before `now`."""
    try:
        started_at = _marker(context).stat().st_mtime
    except FileNotFoundError:
        return True
    return abs(now.timestamp() - started_at) >= _INTERVAL.total_seconds()  # in either direction: the clock may have been set back


def older_than(age: object) -> Retention:
    """Return the retention that keeps nothing that has ended, and nothing unused, for longer than `age`.

    Raises:
        BadArgument: `age` is neither a positive timedelta of at most 36,500 days nor such a text as `"30d"`.
    """
    checked = _checked_age(age, "older_than")
    return Retention(checked, 0, checked, checked, checked)


def checked(retention: object) -> Retention:
    """Return the retention if it and its fields are valid.

    Raises:
        BadArgument: it is no Retention, or one of its fields is out of range.
    """
    if not isinstance(retention, Retention):
        raise BadArgument(
            Argument("retention") + f" is a {type(retention).__name__}.",
            hint=PythonOnly("It takes a Retention(...)."),
            argument="retention",
        )
    ages: dict[str, Any] = {name: _checked_age(age, name) for name in _AGES if (age := getattr(retention, name)) is not None}
    keep = retention.keep_last_runs
    if isinstance(keep, bool) or not isinstance(keep, int) or not 0 <= keep < 2**31:
        raise BadArgument(
            Argument("keep_last_runs") + f" is {keep!r:.80}.", hint="It takes a whole number, 0 or more.", argument="keep_last_runs"
        )
    return retention._replace(**ages)


def _checked_age(age: object, argument: str) -> timedelta:
    if isinstance(age, str):  # a bare number is refused: its unit, seconds or days, would be a guess
        age = timedelta(seconds=checked_seconds(age, argument, _MAX_AGE.total_seconds()))
    if not isinstance(age, timedelta) or not timedelta(0) < age <= _MAX_AGE:
        given = str(age) if isinstance(age, timedelta) else repr(age)
        hint = f"It takes a duration of up to {_MAX_AGE.days} days, such as " + Api.THIRTY_DAYS + "."
        raise BadArgument(Argument(argument) + f" is {given:.80}.", hint=hint, argument=argument)
    return age


def _old_rows(context: Context, retention: Retention, now: datetime, dry_run: bool) -> Iterator[Pruned]:
    if retention.runs_older_than is not None:
        ended_before = now - max(retention.runs_older_than, _MIN_AGE)
        yield from _runs(context, ended_before, retention.keep_last_runs, dry_run)
        yield from _tasks(context, ended_before, dry_run)
    if retention.events_older_than is not None:
        yield from _events(context, now - retention.events_older_than, dry_run)


def _runs(context: Context, ended_before: datetime, keep_last: int, dry_run: bool) -> Iterator[Pruned]:
    kept_from = context.store.maintenance.newest_kept_from(keep_last)
    for page in context.store.maintenance.ended_runs(ended_before):
        run_ids = [run.run_id for run in page if _is_removable(context, run, kept_from)]
        if not dry_run:
            with context.store.transaction() as transaction:
                run_ids = context.store.maintenance.delete_runs(transaction, run_ids, ended_before)
        yield Pruned(runs=len(run_ids), bytes=sum(_remove(context.folder.run(run_id).path, dry_run) for run_id in run_ids))


def _is_removable(context: Context, run: EndedRun, kept_from: dict[str, int]) -> bool:
    is_kept = run.task_id in kept_from and run.number >= kept_from[run.task_id]
    return not (is_kept or is_locked(context.folder.run(run.run_id).alive_lock))


def _remove(folder: Path, dry_run: bool) -> int:
    size_bytes = tree_size_bytes(folder)
    return size_bytes if dry_run or remove_tree(folder) else 0


def _tasks(context: Context, ended_before: datetime, dry_run: bool) -> Iterator[Pruned]:
    for task_ids in context.store.maintenance.finished_tasks(ended_before):
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


def _inference_logs(context: Context, retention: Retention, now: datetime, dry_run: bool) -> Iterator[Pruned]:
    logs, limits, age = context.store.inference_logs, context.settings.limits, retention.inference_logs_older_than
    bounds = {"row_limit": limits.inference_log_rows, "size_limit_bytes": limits.inference_log_bytes}
    before = None if age is None else now - age
    for pipeline in context.store.pipelines.all():
        if dry_run:
            yield Pruned(inference_logs=logs.count_prunable(pipeline.pipeline_id, before, **bounds))
            continue
        while count := _delete_logs(context, pipeline.pipeline_id, before, bounds):
            yield Pruned(inference_logs=count)


def _delete_logs(context: Context, pipeline_id: int, before: datetime | None, bounds: dict[str, int]) -> int:
    logs = context.store.inference_logs
    with context.store.transaction() as transaction:
        count = 0 if before is None else logs.delete_before(transaction, pipeline_id, before)
        return count or logs.trim(transaction, pipeline_id, **bounds)


def _orphans(context: Context, dry_run: bool) -> Iterator[Pruned]:
    for orphan in garbage.find(context):
        size_bytes = tree_size_bytes(orphan.path) if dry_run else garbage.remove(context, orphan)
        if size_bytes is not None:
            counted: dict[str, Any] = {_FIELDS.get(orphan.kind, "leftovers"): 1}
            yield Pruned(bytes=size_bytes, **counted)


def _environments(context: Context, unused_since: datetime, dry_run: bool, force: bool) -> Pruned:
    needed, unseen = _needed_by_others(context, dry_run, force)
    needed |= context.store.maintenance.needed_environments() | ({"environments"} if unseen else set())
    unused = [found for found in context.environments.unused_since(unused_since) if needed.isdisjoint(_names(context, found.path))]
    removed = [found for found in unused if dry_run or context.environments.remove(found.path)]
    return Pruned(environments=len(removed), bytes=sum(found.size_bytes for found in removed), unseen_stores=tuple(unseen))


def _names(context: Context, folder: Path) -> Sequence[str]:
    """Return the parts of a path in the cache: of an environment `environments`, its key and its build."""
    return folder.relative_to(context.environments.cache).parts


def _needed_by_others(context: Context, dry_run: bool, force: bool) -> tuple[set[str], list[str]]:
    """Return the keys of the environments that other stores need, and the stores that cannot be asked; forget those that are gone."""
    needed, unseen = set[str](), list[str]()
    for store in context.environments.other_stores(context.folder.path):
        keys = _keys_needed_by(store)
        if keys is not None:
            needed |= keys
        elif not force and not store.is_gone():
            unseen.append(str(store.path))
        elif not dry_run:
            store.file.unlink(missing_ok=True)
    return needed, unseen


def _keys_needed_by(store: StoreReference) -> set[str] | None:
    """Return the keys of the environments that a store needs; None if there is none at its path, or it cannot be read."""
    database = StoreFolder(store.path).database
    try:
        return needed_environments_of(database) if database.stat().st_size else None
    except (OSError, OrchliteError) as error:
        _log.debug("the store %s cannot be read: %s", store.path, error)
        return None


def _total(parts: Sequence[Pruned], dry_run: bool) -> Pruned:
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in Pruned._fields[: _COUNTS + 1]}
    return Pruned(**sums, dry_run=dry_run, unseen_stores=tuple(store for part in parts for store in part.unseen_stores))


def _counted(count: int, name: str) -> str:
    return f"{count} {name.removesuffix('s') if count == 1 else name}"


def _marker(context: Context) -> Path:
    return context.folder.path / "pruned"
