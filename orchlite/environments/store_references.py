"""The stores that use a cache folder: a small file for each in `<cache>/stores`, so that pruning one store spares what others need.

A reference names the store's path, device and inode, and the mount point above it. A store that is not found at its path is
gone if its file system is mounted; else it cannot be seen, and may come back.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchlite.core.files import make_private_folders, private_opener


class StoreReference(NamedTuple):
    """A store that has used the cache."""

    file: Path
    """The reference itself."""
    path: Path
    device: int
    inode: int
    mount_point: str

    def is_gone(self) -> bool:
        """Return whether the store was removed or moved; False if it exists, or its file system cannot be seen."""
        try:
            status = self.path.stat()
            found = (status.st_dev, status.st_ino)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError:
            return False
        return found != (self.device, self.inode) and _mount_point(self.path) == self.mount_point


def add(cache: Path, store: Path) -> None:
    """Add a reference to the store, whose folder must exist, if it is missing. Several processes may do so at once.

    Raises:
        OSError: the cache cannot be written.
    """
    status = store.stat()
    content = json.dumps({"path": str(store), "device": status.st_dev, "inode": status.st_ino, "mount_point": _mount_point(store)})
    file = cache / "stores" / f"{hashlib.sha256(os.fsencode(store)).hexdigest()[:32]}.json"
    with suppress(OSError, UnicodeError):
        if file.read_text(encoding="utf-8") == content:
            return
    make_private_folders(cache, file.parent)
    new = file.with_suffix(f".{os.urandom(4).hex()}.new")
    with open(new, "x", encoding="utf-8", opener=private_opener) as out:
        out.write(content)
    new.replace(file)


def others(cache: Path, store: Path) -> list[StoreReference]:
    """Return the references to other stores than this one, gone or not."""
    found = [_read(file) for file in sorted((cache / "stores").glob("*.json"))]
    return [reference for reference in found if reference is not None and not _is_same(reference.path, store)]


def _read(file: Path) -> StoreReference | None:
    try:
        content = json.loads(file.read_bytes())
        return StoreReference(file, Path(content["path"]), int(content["device"]), int(content["inode"]), str(content["mount_point"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _mount_point(path: Path) -> str:
    """Return the mount point of the path's file system; the path need not exist."""
    found = os.path.realpath(path)
    while not os.path.ismount(found):
        found = os.path.dirname(found)  # noqa: PTH120 - as text, like the line above
    return found
