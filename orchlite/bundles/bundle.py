"""A bundle on disk: inspect an uploaded ZIP, unpack an accepted one, compare a run's folder with it.

Files only: the rules are elsewhere (`archive`, `bundle_rules`, `entry_names`, `requirements`), and so is where bundles are kept.
Nothing here follows a symbolic link below a run's folder.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from orchlite.bundles.archive import Entry, ReadAt, read_content, read_entries
from orchlite.bundles.names import check_shape, folders_of, is_junk
from orchlite.bundles.rules import SOURCE_BYTES, accepted_entries, check_source, find_entrypoint, find_requirements, warnings_of_names
from orchlite.core.errors import BadBundle
from orchlite.core.settings import Limits
from orchlite.core.text import quoted
from orchlite.environments.requirements import CONTENT_BYTES, Requirements, parse_requirements

_AT_ONCE_BYTES = 4 * 1024 * 1024
"""Bundles up to this size are read into memory: one system call instead of two an entry."""

_BLOCK_BYTES = 1024 * 1024
_CACHE = "__pycache__"


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
    """Judge the ZIP at `path` as a bundle, whole: layout, names, limits, content, program, requirements. Memory use is small and constant.

    Raises:
        BadBundle: it is refused; `details` name the entry and the limit, where there are any.
        BadRequirement: a line of its `requirements.txt` is refused.
        OSError: it cannot be read.

    """
    with path.open("rb") as file:
        size_bytes = _checked_size(file, limits)
        read_at = _reader(file, size_bytes)
        entries = read_entries(read_at, size_bytes, limits)
        kept, skipped = accepted_entries(entries, limits)
        names = [entry.name for entry in kept]
        entrypoint, requirements_name = find_entrypoint(names, skipped), find_requirements(names)
        texts = _verified(read_at, entries, {entrypoint: SOURCE_BYTES, requirements_name: CONTENT_BYTES + 1})
        requirements = parse_requirements(texts[requirements_name], name=requirements_name) if requirements_name else Requirements()
        told = _source_warnings(texts[entrypoint], entrypoint) + warnings_of_names(names, skipped, entrypoint, requirements_name)
        return BundleReport(_sha(file), size_bytes, entrypoint, requirements, (*told, *requirements.warnings))


def unpack(path: Path, into: Path) -> None:
    """Unpack an accepted bundle into an existing empty folder.

    Only its owner can touch the files; of their permissions only the executable bit is kept. Junk is skipped.

    Raises:
        BadBundle: the file is no longer what was accepted.
        OSError: a file could not be written; what was written before stays.

    """
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        read_at = _reader(file, size_bytes)
        made = {""}
        for entry in _kept_entries(read_at, size_bytes):
            _make_folders(into, entry.name, made)
            if not entry.is_folder:
                _write(f"{into}/{entry.name}", read_content(read_at, entry), executable=bool(entry.mode & 0o111))


def changed_files(bundle: Path, work: Path) -> list[Path]:
    """Find the regular files below `work`, relative to it and sorted, that the bundle did not bring or that differ in size or CRC.

    `__pycache__` folders, symbolic links and what is behind them are left out, and so is what cannot be read or was removed meanwhile:
    a run's folder may be tidied by one thread while another looks at it.

    Raises:
        BadBundle: the bundle is damaged.

    """
    brought = _brought(bundle)
    found = (file for folder in _folders(work) for file in folder.files if not _is_brought(file, brought.get(file.name)))
    return sorted((Path(file.name) for file in found), key=Path.as_posix)


def remove_unchanged(bundle: Path, work: Path) -> None:
    """Remove from `work` what the bundle brought and the run left as it was, all `__pycache__`, and the bundle's folders left empty.

    May be repeated. What cannot be removed, because the program took away the permission, stays.

    Raises:
        BadBundle: the bundle is damaged; nothing was removed.

    """
    brought = _brought(bundle)
    folders = list(_folders(work, caches=True))
    for folder in folders:
        for file in folder.files:
            if folder.in_cache or _is_brought(file, brought.get(file.name)):
                _remove_file(file.path)
    # The walk lists a folder before what is in it.
    for folder in reversed(folders):
        if folder.in_cache or f"{folder.name}/" in brought:
            with suppress(OSError):
                Path(folder.path).rmdir()


# --- reading


def _checked_size(file: BufferedReader, limits: Limits) -> int:
    size_bytes = os.fstat(file.fileno()).st_size
    if not size_bytes:
        raise BadBundle("The bundle is an empty file.", hint="Give a ZIP with a main.py, or the folder itself.")
    if size_bytes > limits.upload_bytes:
        raise BadBundle(
            f"The bundle has {size_bytes} bytes; the limit is {limits.upload_bytes}.",
            hint="Leave large files out and let the program fetch them, or raise Limits.upload_bytes.",
            limit_bytes=limits.upload_bytes,
        )
    return size_bytes


def _reader(file: BufferedReader, size_bytes: int) -> ReadAt:
    if size_bytes <= _AT_ONCE_BYTES:
        content = file.read()
        return lambda offset, count: content[offset : offset + count]
    descriptor = file.fileno()
    return lambda offset, count: os.pread(descriptor, count, offset)


def _verified(read_at: ReadAt, entries: Sequence[Entry], wanted: Mapping[str | None, int]) -> dict[str, bytes]:
    """Unpack every entry to nowhere; of the wanted ones keep the content, up to a number of bytes."""
    texts: dict[str, bytes] = {}
    for entry in entries:
        keep_bytes = wanted.get(entry.name, 0)
        text = bytearray()
        for block in read_content(read_at, entry):
            text += block[: max(keep_bytes - len(text), 0)]
        if entry.name in wanted:
            texts[entry.name] = bytes(text)
    return texts


def _source_warnings(source: bytes, entrypoint: str) -> list[str]:
    if len(source) >= SOURCE_BYTES:
        return [f"{quoted(entrypoint)} has {SOURCE_BYTES} bytes or more: it was not checked for syntax errors."]
    return check_source(source, entrypoint)


def _sha(file: BufferedReader) -> str:
    import hashlib

    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _kept_entries(read_at: ReadAt, size_bytes: int) -> Iterator[Entry]:
    for entry in read_entries(read_at, size_bytes):
        # Looked at again, since a wrong name would be written outside the folder, and the file may have been damaged since.
        check_shape(entry.name)
        if not is_junk(entry.name):
            yield entry


# --- writing


def _make_folders(into: Path, name: str, made: set[str]) -> None:
    if "/" not in name:
        return
    for folder in folders_of(name):
        if folder not in made:
            os.mkdir(f"{into}/{folder}", 0o700)  # noqa: PTH102 - on the path of every run, where building a Path costs as much as the call
            made.add(folder)


def _write(path: str, blocks: Iterator[bytes], *, executable: bool) -> None:
    # O_EXCL: a name that is there already, as a symbolic link too, is an error and is never written through.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700 if executable else 0o600)
    try:
        for block in blocks:
            written = os.write(descriptor, block)
            while written < len(block):
                written += os.write(descriptor, block[written:])
    finally:
        os.close(descriptor)


# --- comparing


class _File(NamedTuple):
    name: str
    """Relative to the folder that was walked, with `/`."""
    path: str
    size_bytes: int


class _Folder(NamedTuple):
    name: str
    path: str
    in_cache: bool
    files: list[_File]


def _brought(bundle: Path) -> dict[str, Entry]:
    """Read what the bundle unpacked to, by name; folders, whether it lists them or not, end with `/`."""
    brought: dict[str, Entry] = {}
    with bundle.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        for entry in _kept_entries(_reader(file, size_bytes), size_bytes):
            brought.update({f"{folder}/": entry for folder in folders_of(entry.name)})
            brought[entry.name] = entry
    return brought


def _folders(top: Path, *, caches: bool = False) -> Iterator[_Folder]:
    """Walk the real folders below `top`, itself first, each before what is in it."""
    waiting = [_Folder("", str(top), False, [])]
    while waiting:
        folder = waiting.pop()
        for item in _items(folder.path):
            name = f"{folder.name}/{item.name}" if folder.name else item.name
            if item.is_dir(follow_symlinks=False):
                in_cache = folder.in_cache or item.name == _CACHE
                if caches or not in_cache:
                    waiting.append(_Folder(name, item.path, in_cache, []))
            elif folder.in_cache or item.is_file(follow_symlinks=False):
                with suppress(OSError):  # gone meanwhile
                    folder.files.append(_File(name, item.path, item.stat(follow_symlinks=False).st_size))
        yield folder


def _items(path: str) -> list[os.DirEntry[str]]:
    # Unreadable, too deep for a path, or gone meanwhile.
    with suppress(OSError), os.scandir(path) as items:
        return list(items)
    return []


def _is_brought(file: _File, entry: Entry | None) -> bool:
    if entry is None or entry.is_folder or file.size_bytes != entry.size_bytes:
        return False
    try:
        return _crc(file.path) == entry.crc
    except FileNotFoundError:
        return True  # removed since it was listed, which only tidying does to a file of the bundle's name and size
    except OSError:
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
