"""File operations that several packages need: locks, durable folders, private files, whole trees."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_BLOCK_BYTES = 512  # of `st_blocks`, whatever the file system's own block size (stat(2))
_INLINE_BYTES = 65_536  # what file systems keep elsewhere than in blocks, or compress away, is no hole
_COPY_BYTES = 2**30


def is_file(path: str | Path) -> bool:
    """Return whether this account finds a file there; False below a folder that it may not enter, where `Path.is_file` may raise."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Return whether this account finds a folder there; False below one that it may not enter, where `Path.is_dir` may raise."""
    return os.path.isdir(path)  # noqa: PTH112


def sources_of(package: Path, excluded: frozenset[str]) -> Iterator[tuple[Path, Path]]:
    """Yield the sources of a package, always in the same order: the path in the package, and the path. Skip folders of these names."""
    for folder, folders, names in os.walk(package):
        folders[:] = sorted(set(folders) - excluded)
        for source in (Path(folder, name) for name in sorted(names) if name.endswith((".py", ".sql"))):
            yield source.relative_to(package), source


def is_locked(path: Path) -> bool:
    """Return whether any process holds an exclusive lock on the file; False if there is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # also on a file system that has become read-only
    except FileNotFoundError:
        return False
    with lock_descriptor(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file, creating it if needed, while the block runs. Block until it is free, without a time limit."""
    with lock_descriptor(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


_lock_descriptors: set[int] = set()


@contextmanager
def lock_descriptor(descriptor: int) -> Iterator[int]:
    """Close the descriptor of a lock file when the block ends, and at once in a forked child.

    flock(2): a forked child shares the lock, so a long-lived child would hold it after its parent has ended.
    """
    _lock_descriptors.add(descriptor)
    try:
        yield descriptor
    finally:
        # A forked child has closed it already, and the number may belong to another file by now.
        if descriptor in _lock_descriptors:
            _lock_descriptors.discard(descriptor)
            os.close(descriptor)


def _close_in_child() -> None:
    for descriptor in _lock_descriptors:
        os.close(descriptor)
    _lock_descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=private_opener)`: a new one gets mode 0600."""
    return os.open(path, flags, 0o600)


def make_private_folders(*folders: Path) -> None:
    """Create the folders that are missing, each with mode 0700; name the outermost first.

    `Path.mkdir(mode, parents=True)` alone would give the mode to the last one only.
    """
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: a new or renamed file survives a power failure only after this."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_disk_full(error: OSError) -> bool:
    """Return whether the error means that the device or the account's quota has no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class TreeSize(NamedTuple):
    """The size of a file, or of everything in a folder."""

    allocated_bytes: int
    """What it takes up on disk: of a file its size or, if it has holes, the blocks that it has."""
    apparent_bytes: int
    """The sum of the sizes of files, holes included."""


def tree_size_bytes(path: Path) -> int:
    """Return what a file, or everything in a folder, takes up on disk, as `tree_size` does."""
    return tree_size(path).allocated_bytes


def tree_size(path: Path) -> TreeSize:
    """Return the size of a file, or of everything in a folder. Links are not followed; what cannot be read counts 0."""
    if not _is_folder(path):
        return _file_size(path)
    allocated_bytes, apparent_bytes, waiting = 0, 0, [str(path)]
    while waiting:  # not os.walk, which recurses, and fails on folders nested a thousand deep
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size = _file_size(entry.path)
                    allocated_bytes += size.allocated_bytes
                    apparent_bytes += size.apparent_bytes
    return TreeSize(allocated_bytes, apparent_bytes)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a regular file with its times and permissions to a new file. Holes stay holes. A symbolic link is refused.

    Raises:
        OSError: `source` cannot be read or is a link, or `target` exists or cannot be written; what was written of it stays.
    """
    import shutil

    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size_bytes = os.fstat(reading).st_size
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for start, end in _data(reading, size_bytes):
                _copy_range(reading, writing, start, end)
            os.ftruncate(writing, size_bytes)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    shutil.copystat(source, target, follow_symlinks=False)


def open_below(folder: Path, name: str) -> int:
    """Open a regular file for reading, given its path relative to `folder`, and return the descriptor. Follow no symbolic link.

    Raises:
        OSError: there is no such file, or it cannot be read; with `..` in the path, and for what is no regular file, `ENOENT`.
    """
    *parents, last = name.split("/")
    above = os.open(folder, _FOLDER | os.O_CLOEXEC)
    try:
        for parent in parents:
            below = os.open(_inner(parent), _FOLDER | os.O_CLOEXEC, dir_fd=above)
            os.close(above)
            above = below
        found = os.open(_inner(last), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)  # a pipe would block
    finally:
        os.close(above)
    if stat.S_ISREG(os.fstat(found).st_mode):
        return found
    os.close(found)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _inner(name: str) -> str:
    if name in ("", ".", "..") or "\0" in name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return name


@contextmanager
def remove_on_error(path: Path) -> Iterator[None]:
    """Remove the file if the block raises."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _data(descriptor: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part of a file that is no hole."""
    end = 0
    while end < size_bytes:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # the rest is a hole
                raise
            return
        yield start, end


def _copy_range(reading: int, writing: int, start: int, end: int) -> None:
    os.lseek(writing, start, os.SEEK_SET)
    while start < end:
        copied = os.sendfile(writing, reading, start, min(end - start, _COPY_BYTES))
        if not copied:
            return  # it was cut short meanwhile
        start += copied


def remove_tree(path: Path) -> bool:
    """Remove a file, a link, or a folder with everything in it; return whether `path` is gone.

    Never follows a symbolic link: a link is removed and its target left alone. Read-only folders and any depth are no obstacle.
    Raises no OSError for what cannot be removed.
    """
    from shutil import rmtree

    if _is_folder(path):
        with suppress(RecursionError):
            rmtree(path, ignore_errors=True)
    with suppress(OSError):
        if _is_folder(path):
            _remove_flat(path)
        else:
            path.unlink()
    return not os.path.lexists(path)


def _remove_flat(path: Path) -> None:
    """Remove what `rmtree` cannot. Each subfolder is moved to the top before it is emptied, so that neither paths nor the stack grow."""
    path.chmod(0o700)
    top = os.open(path, _FOLDER)
    try:
        waiting = ["."]
        while waiting:
            name = waiting.pop()
            with suppress(OSError):
                waiting += _emptied(top, name)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    path.rmdir()


def _emptied(top: int, name: str) -> Iterator[str]:
    """Remove a folder's files and move its subfolders to `top`; yield their new names."""
    folder = os.open(name, _FOLDER, dir_fd=top)
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
        for entry in listed:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.name, 0o700, dir_fd=folder)  # rename(2): a folder that gets another parent must be writable
                    moved = os.urandom(16).hex()
                    os.rename(entry.name, moved, src_dir_fd=folder, dst_dir_fd=top)
                    yield moved
                else:
                    os.unlink(entry.name, dir_fd=folder)
    finally:
        os.close(folder)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _file_size(path: str | Path) -> TreeSize:
    try:
        status = os.lstat(path)
    except OSError:
        return TreeSize(0, 0)
    allocated_bytes = status.st_blocks * _BLOCK_BYTES
    has_holes = allocated_bytes + _INLINE_BYTES < status.st_size
    return TreeSize(allocated_bytes if has_holes else status.st_size, status.st_size)
