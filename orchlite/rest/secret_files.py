"""Files that hold secrets: read only where nobody else can read them, and written so that nobody ever could."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from orchlite.core.errors import BadArgument, DeviceFailed

_MOST_BYTES = 1024 * 1024


def read_private(path: Path, argument: str) -> str:
    """The text of a file that belongs to this account, and that no other can read or write.

    Raises:
        BadArgument: it is not so, or it cannot be read; names the argument that brought it.
    """
    try:
        with path.open("rb") as file:
            _check(os.fstat(file.fileno()), path, argument)
            return file.read(_MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
    raise BadArgument(f"The file {str(path)!r} cannot be read: {reason}.", hint="Give the path of a text file.", argument=argument)


def write_private(path: Path, text: str, *, replace: bool) -> bool:
    """Write a file that only this account can read, whole or not at all; without `replace`, False where there is one already.

    Raises:
        DeviceFailed: it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            return _put(Path(name), path, replace=replace)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108 - the name is tempfile's
    except OSError as error:
        raise DeviceFailed(f"The file {str(path)!r} cannot be written: {error.strerror}.", hint="Choose another place.") from error


def _put(made: Path, path: Path, *, replace: bool) -> bool:
    if replace:
        made.replace(path)
        return True
    try:
        path.hardlink_to(made)  # fails where there is one, which a rename would not
    except FileExistsError:
        return False
    return True


def _check(status: os.stat_result, path: Path, argument: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadArgument(f"{str(path)!r} is no file.", hint="Give the path of a text file.", argument=argument)
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise BadArgument(
            f"The file {str(path)!r} holds secrets, and other accounts of this machine can read or change it.",
            hint=f"It must be yours alone: chmod 600 {str(path)!r}",
            argument=argument,
        )
