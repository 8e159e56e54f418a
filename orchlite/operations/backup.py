"""Copies of a store: made while it is at work, and made into a store again.

A backup is a folder that is laid out like a store, with `backup.json` beside. Rows are copied first, and then the files that they
speak of, which are there already; so a copy never promises what it has not. It must never do what the original does, or did: what was
queued or running is over in the copy. Both kinds of copy are made aside and renamed, so there is a whole one or none.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from orchlite.core.errors import BadArgument, BadSchedule, Conflict, DeviceFailed, StorageFull, StoreDamaged, StoreTooNew
from orchlite.core.files import exclusive_lock, fsync_folder, is_disk_full, is_locked, remove_tree
from orchlite.core.folders import StoreFolder
from orchlite.core.hints import Api
from orchlite.core.records import RunResult
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.core.version import VERSION
from orchlite.operations import dispatch, outcome
from orchlite.operations.context import Context
from orchlite.store import events
from orchlite.store.database import Database, Transaction
from orchlite.store.maintenance import StoreMaintenance, UnfinishedRun
from orchlite.store.migrate import migrations
from orchlite.store.store import Store

_MANIFEST = "backup.json"
_FORMAT = 1
_MARK = "unfinished"
# A run's program may leave files that nobody can read, and tidying or pruning removes some while they are copied.
_LEFT_OUT = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG})
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP})
_log = logging.getLogger(__name__)


def backup(context: Context, target: Path) -> Path:
    """Copy the store into a new folder, whose path is answered: rows, bundles, and the folders of runs that have ended.

    Others go on working meanwhile; the copy has all that was acknowledged before. It is durable, and readable by this account only: it
    holds the same secrets as the store.

    Raises:
        Conflict: there is something of that name already.
        BadArgument: it would lie inside the store.
        StorageFull, DeviceFailed: it cannot be written. Nothing is left of it.
    """
    if os.path.lexists(target):
        raise Conflict(f"{str(target)!r} is there already.", hint="A backup is a new folder: give another name.", path=str(target))
    if target.resolve().is_relative_to(context.folder.path.resolve()):
        raise BadArgument(f"{str(target)!r} lies inside the store.", hint="A backup belongs outside of it.", argument="path")
    now = context.clock.now()
    with _made_aside(target) as part:
        folder = StoreFolder(part)
        folder.make()
        context.store.copy_to(folder.database)
        with closing(Store(folder.database)) as copy:
            _copy_bundles(context, folder, copy)
            _copy_runs(context, folder, copy)
            with copy.transaction() as transaction:
                _end_what_is_unfinished(copy, transaction, now)
                events.record(transaction, "store", "store", None, "backed_up", now)
            _write_manifest(part, copy.maintenance.schema_version(), now)
    return target


def restore(source: Path, into: Path, now: datetime) -> None:
    """Make a store of a backup, in a folder that is new or empty. The backup stays as it is.

    Raises:
        BadArgument: `source` is no backup.
        Conflict: `into` is not empty.
        StoreTooNew: a newer orchlite made the backup.
        StoreDamaged: the backup's database is damaged.
        StorageFull, DeviceFailed: the store cannot be written. Nothing is left of it.
    """
    _check_manifest(source)
    if os.path.lexists(into) and not (into.is_dir() and not any(into.iterdir())):
        raise Conflict(f"{str(into)!r} is there already.", hint="A backup is restored into a new or an empty folder.", path=str(into))
    copied = StoreFolder(source)
    for path in (copied.database, copied.bundles, copied.runs):
        if not path.exists():
            raise _damaged(source, f"it has no {path.name}")
    with _made_aside(into) as part:
        written = StoreFolder(part)
        for path in source.glob(f"{copied.database.name}*"):  # a -wal file, too, where somebody has opened the backup as a store
            shutil.copy2(path, part)
        _check_database(written.database, source)
        _copy_tree(copied.bundles, written.bundles)
        _copy_tree(copied.runs, written.runs)
        written.make()
        _skip_what_was_due(written.database, now)


@contextmanager
def _made_aside(target: Path) -> Iterator[Path]:
    """A folder that has its name, durably, once the block has filled it; nothing is left where the block raises.

    What a killed process left of an earlier one is removed first.
    """
    part = target.with_name(f"{target.name}.part")
    with _device_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(part)
        part.mkdir(mode=0o700)
        with exclusive_lock(part / _MARK):
            try:
                yield part
                _sync(part)
                part.rename(target)
                fsync_folder(target.parent)
                (target / _MARK).unlink()
            except BaseException:
                remove_tree(part)
                raise


def _clear_abandoned(part: Path) -> None:
    mark = part / _MARK
    if mark.exists() and not is_locked(mark):
        remove_tree(part)
    with suppress(OSError):
        part.rmdir()  # it was killed before it could leave its mark
    if os.path.lexists(part):
        raise Conflict(
            f"{str(part)!r} is there already.", hint="Another backup is being written there, or it is no backup: move it.", path=str(part)
        )


def _sync(folder: Path) -> None:
    # One for all: an fsync for each of several files of every run would take minutes.
    os.sync()
    for path in (StoreFolder(folder).database, folder):  # once more, since these say whether it worked
        fsync_folder(path)


@contextmanager
def _device_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_full = is_disk_full(error)
        kind, hint = (StorageFull, "Make room") if is_full else (DeviceFailed, "Mend that")
        raise kind(
            f"{str(target)!r} could not be made: {error}.", hint=f"{hint} and try again, or give another folder.", path=str(target)
        ) from error


def _copy_bundles(context: Context, folder: StoreFolder, copy: Store) -> None:
    for sha, _ in copy.maintenance.bundles():
        try:
            _link_or_copy(context.bundles.path(sha), folder.bundles)
        except FileNotFoundError:
            _drop_deleted(context, copy, sha)


def _link_or_copy(path: Path, folder: Path) -> None:
    """A bundle never changes, so both names may mean one file."""
    try:
        os.link(path, folder / path.name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(path, folder)


def _drop_deleted(context: Context, copy: Store, sha: str) -> None:
    """The bundle is gone: its orchestrations were deleted since the rows were copied. One that was not is damaged, and `check` says so."""
    remaining = context.store.maintenance.orchestrations_of(sha)
    with copy.transaction() as transaction:
        for orchestration_id in set(copy.maintenance.orchestrations_of(sha)) - set(remaining):
            copy.orchestrations.delete(transaction, orchestration_id)


def _copy_runs(context: Context, folder: StoreFolder, copy: Store) -> None:
    for page in copy.maintenance.all_ended_runs():
        for run in page:
            source = context.folder.run(run.run_id).path
            if source.is_dir():  # else it never had a folder, or was pruned a moment ago
                _copy_tree(source, folder.run(run.run_id).path, _LEFT_OUT)


def _copy_tree(source: Path, target: Path, left_out: frozenset[int] = frozenset()) -> None:
    """Copy files, folders and links; pipes and sockets are left out, and files whose errors are named."""
    waiting = [(str(source), str(target))]
    while waiting:
        folder, copy = waiting.pop()
        os.mkdir(copy, 0o700)  # noqa: PTH102 - texts all the way: there may be many
        for entry in _listed(folder, left_out):
            destination = f"{copy}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, destination))
            else:
                _copy_entry(entry, destination, left_out)


def _listed(folder: str, left_out: frozenset[int]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        _leave_out(error, left_out)
        return []


def _copy_entry(entry: os.DirEntry[str], destination: str, left_out: frozenset[int]) -> None:
    try:
        if entry.is_symlink() or entry.is_file(follow_symlinks=False):
            shutil.copy2(entry.path, destination, follow_symlinks=False)
    except OSError as error:
        _leave_out(error, left_out)


def _leave_out(error: OSError, left_out: frozenset[int]) -> None:
    if error.errno not in left_out:
        raise error
    if error.errno != errno.ENOENT:
        _log.warning("not in the backup: %s", error)


# What becomes, in a copy, of what was under way


def _end_what_is_unfinished(copy: Store, transaction: Transaction, now: datetime) -> None:
    for untold in copy.runs.pending_notifications():
        copy.runs.notification_sent(transaction, untold.run_id)  # by the original
    for run in copy.maintenance.unfinished_runs():
        if run.kind is TaskKind.PACKAGING:
            _pack_anew(copy, transaction, run, now)
        else:
            _end(copy, transaction, run, now)


def _pack_anew(copy: Store, transaction: Transaction, run: UnfinishedRun, now: datetime) -> None:
    """Packaging is repeatable: whoever restores the copy does it."""
    reason = "it was being packaged when the backup was made"
    if run.status is RunStatus.RUNNING:
        copy.runs.requeue(transaction, run.run_id, now, reason)
    if copy.orchestrations.status(transaction, run.orchestration_id) is OrchestrationStatus.PACKAGING:
        copy.orchestrations.move(transaction, run.orchestration_id, OrchestrationStatus.PENDING_PACKAGING, now, reason)


def _end(copy: Store, transaction: Transaction, run: UnfinishedRun, now: datetime) -> None:
    """Only the original runs it, or knows how it ended."""
    status = RunStatus.UNKNOWN if run.status is RunStatus.RUNNING else RunStatus.KILLED
    reason = f"it was {run.status} when the backup was made, so only the original store knows more"
    copy.runs.end(transaction, run.run_id, RunResult(status, None, None, now, None, reason))
    if copy.tasks.status(transaction, run.task_id) is TaskStatus.PENDING:
        # What is to run again and again has lost one run with this, and what was to run once has lost its only one.
        target = TaskStatus.FAILED if run.kind is TaskKind.ONCE else TaskStatus.STARTED
        copy.tasks.move(transaction, run.task_id, target, now, reason)
    outcome.advance_task(copy, transaction, run.task_id, now)


def _skip_what_was_due(database: Path, now: datetime) -> None:
    """Slots since the backup are the original's: it may have run them."""
    with closing(Store(database)) as store, store.transaction() as transaction:
        for task in store.tasks.all_due(transaction, now):
            if task.schedule is not None:
                with suppress(BadSchedule):  # whoever keeps the schedules will find out
                    dispatch.skip_until(store, transaction, task, now, "it passed before the store was restored from a backup")


# The manifest


def _write_manifest(part: Path, schema_version: int, now: datetime) -> None:
    content = {"format": _FORMAT, "orchlite": VERSION, "schema": schema_version, "created_at": now.isoformat()}
    path = part / _MANIFEST
    path.touch(mode=0o600)
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _check_manifest(source: Path) -> None:
    manifest = _read_manifest(source)
    if manifest["format"] > _FORMAT or manifest["schema"] > len(migrations()):
        raise StoreTooNew(
            f"The backup {str(source)!r} was made by orchlite {manifest['orchlite']!s:.40}, which is newer than this one, {VERSION}.",
            hint="Nothing was restored. Upgrade orchlite: pip install -U orchlite.",
            version=manifest["schema"],
        )


def _read_manifest(source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((source / _MANIFEST).read_bytes())
        return {"format": int(manifest["format"]), "schema": int(manifest["schema"]), "orchlite": manifest["orchlite"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadArgument(
            f"{str(source)!r} is no backup: it has no readable {_MANIFEST}.",
            hint="Give a folder that " + Api.BACKUP + " made.",
            argument="path",
        ) from error


def _check_database(path: Path, source: Path) -> None:
    """The copy, so that the backup is not touched, not even by opening it."""
    try:
        with closing(Database(path)) as database:
            maintenance = StoreMaintenance(database)
            wrong = maintenance.damage() or ([] if maintenance.schema_version() else ["it has no tables"])
    except StoreDamaged as error:
        wrong = [str(error.__cause__)]
    if wrong:
        raise _damaged(source, wrong[0])


def _damaged(source: Path, what: str) -> StoreDamaged:
    return StoreDamaged(f"The backup {str(source)!r} is damaged: {what}.", hint="Nothing was restored. Use another backup.")
