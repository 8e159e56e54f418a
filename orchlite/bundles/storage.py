"""The bundles' bytes on disk: `bundles/<sha256>.zip`, stored once however often they are uploaded."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from orchlite.core.errors import BadArgument, BadBundle, StorageFull
from orchlite.core.files import fsync_folder, is_disk_full, private_opener

_CHUNK_BYTES = 1024 * 1024


class BundleFiles:
    """One store's bundles."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """What is not durable outlives its processes, but not the machine."""
        self._folder = folder
        self._durable = durable

    def path(self, sha: str) -> Path:
        """Where the bundle of these bytes lies, or would lie."""
        return self._folder / f"{sha}.zip"

    @contextmanager
    def received(self, source: bytes | Path, limit_bytes: int) -> Iterator[Path]:
        """The upload as a file of its own, which is gone when the block is left; what was kept stays.

        Raises:
            BadArgument: the file to upload cannot be read.
            BadBundle: it is longer than the limit.
            StorageFull: the disk has no room for it.
        """
        aside = self._folder / f"{uuid.uuid4()}.upload"
        try:
            self._receive(source, aside, limit_bytes)
            yield aside
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise StorageFull(
                f"The disk that holds {self._folder} is full.", hint="Nothing was stored; make room and try again."
            ) from error
        finally:
            aside.unlink(missing_ok=True)

    def keep(self, received: Path, sha: str) -> None:
        """Make the received file the bundle of this SHA, durably. The bytes are the same, whoever is first."""
        try:
            os.link(received, self.path(sha))
        except FileExistsError:
            return
        if self._durable:
            fsync_folder(self._folder)

    def discard(self, sha: str) -> None:
        """Remove the bundle; the caller knows that nothing refers to it."""
        self.path(sha).unlink(missing_ok=True)

    def _receive(self, source: bytes | Path, aside: Path, limit_bytes: int) -> None:
        size_bytes = len(source) if isinstance(source, bytes) else _size_bytes(source)
        if size_bytes > limit_bytes:
            raise BadBundle(
                f"The bundle has {size_bytes} bytes, the limit is {limit_bytes}.",
                hint="Leave large data out and fetch it in main.py, or raise Limits(upload_bytes=...).",
                limit_bytes=limit_bytes,
            )
        with open(aside, "xb", opener=private_opener) as target:
            if isinstance(source, bytes):
                target.write(source)
            else:
                with _opened(source) as file:
                    shutil.copyfileobj(file, target, _CHUNK_BYTES)
            target.flush()
            if self._durable:
                os.fsync(target.fileno())


def _size_bytes(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(path, "it is no regular file")  # a pipe would block, and a device never end
    return status.st_size


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error


def _unreadable(path: Path, why: str) -> BadArgument:
    return BadArgument(f"The bundle {str(path)!r} cannot be read: {why}.", hint="Give the path of a ZIP or of a folder.", argument="path")
