"""Backs up a store while hosts use it.

Rows are copied first, and then the files that they refer to, which exist by then; so the copy refers to nothing that it lacks. The copy
must never do what the original does or has done: what was queued or running has ended in the copy.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from datetime import datetime
from pathlib import Path

from orchlite.core.errors import BadArgument, Conflict
from orchlite.core.files import copy_file
from orchlite.core.folders import StoreFolder
from orchlite.operations.backup_folder import copy_tree, write_manifest, written_aside
from orchlite.operations.context import Context
from orchlite.operations.copies import end_unfinished
from orchlite.store import events
from orchlite.store.store import Store

# A program may leave files that this account cannot read, and cleaning up or pruning may remove some during the copy.
_SKIPPED_ERRORS = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG})
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP})


def backup(context: Context, target: Path) -> Path:
    """Copy the store into a new folder: its rows, bundles and models, and the folders of runs that have ended. Return `target`.

    Block until the copy is durable; other hosts continue meanwhile. It contains everything that was committed before the call. It holds the
    same secrets as the store, and only this account can read it.

    Raises:
        Conflict: `target` exists already.
        BadArgument: `target` is inside the store.
        StorageFull, DeviceFailed: the backup cannot be written, and nothing is left of it.
        StoreBusy, StoreDamaged, Closed: the store cannot be read.
    """
    if os.path.lexists(target):
        raise Conflict(f"{str(target)!r} exists already.", hint="A backup is a new folder: give another name.", path=str(target))
    if target.resolve().is_relative_to(context.folder.path.resolve()):
        raise BadArgument(f"{str(target)!r} is inside the store.", hint="Give a folder outside of it.", argument="path")
    now = context.clock.now()
    with written_aside(target) as part:
        folder = StoreFolder(part)
        folder.make()
        context.store.copy_to(folder.database)
        with closing(Store(folder.database)) as copy:
            _copy_bundles(context, folder, copy)
            _copy_models(context, folder, copy, now)
            _copy_runs(context, folder, copy)
            with copy.transaction() as transaction:
                end_unfinished(copy, transaction, now, "when the backup was made")
                copy.identity.forget(transaction)
                events.record(transaction, "store", "store", None, "backed_up", now)
            write_manifest(part, copy.maintenance.schema_version(), now)
    return target


def _copy_bundles(context: Context, folder: StoreFolder, copy: Store) -> None:
    for sha, _ in copy.maintenance.bundles():
        try:
            _link_or_copy(context.bundles.path(sha), folder.bundles)
        except FileNotFoundError:
            _delete_orchestrations(context, copy, sha)


def _link_or_copy(path: Path, folder: Path) -> None:
    """Link a file that never changes; copy it where links are not possible."""
    try:
        os.link(path, folder / path.name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        copy_file(path, folder / path.name)


def _delete_orchestrations(context: Context, copy: Store, sha: str) -> None:
    """Delete the missing bundle's orchestrations from the copy, if they were deleted from the store since its rows were copied.

    One that was not deleted is damaged, in the store as in the copy, and `check` reports it.
    """
    remaining = context.store.maintenance.orchestrations_of(sha)
    with copy.transaction() as transaction:
        for orchestration_id in set(copy.maintenance.orchestrations_of(sha)) - set(remaining):
            copy.orchestrations.delete(transaction, orchestration_id)


def _copy_models(context: Context, folder: StoreFolder, copy: Store, now: datetime) -> None:
    for sha in copy.models.files():
        try:
            _link_or_copy(context.model_files.path(sha), folder.models)
        except FileNotFoundError:
            _delete_models(context, copy, sha, now)


def _delete_models(context: Context, copy: Store, sha: str, now: datetime) -> None:
    """Delete from the copy what was deleted from the store since its rows were copied; see `_delete_orchestrations`."""
    for model_id in copy.models.of_sha(sha) - context.store.models.of_sha(sha):
        with copy.transaction() as transaction:
            copy.models.delete(transaction, model_id, now)


def _copy_runs(context: Context, folder: StoreFolder, copy: Store) -> None:
    for page in copy.maintenance.all_ended_runs():
        for run in page:
            source = context.folder.run(run.run_id).path
            if source.is_dir() and not source.is_symlink():  # else it never had a folder, was pruned, or the program has put a link there
                copied = folder.run(run.run_id)
                copy_tree(source, copied.path, _SKIPPED_ERRORS)
                # Version 0.1.0 wrote the values of secret variables to it, and nothing reads it.
                (copied.attempt(run.attempt).path / "spec.json").unlink(missing_ok=True)
