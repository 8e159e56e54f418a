"""Seals: what a shared folder looked like when it was finished, so that a change by a program that runs in it is noticed.

A seal covers folders, not the content of files. For each folder it has the time of its last change (stat(2)'s ctime: adding, removing or
replacing a file sets it, and no program can set it back), a digest of names and sizes, and one of inodes. The digests are compared only
where the time differs; that of inodes only if the folder's own is the same, which it is not in a cache that was copied. `__pycache__` is
left out: it does not change what a program does, and `-O` or pytest may add to it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_WRITE = 0o222
_MODE = 0o7777
_PART = 16
"""How many folders are checked together, twice in each run: 0.03 to 0.08 ms."""


class Seal:
    """The seal of one folder."""

    def __init__(self, entries: Iterable[tuple[str, int, str, str]] = ()) -> None:
        self.entries = list(entries)
        """Relative path, ctime in nanoseconds, and digests of each folder, outer ones first; as JSON, an argument of `from_json`."""
        self._next: int | None = None
        """Which of the inner folders is checked next; None before the first check, which is of all."""

    @classmethod
    def from_json(cls, value: Any) -> Seal:
        """Return the seal whose `entries` were written as JSON. Earlier versions wrote no digest of inodes, and the modification time.

        Raises:
            ValueError, TypeError: they are not entries of a seal.
        """
        return cls((str(name), int(at_ns), str(digest), str(*inodes)) for name, at_ns, digest, *inodes in value)

    def change(self, folder: Path) -> str | None:
        """Return the path of the first folder that has changed, or None. About 2 µs for each folder."""
        return self._change(folder, range(len(self.entries)))

    def next_change(self, folder: Path) -> str | None:
        """Do the same for a bounded number of folders: the outer ones, where installers make changes, and the next of the inner ones.

        After a change was found, the next call checks the same folders: before it rebuilds, a thread checks once more under the lock.
        """
        begin = _PART if self._next is None else self._next
        indexes = range(begin, len(self.entries) if self._next is None else min(begin + _PART, len(self.entries)))
        found = self._change(folder, range(min(_PART, len(self.entries)))) or self._change(folder, indexes)
        if found is None:
            is_last = self._next is None or indexes.stop >= len(self.entries)
            self._next = _PART if is_last else indexes.stop
        return found

    def _change(self, folder: Path, indexes: range) -> str | None:
        for index in indexes:
            name, changed_at_ns, digest, inodes = self.entries[index]
            path = f"{folder}/{name}"
            try:
                now_ns = os.stat(path).st_ctime_ns  # noqa: PTH116 - before every run
                if now_ns == changed_at_ns:
                    continue
                now_digest, now_inodes = _digests(path)
                if now_digest == digest and (now_inodes == inodes or _folder_of(now_inodes) != _folder_of(inodes)):
                    self.entries[index] = (name, now_ns, digest, now_inodes)
                    continue
            except OSError:
                pass
            return os.path.normpath(path)
        return None


def close(folder: Path) -> Seal:
    """Make everything in the folder read-only, and return its seal. Root can still write to read-only files.

    Raises:
        OSError: the folder cannot be changed.
    """
    entries: list[tuple[str, int, str, str]] = []
    for path in _folders(folder):
        os.chmod(path, os.stat(path).st_mode & _MODE & ~_WRITE)  # noqa: PTH101, PTH116 - thousands of folders
        if not path.endswith("/__pycache__"):
            entries.append((os.path.relpath(path, folder), os.stat(path).st_ctime_ns, *_digests(path)))  # noqa: PTH116
    return Seal(sorted(entries, key=lambda entry: (entry[0] != ".", entry[0].count("/"), entry[0])))


def _digests(path: str) -> tuple[str, str]:
    """Return a digest of the names in a folder and of the sizes of its files; and the folder's inode with a digest of its files' inodes."""
    sizes: list[tuple[str, int]] = []
    inodes: list[tuple[str, int]] = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name == "__pycache__":
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            sizes.append((entry.name, -1 if is_folder else entry.stat(follow_symlinks=False).st_size))
            if not is_folder:
                inodes.append((entry.name, entry.inode()))
    return _short_hash(sizes), f"{os.stat(path).st_ino}:{_short_hash(inodes)}"  # noqa: PTH116


def _short_hash(found: list[tuple[str, int]]) -> str:
    return hashlib.sha256(os.fsencode(repr(found))).hexdigest()[:16]


def _folder_of(inodes: str) -> str:
    return inodes.partition(":")[0]


def _folders(folder: Path) -> Iterator[str]:
    """Yield the folder and all below it, after making the files in each read-only."""
    waiting = [str(folder)]
    while waiting:
        path = waiting.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    os.chmod(entry.path, entry.stat(follow_symlinks=False).st_mode & _MODE & ~_WRITE)  # noqa: PTH101
        yield path
