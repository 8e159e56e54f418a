"""The format of backups, and how copies of a store are written: completely or not at all.

A backup is a folder with the layout of a store, plus `backup.json`. Both a backup and a restored store are written to `<name>.part`, which
is renamed once it is complete and durable.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from orchlite.core.errors import BadArgument, Conflict, StoreTooNew
from orchlite.core.files import copy_file, exclusive_lock, fsync_folder, is_file, is_locked, remove_tree
from orchlite.core.folders import StoreFolder
from orchlite.core.hints import Api
from orchlite.core.system_errors import device_error, shortages
from orchlite.core.version import VERSION
from orchlite.store.migrate import migrations

_MANIFEST = "backup.json"
_FORMAT = 1
_MARKER = "unfinished"
_log = logging.getLogger(__name__)


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Yield a new folder to fill; when the block ends, make it durable and rename it to `target`. If the block raises, remove it.

    What a killed process has left of an earlier attempt is removed first.

    Raises:
        Conflict: another process is writing the same target, or an unrelated file has the folder's name.
        StorageFull, DeviceFailed: it cannot be written; also for an OSError inside the block.
    """
    part = target.with_name(f"{target.name}.part")
    with _device_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(part)
        part.mkdir(mode=0o700)
        with exclusive_lock(part / _MARKER):
            try:
                yield part
                _sync(part)
                part.rename(target)
                fsync_folder(target.parent)
                (target / _MARKER).unlink()
            except BaseException:
                remove_tree(part)
                raise


def _remove_abandoned(part: Path) -> None:
    marker = part / _MARKER
    if marker.exists() and not is_locked(marker):
        remove_tree(part)
    with suppress(OSError):
        part.rmdir()  # the process was killed before it created the marker
    if os.path.lexists(part):
        raise Conflict(
            f"{str(part)!r} exists already.",
            hint="Another backup is being written there, or it is something else: move it away.",
            path=str(part),
        )


def _sync(folder: Path) -> None:
    # One sync of everything: an fsync for each of the files of every run would take minutes.
    os.sync()
    for path in (StoreFolder(folder).database, folder):  # again, because these report whether it worked
        fsync_folder(path)


@contextmanager
def _device_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise device_error(error, f"{str(target)!r} cannot be written", elsewhere="give another folder", path=str(target)) from error


def copy_tree(source: Path, target: Path, skipped_errors: frozenset[int] = frozenset()) -> None:
    """Copy a folder with its files, folders and symbolic links, but no pipes and sockets. `target` must not exist.

    skipped_errors: numbers of errors for which an entry is left out and logged; a missing one is left out silently.

    Raises:
        OSError: any other error; what was copied before that stays.
    """
    waiting = [(str(source), str(target))]
    while waiting:
        folder, copy = waiting.pop()
        os.mkdir(copy, 0o700)  # noqa: PTH102 - strings throughout: there may be many
        for entry in _entries(folder, skipped_errors):
            destination = f"{copy}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, destination))
            else:
                _copy_entry(entry, destination, skipped_errors)


def _entries(folder: str, skipped_errors: frozenset[int]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        _check_skipped(error, skipped_errors)
        return []


def _copy_entry(entry: os.DirEntry[str], destination: str, skipped_errors: frozenset[int]) -> None:
    try:
        if entry.is_symlink():
            shutil.copy2(entry.path, destination, follow_symlinks=False)
        elif entry.is_file(follow_symlinks=False):
            copy_file(entry.path, destination)
    except OSError as error:
        _check_skipped(error, skipped_errors)


def _check_skipped(error: OSError, skipped_errors: frozenset[int]) -> None:
    if error.errno not in skipped_errors:
        raise error
    if error.errno != errno.ENOENT:
        _log.warning("not in the backup: %s", error)


def write_manifest(folder: Path, schema_version: int, now: datetime) -> None:
    """Write `backup.json`, readable by this account only."""
    content = {"format": _FORMAT, "orchlite": VERSION, "schema": schema_version, "created_at": now.isoformat()}
    path = folder / _MANIFEST
    path.touch(mode=0o600)
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def check_manifest(source: Path) -> None:
    """Check that the folder is a backup that this version of orchlite can restore.

    Raises:
        BadArgument: it is no backup.
        StoreTooNew: a newer orchlite made it.
    """
    manifest = _read_manifest(source)
    if manifest["format"] > _FORMAT or manifest["schema"] > len(migrations()):
        raise StoreTooNew(
            f"The backup {str(source)!r} was made by orchlite {manifest['orchlite']!s:.40}, which is newer than this one, {VERSION}.",
            hint="Nothing was restored. Upgrade orchlite: pip install -U orchlite.",
            version=manifest["schema"],
        )


def _read_manifest(source: Path) -> dict[str, Any]:
    if not is_file(source / _MANIFEST):  # opening a named pipe would block
        raise _no_backup(source)
    try:
        with shortages(f"{str(source)!r} cannot be read", path=str(source)):
            manifest = json.loads((source / _MANIFEST).read_bytes())
        return {"format": int(manifest["format"]), "schema": int(manifest["schema"]), "orchlite": manifest["orchlite"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _no_backup(source) from error


def _no_backup(source: Path) -> BadArgument:
    return BadArgument(
        f"{str(source)!r} is not a backup: it has no readable {_MANIFEST}.",
        hint="Give a folder that " + Api.BACKUP + " made.",
        argument="path",
    )
