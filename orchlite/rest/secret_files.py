"""Files with secrets: read only if no other account can access them, and never readable by others while they are written."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from orchlite.core.errors import BadArgument, DeviceFailed

_MAX_BYTES = 1024 * 1024


def read_secret_file(path: Path, argument: str) -> str:
    """Return the text of a file that belongs to this account and that no other account can read or write; at most 1 MiB of it.

    Raises:
        BadArgument: others have access to the file, or it cannot be read. The error names `argument`.
    """
    try:
        with path.open("rb") as file:
            _check(os.fstat(file.fileno()), path, argument)
            return file.read(_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    raise BadArgument(f"The file {str(path)!r} cannot be read: {reason}.", hint="Give the path of a text file.", argument=argument)


def write_secret_file(path: Path, text: str, *, replace: bool) -> bool:
    """Write a file with mode 0600, completely or not at all. Return False, without `replace`, if the file exists.

    Raises:
        DeviceFailed: the file cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # has mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            return _move(Path(name), path, replace=replace)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108 - the name is tempfile's
    except OSError as error:
        raise DeviceFailed(f"The file {str(path)!r} cannot be written: {error.strerror}.", hint="Choose another path.") from error


def _move(source: Path, path: Path, *, replace: bool) -> bool:
    if replace:
        source.replace(path)
        return True
    try:
        path.hardlink_to(source)  # fails if the file exists, which a rename would not
    except FileExistsError:
        return False
    return True


def _check(status: os.stat_result, path: Path, argument: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadArgument(f"{str(path)!r} is not a regular file.", hint="Give the path of a text file.", argument=argument)
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise BadArgument(
            f"The file {str(path)!r} holds secrets, and other accounts of this machine can read or change it.",
            hint=f"Make it yours alone: chmod 600 {str(path)!r}",
            argument=argument,
        )
