"""Seals: what a shared folder looked like when it was finished, so that a change by a program that runs in it is noticed.

A seal covers folders, not the content of files. For each folder it has the time at which its names last changed (stat(2): adding, removing
or replacing a file sets its folder's time), and a digest of names and sizes. The digest is compared only where the time differs, as in a
cache that was copied. `__pycache__` is left out: it does not change what a program does, and `-O` or pytest may add to it.
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

    def __init__(self, entries: Iterable[tuple[str, int, str]] = ()) -> None:
        self.entries = list(entries)
        """Relative path, modification time in nanoseconds, and digest of each folder, outer ones first; as JSON, an argument of `Seal`."""
        self._next: int | None = None
        """Which of the inner folders is checked next; None before the first check, which is of all."""

    @classmethod
    def from_json(cls, value: Any) -> Seal:
        """Return the seal whose `entries` were written as JSON.

        Raises:
            ValueError, TypeError: they are not entries of a seal.
        """
        return cls((str(name), int(modified_at_ns), str(digest)) for name, modified_at_ns, digest in value)

    def change(self, folder: Path) -> str | None:
        """Return the path of the first folder that has changed, or None. About 2 µs for each folder."""
        return self._change(folder, range(len(self.entries)))

    def next_change(self, folder: Path) -> str | None:
        """Do the same for a bounded number of folders: the outer ones, where installers make changes, and the next of the inner ones."""
        begin = self._next
        if begin is None:
            self._next = _PART
            return self.change(folder)
        self._next = begin + _PART if begin + _PART < len(self.entries) else _PART
        outer = min(_PART, len(self.entries))
        return self._change(folder, range(outer)) or self._change(folder, range(begin, min(begin + _PART, len(self.entries))))

    def _change(self, folder: Path, indexes: range) -> str | None:
        for index in indexes:
            name, modified_at_ns, digest = self.entries[index]
            path = f"{folder}/{name}"
            try:
                now_ns = os.stat(path).st_mtime_ns  # noqa: PTH116 - before every run
                if now_ns == modified_at_ns:
                    continue
                if _digest(path) == digest:
                    self.entries[index] = (name, now_ns, digest)
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
    entries: list[tuple[str, int, str]] = []
    for path in _folders(folder):
        status = os.stat(path)  # noqa: PTH116 - thousands of folders
        if not path.endswith("/__pycache__"):
            entries.append((os.path.relpath(path, folder), status.st_mtime_ns, _digest(path)))
        os.chmod(path, status.st_mode & _MODE & ~_WRITE)  # noqa: PTH101
    return Seal(sorted(entries, key=lambda entry: (entry[0] != ".", entry[0].count("/"), entry[0])))


def _digest(path: str) -> str:
    """Return a digest of the names in a folder, and of the sizes of its files."""
    with os.scandir(path) as entries:
        found = sorted(
            (entry.name, -1 if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_size)
            for entry in entries
            if entry.name != "__pycache__"
        )
    return hashlib.sha256(os.fsencode(repr(found))).hexdigest()[:16]


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
