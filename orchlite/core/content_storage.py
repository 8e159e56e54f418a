"""Uploaded files on disk, named by the SHA-256 of their bytes: each stored once, durably, however often it is uploaded."""

from __future__ import annotations

import os
import stat
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import BadArgument, InvalidInput
from orchlite.core.files import fsync_folder, private_opener
from orchlite.core.system_errors import is_shortage, shortages

UPLOAD_SUFFIX = ".upload"
"""Of files that are being received."""
_CHUNK_BYTES = 1024 * 1024


class ReceivedFile(NamedTuple):
    """A complete file at a path of `ContentStorage.new_upload`, which is stored without another copy."""

    path: Path


class ContentStorage(ABC):
    """The files of one kind in one store. Safe to use from several threads and processes."""

    suffix = ""
    """Of the stored files."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """Use an existing folder. Without `durable`, files survive the end of this process, but not a power failure."""
        self.folder = folder
        self._durable = durable

    def path(self, sha: str) -> Path:
        """Return the path of the file with this SHA-256, whether it exists or not."""
        return self.folder / f"{sha}{self.suffix}"

    def new_upload(self) -> Path:
        """Return an unused path in the folder for receiving a file. Pruning removes what is left there."""
        return self.folder / f"{uuid.uuid4()}{UPLOAD_SUFFIX}"

    @contextmanager
    def receive(self, source: bytes | Path | ReceivedFile, limit_bytes: int) -> Iterator[Path]:
        """Copy an upload to a temporary file in the folder, which is removed when the block ends. A received file is that file.

        Raises:
            BadArgument: the file to upload cannot be read.
            InvalidInput: it is longer than `limit_bytes`; a subclass says which error it is.
            StorageFull, ResourceExhausted: the disk is full, or too many files are open, also if that shows inside the block.
            OSError: the temporary file cannot be written.
        """
        upload = source.path if isinstance(source, ReceivedFile) else self.new_upload()
        try:
            with shortages(f"The upload cannot be written to {self.folder}"):
                if isinstance(source, ReceivedFile):
                    self._keep(upload, limit_bytes)
                else:
                    self._write(source, upload, limit_bytes)
                yield upload
        finally:
            upload.unlink(missing_ok=True)

    @contextmanager
    def opened(self, path: Path, limit_bytes: int) -> Iterator[BufferedReader]:
        """Open a file that `receive` would copy, and close it when the block ends.

        Raises:
            BadArgument: it cannot be read.
            InvalidInput: it is longer than `limit_bytes`; a subclass says which error it is.
            ResourceExhausted: too many files are open, also if that shows inside the block.
        """
        size_bytes = self._size_bytes(path)
        if size_bytes > limit_bytes:
            raise self._too_large(size_bytes, limit_bytes)
        with shortages(f"{str(path)!r} cannot be read", path=str(path)), self._opened(path) as file:
            yield file

    def add(self, upload: Path, sha: str) -> None:
        """Store a received file as the one with this SHA-256; an existing one, which has the same bytes, stays. Durable on return.

        Raises:
            OSError: the file cannot be linked.
        """
        try:
            os.link(upload, self.path(sha))
        except FileExistsError:
            return
        if self._durable:
            fsync_folder(self.folder)

    def discard(self, sha: str) -> None:
        """Remove the file, if it exists. The caller makes sure that no row refers to it.

        Raises:
            OSError: the file cannot be removed.
        """
        self.path(sha).unlink(missing_ok=True)

    @abstractmethod
    def _too_large(self, size_bytes: int, limit_bytes: int) -> InvalidInput:
        """Return the error about an upload above the limit."""

    @abstractmethod
    def _unreadable(self, path: Path, reason: str) -> BadArgument:
        """Return the error about a file that cannot be read."""

    def _keep(self, upload: Path, limit_bytes: int) -> None:
        with upload.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > limit_bytes:
                raise self._too_large(size_bytes, limit_bytes)
            if self._durable:
                os.fsync(file.fileno())

    def _write(self, source: bytes | Path, upload: Path, limit_bytes: int) -> None:
        size_bytes = len(source) if isinstance(source, bytes) else self._size_bytes(source)
        if size_bytes > limit_bytes:
            raise self._too_large(size_bytes, limit_bytes)
        with open(upload, "xb", opener=private_opener) as target:
            if isinstance(source, bytes):
                target.write(source)
            else:
                from shutil import copyfileobj  # its imports would cost every client

                with self._opened(source) as file:
                    copyfileobj(file, target, _CHUNK_BYTES)
            target.flush()
            if self._durable:
                os.fsync(target.fileno())

    def _size_bytes(self, path: Path) -> int:
        try:
            status = path.stat()
        except OSError as error:
            raise self._unreadable(path, str(error.strerror)) from error
        if not stat.S_ISREG(status.st_mode):
            raise self._unreadable(path, "it is not a regular file")  # a pipe could block, and a device may have no end
        return status.st_size

    def _opened(self, path: Path) -> BufferedReader:
        try:
            return path.open("rb")
        except OSError as error:
            if is_shortage(error):
                raise
            raise self._unreadable(path, str(error.strerror)) from error
