"""Translates the operating system's errors into orchlite's: one for each cause, such as a full disk or a lack of descriptors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchlite.core.errors import DeviceFailed, ResourceExhausted, StorageFull
from orchlite.core.files import is_disk_full

_OUT_OF_FILES = {errno.EMFILE: "this process may open no more files", errno.ENFILE: "this machine may open no more files"}
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS, errno.ENOSPC, errno.EDQUOT}


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error, or one that caused it, means a lack of descriptors, memory, processes or disk space."""
    while error is not None:
        if isinstance(error, MemoryError | ResourceExhausted | StorageFull):
            return True
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            return True
        error = error.__cause__
    return False


@contextmanager
def shortages(failed: str, **details: Any) -> Iterator[None]:
    """Raise orchlite's error for a shortage that shows inside the block as one of the operating system's; see `device_error`."""
    try:
        yield
    except OSError as error:
        if not is_shortage(error):
            raise
        raise device_error(error, failed, **details) from error


def device_error(error: OSError, failed: str, *, elsewhere: str = "", so_far: str = "Nothing was changed.", **details: Any) -> DeviceFailed:
    """Return orchlite's error for one of the operating system's.

    `failed` says what failed: "The store X cannot be opened". `elsewhere` is a way out besides trying again: "give another folder".
    `so_far` says what was done before a lack of descriptors showed.
    """
    if error.errno in _OUT_OF_FILES:
        hint = so_far + " Close files, or raise the limit (`ulimit -n`), then try again."
        return ResourceExhausted(f"{failed}: {_OUT_OF_FILES[error.errno]}.", hint=hint, **details)
    or_elsewhere = f"; or {elsewhere}." if elsewhere else "."
    if is_disk_full(error):
        hint = "Nothing was stored; make room and try again" + or_elsewhere
        return StorageFull(f"{failed}: the disk is full.", hint=hint, **details)
    where = f" ({error.filename})" if error.filename else ""
    hint = "Check the file system and its permissions, then try again" + or_elsewhere
    return DeviceFailed(f"{failed}: {error.strerror or error}{where}.", hint=hint, **details)
