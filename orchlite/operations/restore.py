"""Restores a store from a backup."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import datetime
from pathlib import Path

from orchlite.core.errors import Conflict, StoreDamaged
from orchlite.core.files import copy_file, is_file
from orchlite.core.folders import StoreFolder
from orchlite.operations.backup_folder import check_manifest, copy_tree, written_aside
from orchlite.operations.copies import skip_passed_slots
from orchlite.store.database import Database
from orchlite.store.maintenance import StoreMaintenance
from orchlite.store.store import Store


def restore(source: Path, into: Path, now: datetime) -> None:
    """Create a store from a backup, in a folder that is new or empty. Block until it is durable. The backup is not changed.

    Slots up to `now`, aware UTC, are skipped.

    Raises:
        BadArgument: `source` is not a backup.
        Conflict: `into` is not empty.
        StoreTooNew: a newer orchlite made the backup.
        StoreDamaged: the backup is damaged.
        StorageFull, DeviceFailed: the store cannot be written, and nothing is left of it.
    """
    check_manifest(source)
    if os.path.lexists(into) and not (into.is_dir() and not any(into.iterdir())):
        raise Conflict(f"{str(into)!r} exists already.", hint="A backup is restored into a new or an empty folder.", path=str(into))
    saved = StoreFolder(source)
    for path in (saved.database, saved.bundles, saved.runs):
        if not path.exists():
            raise _damaged(source, f"it has no {path.name}")
    _check_files(saved)
    with written_aside(into) as part:
        restored = StoreFolder(part)
        for path in source.glob(f"{saved.database.name}*"):  # and its -wal file, which exists if the backup was opened as a store
            copy_file(path, part / path.name)
        _check_database(restored.database, source)
        copy_tree(saved.bundles, restored.bundles)
        if saved.models.exists():  # it is missing in backups by 0.2.0 and earlier
            copy_tree(saved.models, restored.models)
        copy_tree(saved.runs, restored.runs)
        restored.make()
        with closing(Store(restored.database)) as store, store.transaction() as transaction:
            store.identity.forget(transaction)  # the backup may have been opened as a store
            skip_passed_slots(store, transaction, now, "it passed before the store was restored from a backup")


def _check_database(path: Path, source: Path) -> None:
    """Check the copy at `path`, because merely opening the backup's own file would change it."""
    try:
        with closing(Database(path)) as database:
            maintenance = StoreMaintenance(database)
            problems = maintenance.damage() or ([] if maintenance.schema_version() else ["it has no tables"]) or maintenance.unsafe_names()
    except StoreDamaged as error:
        problems = [str(error.__cause__)]
    if problems:
        raise _damaged(source, problems[0])


def _check_files(saved: StoreFolder) -> None:
    """Refuse links where a store has files and folders of its own; below a run's work folder they are the program's, and stay links.

    Also anything else in place of the database's files: opening a named pipe would block.
    """
    folders, database = (saved.bundles, saved.models, saved.runs), list(saved.path.glob(f"{saved.database.name}*"))
    own = [*folders, *database, *(path for folder in folders for path in folder.glob("*"))]
    attempts = saved.runs.glob("*/*")
    for path in (*own, *attempts, *saved.runs.glob("*/*/*")):
        if path.is_symlink():
            raise _damaged(saved.path, f"{str(path.relative_to(saved.path))!r} is a symbolic link, which no store has there")
    for path in database:
        if not is_file(path):
            raise _damaged(saved.path, f"{path.name!r} is not a regular file")


def _damaged(source: Path, what: str) -> StoreDamaged:
    return StoreDamaged(f"The backup {str(source)!r} is damaged: {what}.", hint="Nothing was restored. Use another backup.")
