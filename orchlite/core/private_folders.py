"""Folders in which only this account may write: a store's and the cache's. Anyone who can write there can make runs execute any code."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from orchlite.core.errors import BadArgument

VARIABLE = "ORCHLITE_ALLOW_FOREIGN_OWNER"
_ROOT = 0
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def allows_foreign_owner(given: bool = False) -> bool:
    """Return whether root may open a folder of another account: `given`, or the variable `ORCHLITE_ALLOW_FOREIGN_OWNER` is 1."""
    return given or os.environ.get(VARIABLE) == "1"


def secure(folder: Path, name: str, *, allow_foreign_owner: bool) -> None:
    """Refuse a folder of another account; close one of this account's in which others may write, with a warning in the log.

    One `stat` suffices for a folder with mode 0700: no other account can reach its content. `name` is what messages call the folder.

    Raises:
        BadArgument: the folder, or something in it, belongs to another account, or it cannot be closed.
        OSError: the folder cannot be examined.
    """
    exposed = list(exposed_folders(folder, name, allow_foreign_owner=allow_foreign_owner))
    for path in exposed:
        _close(path, name)
    if exposed:
        import logging

        names = ", ".join(map(str, exposed))
        logging.getLogger(__name__).warning("other accounts could write in %s; its mode is now 0700: %s", name, names)


def exposed_folders(folder: Path, name: str, *, allow_foreign_owner: bool) -> Iterator[Path]:
    """Yield the folder and those of its subfolders in which others may write. Changes nothing.

    Raises:
        BadArgument, OSError: as `secure`.
    """
    status = folder.stat()  # the folder itself may be named through a link
    owners = {os.geteuid(), _ROOT}
    if status.st_uid != os.geteuid():
        if os.geteuid() != _ROOT or not allow_foreign_owner:
            raise _foreign(folder, status.st_uid, name)
        owners.add(status.st_uid)
    if status.st_mode & _WRITABLE_BY_OTHERS:
        yield folder
    if status.st_mode & _OPEN_TO_OTHERS:
        yield from _exposed_entries(folder, name, owners)


def _exposed_entries(folder: Path, name: str, owners: set[int]) -> Iterator[Path]:
    """Yield the subfolders in which other accounts may write, after checking the owner of each entry."""
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if status.st_uid not in owners:
                raise _foreign(Path(entry.path), status.st_uid, name)
            if stat.S_ISDIR(status.st_mode) and status.st_mode & _WRITABLE_BY_OTHERS:
                yield from _exposed_entries(Path(entry.path), name, owners)
                yield Path(entry.path)


def _close(path: Path, name: str) -> None:
    try:
        path.chmod(0o700)
        is_closed = not path.stat().st_mode & _WRITABLE_BY_OTHERS
    except OSError:
        is_closed = False
    if not is_closed:
        raise BadArgument(
            f"Other accounts can write in {name} {str(path)!r}, and its mode cannot be changed.",
            hint="Choose a folder on a file system that has permissions.",
            argument="path",
        )


def _foreign(path: Path, owner: int, name: str) -> BadArgument:
    own = os.geteuid()
    text = f"{name[0].upper()}{name[1:]} {str(path)!r} belongs to account {owner}, and this process to {own}."
    hint = (
        f"{'A' + name[3:]} belongs to one account: run as that one, or choose another folder. "
        f"If you trust its content, take it over: sudo chown -R {own} {quote(str(path))}"
    )
    if own == _ROOT:
        hint += f", or let root use it as it is: {VARIABLE}=1"
    return BadArgument(text, hint=hint, argument="path")
