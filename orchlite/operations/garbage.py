"""Files of a store that belong to nothing: what killed hosts and interrupted removals leave. Found here, and removed on request.

Each is looked at by its age, too, since others make files before the rows that they belong to: uploads, and folders of runs that are
being submitted. Ages are those of files, so they are told by the machine's clock and not by the store's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from orchlite.core.clock import SystemClock
from orchlite.core.files import is_locked, remove_tree, tree_size_bytes
from orchlite.operations.context import Context
from orchlite.store.maintenance import PAGE

_BELONGS_TO_NOTHING_AFTER_SECONDS = 3600.0
_ID_CHARACTERS = 36
_SHA_CHARACTERS = 64


class Orphan(NamedTuple):
    """A file or folder that belongs to nothing."""

    kind: str
    """`bundle`, `upload`, `run folder` or `host`."""
    path: Path


def find(context: Context) -> Iterator[Orphan]:
    """All that belongs to nothing, now."""
    yield from _bundles(context)
    yield from _run_folders(context)
    yield from _hosts(context)


def remove(context: Context, leftover: Orphan) -> int | None:
    """Remove it, after a second look; the bytes that it had, or None where it stays, or was gone already."""
    path = leftover.path
    if not os.path.lexists(path):
        return None
    size = tree_size_bytes(path)
    match leftover.kind:
        case "bundle":
            with context.store.transaction() as transaction:  # a lock: nobody can refer to these bytes anew meanwhile
                if context.store.orchestrations.is_referenced(transaction, path.stem):
                    return None
                context.bundles.discard(path.stem)
        case "run folder":
            return size if _is_nobodys(path) and remove_tree(path) else None
        case _:
            path.unlink(missing_ok=True)
    return size


def _bundles(context: Context) -> Iterator[Orphan]:
    folder = context.folder.bundles
    for page in _paged(path for path in _entries(folder) if _is_old(path)):
        yield from (Orphan("upload", path) for path in page if path.suffix == ".upload" and len(path.stem) == _ID_CHARACTERS)
        shas = [path.stem for path in page if path.suffix == ".zip" and len(path.stem) == _SHA_CHARACTERS]
        yield from (Orphan("bundle", context.bundles.path(sha)) for sha in sorted(context.store.maintenance.unknown_bundles(shas)))


def _run_folders(context: Context) -> Iterator[Orphan]:
    for page in _paged(path for path in _entries(context.folder.runs) if len(path.name) == _ID_CHARACTERS):
        for run_id in sorted(context.store.maintenance.unknown_runs([path.name for path in page])):
            path = context.folder.run(run_id).path
            if _is_old(path) and _is_nobodys(path):
                yield Orphan("run folder", path)


def _hosts(context: Context) -> Iterator[Orphan]:
    for path in _entries(context.folder.hosts):
        is_dead = path.suffix == ".lock" or (path.suffix == ".new" and _is_old(path))
        if is_dead and not is_locked(path) and path.exists():  # a host that ends removes its file before it lets go of it
            yield Orphan("host", path)


def _is_old(path: Path) -> bool:
    try:
        changed_at = path.lstat().st_mtime
    except OSError:
        return False
    return SystemClock().now().timestamp() - changed_at > _BELONGS_TO_NOTHING_AFTER_SECONDS


def _is_nobodys(folder: Path) -> bool:
    return not is_locked(folder / "alive.lock")


def _entries(folder: Path) -> Iterator[Path]:
    # Read as it is needed: there may be a million.
    with os.scandir(folder) as entries:
        for entry in entries:
            yield folder / entry.name


def _paged(paths: Iterable[Path]) -> Iterator[list[Path]]:
    remaining = iter(paths)
    while page := list(islice(remaining, PAGE)):
        yield page
