"""A bundle on disk: inspect an uploaded ZIP, unpack an accepted one, compare a run's working folder with it.

Only files are handled here; the rules are in `archive`, `names`, `rules` and `environments.requirements`, and `storage` keeps the bundles.
Nothing here follows a symbolic link below a working folder.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from orchlite.bundles.archive import Entry, ReadAt, read_content, read_entries
from orchlite.bundles.names import check_portable, folders_of, is_junk
from orchlite.bundles.rules import check_entries, find_entrypoint, find_requirements, name_warnings
from orchlite.bundles.syntax import SOURCE_BYTES, check_source
from orchlite.core.errors import BadBundle
from orchlite.core.hints import OrRaise
from orchlite.core.settings import Limits
from orchlite.core.sizes import over_text
from orchlite.core.system_errors import is_shortage
from orchlite.environments.requirements import CONTENT_BYTES, Requirements, parse_requirements

_IN_MEMORY_BYTES = 4 * 1024 * 1024
"""Bundles up to this size are read into memory: one system call instead of two for each entry."""

_BLOCK_BYTES = 1024 * 1024
_BYTECODE_FOLDER = "__pycache__"


class BundleReport(NamedTuple):
    """What `inspect` found in an accepted bundle."""

    sha: str
    """SHA-256 of the uploaded bytes, 64 lower-case hexadecimal digits."""
    size_bytes: int
    entrypoint: str
    """Path of the `main.py` inside the bundle, with `/`."""
    requirements: Requirements
    warnings: tuple[str, ...]
    """Everything worth knowing that is no reason to refuse, including skipped junk and the requirements' warnings."""


def inspect(path: Path, limits: Limits) -> BundleReport:
    """Check everything about the ZIP at `path`: layout, names, limits, contents, entrypoint, requirements. Uses little memory.

    Raises:
        BadBundle: the bundle is refused; `details` has the `entry`, and the `limit` or `limit_bytes`, if the reason is one.
        BadRequirement: a line of its `requirements.txt` is refused.
        OSError: the file cannot be read.

    """
    with path.open("rb") as file:
        size_bytes = _checked_size(file, limits)
        read_at = _reader(file, size_bytes)
        entries = read_entries(read_at, size_bytes, limits)
        kept, skipped = check_entries(entries, limits)
        names = [entry.name for entry in kept]
        entrypoint, requirements_name = find_entrypoint(names, skipped), find_requirements(names)
        contents = _verified(read_at, entries, {entrypoint: SOURCE_BYTES, requirements_name: CONTENT_BYTES + 1})
        requirements = parse_requirements(contents[requirements_name], name=requirements_name) if requirements_name else Requirements()
        warnings = check_source(contents[entrypoint], entrypoint) + name_warnings(names, skipped, entrypoint, requirements_name)
        return BundleReport(_sha(file), size_bytes, entrypoint, requirements, (*warnings, *requirements.warnings))


def unpack(path: Path, into: Path, sha: str | None = None) -> None:
    """Unpack an accepted bundle into an existing, empty folder.

    Files are accessible to this account only, with the executable bit as in the bundle. Junk is skipped. `sha`, if known, is the SHA-256
    of the accepted bundle.

    Raises:
        BadBundle: the file is no longer the one that was accepted.
        OSError: a file cannot be read or written. Files written before that stay.

    """
    with path.open("rb") as file:
        if sha is not None and _sha(file) != sha:
            raise BadBundle(
                f"The stored bundle {str(path)!r} is no longer the one that was uploaded.",
                hint="Restore it from a backup, or upload it again after removing it.",
            )
        size_bytes = os.fstat(file.fileno()).st_size
        read_at = _reader(file, size_bytes)
        made = {""}
        for entry in _kept_entries(read_at, size_bytes):
            _make_folders(into, entry.name, made)
            if not entry.is_folder:
                _write(f"{into}/{entry.name}", read_content(read_at, entry), executable=bool(entry.mode & 0o111))


def read_files(path: Path, choose: Callable[[Sequence[Entry]], Sequence[Entry]]) -> tuple[list[str], dict[str, bytes]]:
    """Return the names of all entries of an accepted bundle, junk left out, and the contents of those that `choose` returns, by name.

    Raises:
        BadBundle: the bundle is damaged.
        OSError: the bundle cannot be read.

    """
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        read_at = _reader(file, size_bytes)
        entries = list(_kept_entries(read_at, size_bytes))
        contents = {entry.name: b"".join(read_content(read_at, entry)) for entry in choose(entries)}
        return [entry.name for entry in entries], contents


def changed_files(bundle: Path, work: Path) -> list[Path]:
    """Return the regular files below `work` that are not in the bundle, or differ from it in size or CRC: relative paths, sorted.

    `__pycache__` folders and symbolic links are left out, and so are files that cannot be read or are removed meanwhile: another thread
    may be cleaning up the folder.

    Raises:
        BadBundle: the bundle is damaged.
        OSError: the bundle cannot be read, or too many files are open.

    """
    bundled = _bundled_entries(bundle)
    found = (file for folder in _folders(work) for file in folder.files if not _is_unchanged(file, bundled.get(file.name)))
    return sorted((Path(file.name) for file in found), key=Path.as_posix)


def is_changed(bundle: Path, work: Path, name: str) -> bool:
    """Return whether the file `name` in `work` is not in the bundle, or differs from it: as `changed_files`, for a file that is there.

    Raises:
        BadBundle: the bundle is damaged.
        OSError: the bundle or the file cannot be read.

    """
    path = work / name
    return not _is_unchanged(_File(name, str(path), os.lstat(path).st_size), _bundled_entries(bundle).get(name))


class BundledFile(NamedTuple):
    """The content of a file of a bundle. Equal contents are equal."""

    size_bytes: int
    crc: int


def files(bundle: Path) -> dict[str, BundledFile]:
    """Return the files of a stored bundle by their names: paths with `/`.

    Raises:
        BadBundle: the bundle is damaged.
        OSError: it cannot be read.
    """
    entries = _bundled_entries(bundle)
    return {name: BundledFile(entry.size_bytes, entry.crc) for name, entry in entries.items() if not name.endswith("/")}


def remove_unchanged(bundle: Path, work: Path) -> None:
    """Remove from `work` the bundle's unchanged files, every `__pycache__`, and those of the bundle's folders that are then empty.

    Idempotent. Whatever cannot be removed, for instance from a folder that the program made read-only, stays.

    Raises:
        BadBundle: the bundle is damaged; nothing was removed.
        OSError: the bundle cannot be read, and nothing was removed; or too many files are open.

    """
    bundled = _bundled_entries(bundle)
    folders = list(_folders(work, with_bytecode=True))
    for folder in folders:
        for file in folder.files:
            if folder.is_bytecode or _is_unchanged(file, bundled.get(file.name)):
                _remove_file(file.path)
    # `_folders` yields a folder before those in it.
    for folder in reversed(folders):
        if folder.is_bytecode or f"{folder.name}/" in bundled:
            with suppress(OSError):
                Path(folder.path).rmdir()


# --- Reading


def _checked_size(file: BufferedReader, limits: Limits) -> int:
    size_bytes = os.fstat(file.fileno()).st_size
    if not size_bytes:
        raise BadBundle("The bundle is an empty file.", hint="Give a ZIP with a main.py, or the folder itself.")
    if size_bytes > limits.upload_bytes:
        raise BadBundle(
            f"The bundle has {over_text(size_bytes, limits.upload_bytes)}.",
            hint="Leave large files out and let the program fetch them" + OrRaise("upload_bytes") + ".",
            limit_bytes=limits.upload_bytes,
        )
    return size_bytes


def _reader(file: BufferedReader, size_bytes: int) -> ReadAt:
    if size_bytes <= _IN_MEMORY_BYTES:
        content = file.read()
        return lambda offset, count: content[offset : offset + count]
    descriptor = file.fileno()
    return lambda offset, count: os.pread(descriptor, count, offset)


def _verified(read_at: ReadAt, entries: Sequence[Entry], wanted: Mapping[str | None, int]) -> dict[str, bytes]:
    """Decompress and check every entry; return the first bytes of the wanted ones, up to the number given for each."""
    contents: dict[str, bytes] = {}
    for entry in entries:
        kept_bytes = wanted.get(entry.name, 0)
        content = bytearray()
        for block in read_content(read_at, entry):
            content += block[: max(kept_bytes - len(content), 0)]
        if entry.name in wanted:
            contents[entry.name] = bytes(content)
    return contents


def _sha(file: BufferedReader) -> str:
    """Return the file's SHA-256, and leave its position at the start."""
    import hashlib

    file.seek(0)
    # file_digest alone would allocate 256 KiB, which takes longer than the digest of a small bundle.
    is_small = os.fstat(file.fileno()).st_size <= _IN_MEMORY_BYTES
    digest = hashlib.sha256(file.read()) if is_small else hashlib.file_digest(file, "sha256")
    file.seek(0)
    return digest.hexdigest()


def _kept_entries(read_at: ReadAt, size_bytes: int) -> Iterator[Entry]:
    for entry in read_entries(read_at, size_bytes):
        # Checked again: a bad name would be written outside the folder, and the file may have been damaged since its inspection.
        check_portable(entry.name)
        if not is_junk(entry.name):
            yield entry


# --- Writing


def _make_folders(into: Path, name: str, made: set[str]) -> None:
    if "/" not in name:
        return
    for folder in folders_of(name):
        if folder not in made:
            os.mkdir(f"{into}/{folder}", 0o700)  # noqa: PTH102 - every run does this, and building a Path costs as much as the call
            made.add(folder)


def _write(path: str, blocks: Iterator[bytes], *, executable: bool) -> None:
    # O_EXCL: an existing name is an error, and an existing symbolic link is not followed.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700 if executable else 0o600)
    try:
        for block in blocks:
            written = os.write(descriptor, block)
            while written < len(block):
                written += os.write(descriptor, block[written:])
    finally:
        os.close(descriptor)


# --- Comparing


class _File(NamedTuple):
    name: str
    """Path relative to the top folder, with `/`."""
    path: str
    size_bytes: int


class _Folder(NamedTuple):
    name: str
    path: str
    is_bytecode: bool
    """It is a `__pycache__`, or inside one."""
    files: list[_File]


def _bundled_entries(bundle: Path) -> dict[str, Entry]:
    """Return the entries by name. Folders, which end with `/`, are included even if the bundle has no entry for them."""
    bundled: dict[str, Entry] = {}
    with bundle.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        for entry in _kept_entries(_reader(file, size_bytes), size_bytes):
            bundled.update({f"{folder}/": entry for folder in folders_of(entry.name)})
            bundled[entry.name] = entry
    return bundled


def _folders(top: Path, *, with_bytecode: bool = False) -> Iterator[_Folder]:
    """Walk `top` and the folders below it, each before those in it, without following links. Bytecode folders only with `with_bytecode`."""
    waiting = [_Folder("", str(top), False, [])]
    while waiting:
        folder = waiting.pop()
        for item in _items(folder.path):
            name = f"{folder.name}/{item.name}" if folder.name else item.name
            if item.is_dir(follow_symlinks=False):
                is_bytecode = folder.is_bytecode or item.name == _BYTECODE_FOLDER
                if with_bytecode or not is_bytecode:
                    waiting.append(_Folder(name, item.path, is_bytecode, []))
            elif folder.is_bytecode or item.is_file(follow_symlinks=False):
                with suppress(OSError):  # removed meanwhile
                    folder.files.append(_File(name, item.path, item.stat(follow_symlinks=False).st_size))
        yield folder


def _items(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as items:
            return list(items)
    except OSError as error:
        if is_shortage(error):
            raise
        return []  # unreadable, too deep for a path, or removed meanwhile


def _is_unchanged(file: _File, entry: Entry | None) -> bool:
    if entry is None or entry.is_folder or file.size_bytes != entry.size_bytes:
        return False
    try:
        return _crc(file.path) == entry.crc
    except FileNotFoundError:
        return True  # removed since it was listed: only a clean-up removes files with the bundle's name and size
    except OSError as error:
        if is_shortage(error):
            raise
        return False


def _crc(path: str) -> int:
    crc = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
        while block := file.read(_BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc


def _remove_file(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()
