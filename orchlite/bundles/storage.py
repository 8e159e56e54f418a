"""The uploaded bundles on disk: `bundles/<sha256>.zip`, each stored once however often it is uploaded."""

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
from orchlite.core.hints import PythonOnly

_CHUNK_BYTES = 1024 * 1024


class BundleStorage:
    """The bundles of one store. Safe to use from several threads and processes."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """Use an existing folder. Without `durable`, files survive the end of this process, but not a power failure."""
        self._folder = folder
        self._durable = durable

    def path(self, sha: str) -> Path:
        """Return the path of the bundle with this SHA-256, whether it exists or not."""
        return self._folder / f"{sha}.zip"

    @contextmanager
    def receive(self, source: bytes | Path, limit_bytes: int) -> Iterator[Path]:
        """Copy an upload to a temporary file in the folder, which is removed when the block ends.

        Raises:
            BadArgument: the file to upload cannot be read.
            BadBundle: it is longer than `limit_bytes`.
            StorageFull: the disk is full, also if that shows inside the block.
            OSError: the temporary file cannot be written.
        """
        upload = self._folder / f"{uuid.uuid4()}.upload"
        try:
            self._write(source, upload, limit_bytes)
            yield upload
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise StorageFull(
                f"The disk that holds {self._folder} is full.", hint="Nothing was stored; make room and try again."
            ) from error
        finally:
            upload.unlink(missing_ok=True)

    def add(self, upload: Path, sha: str) -> None:
        """Store a received file as the bundle with this SHA-256; an existing one, which has the same bytes, stays. Durable on return.

        Raises:
            OSError: the file cannot be linked.
        """
        try:
            os.link(upload, self.path(sha))
        except FileExistsError:
            return
        if self._durable:
            fsync_folder(self._folder)

    def discard(self, sha: str) -> None:
        """Remove the bundle, if it exists. The caller makes sure that no orchestration refers to it.

        Raises:
            OSError: the file cannot be removed.
        """
        self.path(sha).unlink(missing_ok=True)

    def _write(self, source: bytes | Path, upload: Path, limit_bytes: int) -> None:
        size_bytes = len(source) if isinstance(source, bytes) else _size_bytes(source)
        if size_bytes > limit_bytes:
            raise BadBundle(
                f"The bundle has {size_bytes} bytes; the limit is {limit_bytes}.",
                hint="Leave large data out and fetch it in main.py" + PythonOnly(", or raise Limits.upload_bytes") + ".",
                limit_bytes=limit_bytes,
            )
        with open(upload, "xb", opener=private_opener) as target:
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
        raise _unreadable(path, "it is not a regular file")  # a pipe could block, and a device may have no end
    return status.st_size


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error


def _unreadable(path: Path, reason: str) -> BadArgument:
    return BadArgument(
        f"The bundle {str(path)!r} cannot be read: {reason}.", hint="Give the path of a ZIP or of a folder.", argument="path"
    )
