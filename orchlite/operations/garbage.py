"""Finds and removes orphaned files of a store: those that killed hosts and interrupted removals have left.

Files younger than an hour never count, because some are made before their rows: uploads, and folders of runs that are being submitted.
The age is that of the file, by the machine's clock and not the store's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from orchlite.core.clock import SystemClock
from orchlite.core.content_storage import UPLOAD_SUFFIX, ContentStorage
from orchlite.core.files import is_locked, remove_tree, tree_size_bytes
from orchlite.core.folders import RunFolder
from orchlite.operations import preparation
from orchlite.operations.context import Context
from orchlite.operations.deletion import discard_model_file
from orchlite.store.maintenance import PAGE

_MIN_AGE_SECONDS = 3600.0
_ID_CHARACTERS = 36
_SHA_CHARACTERS = 64


class Orphan(NamedTuple):
    """A file or folder that belongs to no row and no host."""

    kind: str
    """`bundle`, `model`, `upload`, `run folder`, `standby` or `host`."""
    path: Path


def find(context: Context) -> Iterator[Orphan]:
    """Yield every orphan, reading folders and rows in pages.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be read.
        OSError: one of its folders cannot be listed.
    """
    yield from _stored_files(context.bundles, "bundle", context.store.maintenance.unknown_bundles)
    yield from _stored_files(context.model_files, "model", context.store.models.unknown_files)
    yield from _run_folders(context)
    yield from (Orphan("standby", marker) for marker in preparation.abandoned(context))
    yield from _hosts(context)


def remove(context: Context, orphan: Orphan) -> int | None:
    """Check the orphan again, and remove it. Return its size in bytes; None if it stays, or was removed already.

    Raises:
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be locked.
        OSError: it cannot be removed.
    """
    path = orphan.path
    if not os.path.lexists(path):
        return None
    size_bytes = tree_size_bytes(path)
    match orphan.kind:
        case "bundle":
            with context.store.transaction() as transaction:  # as a lock: no upload can refer to these bytes meanwhile
                if context.store.orchestrations.is_referenced(transaction, path.stem):
                    return None
                context.bundles.discard(path.stem)
        case "model":
            return size_bytes if discard_model_file(context, path.name) else None
        case "run folder":
            return size_bytes if _has_no_runner(path) and remove_tree(path) else None
        case "standby":
            preparation.remove_abandoned(context, path)
        case _:
            path.unlink(missing_ok=True)
    return size_bytes


def _stored_files(storage: ContentStorage, kind: str, unknown: Callable[[Collection[str]], set[str]]) -> Iterator[Orphan]:
    for page in _paged(path for path in _entries(storage.folder) if _is_old(path)):
        yield from (Orphan("upload", path) for path in page if path.suffix == UPLOAD_SUFFIX and len(path.stem) == _ID_CHARACTERS)
        shas = [path.stem for path in page if path.suffix == storage.suffix and len(path.stem) == _SHA_CHARACTERS]
        yield from (Orphan(kind, storage.path(sha)) for sha in sorted(unknown(shas)))


def _run_folders(context: Context) -> Iterator[Orphan]:
    for page in _paged(path for path in _entries(context.folder.runs) if len(path.name) == _ID_CHARACTERS):
        for run_id in sorted(context.store.maintenance.unknown_runs([path.name for path in page])):
            path = context.folder.run(run_id).path
            if _is_old(path) and _has_no_runner(path):
                yield Orphan("run folder", path)


def _hosts(context: Context) -> Iterator[Orphan]:
    for path in _entries(context.folder.hosts):
        is_lock = path.suffix == ".lock" or (path.suffix == ".new" and _is_old(path))
        if is_lock and not is_locked(path) and path.exists():  # a closing host removes its file before it releases the lock
            yield Orphan("host", path)


def _is_old(path: Path) -> bool:
    try:
        changed_at = path.lstat().st_mtime
    except OSError:
        return False
    return SystemClock().now().timestamp() - changed_at > _MIN_AGE_SECONDS


def _has_no_runner(folder: Path) -> bool:
    return not is_locked(RunFolder(folder).alive_lock)


def _entries(folder: Path) -> Iterator[Path]:
    # One at a time: there may be a million.
    with os.scandir(folder) as entries:
        for entry in entries:
            yield folder / entry.name


def _paged(paths: Iterable[Path]) -> Iterator[list[Path]]:
    remaining = iter(paths)
    while page := list(islice(remaining, PAGE)):
        yield page
