"""Pack a folder as a reproducible ZIP: the same files give the same bytes, on any day and in any checkout.

Entries are sorted; times, permissions (except the executable bit), method and level are fixed. What is never meant to be packed is left
out and listed; what cannot be packed is refused by name. Limits are checked before contents are read.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, NoReturn

from orchlite.bundles.archive import CENTRAL, CENTRAL_SIGNATURE, DEFLATED, END, END_SIGNATURE, LOCAL, LOCAL_SIGNATURE, STORED, UTF8_FLAG
from orchlite.bundles.names import check_collisions, check_name, is_junk
from orchlite.core.errors import BadArgument, BadBundle
from orchlite.core.hints import Api, Argument, OrRaise, PythonOnly
from orchlite.core.records import JunkWarning
from orchlite.core.settings import Limits
from orchlite.core.sizes import size_text
from orchlite.core.system_errors import device_error, is_shortage
from orchlite.core.text import listed, quoted

_ALWAYS_EXCLUDED = ("__pycache__", "node_modules", "*.pyc")
_JUNK = re.compile(
    r"__pycache__|.*\.pyc|\..*_cache|\.cache|\.hypothesis|\.ipynb_checkpoints|\.coverage|\.tox|\.nox"
    r"|\.git|\.gitignore|\.gitattributes|\.github|\.hg|\.svn|\.idea|\.vscode|node_modules|\.DS_Store|\._.*|__MACOSX|Thumbs\.db"
)
"""Names of files and folders that tools leave behind and that no program needs."""
_LEFT_OUT = "left out of the bundle: "
_LISTED = 20
_VENV_CONFIG = "pyvenv.cfg"
_LEVEL = 6
_FILE_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o100644, 0o100755, 0o040755
_DOS_FOLDER = 0x10
_TIME, _DATE = 0, (1 << 5) | 1  # 1980-01-01 00:00, the earliest time in a ZIP
_VERSION, _MADE_ON_UNIX = 20, (3 << 8) | 20
_ZIP_ENTRIES, _ZIP_BYTES = 0xFFFF - 1, 0xFFFFFFFF - 1
"""The limits of a ZIP without the ZIP64 extension."""


class PackedFolder(NamedTuple):
    """A folder as a reproducible ZIP."""

    content: bytes
    left_out: tuple[str, ...]
    """Paths, relative to the folder, that were not packed."""

    def warnings(self) -> tuple[str, ...]:
        """Return one warning about what was not packed, with the way out if there is one, and one about junk."""
        junk = [path for path in self.left_out if _JUNK.fullmatch(_last(path))]
        others = [path for path in self.left_out if not _JUNK.fullmatch(_last(path))]
        found = [f"{_LEFT_OUT}{listed(others, _LISTED)}{_way_out(others)}"] if others else []
        return (*found, *([JunkWarning(_LEFT_OUT + listed(junk, _LISTED))] if junk else []))


def _way_out(paths: Sequence[str]) -> str:
    """Return what to do if the program needs one of these paths, of those that are left out by their names."""
    names = set(map(_last, paths))
    hidden = any(name.startswith(".") for name in names - {".env", ".venv"})
    variables = "; variables of a .env are given with env= or --env-file" if ".env" in names else ""
    return variables + ("; if the program needs a name with a dot in front, rename it, or upload a ZIP" if hidden else "")


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def pack(folder: Path, *, exclude: Sequence[str] = (), limits: Limits) -> PackedFolder:
    """Return the folder as a ZIP.

    Left out are names that start with a dot, `__pycache__`, `*.pyc`, `node_modules`, folders with a `pyvenv.cfg`, files that desktop
    systems add, and whatever matches a pattern of `exclude`: `fnmatch`, on the path from `folder` with `/` and on the name alone. Empty
    folders are packed.

    Raises:
        BadArgument: `folder` is not a folder, or `exclude` is a single string.
        BadBundle: a file is a symbolic link, a device, a pipe, a socket or unreadable, a name is not acceptable, or a limit is exceeded;
            with `entry` if one is to blame, and `limit` or `limit_bytes`.
        ResourceExhausted: a file cannot be read because too many are open.

    """
    if not folder.is_dir():
        raise BadArgument(f"{str(folder)!r} is not a folder.", hint="Give the folder that holds main.py, or a ZIP.", argument="path")
    if isinstance(exclude, str):
        raise BadArgument(
            Argument("exclude") + " is a single string.", hint=PythonOnly(f"Write exclude=[{exclude!r}]."), argument="exclude"
        )
    items, left_out = _listed(folder, [pattern.rstrip("/") for pattern in exclude], limits)
    check_collisions(item.name for item in items)
    return PackedFolder(_zipped(items, limits), tuple(sorted(left_out)))


class _Item(NamedTuple):
    name: str
    """Path relative to the folder, with `/`; a folder's ends with one."""
    path: str


# --- Listing


def _listed(folder: Path, patterns: Sequence[str], limits: Limits) -> tuple[list[_Item], list[str]]:
    items: list[_Item] = []
    left_out: list[str] = []
    waiting = [_Item("", str(folder))]
    while waiting:
        for name, item in _inside(waiting.pop()):
            if _is_excluded(name, item, patterns):
                left_out.append(_printable(name))
                continue
            _check_item(name, item, limits)
            items.append(_Item(name, item.path))
            _check_count(len(items), limits)
            if name.endswith("/"):
                waiting.append(items[-1])
    return sorted(items), left_out


def _inside(folder: _Item) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder.path) as items:
            # Sorted, so that the error always names the same one of several bad files.
            found = sorted(items, key=lambda item: item.name)
    except OSError as error:
        _unreadable(folder.name or ".", error)
    for item in found:
        yield f"{folder.name}{item.name}{'/' if item.is_dir(follow_symlinks=False) else ''}", item


def _is_excluded(name: str, item: os.DirEntry[str], patterns: Sequence[str]) -> bool:
    if item.name.startswith(".") or is_junk(name) or any(fnmatchcase(item.name, pattern) for pattern in _ALWAYS_EXCLUDED):
        return True
    path = name.rstrip("/")
    if any(fnmatchcase(path, pattern) or fnmatchcase(item.name, pattern) for pattern in patterns):
        return True
    return name.endswith("/") and _is_virtual_environment(item.path)


def _is_virtual_environment(path: str) -> bool:
    # A folder that cannot be read is refused later, by name.
    with suppress(OSError):
        return Path(path, _VENV_CONFIG).exists()
    return False


def _printable(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


def _check_item(name: str, item: os.DirEntry[str], limits: Limits) -> None:
    check_name(name, limits)
    if item.is_symlink():
        hint = "Put the file itself in its place, or name the link in " + Api.EXCLUDE + "."
        raise BadBundle(f"{quoted(name)} is a symbolic link.", hint=hint, entry=name)
    if not (item.is_dir(follow_symlinks=False) or item.is_file(follow_symlinks=False)):
        raise BadBundle(
            f"{quoted(name)} is a device, a pipe or a socket.", hint="Remove it, or name it in " + Api.EXCLUDE + ".", entry=name
        )


def _check_count(count: int, limits: Limits) -> None:
    limit = min(limits.entries, _ZIP_ENTRIES)
    if count > limit:
        hint = "Leave some out with " + Api.EXCLUDE + OrRaise("entries") + "."
        raise BadBundle(f"The folder has more than {limit} files and folders to pack.", hint=hint, limit=limit)


def _unreadable(name: str, error: OSError) -> NoReturn:
    if is_shortage(error):  # which says nothing about the file
        raise device_error(error, f"{quoted(name)} cannot be read") from error
    hint = "Make it readable, or name it in " + Api.EXCLUDE + "."
    raise BadBundle(f"{quoted(name)} cannot be read: {error.strerror}.", hint=hint, entry=name) from error


# --- Reading


def _content(item: _Item, left_bytes: int, limits: Limits) -> tuple[bytes, int]:
    """Return a file's content, and its mode in the ZIP."""
    try:
        # A file that has become a link or a pipe since it was listed must neither be followed nor block.
        descriptor = os.open(item.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            status = os.fstat(descriptor)
            _check_size(item.name, status.st_size, left_bytes, limits)
            # It may grow while it is read.
            content = file.read(limits.entry_bytes + 1)
    except OSError as error:
        _unreadable(item.name, error)
    _check_size(item.name, len(content), left_bytes, limits)
    return content, _PROGRAM_MODE if status.st_mode & 0o100 else _FILE_MODE


def _check_size(name: str, size_bytes: int, left_bytes: int, limits: Limits) -> None:
    if size_bytes > limits.entry_bytes:
        raise BadBundle(
            f"{quoted(name)} exceeds the limit of {size_text(limits.entry_bytes)}.",
            hint="Leave it out with " + Api.EXCLUDE + " and let the program fetch it" + OrRaise("entry_bytes") + ".",
            entry=name,
            limit_bytes=limits.entry_bytes,
        )
    if size_bytes > left_bytes:
        raise BadBundle(
            f"With {quoted(name)} the folder exceeds the limit of {size_text(limits.unpacked_bytes)}.",
            hint="Leave large files out with " + Api.EXCLUDE + OrRaise("unpacked_bytes") + ".",
            entry=name,
            limit_bytes=limits.unpacked_bytes,
        )


# --- Writing


def _zipped(items: Sequence[_Item], limits: Limits) -> bytes:
    body, directory = bytearray(), bytearray()
    left_bytes = limits.unpacked_bytes
    for item in items:
        content, mode = (b"", _FOLDER_MODE) if item.name.endswith("/") else _content(item, left_bytes, limits)
        left_bytes -= len(content)
        _add(body, directory, item.name, content, mode, limits)
        _check_upload(item.name, len(body) + len(directory) + END.size, limits)
    count = len(items)
    end = END.pack(END_SIGNATURE, 0, 0, count, count, len(directory), len(body), 0)
    return b"".join((body, directory, end))


def _add(body: bytearray, directory: bytearray, name: str, content: bytes, mode: int, limits: Limits) -> None:
    method, data = _compressed(content, limits)
    raw_name = name.encode()
    flags = 0 if name.isascii() else UTF8_FLAG
    facts = (flags, method, _TIME, _DATE, zlib.crc32(content), len(data), len(content), len(raw_name), 0)
    external = mode << 16 | (_DOS_FOLDER if mode == _FOLDER_MODE else 0)
    directory += CENTRAL.pack(CENTRAL_SIGNATURE, _MADE_ON_UNIX, _VERSION, *facts, 0, 0, 0, external, len(body)) + raw_name
    body += LOCAL.pack(LOCAL_SIGNATURE, _VERSION, *facts) + raw_name + data


def _compressed(content: bytes, limits: Limits) -> tuple[int, bytes]:
    compressed = zlib.compress(content, _LEVEL, -zlib.MAX_WBITS)
    # Stored if compression gains nothing, or exceeds the ratio at which inspection refuses an entry as a ZIP bomb.
    exceeds_ratio = len(content) > limits.ratio_free_bytes and len(content) > len(compressed) * limits.ratio
    return (STORED, content) if exceeds_ratio or len(compressed) >= len(content) else (DEFLATED, compressed)


def _check_upload(name: str, size_bytes: int, limits: Limits) -> None:
    limit_bytes = min(limits.upload_bytes, _ZIP_BYTES)
    if size_bytes > limit_bytes:
        raise BadBundle(
            f"With {quoted(name)} the packed folder exceeds the limit of {size_text(limit_bytes)}.",
            hint="Leave large files out with " + Api.EXCLUDE + OrRaise("upload_bytes") + ".",
            entry=name,
            limit_bytes=limit_bytes,
        )
