"""The arguments that name a bundle: bytes, or a path."""

from __future__ import annotations

import io
import os
from pathlib import Path

from orchlite.core.arguments import checked_path
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument, PythonOnly


def bundle_bytes(buffer: object) -> bytes:
    """Return the bytes of a buffer.

    Raises:
        BadArgument: it is none.
    """
    if isinstance(buffer, io.BytesIO):
        return buffer.getvalue()
    if isinstance(buffer, bytes | bytearray | memoryview):
        return bytes(buffer)
    hint = "It takes the bytes of a ZIP."
    if isinstance(buffer, str | os.PathLike):
        hint += PythonOnly(f" Did you mean path={os.fspath(buffer)!r:.80}?")
    raise BadArgument(Argument("bytes_buffer") + f" is of type {type(buffer).__name__}.", hint=hint, argument="bytes_buffer")


def bundle_path(path: object) -> Path:
    """Return the path of a bundle, absolute.

    Raises:
        BadArgument: it is no path, or nothing readable is there.
    """
    found = checked_path(path)
    try:
        found.stat()
    except OSError as error:
        raise BadArgument(
            f"The bundle {str(found)!r:.300} cannot be read: {error.strerror}.",
            hint="Give the path of a ZIP or of a folder.",
            argument="path",
        ) from error
    return found


def is_path_of_something(word: str) -> bool:
    """Return whether a file or a folder has this path; False if it is no path."""
    try:
        return checked_path(word).exists()
    except (BadArgument, OSError):
        return False


def file_name_of(source: bytes | Path) -> str:
    """Return the name under which a ZIP is saved by default."""
    if isinstance(source, bytes):
        return "bundle.zip"
    return printable(source.name) + (".zip" if source.is_dir() else "")


def printable(name: str) -> str:
    """Return a file's name as a label: file systems allow characters that a label may not have."""
    return "".join(character if character.isprintable() else "_" for character in name)
